"""Bars built from minutes, compared with tables made by hand and with DuckDB; and what always holds."""

import itertools
import random
from datetime import date, datetime, timedelta

import duckdb
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from minutes_kit import NEW_YORK, UTC, added_up, at, bars_in, edges_of, rows_of, some_minutes

from ingest.errors import UsageError
from ingest.market.calendars import Calendar
from ingest.market.catalogue import STOCKS_MINUTE, named
from ingest.reading.resample import MINUTES, aggregate, bar_size

DAY = date(2025, 11, 11)
HALF_DAY = date(2025, 11, 28)
OPTIONS, CRYPTO, FOREX = named("options-minute"), named("crypto-minute"), named("forex-minute")
FUTURES, INDICES = named("futures-cme-minute"), named("indices-minute")
BY_HAND = {
    # begin: open, high, low, close, volume
    at(DAY, 4): (9.00, 9.50, 8.90, 9.10, 100.0),
    at(DAY, 9, 29): (9.20, 9.90, 9.20, 9.80, 50.0),
    at(DAY, 9, 30): (10.00, 10.50, 9.90, 10.20, 1000.0),
    at(DAY, 9, 59): (10.20, 11.00, 10.10, 10.90, 200.0),
    at(DAY, 10, 29): (10.90, 10.95, 9.50, 9.60, 300.0),
    at(DAY, 10, 30): (9.60, 9.70, 9.40, 9.65, 10.5),
    at(DAY, 15, 29): (12.00, 12.10, 11.90, 12.05, 20.0),
    at(DAY, 15, 30): (12.10, 12.20, 12.00, 12.15, 30.0),
    at(DAY, 15, 59): (12.15, 12.30, 12.15, 12.25, 40.0),
    at(DAY, 16): (12.20, 12.25, 12.20, 12.22, 5.0),
    at(DAY, 19, 59): (12.40, 12.40, 12.30, 12.30, 6.0),
}
HOURS = {
    at(DAY, 9, 30): (10.00, 11.00, 9.50, 9.60, 1500.0),
    at(DAY, 10, 30): (9.60, 9.70, 9.40, 9.65, 10.5),
    at(DAY, 14, 30): (12.00, 12.10, 11.90, 12.05, 20.0),
    at(DAY, 15, 30): (12.10, 12.30, 12.00, 12.25, 70.0),
}
EXTENDED_HOURS = {
    at(DAY, 4): (9.00, 9.50, 8.90, 9.10, 100.0),
    at(DAY, 9): (9.20, 9.90, 9.20, 9.80, 50.0),
    **HOURS,
    at(DAY, 16): (12.20, 12.25, 12.20, 12.22, 5.0),
    at(DAY, 19): (12.40, 12.40, 12.30, 12.30, 6.0),
}
HALF_HOURS = {
    at(DAY, 9, 30): (10.00, 11.00, 9.90, 10.90, 1200.0),
    at(DAY, 10): (10.90, 10.95, 9.50, 9.60, 300.0),
    at(DAY, 10, 30): (9.60, 9.70, 9.40, 9.65, 10.5),
    at(DAY, 15): (12.00, 12.10, 11.90, 12.05, 20.0),
    at(DAY, 15, 30): (12.10, 12.30, 12.00, 12.25, 70.0),
}


@pytest.mark.parametrize(
    ("size", "prepost", "bars"), [("1h", False, HOURS), ("1h", True, EXTENDED_HOURS), ("30m", False, HALF_HOURS)]
)
def test_bars_are_those_added_up_by_hand(size, prepost, bars):
    made = aggregate(rows_of(BY_HAND, DAY), size, STOCKS_MINUTE, prepost)
    assert bars_in(made) == bars
    assert made.schema == rows_of(BY_HAND, DAY).schema
    assert made["transactions"].sum() == (len(BY_HAND) if prepost else 7)


def test_minutes_stay_what_they_are_and_extended_ones_are_left_out():
    rows = rows_of(BY_HAND, DAY)
    assert aggregate(rows, "1m", STOCKS_MINUTE, prepost=True).equals(rows)
    assert aggregate(rows, "1m", STOCKS_MINUTE)["time"].to_list() == sorted(BY_HAND)[2:-2]


def test_a_day_that_ends_at_one_has_a_last_bar_of_half_an_hour():
    minutes = some_minutes(HALF_DAY, share=0.9)
    hours = bars_in(aggregate(rows_of(minutes, HALF_DAY), "1h", STOCKS_MINUTE))
    assert list(hours) == [at(HALF_DAY, hour, 30) for hour in (9, 10, 11, 12)]
    whole = bars_in(aggregate(rows_of(minutes, HALF_DAY), "1h", STOCKS_MINUTE, prepost=True))
    assert whole == added_up(minutes, edges_of(HALF_DAY, 60, prepost=True, close=13))
    assert at(HALF_DAY, 13) in whole
    assert at(HALF_DAY, 12, 30) in whole


