"""A table of Iceberg is made right again, whatever happens to it, to its catalog and to the run that updates it."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from unittest.mock import patch

import pytest
from iceberg_kit import correct, data_files, in_lake, place, read, snapshots, table_folder, table_of
from kills import Killed
from lake_kit import DAYS
from pipeline_kit import Place, window
from polars.testing import assert_frame_equal

from ingest.errors import CacheError
from ingest.events import TableWritten
from ingest.lake.iceberg import attempt, tidying
from ingest.lake.iceberg.snapshots import References, expirable

__all__ = ["place"]


def check(place):
    """The table has the rows of the lake, and no file that it does not need."""
    table = table_of(place)
    assert_frame_equal(read(table, place), in_lake(place))
    names = {url.rpartition("/")[2] for url in References.of(table, table.metadata.snapshots).data}
    assert {path.name for path in data_files(place)} == names - {"rows.parquet"}


def written(ran):
    return [one for one in ran.events if isinstance(one, TableWritten)]


def execute(place, statement):
    with closing(sqlite3.connect(place.root / "lake" / "iceberg" / "catalog.db")) as db, db:
        db.execute(statement)


def interfere(place):
    """Add three rows to the table, as another program may."""
    folder = place.root.parent / f"other-{snapshots(place)}"
    folder.mkdir()
    in_lake(place).sort("date").head(3).write_parquet(folder / "rows.parquet")
    table_of(place).add_files([f"file://{folder}/rows.parquet"])


@pytest.mark.parametrize("at", ["commit", "current_files"])
def test_killed_before_the_snapshot_the_next_run_makes_it(at, place, server):
    correct(server)
    with patch.object(attempt, at, side_effect=Killed), pytest.raises(Killed):
        place.run(*window(DAYS))
    assert snapshots(place) == 1
    (done,) = written(place.run(*window(DAYS)))
    assert (done.added, done.removed, done.sessions) == (1, 1, 1)
    assert snapshots(place) == 2
    check(place)


def test_killed_after_the_snapshot_there_is_no_other(place, server):
    correct(server)
    with patch.object(attempt, "tidy", side_effect=Killed), pytest.raises(Killed):
        place.run(*window(DAYS))
    assert written(place.run(*window(DAYS))) == []
    assert snapshots(place) == 2
    check(place)


KILLED_CHANGE = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size = 1")  # so that pages are written before the transaction ends
db.execute("BEGIN")
db.execute("DELETE FROM iceberg_tables")
db.execute("CREATE TABLE junk (x)")
db.executemany("INSERT INTO junk VALUES (?)", [("x" * 900,) for _ in range(400)])
os._exit(0)
"""


@pytest.mark.parametrize("command", ["status", "snapshots", "build"])
def test_a_change_of_the_catalog_that_was_killed_in_the_middle_is_undone(command, place, server):
    catalog = place.root / "lake" / "iceberg" / "catalog.db"
    subprocess.run([sys.executable, "-c", KILLED_CHANGE, catalog], check=True)
    assert catalog.with_name("catalog.db-journal").exists()
    told = place.here("lake", command)
    assert (told.code, told.err) == (0, "")
    assert command == "build" or str(table_of(place).current_snapshot().snapshot_id) in told.out
    correct(server)
    place.run(*window(DAYS))
    assert snapshots(place) == 2
    check(place)


def test_what_a_killed_run_left_is_removed(place, server):
    left = table_folder(place) / "data"
    shutil.copy(data_files(place)[0], left / "2024-12-0123456789abcdef.parquet")
    (left / ".2024-12.parquet.ingest-0123456789abcdef.tmp").write_bytes(b"half")
    correct(server)
    place.run(*window(DAYS))
    check(place)


def lose_catalog(place):
    (place.root / "lake" / "iceberg" / "catalog.db").unlink()


def damage_catalog(place):
    (place.root / "lake" / "iceberg" / "catalog.db").write_bytes(b"no database" * 1000)


def drop_row(place):
    execute(place, "DELETE FROM iceberg_tables")


@pytest.mark.parametrize("deed", [lose_catalog, damage_catalog, drop_row])
def test_a_lost_catalog_costs_no_snapshot(deed, place, server):
    correct(server)
    place.run(*window(DAYS))
    deed(place)
    assert written(place.run(*window(DAYS))) == []
    assert snapshots(place) == 2
    check(place)


def test_metadata_that_cannot_be_read_is_replaced_by_an_earlier_one(place, server):
    correct(server)
    place.run(*window(DAYS))
    newest = sorted((table_folder(place) / "metadata").glob("*.metadata.json"))[-1]
    newest.write_bytes(b"{")
    (done,) = written(place.run(*window(DAYS)))
    assert "an earlier state of it is taken up" in done.notice
    check(place)


def test_all_metadata_lost_the_table_is_made_again(place):
    shutil.rmtree(table_folder(place) / "metadata")
    (done,) = written(place.run(*window(DAYS)))
    assert "made again" in done.notice
    assert done.sessions == len(DAYS)
    check(place)


def test_a_missing_data_file_is_put_back(place):
    data_files(place)[0].unlink()
    assert written(place.run(*window(DAYS))) == []
    assert snapshots(place) == 1
    check(place)


