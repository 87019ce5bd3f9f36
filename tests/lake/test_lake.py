"""The lake: Parquet files with just the rows of the stored parts, whatever happens to either."""

import hashlib
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import date

import duckdb
import polars as pl
import pytest
from lake_kit import DAYS
from pipeline_kit import TRACKED, Place, flat, key, market_day, pack, window
from polars.testing import assert_frame_equal

from ingest.cache.cache import Cache
from ingest.cache.commit import for_writing
from ingest.demo.files.files import files_of
from ingest.demo.servers import loopback
from ingest.errors import CacheError
from ingest.files import durable
from ingest.lake.folder import LakeFolder
from ingest.lake.frames import frames, lake_schema
from ingest.lake.partitions import Standing
from ingest.lake.state import drop_lake, lake_state
from ingest.lake.update import bring_lake_up_to_date
from ingest.maintenance.pruning import Selection, remove_from
from ingest.maintenance.status import status
from ingest.market.calendars import Calendar
from ingest.market.catalogue import CATALOGUE, STOCKS_DAY
from ingest.reading import history as stored

MONTHS = ["2025-02", "2025-03"]
EVERY = [pytest.param(dataset, id=name) for name, dataset in CATALOGUE.items()]


def folder(place):
    return place.root / "lake" / place.dataset.short


def files(place):
    return {str(path.relative_to(folder(place))): path for path in sorted(folder(place).rglob("*.parquet"))}


def states(place):
    return {name: (path.stat().st_ino, path.stat().st_mtime_ns) for name, path in files(place).items()}


def in_lake(place):
    order = [*place.dataset.kind.order, "date"]
    return pl.concat([pl.read_parquet(path) for path in files(place).values()]).sort(order)


def in_parts(place):
    """All stored rows, read from the parts, with times as the lake has them."""
    order = [*place.dataset.kind.order, "date"]
    rows = stored.scan(place.settings(), place.dataset, None, None).drop("source").collect()
    return rows.cast(dict(lake_schema(place.dataset))).sort(order)


def check(place):
    """The lake is whole, clean, and has the rows of the parts."""
    assert_frame_equal(in_lake(place), in_parts(place))
    state = lake_state(place.settings(), place.dataset)
    assert (state.due, state.unwanted, state.files) == (0, 0, len(files(place)))
    assert [path.name for path in (place.root / "lake" / ".staging").iterdir()] == []


@pytest.mark.parametrize("dataset", EVERY)
def test_the_lake_of_each_dataset_has_the_rows_of_its_parts(dataset, loopback_keys, tmp_path):
    made, days = files_of(dataset, 12), list(Calendar.of(dataset.calendar).between(date(2026, 1, 29), date(2026, 2, 3)))
    made.maker.tape = replace(made.maker.tape, busy=made.maker.tape.busy / 100)
    with loopback.serve({dataset.key(day): pack(made.text(day)) for day in days}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url, dataset=dataset, lake=True)
        place.run(*window(days), tracked=frozenset(made.always(days[-1])[:2]))
    check(place)
    assert len(files(place)) == (2 if dataset.by_month else len(days))
    for path in files(place).values():
        rows = pl.read_parquet(path)
        assert_frame_equal(rows, rows.sort(dataset.kind.order))
        told = pl.read_parquet_metadata(path)
        assert (told["ingest.dataset"], told["ingest.adjust"]) == (dataset.short, "none")


def test_duckdb_and_polars_read_it_as_it_is_with_months_as_partitions(place):
    pattern = LakeFolder(folder(place), STOCKS_DAY).pattern
    of_polars = pl.scan_parquet(pattern, hive_partitioning=True).sort("ticker", "date").collect()
    assert_frame_equal(of_polars.drop("year", "month"), in_parts(place))
    with closing(duckdb.connect()) as db:
        kinds = {row[0]: row[1] for row in db.execute(f"DESCRIBE FROM '{pattern}'").fetchall()}
        assert kinds["date"] == "DATE"
        assert (kinds["volume"], kinds["transactions"]) == ("DOUBLE", "BIGINT")
        query = f"SELECT year, month, count(*) FROM read_parquet('{pattern}', hive_partitioning = true) GROUP BY ALL"
        found = {row[:2]: row[2] for row in db.execute(query).fetchall()}
    expected = of_polars.group_by(pl.col("date").dt.year().alias("y"), pl.col("date").dt.month().alias("m")).len()
    assert found == {(year, month): count for year, month, count in expected.iter_rows()}


