"""Tables of Iceberg: the rows of the lake, a snapshot for each run, and what was before a correction."""

import os
from contextlib import closing
from dataclasses import replace
from datetime import date

import polars as pl
import pytest
from iceberg_kit import correct, data_files, in_lake, order, place, read, table_of
from lake_kit import DAYS
from pipeline_kit import Place, key, market_day, pack, window
from polars.testing import assert_frame_equal

from ingest.demo.files.files import files_of
from ingest.demo.servers import loopback
from ingest.errors import CacheError, UsageError
from ingest.lake.iceberg import tables
from ingest.maintenance.pruning import Selection, remove_from
from ingest.maintenance.quarantine import settle
from ingest.market.calendars import Calendar
from ingest.market.catalogue import CATALOGUE, STOCKS_DAY
from ingest.market.windows import Window
from ingest.planning.request import Request
from ingest.settings.sections import lake
from ingest.tracked.lists import add, remove_tickers

__all__ = ["place"]

SOME = ["stocks-day", "stocks-minute", "options-day", "options-minute", "crypto-minute", "indices-day"]


def check(place):
    """The table has the rows of the lake."""
    assert_frame_equal(read(table_of(place), place), in_lake(place))


@pytest.mark.parametrize("name", SOME)
def test_pyiceberg_duckdb_and_polars_read_the_rows_of_the_lake(name, loopback_keys, tmp_path, monkeypatch):
    dataset = CATALOGUE[name]
    made, days = files_of(dataset, 12), list(Calendar.of(dataset.calendar).between(date(2026, 1, 29), date(2026, 2, 3)))
    made.maker.tape = replace(made.maker.tape, busy=made.maker.tape.busy / 100)
    with loopback.serve({dataset.key(day): pack(made.text(day)) for day in days}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url, dataset=dataset, lake=True, iceberg=True)
        place.run(*window(days), tracked=frozenset(made.always(days[-1])[:2]))
    table, expected = table_of(place), in_lake(place)
    assert expected.height > 0
    assert_frame_equal(read(table, place), expected)
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")
    for reader in ("native", "pyiceberg"):
        found = pl.scan_iceberg(table, reader_override=reader).collect().sort(order(place))
        assert_frame_equal(found, expected)
    with closing(table.scan().to_duckdb("bars")) as db:
        assert_frame_equal(db.sql("from bars").pl().cast(dict(expected.schema)).sort(order(place)), expected)
    ticker = expected["ticker"][0]
    one = pl.from_arrow(table.scan(row_filter=f"ticker = '{ticker}' and date >= '{days[1]}'").to_arrow())
    expected = expected.filter(pl.col("ticker") == ticker, pl.col("date") >= days[1])
    assert_frame_equal(one.sort(order(place)), expected)


def test_each_run_with_something_new_makes_one_snapshot(server, tmp_path):
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True, iceberg=True)
    for last in range(1, 5):
        place.run(*window(DAYS[:last]))
        table = table_of(place)
        assert len(table.metadata.snapshots) == last
        told = table.current_snapshot().summary
        assert (told["ingest.sessions"], told["ingest.first"]) == ("1", str(DAYS[last - 1]))
        check(place)
    assert [one.summary.operation.value for one in table.metadata.snapshots] == ["append", *["overwrite"] * 3]
    place.run(*window(DAYS))
    assert len(table_of(place).metadata.snapshots) == 4


def test_a_run_with_nothing_new_needs_no_library(place, monkeypatch):
    for module in ("tables", "snapshots", "files"):
        monkeypatch.setitem(__import__("sys").modules, f"ingest.lake.iceberg.{module}", None)
    place.run(*window(DAYS))


def test_before_a_correction_is_a_query(place, server):
    before = in_lake(place)
    first = table_of(place).current_snapshot()
    correct(server)
    place.run(*window(DAYS))
    check(place)
    table = table_of(place)
    assert "AAPL2" in read(table, place)["ticker"]
    assert table.current_snapshot().parent_snapshot_id == first.snapshot_id
    told = table.current_snapshot().summary
    assert (told["ingest.sessions"], told["ingest.first"], told["ingest.last"]) == ("1", str(DAYS[1]), str(DAYS[1]))
    assert_frame_equal(read(table, place, first.snapshot_id), before)
    as_of = pl.scan_iceberg(table, snapshot_id=first.snapshot_id, reader_override="pyiceberg").collect()
    assert_frame_equal(as_of.sort(order(place)), before)
    with closing(table.scan(snapshot_id=first.snapshot_id).to_duckdb("bars")) as db:
        assert db.sql("select count(*) from bars where ticker = 'AAPL2'").fetchall() == [(0,)]