@pytest.mark.parametrize("size", list(MINUTES))
@pytest.mark.parametrize("prepost", [False, True])
@pytest.mark.parametrize("day", [DAY, date(2025, 3, 7), date(2025, 3, 10)])  # clocks go forward on 2025-03-09
def test_edges_are_counted_from_the_opening(size, prepost, day):
    minutes = some_minutes(day)
    made = bars_in(aggregate(rows_of(minutes, day), size, STOCKS_MINUTE, prepost))
    assert made == added_up(minutes, edges_of(day, MINUTES[size], prepost))


def test_options_minutes_after_four_are_extended_hours():
    minutes = {at(DAY, 15, 59): (1, 1, 1, 1, 1), at(DAY, 16, 14): (2, 2, 2, 2, 2)}
    rows = rows_of(minutes, DAY, OPTIONS, "O:SPY251219C00650000")
    assert list(bars_in(aggregate(rows, "1h", OPTIONS))) == [at(DAY, 15, 30)]
    assert list(bars_in(aggregate(rows, "1h", OPTIONS, prepost=True))) == [at(DAY, 15, 30), at(DAY, 16)]


def test_indices_have_no_volume_and_none_is_made_up():
    rows = rows_of(BY_HAND, DAY, INDICES, "I:SPX").with_columns(
        volume=pl.lit(None, pl.Float64), transactions=pl.lit(None, pl.Int64)
    )
    made = aggregate(rows, "1h", INDICES)
    assert (made.height, made["volume"].null_count(), made["transactions"].null_count()) == (4, 4, 4)


@pytest.mark.parametrize("dataset", [CRYPTO, FOREX])
def test_around_the_clock_edges_are_whole_hours_of_utc(dataset):
    day = date(2025, 3, 30)  # London's clocks go forward at one
    minutes = {
        at(day, hour, minute, UTC): (hour, hour, hour, minute, 1) for hour in range(24) for minute in (0, 30, 59)
    }
    rows = rows_of(minutes, day, dataset, "X")
    made = aggregate(rows, "1h", dataset)
    assert made["time"].to_list() == [at(day, hour, 0, UTC) for hour in range(24)]
    assert made["volume"].to_list() == [3.0] * 24
    assert aggregate(rows, "30m", dataset).height == 48
    london = made.with_columns(pl.col("time").dt.convert_time_zone("Europe/London"))
    assert set(london["time"].dt.minute()) == {0}
    assert aggregate(rows, "1h", dataset, prepost=True).equals(made)


def test_an_hour_that_the_clock_shows_twice_is_two_bars_of_futures():
    sunday, session = date(2025, 11, 2), date(2025, 11, 3)
    first = datetime(2025, 11, 2, 5, 30, tzinfo=UTC)  # 01:30 in New York, and again an hour later
    minutes = {first + timedelta(hours=n): (n, n, n, n, 1) for n in range(3)}
    minutes |= {at(sunday, 18): (9, 9, 9, 9, 1), at(sunday, 23, 59): (8, 8, 8, 8, 1)}
    made = aggregate(rows_of(minutes, session, FUTURES, "ESZ5"), "1h", FUTURES)
    local = [f"{time:%d %H:%M %z}" for time in made["time"].to_list()]
    assert local == ["02 01:00 -0400", "02 01:00 -0500", "02 02:00 -0500", "02 18:00 -0500", "02 23:00 -0500"]
    assert set(made["date"]) == {session}


def test_sessions_and_tickers_are_not_mixed():
    days = [DAY, DAY + timedelta(days=1)]
    frames = [rows_of(some_minutes(day, seed=t), day, ticker=t) for t in ("A", "B") for day in days]
    made = aggregate(pl.concat(frames), "1h", STOCKS_MINUTE, prepost=True)
    for (ticker, day), frame in made.partition_by("ticker", "date", as_dict=True).items():
        assert bars_in(frame) == added_up(some_minutes(day, seed=ticker), edges_of(day, 60, prepost=True))
    assert made.equals(made.sort("ticker", "time"))


