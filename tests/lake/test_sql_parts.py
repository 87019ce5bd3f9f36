"""Rows that a view reads from the parts: made as they are asked for, and only those that filters let through."""

import gc
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipeline_kit import Place, pack, trading_days, window
from polars.testing import assert_frame_equal

import ingest
from ingest.demo.files.files import files_of
from ingest.demo.servers import loopback
from ingest.lake import frames as of_the_lake
from ingest.market.catalogue import CATALOGUE
from ingest.querying import connection
from ingest.querying.asking import ask
from ingest.querying.parts import streams
from ingest.querying.parts import table as of_parts
from ingest.querying.parts.table import PartsTable, Scans

OPTIONS = CATALOGUE["options-minute"]
DAYS = trading_days(date(2025, 11, 3), 8)
MADE = files_of(OPTIONS, 30)
ALL = "from options_minute where {} order by ticker, time"
THREADS = 2


@pytest.fixture(scope="module")
def place(environment, tmp_path_factory):
    """A cache without a lake."""
    with loopback.serve({OPTIONS.key(day): pack(MADE.text(day)) for day in DAYS}) as server:
        place = Place(tmp_path_factory.mktemp("parts") / "cache", server.endpoint_url, dataset=OPTIONS)
        place.run(*window(DAYS), tracked={MADE.always(DAYS[0])[0]})
        return place


@pytest.fixture(scope="module")
def whole(place):
    """A connection, with all rows in a table, too."""
    with ingest.connect(place.config()) as found:
        found.execute("create table whole as from options_minute")
        yield found


@pytest.fixture
def read(monkeypatch):
    """The tickers that were read of each session; None for all."""
    found = {}

    def of_all(layout, parts):
        found.update(dict.fromkeys((one.session for one in parts), None))
        return frames(layout, parts)

    def of_some(store, dataset, parts, wanted):
        found.update((one.session, set(wanted)) for one in parts)
        return bars(store, dataset, parts, wanted)

    frames, bars = of_parts.frames, of_parts.bars
    monkeypatch.setattr(of_parts, "frames", of_all)
    monkeypatch.setattr(of_parts, "bars", of_some)
    return found


class Streamed:
    """Frames, as an object that DuckDB can scan."""

    def __init__(self, *frames):
        self.made, self.frames, self.closed = [], frames, 0

    def _made(self):
        try:
            for frame in self.frames:
                if isinstance(frame, Exception):
                    raise frame
                self.made.append(frame.height)
                yield frame
        finally:
            self.closed += 1

    def __arrow_c_schema__(self):
        return self.frames[0].schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema=None):
        return streams.stream_of(self.frames[0].schema, self._made())


def numbers(*values):
    return pl.DataFrame({"number": values}, {"number": pl.Int64})


class TestAStream:
    def test_a_frame_is_made_when_its_rows_are_asked_for(self):
        streamed = Streamed(numbers(1, 2), numbers(3), numbers(4))
        reader = pa.RecordBatchReader.from_stream(streamed)
        assert (reader.schema.names, streamed.made) == (["number"], [])
        assert (reader.read_next_batch().num_rows, streamed.made) == (2, [2])
        assert (reader.read_next_batch().num_rows, streamed.made) == (1, [2, 1])
        reader.close()
        assert streamed.closed == 1

    def test_each_scan_has_all_rows_those_after_a_frame_without_any_too(self):
        streamed = Streamed(numbers(1, 2), numbers(), numbers(3))
        with duckdb.connect() as db:
            db.register("t", streamed)
            assert db.execute("select count(*), sum(a.number) from t a join t b using (number)").fetchall() == [(3, 6)]
            assert streamed.made == [2, 0, 1] * 2
            assert db.execute("select number from t limit 1").fetchall() == [(1,)]
        assert streamed.closed == 3

    def test_what_a_frame_fails_with_is_the_error(self):
        with pytest.raises(pl.exceptions.PolarsError, match="ValueError: no such part"):
            pl.DataFrame(Streamed(numbers(1), ValueError("no such part"), numbers(2)))

    def test_ctrl_c_before_the_first_line_of_a_function_is_an_error_and_not_the_end_of_the_rows(self):
        calls = []

        def interrupt(frame, event, _):
            if frame.f_code is streams._as_arrow.__code__:
                calls.append(event)
                if len(calls) == 3:
                    raise KeyboardInterrupt

        before = sys.gettrace()
        sys.settrace(interrupt)
        try:
            with pytest.raises(pl.exceptions.PolarsError, match="KeyboardInterrupt"):
                pl.DataFrame(Streamed(numbers(1), numbers(2), numbers(3)))
        finally:
            sys.settrace(before)
        assert calls == ["call"] * 3


