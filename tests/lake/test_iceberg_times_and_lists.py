"""A table of Iceberg whose lists of files are gone or damaged is mended, and its snapshots never go back in time."""

import shutil
import time

import pytest
from iceberg_kit import in_lake, read, snapshots, table_folder, table_of
from lake_kit import DAYS
from pipeline_kit import Place, key, market_day, pack, window
from polars.testing import assert_frame_equal

from ingest.errors import CacheError
from ingest.lake.iceberg.snapshots import is_damage, is_listed
from ingest.maintenance.verify import verify


@pytest.fixture
def place(server, tmp_path):
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True, iceberg=True)
    place.run(*window(DAYS[:2]))
    place.run(*window(DAYS))
    return place


def correct(place, server, name=b"AAPL2"):
    server.put(key(DAYS[1]), pack(market_day(DAYS[1]).replace(b"\nAAPL,", b"\n" + name + b",")))
    place.run(*window(DAYS))


def check(place):
    table = table_of(place)
    assert_frame_equal(read(table, place), in_lake(place))
    assert all(is_listed(one, table.io) for one in table.metadata.snapshots)


def lists(place, which):
    """The files of metadata that a snapshot alone needs: the list of lists, and the lists of files."""
    table = table_of(place)
    named = [
        {one.manifest_list, *(each.manifest_path for each in one.manifests(table.io))}
        for one in table.metadata.snapshots
    ]
    alone = named[which] - set().union(*(one for one in named if one is not named[which]))
    return [table_folder(place) / "metadata" / url.rpartition("/")[2] for url in sorted(alone)]


def remove(path):
    path.unlink()


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def overwrite(path):
    path.write_bytes(b"no list" * 9)


@pytest.mark.parametrize("deed", [remove, cut, overwrite])
@pytest.mark.parametrize("which", [0, -1])
def test_a_lost_list_of_the_newest_snapshot_costs_that_snapshot(deed, which, place):
    deed(lists(place, -1)[which])
    assert [one.about for one in verify(place.settings()).problems] == ["lake"]
    place.run(*window(DAYS))
    check(place)
    assert snapshots(place) == 2
    assert verify(place.settings()).problems == ()


@pytest.mark.parametrize("deed", [remove, cut])
def test_a_lost_list_of_an_earlier_snapshot_costs_that_one(deed, place, server):
    correct(place, server)
    deed(lists(place, 0)[-1])
    correct(place, server, b"AAPL3")  # which has a file to sweep or not: it is written in any case
    assert place.here("verify", "--repair").code == 0
    check(place)
    assert snapshots(place) == 3
    assert verify(place.settings()).problems == ()


def test_a_file_that_may_be_read_another_time_costs_nothing(place, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr("pyiceberg.catalog.sql.SqlCatalog.load_table", refuse)
        assert "Permission denied" in place.here("lake", "build").err
    place.run(*window(DAYS))
    check(place)
    assert snapshots(place) == 2


def test_what_says_nothing_of_a_file_is_no_damage():
    assert not any(map(is_damage, (PermissionError(13, ""), OSError(24, ""), MemoryError())))
    assert all(map(is_damage, (FileNotFoundError(2, ""), ValueError(), EOFError(), OSError("is a directory"))))


def test_a_folder_in_place_of_a_data_file_is_moved_by_a_repair(place):
    file = next((table_folder(place) / "data").glob("2025-03*"))
    file.unlink()
    file.mkdir()
    place.run(*window(DAYS), fails=CacheError)
    assert place.here("verify", "--repair").code == 0
    check(place)
    assert snapshots(place) == 2


def test_a_clock_that_is_set_back_dates_no_snapshot_before_an_earlier_one(place, server, monkeypatch):
    kept = time.time
    monkeypatch.setattr("pyiceberg.table.snapshots.time.time", lambda: kept() - 86_400)
    correct(place, server)
    made = [one.timestamp_ms for one in table_of(place).metadata.snapshots]
    assert len(made) == 3
    assert made == sorted(made)
    table = table_of(place)
    assert [one.timestamp_ms for one in table.history()] == made
    assert table.metadata.last_updated_ms == made[-1]
    check(place)


def test_a_cache_behind_a_link_is_not_taken_for_a_moved_one(place, tmp_path):
    (tmp_path / "link").symlink_to(place.root)
    linked = Place(tmp_path / "link", place.endpoint_url, lake=True, iceberg=True)
    for one in (linked, place):
        one.run(*window(DAYS))
        check(one)
        assert snapshots(one) == 2
        assert one.here("lake", "snapshots").out.startswith("stocks-day: 2 snapshots")


def test_snapshots_are_not_dropped_without_a_word(place):
    shutil.rmtree(place.root / "lake" / "stocks-day")
    told = place.here("lake", "drop")
    assert told.code == 2
    assert "Nothing was removed" in told.err
    assert snapshots(place) == 2