@pytest.mark.parametrize("dataset", ["forex-minute", "crypto-minute"])
def test_around_the_clock_a_minute_counts_once_and_as_its_own_days_file_has_it(dataset):
    """The vendor does not document where their days end, so a minute that no other file has counts in any file."""
    kind, day = named(dataset), date(2025, 11, 4)
    own = {datetime(2025, 11, 4, 10, n, tzinfo=UTC): (1.0, 2.0, 0.5, 1.5, 10.0) for n in range(3)}
    strays = {datetime(2025, 11, 4, 10, n, tzinfo=UTC): (9.0, 9.0, 9.0, 9.0, 99.0) for n in range(2, 4)}
    before = rows_of(strays, day - timedelta(days=1), kind, "X")
    rows = pl.concat([before, rows_of(own, day, kind, "X")]).sort("ticker", "time", maintain_order=True)
    (bar,) = bars_in(aggregate(rows, "1h", kind)).values()
    assert bar == (1.0, 9.0, 0.5, 9.0, 129.0)
    rows = rows.filter(pl.col("time").dt.minute() < 3)
    assert list(bars_in(aggregate(rows, "1h", kind)).values()) == [(1.0, 2.0, 0.5, 1.5, 30.0)]


def test_columns_of_a_dataset_of_its_own_are_kept():
    more = {"dollar_volume": pl.col("volume") * 2, "exchange": pl.int_range(pl.len())}
    rows = rows_of(BY_HAND, DAY).with_columns(**more).drop("transactions")
    made = aggregate(rows, "1h", STOCKS_MINUTE)
    assert made.columns == rows.columns
    assert made["dollar_volume"].to_list() == [2 * bar[4] for bar in HOURS.values()]
    assert made["exchange"].to_list() == [4, 5, 6, 8]


def test_no_minutes_make_no_bars():
    rows = rows_of({}, DAY)
    assert all(aggregate(rows, size, STOCKS_MINUTE).equals(rows) for size in MINUTES)


def test_intervals_are_yfinances():
    assert [bar_size(name) for name in (*MINUTES, "60m")] == [*MINUTES, "1h"]
    for name in ("3m", "5d", "3mo", "", "1H"):
        with pytest.raises(UsageError, match="1m, 2m, 5m, 15m, 30m, 1h, 90m, 1d, 1wk, 1mo"):
            bar_size(name)


# DuckDB

_DUCKDB = """
    WITH local AS (
        SELECT *, timezone('America/New_York', to_timestamp(epoch)) AS stamp,
               CASE WHEN stamp::TIME < TIME '09:30' THEN 0 WHEN stamp::TIME < close THEN 1 ELSE 2 END AS part
        FROM read_csv($file, columns = {'date': 'DATE', 'epoch': 'BIGINT', 'n': 'BIGINT', 'close': 'TIME',
             'o': 'DOUBLE', 'h': 'DOUBLE', 'l': 'DOUBLE', 'c': 'DOUBLE', 'v': 'DOUBLE'}, header = true))
    SELECT date, time_bucket(to_minutes($size), stamp, date +
                             CASE part WHEN 0 THEN TIME '04:00' WHEN 1 THEN TIME '09:30' ELSE close END) AS begin,
           arg_min(o, n), max(h), min(l), arg_max(c, n), sum(v)
    FROM local WHERE $prepost OR part = 1 GROUP BY date, part, begin ORDER BY begin
"""


@pytest.fixture(scope="module")
def fortnight(tmp_path_factory):
    """Minutes of sessions around a change of the clocks and a half day, as a frame and as a file for DuckDB."""
    calendar = Calendar.of("XNYS")
    days = [*calendar.between(date(2025, 10, 30), date(2025, 11, 4)), *calendar.between(date(2025, 11, 26), HALF_DAY)]
    minutes = {day: some_minutes(day, share=0.4, seed=3) for day in days}
    path = tmp_path_factory.mktemp("duckdb") / "minutes.csv"
    lines = ["date,epoch,n,close,o,h,l,c,v"]
    for day, found in minutes.items():
        lines += [
            f"{day},{int(begin.timestamp())},{n},{calendar.close(day)},{','.join(map(str, bar))}"
            for n, (begin, bar) in enumerate(sorted(found.items()))
        ]
    path.write_text("\n".join(lines) + "\n")
    return pl.concat(rows_of(found, day) for day, found in minutes.items()), path


@pytest.mark.parametrize("size", list(MINUTES))
@pytest.mark.parametrize("prepost", [False, True])
def test_duckdb_makes_the_same_bars(fortnight, size, prepost):
    rows, path = fortnight
    with duckdb.connect() as db:
        theirs = db.execute(_DUCKDB, {"file": str(path), "size": MINUTES[size], "prepost": prepost}).fetchall()
    names = ("open", "high", "low", "close", "volume")
    made = aggregate(rows, size, STOCKS_MINUTE, prepost)
    mine = made.select("date", pl.col("time").dt.replace_time_zone(None), *names).rows()
    assert mine == theirs
    assert len(mine) > 25


# pandas


