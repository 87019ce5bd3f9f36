"""Answers of Yahoo that cannot be stored: the caller has them, and is told unless a run is about to ask for them."""

import warnings

import pytest

from ingest.cache import lock
from ingest.errors import CacheLocked, IngestWarning, OtherWriter
from ingest.market.catalogue import STOCKS_DAY
from ingest.reading.adjusting import fallback
from ingest.settings import CacheSettings, Settings


@pytest.fixture
def refused(tmp_path, monkeypatch):
    settings = Settings(cache=CacheSettings(root=tmp_path / "cache"))

    def refuse(error):
        def hold(root, wait_s=0):
            raise error

        monkeypatch.setattr(lock, "hold", hold)
        fallback._write(settings, STOCKS_DAY, lambda cache: None)

    return refuse


def test_the_writer_of_another_machine_is_named(refused):
    with pytest.warns(IngestWarning, match="Yahoo's answer was not stored: beta writes to it"):
        refused(OtherWriter("beta writes to it"))


def test_a_run_in_progress_is_no_news(refused):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused(CacheLocked("another run"))