def test_memory_does_not_grow_with_the_sessions(place, monkeypatch):
    """Each thread may still have the rows that it has counted when it asks for the next ones."""
    alive, most = weakref.WeakSet(), []
    with_contracts = of_the_lake.with_contracts

    class Numbers(np.ndarray):
        __hash__ = object.__hash__

    def watched(rows, dataset):
        values = rows["close"].to_numpy().copy().view(Numbers)
        alive.add(values)
        most.append(len(alive))
        array = pa.Array.from_buffers(pa.float64(), len(values), [None, pa.py_buffer(values)])
        return with_contracts(rows.with_columns(pl.from_arrow(array).alias("close")), dataset)

    monkeypatch.setattr(of_the_lake, "with_contracts", watched)
    with ingest.connect(place.config()) as db:
        db.execute(f"SET threads = {THREADS}")
        ((total,),) = db.execute("select sum(close) from options_minute").fetchall()
    gc.collect()
    assert (total > 0, len(most), len(alive)) == (True, len(DAYS), 0)
    assert max(most) <= THREADS + 1


def test_a_scan_that_is_to_stop_reads_no_other_session(place, read, monkeypatch):
    scans = Scans()
    monkeypatch.setattr(of_parts, "steadily", lambda *given, real=of_parts.steadily: scans.stop.set() or real(*given))
    with pytest.raises(pl.exceptions.PolarsError, match="InterruptedError"):
        pl.DataFrame(PartsTable(place.settings(), OPTIONS, DAYS, scans))
    assert list(read) == DAYS[:1]


ONE, OTHER = MADE.always(DAYS[0])[:2]


@pytest.mark.parametrize(
    ("where", "days", "tickers"),
    [
        (f"ticker = '{ONE}'", DAYS, {ONE}),
        (f"ticker = '{ONE}' and close > 0", DAYS, {ONE}),
        (f"ticker in ('{ONE}', '{OTHER}') and date = '{DAYS[3]}'", DAYS[3:4], {ONE, OTHER}),
        (f"ticker = '{ONE}' or ticker = '{OTHER}'", DAYS, {ONE, OTHER}),
        (f"ticker = '{ONE}' or date = '{DAYS[0]}'", DAYS, None),
        (f"ticker <> '{ONE}'", DAYS, None),
        (f"ticker = '{ONE}' and underlying = 'SPY'", DAYS, {ONE}),
        ("ticker = 'NOPE'", DAYS, {"NOPE"}),
        (f"date between '{DAYS[2]}' and '{DAYS[4]}'", DAYS[2:5], None),
        (f"date < '{DAYS[1]}' or date > '{DAYS[6]}'", [DAYS[0], DAYS[7]], None),
        (f"date in ('{DAYS[1]}', '{DAYS[2]}', '1999-01-04')", DAYS[1:3], None),
        (f"date <> '{DAYS[0]}' and \"right\" = 'C'", DAYS[1:], None),
        ("date = 'infinity'", DAYS, None),
        ("date < 'infinity'", DAYS, None),
    ],
)
def test_only_what_a_filter_lets_through_is_read(place, whole, read, where, days, tickers):
    assert_frame_equal(ask(place.settings(), ALL.format(where)), expected(whole, where))
    assert read == dict.fromkeys(days, tickers)