def resampled(minutes, edges, size):
    """Bars by `DataFrame.resample`, separately between each two edges, counted from the first."""
    frame = pd.DataFrame.from_dict(minutes, orient="index", columns=["open", "high", "low", "close", "volume"])
    frame.index = pd.DatetimeIndex(frame.index)
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    found = {}
    for begin, end in itertools.pairwise(edges):
        inside = frame[(frame.index >= begin) & (frame.index < end)].sort_index()
        made = inside.resample(f"{size}min", origin=begin).agg(how).dropna(subset="open")
        found |= {time.to_pydatetime(): tuple(row) for time, row in zip(made.index, made.to_numpy(), strict=True)}
    return found


def check_against_pandas(seed):
    chance = random.Random(seed)
    day = chance.choice([DAY, HALF_DAY, date(2025, 3, 10), date(2025, 10, 31)])
    minutes = some_minutes(day, share=chance.choice([0.01, 0.1, 0.6]), seed=seed)
    close = 13 if day == HALF_DAY else 16
    for size in MINUTES:
        regular = aggregate(rows_of(minutes, day), size, STOCKS_MINUTE)
        assert bars_in(regular) == resampled(minutes, [at(day, 9, 30), at(day, close)], MINUTES[size])
        whole = aggregate(rows_of(minutes, day), size, STOCKS_MINUTE, prepost=True)
        edges = [at(day, 4), at(day, 9, 30), at(day, close), at(day, 20)]
        assert bars_in(whole) == resampled(minutes, edges, MINUTES[size])


@pytest.mark.parametrize("seed", range(2))
def test_pandas_makes_the_same_bars(seed):
    check_against_pandas(seed)


@pytest.mark.long
def test_pandas_makes_the_same_bars_for_hundreds_of_days():
    for seed in range(100, 400):
        check_against_pandas(seed)


# What always holds

_SESSIONS = st.sampled_from([DAY, HALF_DAY, date(2025, 3, 10), date(2025, 10, 31)])
_TRADED = st.dictionaries(st.integers(4 * 60, 20 * 60 - 1), st.integers(1, 10**6), max_size=40)


def traded(day, volumes):
    """A minute with its own price for each volume."""
    return rows_of(
        {at(day, *divmod(minute, 60)): (v, v + 2, v - 1, v + 1, float(v)) for minute, v in volumes.items()}, day
    )


@given(_SESSIONS, _TRADED, st.booleans())
@settings(max_examples=30, deadline=None)
def test_finer_bars_make_the_same_coarser_ones(day, volumes, prepost):
    rows = traded(day, volumes)
    for fine, coarse in (("5m", "1h"), ("15m", "30m"), ("30m", "1h"), ("1m", "15m")):
        by_way = aggregate(aggregate(rows, fine, STOCKS_MINUTE, prepost), coarse, STOCKS_MINUTE, prepost)
        assert by_way.equals(aggregate(rows, coarse, STOCKS_MINUTE, prepost))


@given(_SESSIONS, _TRADED, st.sampled_from(list(MINUTES)))
@settings(max_examples=30, deadline=None)
def test_nothing_is_lost_and_no_bar_spans_an_edge(day, volumes, size):
    made = aggregate(traded(day, volumes), size, STOCKS_MINUTE, prepost=True)
    assert (made["volume"].sum(), made["transactions"].sum()) == (sum(volumes.values()), len(volumes))
    close = 13 if day == HALF_DAY else 16
    edges = [at(day, 4), at(day, 9, 30), at(day, close), at(day, 20)]
    begins = made["time"].to_list()
    assert begins == sorted(set(begins))
    for bar in made.iter_rows(named=True):
        end = min(next(edge for edge in edges if edge > bar["time"]), bar["time"] + timedelta(minutes=MINUTES[size]))
        inside = [v for minute, v in sorted(volumes.items()) if bar["time"] <= at(day, *divmod(minute, 60)) < end]
        assert bar["volume"] == sum(inside)
        assert (bar["open"], bar["close"]) == (inside[0], inside[-1] + 1)
        assert (bar["high"], bar["low"]) == (max(inside) + 2, min(inside) - 1)
    regular = aggregate(traded(day, volumes), size, STOCKS_MINUTE)
    assert regular.equals(made.filter(pl.col("time").is_between(edges[1], edges[2], closed="left")))


@given(st.integers(0, 366 * 24 * 60), st.sampled_from(list(MINUTES)))
@settings(max_examples=30, deadline=None)
def test_around_the_clock_a_bar_begins_at_most_its_length_before_its_minute(moment, size):
    minute = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=moment)
    for dataset in (CRYPTO, FOREX, FUTURES):
        made = aggregate(rows_of({minute: (1, 1, 1, 1, 1)}, minute.date(), dataset), size, dataset)
        begin = made["time"][0]
        assert begin <= minute < begin + timedelta(minutes=MINUTES[size])
        assert int(begin.timestamp()) % (60 * MINUTES[size]) == 0
        assert begin.astimezone(NEW_YORK).minute == begin.minute
