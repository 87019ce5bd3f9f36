"""What docs/operating.md says of moving a cache, of copies, and of locking one."""

import shutil
import sys
from datetime import date

import pytest
from pipeline_kit import Place, trading_days, window

from ingest.errors import CacheLocked
from ingest.maintenance.verify import verify

DAYS = trading_days(date(2025, 11, 3), 3)
pytestmark = pytest.mark.usefixtures("loopback_keys")


@pytest.fixture
def place(tmp_path, server):
    place = Place(tmp_path / "cache", server.endpoint_url)
    place.run(*window(DAYS))
    return place


@pytest.mark.parametrize("move", [shutil.move, shutil.copytree])
def test_a_cache_may_lie_elsewhere(place, tmp_path, move):
    move(place.root, tmp_path / "other" / "place")
    other = Place(tmp_path / "other" / "place", place.endpoint_url)
    assert verify(other.settings(), deep=True).problems == ()
    assert other.run(*window(DAYS)).gets == []


def test_a_copy_without_its_manifest_is_not_downloaded_again(place, tmp_path):
    shutil.copytree(place.root, tmp_path / "copy", ignore=shutil.ignore_patterns("manifest.sqlite*"))
    other = Place(tmp_path / "copy", place.endpoint_url)
    ran = other.run(*window(DAYS))
    assert (ran.gets, ran.finished.committed) == ([], len(DAYS))


@pytest.mark.skipif(sys.platform == "win32", reason="flock(1) is Unix's")
def test_a_run_waits_for_no_backup_that_holds_the_lock(place):
    import fcntl

    with (place.root / "ingest.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert CacheLocked.exit_code == 6
        place.run(*window(DAYS), fails=CacheLocked)
    place.run(*window(DAYS))