def test_times_are_in_nanoseconds_utc(loopback_keys, tmp_path):
    dataset = CATALOGUE["stocks-minute"]
    made = files_of(dataset, 5)
    with loopback.serve({dataset.key(DAYS[0]): pack(made.text(DAYS[0]))}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url, dataset=dataset, lake=True)
        place.run(DAYS[0], DAYS[0])
    assert list(files(place)) == [f"year=2025/month=2/session={DAYS[0]}/part-0.parquet"]
    with closing(duckdb.connect()) as db:
        query = f"SELECT type, logical_type FROM parquet_schema('{files(place).popitem()[1]}') WHERE name = 'time'"
        ((kind, logical),) = db.execute(query).fetchall()
    assert kind == "INT64"
    assert "isAdjustedToUTC=1" in logical
    assert "NANOS" in logical


def test_the_status_has_its_size(place):
    found = {one.name: one for one in status(place.settings()).tiers}
    assert found["lake"].files == 2
    assert found["lake"].bytes == sum(path.stat().st_size for path in files(place).values())


def test_a_run_with_nothing_new_writes_nothing(place):
    before = states(place)
    assert place.run(*window(DAYS)).finished.lake_files == 0
    assert states(place) == before


def test_a_new_session_writes_its_month_alone(server, tmp_path):
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True)
    place.run(*window(DAYS[:3]))
    before = states(place)
    assert place.run(*window(DAYS)).finished.lake_files == 1
    changed = [name for name, state in states(place).items() if before[name] != state]
    assert changed == ["year=2025/month=3/part-0.parquet"]
    check(place)


def test_a_correction_is_followed(place, server):
    server.put(key(DAYS[1]), pack(market_day(DAYS[1]).replace(b"\nAAPL,", b"\nAAPL2,")))
    place.run(*window(DAYS))
    assert "AAPL2" in in_lake(place)["ticker"]
    check(place)


def test_what_was_corrected_while_it_was_off_is_outdated(place, server):
    server.put(key(DAYS[1]), pack(market_day(DAYS[1]).replace(b"\nAAPL,", b"\nAAPL2,")))
    replace(place, lake=False).run(*window(DAYS))
    assert lake_state(place.settings(), STOCKS_DAY).due == 1
    assert place.run(*window(DAYS)).finished.lake_files == 1
    check(place)


def test_a_ticker_that_is_promoted_changes_no_row(place):
    before = states(place)
    place.run(*window(DAYS), tracked=TRACKED | {"ZVZZT"})
    assert states(place) == before
    check(place)


@pytest.mark.filterwarnings("ignore:only the tickers tracked at the time")
def test_only_tracked_tickers_are_in_it_while_the_others_are_not_stored(server, tmp_path):
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True)
    place.run(*window(DAYS), tracked=frozenset({"AAPL"}), save_others=False)
    assert in_lake(place)["ticker"].unique().to_list() == ["AAPL"]
    place.run(*window(DAYS), tracked=frozenset({"AAPL", "TRUE"}), save_others=False)
    assert in_lake(place)["ticker"].unique().sort().to_list() == ["AAPL", "TRUE"]
    check(place)


def test_pruned_sessions_leave_it(place):
    remove_from(place.settings(), STOCKS_DAY, sorted(TRACKED), Selection(before=DAYS[3]), lambda _: None)
    assert list(files(place)) == ["year=2025/month=3/part-0.parquet"]
    assert in_lake(place)["date"].unique().to_list() == [DAYS[3]]
    check(place)


def test_a_session_without_rows_has_no_row(loopback_keys, tmp_path):
    with loopback.serve({key(DAYS[0]): pack(flat([])), key(DAYS[2]): pack(flat([("AAPL", "1")]))}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url, lake=True)
        place.run(*window(DAYS))
    assert in_lake(place)["date"].to_list() == [DAYS[2]]


def outdate(place):
    """Let the manifest say that each file was made of something else."""
    with closing(sqlite3.connect(place.root / "manifest.sqlite")) as db, db:
        db.execute("UPDATE lake SET contents = 'other'")


def edit(path):
    path.write_bytes(path.read_bytes()[:-8] + b"\0\0\0\0PAR1")


def truncate(path):
    path.write_bytes(path.read_bytes()[:100])


