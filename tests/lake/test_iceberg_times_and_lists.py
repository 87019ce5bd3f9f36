"""A table of Iceberg whose lists of files are gone or damaged is mended, and its snapshots never go back in time."""

import json
import platform
import shutil
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import polars as pl
import pytest
from iceberg_kit import correct, data_files, in_lake, read, snapshots, table_folder, table_of
from kills import Killed
from lake_kit import DAYS
from pipeline_kit import Place, window
from polars.testing import assert_frame_equal
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table.snapshots import Snapshot

from ingest.events import TableWritten
from ingest.lake.iceberg import tidying
from ingest.lake.iceberg.snapshots import References, expirable, is_damage, is_listed, needed_data
from ingest.maintenance.verify import verify


@pytest.fixture
def place(server, tmp_path):
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True, iceberg=True)
    place.run(*window(DAYS[:2]))
    place.run(*window(DAYS))
    return place


def corrected(place, server, name=b"AAPL2"):
    correct(server, name)
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
    corrected(place, server)
    deed(lists(place, 0)[-1])
    corrected(place, server, b"AAPL3")  # which has a file to sweep or not: it is written in any case
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


def test_a_network_that_fails_costs_no_snapshot():
    def fail(error):
        return SimpleNamespace(new_input=Mock(side_effect=error))

    url = "s3://bucket/lists.avro"
    snapshot = Snapshot(snapshot_id=1, timestamp_ms=1, manifest_list=url)
    for error in (OSError("AWS Error NETWORK_CONNECTION"), RuntimeError("no endpoint")):
        with pytest.raises(type(error)):
            is_listed(snapshot, fail(error))
        with pytest.raises(type(error)):
            needed_data(SimpleNamespace(io=fail(error)), [snapshot])
    gone = fail(FileNotFoundError(f"Cannot get file info, file not found: {url}"))
    assert not is_listed(snapshot, gone)
    assert needed_data(SimpleNamespace(io=gone), [snapshot]) == {1: None}


def test_a_folder_in_place_of_a_data_file_is_moved_aside_and_no_snapshot_is_lost(place):
    file = next((table_folder(place) / "data").glob("2025-03*"))
    file.unlink()
    file.mkdir()
    place.run(*window(DAYS))
    check(place)
    assert snapshots(place) == 2


def test_what_is_in_place_of_a_file_of_an_earlier_snapshot_is_moved_aside_and_named(place, server):
    corrected(place, server)
    newest = {task.file.file_path.rpartition("/")[2] for task in table_of(place).scan().plan_files()}
    earlier = next(path for path in data_files(place) if path.name not in newest)
    earlier.unlink()
    earlier.mkdir()
    assert (
        f"{earlier}: it is not a file and was moved to" in place.here("run", "--start", DAYS[0], "--end", DAYS[-1]).out
    )
    check(place)


def test_a_clock_that_is_set_back_dates_no_snapshot_before_an_earlier_one(place, server, monkeypatch):
    kept = time.time
    monkeypatch.setattr("pyiceberg.table.snapshots.time.time", lambda: kept() - 86_400)
    corrected(place, server)
    made = [one.timestamp_ms for one in table_of(place).metadata.snapshots]
    assert len(made) == 3
    assert made == sorted(made)
    table = table_of(place)
    assert [one.timestamp_ms for one in table.history()] == made
    assert table.metadata.last_updated_ms == made[-1]
    check(place)


def test_a_snapshot_of_a_clock_that_was_ahead_keeps_no_later_one(place, server, monkeypatch):
    ahead_ns = time.time_ns() + 9 * 365 * 86_400 * 10**9
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: ahead_ns / 1e9)
        patched.setattr(time, "time_ns", lambda: ahead_ns)
        corrected(place, server)
    corrected(place, server, b"AAPL3")
    corrected(place, server, b"AAPL4")
    table = table_of(place)
    ahead, later, newest = table.metadata.snapshots[-3:]
    assert ahead.timestamp_ms < later.timestamp_ms < newest.timestamp_ms
    old = expirable(table, timedelta(days=-1))
    assert (ahead in old, later in old, newest in old) == (False, True, False)


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


