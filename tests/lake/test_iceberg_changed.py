"""A table of Iceberg keeps its snapshots and its form, whatever is changed of it: by settings, or by other programs."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from iceberg_kit import data_files, in_lake, read, snapshots, table_folder, table_of
from lake_kit import DAYS
from minutes_kit import minutes_text, some_minutes
from pipeline_kit import LONG, Place, key, market_day, pack, window
from polars.testing import assert_frame_equal
from pyiceberg.transforms import IdentityTransform

from ingest.errors import CacheError
from ingest.events import TableWritten
from ingest.maintenance.verify import verify
from ingest.market.catalogue import STOCKS_DAY, STOCKS_MINUTE


@pytest.fixture(params=[STOCKS_DAY, pytest.param(STOCKS_MINUTE, marks=LONG)], ids=lambda one: one.short)
def place(request, server, tmp_path):
    """Two snapshots of days, or of minutes."""
    return filled(server, tmp_path, request.param)


def filled(server, tmp_path, dataset):
    for day in DAYS:
        server.put(STOCKS_MINUTE.key(day), pack(minutes(day)))
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True, iceberg=True, dataset=dataset)
    place.run(*window(DAYS[:2]))
    place.run(*window(DAYS))
    return place


def minutes(day, seed=0):
    return minutes_text({"AAPL": some_minutes(day, seed=seed), "T07": some_minutes(day, 9)})


def correct(server, number):
    server.put(key(DAYS[1]), pack(market_day(DAYS[1]).replace(b"\nAAPL,", f"\nAAPL{number},".encode())))
    server.put(STOCKS_MINUTE.key(DAYS[1]), pack(minutes(DAYS[1], seed=number)))


def check(place):
    """The table has the rows of the lake."""
    assert_frame_equal(read(table_of(place), place), in_lake(place))


def written(ran):
    return ran.of(TableWritten)


def test_under_another_name_of_its_catalog_a_table_has_the_same_snapshots(place, server):
    correct(server, 2)
    replace(place, lake=False).run(*window(DAYS))
    assert place.here("lake", "build", INGEST_LAKE__CATALOG="mine").code == 0
    assert written(place.run(*window(DAYS))) == []
    assert snapshots(place) == 3
    correct(server, 3)
    place.run(*window(DAYS))
    check(place)
    assert place.here("lake", "build", INGEST_LAKE__CATALOG="mine").code == 0
    assert "4 snapshots" in place.here("lake", "snapshots", INGEST_LAKE__CATALOG="mine").out


def split_by_ticker(change, folder):
    with change.update_spec() as split:
        split.add_identity("ticker")


def split_by_nothing(change, folder):
    with change.update_spec() as split:
        for field in change.table_metadata.spec().fields:
            split.remove_field(field.name)


def split_under_another_name(change, folder):
    with change.update_spec() as split:
        split.rename_field(change.table_metadata.spec().fields[0].name, "mine")


def place_data_elsewhere(change, folder):
    change.set_properties({"write.data.path": f"file://{folder}/elsewhere"})


def place_metadata_elsewhere(change, folder):
    change.set_properties({"write.metadata.path": f"file://{folder}/elsewhere"})


def place_by_hash(change, folder):
    change.set_properties({"write.object-storage.enabled": "true"})


def forget_the_columns(change, folder):
    change.remove_properties("schema.name-mapping.default")


CHANGES = [
    split_by_ticker,
    split_by_nothing,
    split_under_another_name,
    place_data_elsewhere,
    place_metadata_elsewhere,
    place_by_hash,
    forget_the_columns,
]


@pytest.mark.parametrize("deed", CHANGES, ids=lambda one: one.__name__)
def test_what_another_program_has_changed_about_a_table_is_put_right(deed, place, server, tmp_path):
    before = table_of(place)
    with before.transaction() as change:
        deed(change, tmp_path)
    correct(server, 2)
    (done,) = written(place.run(*window(DAYS)))
    assert done.notice == "another program had changed how it is partitioned, read or placed; that is undone"
    after = table_of(place)
    assert {one.file_path.rpartition("/")[0] for one in files(after)} == {f"{after.location()}/data"}
    assert after.metadata_location.startswith(f"file://{table_folder(place)}/metadata/")
    assert [(one.name, str(one.transform)) for one in after.spec().fields] == split_of(place)
    check(place)
    assert snapshots(place) == 3
    assert written(place.run(*window(DAYS))) == []


def files(table):
    return [one.file for one in table.scan().plan_files()]


def split_of(place):
    return [("date_month", "month")] if place.dataset is STOCKS_DAY else [("date_day", "day")]


def test_what_does_no_harm_stays_as_another_program_wants_it(place, server):
    with table_of(place).transaction() as change:
        change.set_properties({"owner": "me", "write.parquet.compression-codec": "gzip"})
    with table_of(place).update_sort_order() as order:
        order.asc("ticker", IdentityTransform())
    correct(server, 2)
    (done,) = written(place.run(*window(DAYS)))
    assert done.notice == ""
    assert table_of(place).properties["owner"] == "me"
    assert len(table_of(place).sort_order().fields) == 1
    check(place)


def edit(path):
    with path.open("r+b") as edited:
        edited.seek(100)
        edited.write(bytes(8))


def replace_by_another(path):
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:100] + bytes(8) + data[108:])


def cut(path):
    os.truncate(path, path.stat().st_size - 50)


@pytest.mark.parametrize("deed", [edit, replace_by_another, cut, Path.unlink], ids=lambda one: one.__name__)
@pytest.mark.parametrize("dataset", [STOCKS_DAY, STOCKS_MINUTE], ids=lambda one: one.short)
def test_a_run_puts_a_data_file_back_that_is_not_as_it_was_left(deed, dataset, server, tmp_path):
    place = filled(server, tmp_path, dataset)
    before = in_lake(place)
    deed(data_files(place)[0])
    assert written(place.run(*window(DAYS))) == []
    assert_frame_equal(read(table_of(place), place), before)
    assert verify(place.settings(), dataset=dataset).problems == ()
    assert snapshots(place) == 2


def test_a_data_file_with_another_time_is_read_and_stays(place, monkeypatch):
    path = data_files(place)[0]
    os.utime(path, ns=(1, 1))
    inode = path.stat().st_ino
    assert written(place.run(*window(DAYS))) == []
    assert place.dataset is STOCKS_DAY or path.stat().st_ino == inode
    for module in ("tables", "snapshots", "files"):
        monkeypatch.setitem(sys.modules, f"ingest.lake.iceberg.{module}", None)
    place.run(*window(DAYS))


def test_snapshots_that_a_build_cannot_keep_are_named(place, server):
    correct(server, 2)
    place.run(*window(DAYS))
    now = {one.file_path.rpartition("/")[2] for one in files(table_of(place))}
    (old,) = [path for path in data_files(place) if path.name not in now]
    cut(old)
    told = place.here("lake", "build").out
    assert "2 earlier snapshots were dropped from it, since files of theirs are gone" in told
    assert snapshots(place) == 1
    check(place)


def test_a_table_in_a_catalog_elsewhere_is_dropped_while_iceberg_is_off(server, tmp_path, monkeypatch):
    monkeypatch.setenv("PYICEBERG_CATALOG__INGEST__URI", f"sqlite:///{tmp_path}/mine.db")
    monkeypatch.setenv("PYICEBERG_CATALOG__INGEST__WAREHOUSE", f"file://{tmp_path}/warehouse")
    place = filled(server, tmp_path, STOCKS_DAY)
    assert list((tmp_path / "warehouse").rglob("*.parquet"))
    assert place.here("lake", "drop", "--yes", INGEST_LAKE__ICEBERG="false").code == 0
    assert not list((tmp_path / "warehouse").rglob("*.parquet"))
    assert place.here("lake", "snapshots", INGEST_LAKE__ICEBERG="true").out.startswith("stocks-day: 0 snapshots\n")


URI = "sqlite:///{}/mine.db"


def elsewhere(server, folder, monkeypatch):
    monkeypatch.setenv("PYICEBERG_CATALOG__INGEST__URI", URI.format(folder))
    monkeypatch.setenv("PYICEBERG_CATALOG__INGEST__WAREHOUSE", f"file://{folder}/warehouse")
    place = filled(server, folder, STOCKS_DAY)
    return place, table_of(place, type="sql", uri=URI.format(folder))


def lose(url):
    Path(url.removeprefix("file://")).unlink()


def test_a_table_elsewhere_whose_metadata_is_lost_is_dropped_and_made_again(server, tmp_path, monkeypatch):
    place, table = elsewhere(server, tmp_path, monkeypatch)
    lose(table.metadata_location)
    told = place.here("lake", "build")
    assert told.code == 5
    assert "Run `ingest lake drop` to make the table again" in told.err
    assert place.here("lake", "drop", "--yes").code == 0
    assert place.here("lake", "build").code == 0
    assert_frame_equal(read(table_of(place, type="sql", uri=URI.format(tmp_path)), place), in_lake(place))


def test_a_table_elsewhere_whose_newest_list_is_lost_goes_on_from_an_earlier_one(server, tmp_path, monkeypatch):
    place, table = elsewhere(server, tmp_path, monkeypatch)
    lose(table.current_snapshot().manifest_list)
    (done,) = written(place.run(*window(DAYS)))
    assert "an earlier state of it is taken up" in done.notice
    table.refresh()
    assert_frame_equal(read(table, place), in_lake(place))
    assert len(table.metadata.snapshots) == 2
    assert verify(place.settings()).problems == ()
    for one in table.metadata.snapshots:
        lose(one.manifest_list)
    assert "Run `ingest lake drop` to make the table again" in place.here("lake", "build").err
    assert place.here("lake", "drop", "--yes").code == 0


def test_a_table_of_a_format_that_cannot_be_written_is_refused(place, server):
    path = Path(table_of(place).metadata_location.removeprefix("file://"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format-version": 3, "next-row-id": 0}))
    correct(server, 2)
    told = place.run(*window(DAYS), fails=CacheError).error
    assert "was changed to version 3 of the format, which cannot be written" in str(told)
    assert place.here("lake", "drop", "--yes").code == 0
    assert place.here("lake", "build").code == 0
    check(place)