def test_no_byte_is_written_twice(place):
    inodes = {path.stat().st_ino for path in (place.root / "lake" / "stocks-day").rglob("*.parquet")}
    assert {path.stat().st_ino for path in data_files(place)} == inodes


def test_where_a_file_can_have_one_name_only_it_is_copied(server, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True, iceberg=True)
    place.run(*window(DAYS))
    assert {path.stat().st_nlink for path in data_files(place)} == {1}
    check(place)


def test_pruned_sessions_leave_the_table_and_stay_in_its_history(place):
    before, first = in_lake(place), table_of(place).current_snapshot().snapshot_id
    remove_from(place.settings(), STOCKS_DAY, [], Selection(before=DAYS[3]), lambda _: None)
    place.run(DAYS[3], DAYS[3])
    check(place)
    assert read(table_of(place), place)["date"].unique().to_list() == [DAYS[3]]
    assert_frame_equal(read(table_of(place), place, first), before)


def test_lists_of_files_stay_few(loopback_keys, tmp_path, monkeypatch):
    monkeypatch.setitem(tables._PROPERTIES, "commit.manifest.min-count-to-merge", "4")
    days = [date(2025, month, 3) for month in (1, 2, 3, 4, 6, 7)]
    with loopback.serve({key(day): pack(market_day(DAYS[0])) for day in days}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url, lake=True, iceberg=True)
        counts = []
        for day in days:
            place.run(day, day)
            table = table_of(place)
            counts.append(len(table.current_snapshot().manifests(table.io)))
    assert counts == [1, 2, 3, 1, 2, 3]
    check(place)


def test_a_time_that_would_lose_nanoseconds_is_refused(loopback_keys, tmp_path):
    dataset = CATALOGUE["stocks-minute"]
    made = files_of(dataset, 5)
    with loopback.serve({dataset.key(DAYS[0]): pack(made.text(DAYS[0]))}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url, dataset=dataset, lake=True, iceberg=True)
        place.run(DAYS[0], DAYS[0])
    from ingest.lake.iceberg.files import _rewritten

    rows = in_lake(place).with_columns(time=pl.col("time").dt.cast_time_unit("ns") + pl.duration(nanoseconds=1))
    rows.write_parquet(tmp_path / "odd.parquet")
    with pytest.raises(CacheError, match="has nanoseconds, which a table cannot hold"):
        _rewritten(tmp_path / "odd.parquet", tmp_path / "new", dataset)
    assert not (tmp_path / "new").exists()


@pytest.fixture
def missing(monkeypatch):
    """The library for tables is not installed."""
    return lambda: monkeypatch.setattr(lake, "find_spec", lambda name: None)


def test_without_the_library_nothing_is_downloaded(server, tmp_path, missing):
    missing()
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True, iceberg=True)
    ran = place.run(*window(DAYS), fails=UsageError)
    assert "pip install 'ingest[iceberg]'" in str(ran.error)
    assert not place.root.exists() or not list(place.root.rglob("*.csv.gz"))


CHANGES = {
    "prune": lambda place, file: remove_from(place.settings(), STOCKS_DAY, [], Selection(before=DAYS[2]), print),
    "track": lambda place, file: add(place.settings(), STOCKS_DAY, file, ["IBM"], print),
    "untrack": lambda place, file: remove_tickers(place.settings(), STOCKS_DAY, file, ["AAPL"], print),
    "settle": lambda place, file: settle(place.settings(), Request(Window(*window(DAYS)), frozenset()), print),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_without_the_library_no_command_begins_what_it_cannot_end(change, server, tmp_path, missing):
    place, file = Place(tmp_path / "cache", server.endpoint_url, lake=True, iceberg=True), tmp_path / "list.txt"
    file.write_text("AAPL\n")
    place.run(*window(DAYS))
    before = {path: path.read_bytes() for path in place.root.rglob("*") if path.is_file()}
    missing()
    with pytest.raises(UsageError, match="pip install"):
        change(place, file)
    assert file.read_text() == "AAPL\n"
    assert {path: path.read_bytes() for path in place.root.rglob("*") if path.is_file()} == before
