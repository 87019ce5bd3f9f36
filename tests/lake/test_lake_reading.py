"""Reading takes the lake where it is clean: the same rows, whatever is asked, and whatever a run does meanwhile."""

from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_kit import DAYS
from pipeline_kit import Place, key, market_day, pack, window
from polars.testing import assert_frame_equal

from ingest.cache.manifest.lake import LakeFiles
from ingest.demo.files.files import files_of
from ingest.demo.servers import loopback
from ingest.lake import reading
from ingest.market.calendars import Calendar
from ingest.market.catalogue import CATALOGUE, STOCKS_DAY
from ingest.reading import history as stored
from ingest.reading.adjusting.actions import HistoryQuery

EVERY = [pytest.param(one, id=name) for name, one in CATALOGUE.items() if "futures" not in name or "cme" in name]
"""The venues of futures are alike."""

SPAN = date(2026, 1, 27), date(2026, 2, 4)


def files(dataset):
    made = files_of(dataset, 15)
    made.maker.tape = replace(made.maker.tape, busy=made.maker.tape.busy / 100)
    return made


@pytest.fixture(scope="module")
def places(environment, tmp_path_factory):
    """A cache with a lake for each dataset that is asked for."""
    found = {}

    def of(dataset):
        if dataset.short not in found:
            made, days = files(dataset), list(Calendar.of(dataset.calendar).between(*SPAN))
            with loopback.serve({dataset.key(day): pack(made.text(day)) for day in days}) as server:
                root = tmp_path_factory.mktemp("reading") / "cache"
                place = Place(root, server.endpoint_url, dataset=dataset, lake=True)
                place.run(*window(days), tracked=frozenset(made.always(days[-1])[:2]))
            found[dataset.short] = place
        return found[dataset.short]

    return of


@contextmanager
def without_lake():
    with patch.object(LakeFiles, "exists", lambda self: False):
        yield


@contextmanager
def counting():
    """Count the reads of the lake."""
    with patch.object(reading, "_read", side_effect=reading._read) as reads:
        yield reads


def same(ask, *, uses=True):
    """The answer with the lake, which is that without."""
    with counting() as reads:
        found = ask()
    assert bool(reads.call_count) == uses
    with without_lake():
        expected = ask()
    assert_frame_equal(found, expected)
    return found


@pytest.mark.filterwarnings("ignore::ingest.errors.IngestWarning")
@pytest.mark.parametrize("dataset", EVERY)
def test_whatever_is_asked_of_a_dataset_the_rows_are_those_of_the_parts(dataset, places):
    place = places(dataset)
    chosen, names = place.settings(), scan(place).collect()["ticker"].unique().sort().to_list()
    numbers = [name for name in (*dataset.kind.numbers, *dataset.kind.counts) if name in scan(place).collect_schema()]

    @settings(max_examples=4)
    @given(st.lists(st.sampled_from(names), min_size=1, max_size=5, unique=True), *([st.dates(*SPAN)] * 2), st.data())
    def check(tickers, one, other, data):
        first, last = sorted((one, other))
        columns = data.draw(st.lists(st.sampled_from(numbers), min_size=1, unique=True))
        query = HistoryQuery(tickers, first, last, columns=["ticker", "date", *columns], fetch=False)
        either(lambda: stored.history(chosen, dataset, query))
        lazy = stored.scan(chosen, dataset, first, last)
        either(lambda: lazy.collect())
        either(lambda: lazy.select("ticker", *columns).collect())
        either(lambda: lazy.filter(pl.col("ticker").is_in(tickers), pl.col(columns[0]) > 1).collect())
        either(lambda: lazy.filter(pl.col(columns[0]).is_not_null()).select("ticker").head(7).collect())

    check()


def either(ask):
    found = ask()
    with without_lake():
        assert_frame_equal(found, ask())


def scan(place):
    return stored.scan(place.settings(), place.dataset, None, None)


@pytest.fixture
def place(server, tmp_path):
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True)
    place.run(*window(DAYS), tracked=frozenset({"AAPL"}))
    return place


TICKERS = ["AAPL", "BRK.B", "MSFT", "TRUE", "ZVZZT"]


def history(place):
    columns = ["ticker", "date", "close", "transactions"]
    return stored.history(place.settings(), STOCKS_DAY, HistoryQuery(TICKERS, columns=columns, fetch=False))


def all_rows(place):
    return scan(place).collect()


READS = {"history": history, "scan": all_rows}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_month_that_is_outdated_is_read_from_the_parts(read, place, server):
    before = read(place)
    server.put(key(DAYS[0]), pack(_other(market_day(DAYS[0]))))
    replace(place, lake=False).run(*window(DAYS), tracked=frozenset({"AAPL"}))
    found = same(lambda: read(place))
    assert not found.equals(before)


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("harm", [b"", b"no Parquet at all, but of some length"])
def test_a_file_that_somebody_has_changed_is_not_read(harm, read, place):
    for path in (place.root / "lake").rglob("*.parquet"):
        path.write_bytes(harm)
    same(lambda: read(place), uses=False)


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_file_that_turns_out_to_be_unreadable_is_left_to_the_parts(read, place):
    expected = read(place)
    with patch.object(pl, "scan_parquet", side_effect=pl.exceptions.ComputeError("not a Parquet file")):
        assert_frame_equal(read(place), expected)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_what_a_run_replaces_meanwhile_is_read_before_or_after(read, when, place, server):
    before = read(place)
    server.put(key(DAYS[0]), pack(_other(market_day(DAYS[0]))))
    original, left = reading._read, [1]

    def beside(*arguments):
        def run():
            left[0] -= 1
            if left[0] == 0:
                place.run(*window(DAYS), tracked=frozenset({"AAPL"}))

        if when == "before":
            run()
            return original(*arguments)
        rows = original(*arguments)
        run()
        return rows

    with patch.object(reading, "_read", beside):
        found = read(place)
    assert left[0] <= 0
    after = read(place)
    assert not after.equals(before)
    of_day = [frame.filter(pl.col("date") == DAYS[0]) for frame in (found, before, after)]
    assert of_day[0].equals(of_day[1]) or of_day[0].equals(of_day[2])
    rest = [frame.filter(pl.col("date") != DAYS[0]) for frame in (found, after)]
    assert_frame_equal(*rest)


def _other(text):
    """Another version of a day: each number of trades is tenfold."""
    header, *lines = text.decode().splitlines()
    at = header.split(",").index("transactions")
    rows = [line.split(",") for line in lines]
    return "\n".join([header, *(",".join([*row[:at], f"{row[at]}0", *row[at + 1 :]]) for row in rows), ""]).encode()
