"""Refused files: kept as they came, checked, listed, given back, and dropped with all that belongs to them."""

import hashlib
from datetime import date

import pytest
from pipeline_kit import Place, window

from ingest.cache import quarantine
from ingest.cache.commit import for_run
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.windows import Window
from ingest.sources.base import Body

DAY = date(2025, 3, 4)
DATA = b"refused bytes"
MD5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()


@pytest.fixture
def cache(tmp_path):
    place = Place(tmp_path / "cache", "http://127.0.0.1:1")
    with for_run(place.settings(), STOCKS_DAY, Window(*window([DAY]))) as found:
        yield found


@pytest.fixture(params=["in memory", "in a file"])
def body(request, tmp_path):
    path = tmp_path / "spooled"
    if request.param == "in memory":
        return Body(DATA, MD5, "2025-03-05T15:00:00+00:00")
    path.write_bytes(DATA)
    return Body(b"", MD5, "2025-03-05T15:00:00+00:00", path=path)


def kept(cache, body):
    quarantine.keep_refused(cache, DAY, body, "it is no gzip file", acceptable=False)
    (one,) = cache.manifest.replacements.in_quarantine()
    return one


def test_a_kept_file_is_given_back_as_it_came_until_it_is_dropped(cache, body):
    one = kept(cache, body)
    assert quarantine.wrong_with(cache, one) is None
    assert quarantine.kept_names(cache) == [quarantine.file_of(cache, DAY).name]
    assert quarantine.body_of(cache, one, large=1 << 20) == Body(DATA, MD5, body.last_modified, etag_is_md5=True)
    large = quarantine.body_of(cache, one, large=len(DATA))
    assert (large.data, large.path) == (b"", quarantine.file_of(cache, DAY))
    quarantine.drop(cache, DAY)
    assert [*cache.quarantine.iterdir()] == quarantine.kept_names(cache) == []
    assert quarantine.wrong_with(cache, one) == "it is gone"
    quarantine.drop(cache, DAY)


def test_what_killed_runs_left_is_listed_and_swept_and_the_rest_stays(cache, body):
    kept(cache, body)
    path = quarantine.file_of(cache, DAY)
    left = path.with_name(f".{path.name}.ingest-{'0' * 16}.tmp")
    left.write_bytes(b"half")
    assert quarantine.kept_leftovers(cache) == [left.name]
    quarantine.sweep_refused(cache)
    assert [*cache.quarantine.iterdir()] == [path]