def test_a_catalog_that_is_locked_is_not_an_empty_one(place, monkeypatch):
    monkeypatch.setattr("ingest.lake.iceberg.catalog.sqlite3.connect", partial(sqlite3.connect, timeout=0.01))
    with closing(sqlite3.connect(place.root / "lake" / "iceberg" / "catalog.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        for command in ("status", "snapshots", "drop"):
            told = place.here("lake", command)
            assert told.code == 5
            assert "another program keeps the catalog" in told.err
    assert snapshots(place) == 2


@pytest.mark.parametrize("where", ["lake", "lake/iceberg"])
def test_a_link_to_another_disk_stays_when_the_lake_is_dropped(where, server, tmp_path):
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True, iceberg=True)
    link, other = place.root / where, tmp_path / "other"
    other.mkdir()
    link.parent.mkdir(parents=True)
    link.symlink_to(other)
    place.run(*window(DAYS))
    check(place)
    assert place.here("lake", "drop", "--yes").code == 0
    assert link.is_symlink()
    assert list(other.iterdir()) == []
    assert place.here("lake", "build").code == 0
    check(place)


def test_a_tagged_snapshot_of_which_nothing_is_left_keeps_no_run_from_its_work(place, server):
    table = table_of(place)
    table.manage_snapshots().create_tag(table.metadata.snapshots[0].snapshot_id, "mine").commit()
    remove(Path(table.metadata.snapshots[0].manifest_list.removeprefix("file://")))
    (table_folder(place) / "data" / "2024-12-0123456789abcdef.parquet").write_bytes(b"left by a kill")
    corrected(place, server)
    assert_frame_equal(read(table_of(place), place), in_lake(place))
    assert not list((table_folder(place) / "data").glob("2024*"))


def test_killed_while_the_files_of_old_snapshots_go_the_next_run_removes_the_others(place, server, monkeypatch):
    corrected(place, server, b"AAPL2")
    corrected(place, server, b"AAPL3")
    kept, deleted = PyArrowFileIO.delete, []

    def die(io, url):
        if deleted:  # one has gone, so there are as many files as before the run
            raise Killed
        deleted.append(url)
        kept(io, url)

    with monkeypatch.context() as patched:
        patched.setattr(tidying, "expirable", lambda table, _: table.metadata.snapshots[:-1])
        patched.setattr(PyArrowFileIO, "delete", die)
        with pytest.raises(Killed):
            corrected(place, server, b"AAPL4")
    place.run(*window(DAYS))
    check(place)
    table = table_of(place)
    names = {url.rpartition("/")[2] for url in References.of(table, table.metadata.snapshots).data}
    assert {path.name for path in data_files(place)} == names


def test_a_cache_that_takes_the_table_of_another_one_says_so(server, tmp_path, monkeypatch):
    monkeypatch.setenv("PYICEBERG_CATALOG__INGEST__URI", f"sqlite:///{tmp_path}/mine.db")
    monkeypatch.setenv("PYICEBERG_CATALOG__INGEST__WAREHOUSE", f"file://{tmp_path}/warehouse")
    (tmp_path / "b").mkdir()
    first, second = (
        Place(tmp_path / name, server.endpoint_url, lake=True, iceberg=True) for name in ("cache", "b/cache")
    )
    told = [place.run(*window(days)).of(TableWritten) for place, days in ((first, DAYS[:2]), (first, DAYS))]
    assert [one.notice for some in told for one in some] == ["", ""]
    (done,) = second.run(*window(DAYS[:1])).of(TableWritten)
    assert f"those of another cache, {platform.node()}:{tmp_path}/cache/lake/iceberg" in done.notice


@pytest.mark.parametrize("odd", [{"sessions": {"never": "x"}}, {"sessions": None}, {"size": 1e400}, {"lists": None}])
def test_an_odd_note_is_none(odd, place, server):
    note = place.root / "lake" / "iceberg" / "stocks_day.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | odd))
    corrected(place, server)
    check(place)


def test_what_another_program_says_of_its_snapshot_may_be_odd(place, tmp_path):
    in_lake(place).head(2).filter(pl.col("date") == DAYS[0]).write_parquet(tmp_path / "rows.parquet")
    odd = {"ingest.sessions": "many", "ingest.first": "soon"}
    table_of(place).add_files([f"file://{tmp_path}/rows.parquet"], snapshot_properties=odd)
    assert "made by another program" in place.here("lake", "snapshots").out


def test_a_damaged_catalog_is_not_an_empty_one(place):
    (place.root / "lake" / "iceberg" / "catalog.db").write_bytes(b"no database" * 1000)
    told = place.here("lake", "snapshots")
    assert told.code == 5
    assert "is damaged. Run `ingest lake build`" in told.err
    assert place.here("lake", "build").code == 0
    assert "2 snapshots" in place.here("lake", "snapshots").out