@pytest.mark.parametrize("where", ["underlying = 'SPY'", "underlying in ('SPY', 'NOPE')", "underlying = 'SP*'"])
def test_of_an_underlying_only_its_contracts_are_read(place, whole, read, where):
    found = ask(place.settings(), ALL.format(where))
    assert_frame_equal(found, expected(whole, where))
    assert found.is_empty() == ("*" in where)
    wanted = expected(whole, "underlying = 'SPY'").group_by("date").agg(pl.col("ticker").unique())
    assert read == {day: set(tickers) for day, tickers in wanted.iter_rows()}


def expected(whole, where):
    return connection.run(whole, ALL.format(where).replace("options_minute", "whole")).rows


ATOMS = st.one_of(
    st.builds(
        "ticker {} '{}'".format, st.sampled_from(["=", "<>", ">", "like"]), st.sampled_from([ONE, OTHER, "NOPE"])
    ),
    st.builds("date {} '{}'".format, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), st.sampled_from(DAYS)),
    st.builds("{} in ('{}', '{}')".format, st.just("date"), st.sampled_from(DAYS), st.sampled_from(DAYS)),
    st.builds("{} in ('{}', '{}')".format, st.just("ticker"), st.just(ONE), st.sampled_from([OTHER, "NOPE"])),
    st.sampled_from(["underlying = 'SPY'", "underlying = 'NOPE'", "underlying in ('SPY', 'AAPL')", "close > 5"]),
    st.sampled_from(["date is null", "ticker is not null", "\"right\" = 'C'", "date = NULL", "ticker in (NULL, 'A')"]),
)
FILTERS = st.recursive(
    ATOMS,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner) | st.builds("not {}".format, inner)
    ),
    max_leaves=5,
)


@given(FILTERS)
def test_any_filter_lets_through_what_it_lets_through_of_a_table(whole, where):
    query = f"select count(*), sum(volume), min(time), max(ticker) from options_minute where {where}"
    assert whole.execute(query).fetchall() == whole.execute(query.replace("options_minute", "whole")).fetchall()


def test_a_filter_of_any_depth_is_answered(whole):
    where = f"date = '{DAYS[0]}'"
    for day, joined in zip(DAYS * 60, ["and", "or"] * 240, strict=True):
        where = f"({where} {joined} date <> '{day}')"
    query, limit = "select count(*) from {} where " + where, sys.getrecursionlimit()
    sys.setrecursionlimit(400)
    try:
        found = [whole.execute(query.format(one)).fetchall() for one in ("options_minute", "whole")]
    finally:
        sys.setrecursionlimit(limit)
    assert found[0] == found[1]


def test_this_version_gives_a_scan_its_filters_as_they_are_known():
    """Of a newer one it has to be found out, by these tests."""
    assert duckdb.__version__.startswith(connection._FILTERING)


def test_another_version_scans_all_rows_and_filters_them(place, whole, read, monkeypatch):
    monkeypatch.setattr(connection, "_FILTERING", "another")
    where = f"ticker = '{ONE}' and date = '{DAYS[0]}'"
    assert_frame_equal(ask(place.settings(), ALL.format(where)), expected(whole, where))
    assert read == dict.fromkeys(DAYS)


def test_each_thread_makes_a_connection_since_a_cursor_does_not_have_the_parts(place, whole):
    with whole.cursor() as cursor, pytest.raises(duckdb.CatalogException, match="options_minute_parts"):
        cursor.execute("select count(*) from options_minute")

    def count(_):
        with ingest.connect(place.config()) as db:
            return db.execute("select count(*) from options_minute").fetchall()

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(count, range(2))) == [whole.execute("select count(*) from whole").fetchall()] * 2


SLOWLY = """
import time, ingest
from ingest.querying.parts import table

table.frames = lambda *given, frames=table.frames: time.sleep(0.3) or frames(*given)
db = ingest.connect({!r})
rows = db.execute({!r})
print(rows.fetchone()[0])
"""


@pytest.mark.parametrize("limit", ["", " limit 1"])
def test_a_program_may_end_where_more_rows_could_be_read(place, limit):
    """Python aborts if another thread is still at them."""
    program = SLOWLY.format(str(place.config()), f"select 'row' from options_minute{limit}")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.split()[-1:], done.stderr) == (0, ["row"], "")