def delete(path):
    path.unlink()


@pytest.mark.parametrize("deed", [edit, truncate, delete])
def test_what_is_edited_or_deleted_is_made_again(deed, place):
    deed(files(place)["year=2025/month=2/part-0.parquet"])
    assert lake_state(place.settings(), STOCKS_DAY).due == 1
    assert place.run(*window(DAYS)).finished.lake_files == 1
    check(place)


def test_a_file_of_sessions_that_are_not_stored_is_removed(place):
    other = folder(place) / "year=2024" / "month=12" / "part-0.parquet"
    other.parent.mkdir(parents=True)
    other.write_bytes(files(place)["year=2025/month=2/part-0.parquet"].read_bytes())
    mine = folder(place) / "year=2025" / "notes.txt"
    mine.write_text("mine")
    assert lake_state(place.settings(), STOCKS_DAY).unwanted == 1
    place.run(*window(DAYS))
    assert not other.parent.parent.exists()
    assert mine.read_text() == "mine"
    check(place)


def test_a_part_that_cannot_be_read_keeps_the_file_as_it_was(place):
    before = states(place)
    outdate(place)
    place.part(DAYS[0], "archive").write_bytes(b"no gzip")
    with for_writing(place.settings(), STOCKS_DAY) as cache:
        with pytest.raises(CacheError, match=str(DAYS[0])):
            bring_lake_up_to_date(cache)
        assert [one.name for one in Standing.of(cache).looked().due] == ["2025-02"]
    changed = [name for name, state in states(place).items() if before[name] != state]
    assert changed == ["year=2025/month=3/part-0.parquet"]
    assert list((place.root / "lake" / ".staging").iterdir()) == []


def test_a_disk_that_is_full_is_named_and_leaves_nothing(place, monkeypatch):
    def full(file, data):
        raise CacheError("cannot write: No space left on device")

    outdate(place)
    before = states(place)
    monkeypatch.setattr(durable._Open, "__call__", full)
    with for_writing(place.settings(), STOCKS_DAY) as cache, pytest.raises(CacheError, match="No space left"):
        bring_lake_up_to_date(cache)
    assert states(place) == before
    assert list((place.root / "lake" / ".staging").iterdir()) == []


def test_what_a_killed_run_left_is_swept(place):
    left = place.root / "lake" / ".staging" / ".stocks-day-2025-02.parquet.ingest-0123456789abcdef.tmp"
    left.write_bytes(b"half")
    place.run(*window(DAYS))
    assert not left.exists()


def test_the_manifest_knows_the_bytes(place):
    for partition, sha256 in place.query("SELECT partition, sha256 FROM lake ORDER BY partition"):
        path = LakeFolder(folder(place), STOCKS_DAY).file(partition)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def test_commands_say_what_the_setting_means_for_the_files(place):
    off = replace(place, lake=False)
    assert "enabled is false" in off.here("lake", "status").out
    assert "enabled" not in place.here("lake", "status").out
    assert off.here("lake", "drop", "--yes").out == "Removed 2 files.\n"
    assert "enabled" not in off.here("lake", "status").out
    assert place.here("lake", "build").code == 0
    assert "the next run writes them again" in place.here("lake", "drop", "--yes").out


def test_dropped_it_leaves_no_file_and_can_be_built_again(place):
    assert drop_lake(place.settings(), STOCKS_DAY) == 2
    assert not (place.root / "lake").exists()
    assert place.here("lake", "build").code == 0
    check(place)


@pytest.mark.parametrize("most", [1, 2_000, 1 << 20])
def test_frames_of_any_size_have_the_same_rows(most, server, tmp_path):
    server.put(key(DAYS[2]), pack(_shuffled(market_day(DAYS[2]))))
    place = Place(tmp_path / "cache", server.endpoint_url)
    place.run(*window(DAYS))
    with Cache.read(place.settings(), STOCKS_DAY) as cache:
        found = list(frames(cache, list(cache.manifest.sessions.parts(DAYS)), most))
    assert len(found) == (1 if most == 1 << 20 else len(found)) > 0
    assert_frame_equal(pl.concat(found), in_parts(place))


def _shuffled(text):
    """The same rows, not sorted by ticker, and one of them twice."""
    header, *lines = text.splitlines(keepends=True)
    return b"".join([header, *lines[::2], *lines[1::2], lines[0]])