def test_an_edited_file_of_the_lake_is_an_edited_data_file_and_both_are_mended(place):
    before = in_lake(place)
    file = place.root / "lake" / "stocks-day" / "year=2025" / "month=2" / "part-0.parquet"
    with file.open("r+b") as edited:
        edited.seek(100)
        edited.write(bytes(8))
    place.run(*window(DAYS))
    assert_frame_equal(read(table_of(place), place), before)
    assert snapshots(place) == 1
    check(place)


@pytest.mark.parametrize("how", [shutil.copytree, shutil.move])
def test_a_cache_that_is_moved_or_copied_has_a_table_of_its_own(how, place, server, tmp_path):
    correct(server)
    place.run(*window(DAYS))
    before = in_lake(place)
    new = replace(place, root=tmp_path / "other place %41é" / "cache")
    new.root.parent.mkdir()
    how(place.root, new.root)
    (done,) = written(new.run(*window(DAYS)))
    assert "moved or copied" in done.notice
    table = table_of(new)
    assert table.location() == f"file://{new.root}/lake/iceberg/stocks_day"
    check(new)
    if how is shutil.copytree:
        assert_frame_equal(read(table_of(place), place), before)
        assert snapshots(place) == 2


def test_a_folder_that_no_url_can_name_is_refused(server, tmp_path):
    place = Place(tmp_path / "a#b" / "cache", server.endpoint_url, lake=True, iceberg=True)
    place.root.parent.mkdir()
    ran = place.run(*window(DAYS), fails=CacheError)
    assert "has # or ?" in str(ran.error)


def test_rows_of_another_program_leave_the_table_and_stay_in_its_history(place):
    interfere(place)
    (done,) = written(place.run(*window(DAYS)))
    assert done.notice == "1 data files of other programs were removed from it"
    check(place)
    assert snapshots(place) == 3


def test_rows_that_another_program_has_deleted_are_put_back(place):
    table_of(place).delete("date < '2025-03-01'")
    assert read(table_of(place), place)["date"].min() == DAYS[2]
    place.run(*window(DAYS))
    check(place)


@pytest.mark.parametrize("how_often", [1, 5])
def test_a_program_that_writes_at_the_same_time_is_waited_for(how_often, place, server, monkeypatch):
    kept, times = attempt.commit, []

    def late(table, *rest):
        if len(times) < how_often:
            times.append(1)
            interfere(place)
        kept(table, *rest)

    correct(server)
    monkeypatch.setattr(attempt, "commit", late)
    ran = place.run(*window(DAYS), fails=CacheError if how_often > 1 else None)
    if how_often > 1:
        assert "other programs keep changing the table ingest.stocks_day" in str(ran.error)
        monkeypatch.setattr(attempt, "commit", kept)
        place.run(*window(DAYS))
    check(place)


def test_a_table_with_other_columns_is_refused(place):
    with table_of(place).update_schema() as change:
        change.rename_column("close", "last")
    execute(place, "UPDATE iceberg_tables SET previous_metadata_location = NULL")
    ran = place.run(*window(DAYS), fails=CacheError)
    assert "the column close of the table ingest.stocks_day is not that of the lake" in str(ran.error)


def test_old_snapshots_and_their_files_go(place, server, monkeypatch):
    first = table_of(place).current_snapshot()
    correct(server)
    monkeypatch.setattr(tidying, "expirable", lambda table, keep: [first] if snapshots(place) > 1 else [])
    place.run(*window(DAYS))
    assert snapshots(place) == 1
    assert len(data_files(place)) == 2
    check(place)


def test_snapshots_that_a_tag_or_time_needs_stay(place, server):
    from datetime import timedelta

    correct(server)
    place.run(*window(DAYS))
    table = table_of(place)
    first, second = table.metadata.snapshots
    assert expirable(table, timedelta(days=1)) == []
    assert expirable(table, timedelta(days=-1)) == [first]
    table.manage_snapshots().create_tag(first.snapshot_id, "before").commit()
    assert expirable(table, timedelta(days=-1)) == []
    assert table.current_snapshot() == second


def test_another_catalog_by_its_own_configuration(server, tmp_path, monkeypatch):
    monkeypatch.setenv("PYICEBERG_CATALOG__INGEST__URI", f"sqlite:///{tmp_path}/mine.db")
    monkeypatch.setenv("PYICEBERG_CATALOG__INGEST__WAREHOUSE", f"file://{tmp_path}/warehouse")
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True, iceberg=True)
    place.run(*window(DAYS[:3]))
    place.run(*window(DAYS))
    table = table_of(place, type="sql", uri=f"sqlite:///{tmp_path}/mine.db")
    assert table.location().startswith(f"file://{tmp_path}/warehouse/")
    assert not (place.root / "lake" / "iceberg" / "catalog.db").exists()
    assert len(table.metadata.snapshots) == 2
    assert_frame_equal(read(table, place), in_lake(place))
    assert written(place.run(*window(DAYS))) == []
    next(tmp_path.joinpath("warehouse").rglob("*.parquet")).unlink()
    assert written(place.run(*window(DAYS))) == []
    assert place.here("lake", "build").code == 0
    assert_frame_equal(read(table, place), in_lake(place))


def test_an_outdated_file_keeps_its_rows_in_the_table(place, server):
    correct(server)
    before = in_lake(place)
    place.part(DAYS[0], "archive").write_bytes(b"no gzip")
    place.run(*window(DAYS), fails=CacheError)
    assert_frame_equal(read(table_of(place), place), before)
