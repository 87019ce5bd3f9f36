"""Findings on numbers, compared with a plain reading of the same rows."""

import math
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from statistics import median

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import finding
from ingest.finding import MAX_EXAMPLES, Finding
from ingest.market.calendars import NEW_YORK
from ingest.market.row_kinds import DAY_BARS, MINUTE_BARS
from ingest.splitting import checks
from ingest.splitting.checks import FEWEST, MOST, NEIGHBOURS, date_of, dates, far_counts, numbers, times

ZONE = str(NEW_YORK)
DAY = date(2025, 3, 10)
DAY_LONG = timedelta(days=1)
NS = 1_000_000_000
SCHEMA = {"ticker": pl.String, **dict.fromkeys(("open", "high", "low", "close", "volume"), pl.Float64)}
TICKERS = st.sampled_from(["AAPL", "MSFT", "BACpL", "", None, "\u202eX", "a" * 100])
PRICES = st.one_of(st.sampled_from([1.0, 2.0, 3.0, 0.0, -0.0, -1.0, None, math.nan, math.inf, -math.inf]), st.floats())
SECONDS = int(
    datetime(2025, 3, 10, 4, tzinfo=UTC).timestamp()
)  # midnight in New York, the day after a change of clocks
STAMPS = st.one_of(
    st.sampled_from([str(SECONDS * NS), str(SECONDS * NS - 1), str((SECONDS + 86400) * NS), "", None, "soon", "1e18"]),
    st.integers(-(10**22), 10**22).map(str),
    st.text(max_size=5),
)
ROWS = st.lists(st.tuples(TICKERS, PRICES, PRICES, PRICES, PRICES, PRICES, STAMPS), max_size=8)


def frame(rows):
    return pl.DataFrame([row[:-1] for row in rows], schema=SCHEMA, orient="row")


def stamps(rows):
    """A missing timestamp is empty, as in a file."""
    return Counter(row[-1] or "" for row in rows)


def judge(rows, stamps, session, zone):
    return (*numbers(rows, DAY_BARS), *dates(stamps, session, zone))


def is_number(value):
    return value is not None and not math.isnan(value)


def wrong(opened, high, low, close, volume):
    """Kinds of findings on one row's numbers, in plain words."""
    prices = [price for price in (opened, high, low, close) if is_number(price)]
    if is_number(low) and is_number(high):
        if low > high:
            yield finding.CROSSED
        elif any(price < low or price > high for price in (opened, close) if is_number(price)):
            yield finding.OUTSIDE
    if any(price <= 0 for price in prices):
        yield finding.NOT_POSITIVE
    if len(prices) < 4 or any(math.isinf(price) for price in prices):
        yield finding.NO_PRICE
    if is_number(volume) and volume < 0:
        yield finding.NEGATIVE_VOLUME
    if not is_number(volume) or abs(volume) >= 2**63:
        yield finding.NO_VOLUME


PER_SECOND = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "tenths of a microsecond": 10**7}


def unit_of(stamp):
    """The unit in which a timestamp is in this century; None for nanoseconds, and if no unit fits."""
    try:
        number = int(stamp)
    except (TypeError, ValueError):
        return None
    century = [datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (2000, 2100)]
    return next((unit for unit, each in PER_SECOND.items() if century[0] <= number // each < century[1]), None)


def day_of(stamp):
    """New York's date of a timestamp; None if it has no valid date."""
    try:
        return datetime.fromtimestamp(int(stamp) // PER_SECOND.get(unit_of(stamp), NS), UTC).astimezone(NEW_YORK).date()
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def told(rows):
    """Count of rows by kind."""
    counts = {}
    for row in rows:
        day = day_of(row[-1])
        kinds = [*wrong(*row[1:-1]), *([finding.NO_STAMP] if day is None else [])]
        kinds += [finding.OTHER_DATE] if day not in (None, DAY) else []
        kinds += [finding.IN_UNIT[unit]] if (unit := unit_of(row[-1])) else []
        for kind in kinds:
            counts[kind] = counts.get(kind, 0) + 1
    return counts if rows else {finding.NO_ROWS: 1}


@given(ROWS)
def test_it_finds_what_a_plain_reading_finds(rows):
    found = judge(frame(rows), stamps(rows), DAY, ZONE)
    assert {one.kind: one.count for one in found} == told(rows)
    assert len({one.kind for one in found}) == len(found)


PRICE_EDGES = [-math.inf, -1.0, 0.0, 1.0, 1e300, math.inf, math.nan]
AMOUNT_EDGES = [-1.0, 0.0, 1.5, 2.0**63, math.inf, math.nan]
CLOSES_ONLY = replace(DAY_BARS, name="closes", numbers=("close",), prices=("close",), spans=False)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("kind", [DAY_BARS, MINUTE_BARS, CLOSES_ONLY], ids=lambda kind: kind.name)
def test_numbers_in_their_bounds_have_none_of_the_findings_that_are_then_not_looked_for(kind, signed):
    rows = [*product(*[PRICE_EDGES] * len(kind.prices), AMOUNT_EDGES)]
    each = [([np.array([price]) for price in prices], np.array([amount])) for *prices, amount in rows]
    bounded = [row for row, numbers in zip(rows, each, strict=True) if checks._is_bounded(*numbers, kind, signed)]
    assert bounded
    *prices, amount = map(np.array, zip(*bounded, strict=True))
    wrong = checks._numbers_wrong(prices, amount, kind, signed)
    assert {name for name in checks._NONE_IN_BOUNDS & wrong.keys() if wrong[name]().any()} == set()


def test_a_further_finding_is_looked_for_in_numbers_in_their_bounds_too(monkeypatch):
    rows = frame([("AAPL", 1.0, 1.0, 1.0, 1.0, 1.0, ""), ("MSFT", 2.0, 3.0, 1.0, 2.0, 1.0, "")])
    assert [*numbers(rows, DAY_BARS)] == []
    known = checks._numbers_wrong

    def one_more(prices, *others):
        return known(prices, *others) | {"one price": lambda: prices[1] == prices[2]}

    monkeypatch.setattr(checks, "_numbers_wrong", one_more)
    assert [*numbers(rows, DAY_BARS)] == [Finding("one price", 1, ("AAPL",))]


@given(ROWS)
def test_examples_name_the_rows_in_their_order(rows):
    for one in judge(frame(rows), stamps(rows), DAY, ZONE):
        if one.kind in (finding.NO_ROWS, finding.NO_STAMP, *finding.IN_UNIT.values()):
            assert one.examples == ()
        elif one.kind == finding.OTHER_DATE:
            assert list(one.examples) == sorted(map(str, {day_of(row[-1]) for row in rows} - {None, DAY}), key=str)
        else:
            names = [row[0] or "" for row in rows if one.kind in wrong(*row[1:-1])]
            assert [name[:3] for name in one.examples] == [finding.example(name)[:3] for name in names], (
                "the first rows that have it"
            )
            assert all(name.isprintable() for name in one.examples)


@given(ROWS)
def test_stamps_may_be_missing_altogether(rows):
    found = judge(frame(rows), {}, DAY, ZONE)
    stampless = {finding.OTHER_DATE, finding.NO_STAMP, *finding.IN_UNIT.values()}
    assert {one.kind: one.count for one in found} == {
        kind: count for kind, count in told(rows).items() if kind not in stampless
    }


def test_a_hundred_are_named_and_all_are_counted():
    rows = [(f"T{n}", 1.0, 1.0, 2.0, 1.0, 1.0, str(SECONDS * NS)) for n in range(250)]
    (found,) = judge(frame(rows), stamps(rows), DAY, ZONE)
    assert (found.kind, found.count) == (finding.CROSSED, 250)
    assert found.examples == tuple(f"T{n}" for n in range(MAX_EXAMPLES))


@pytest.mark.parametrize("day", [date(2025, 3, 9), date(2025, 11, 2), date(2025, 7, 1), date(2003, 9, 10)])
def test_a_date_is_new_yorks_from_its_first_to_its_last_nanosecond(day):
    def midnight(of):
        return int(datetime(of.year, of.month, of.day, tzinfo=NEW_YORK).timestamp()) * NS

    first, next_ = midnight(day), midnight(day + timedelta(days=1))
    assert [date_of(str(ns), ZONE) for ns in (first - 1, first, next_ - 1, next_)] == [
        day - timedelta(days=1),
        day,
        day,
        day + timedelta(days=1),
    ]


@pytest.mark.parametrize("day", [date(2025, 3, 9), date(2025, 11, 2), date(2025, 7, 1)])
def test_of_stamps_as_numbers_midnight_is_the_first_of_its_day_and_the_next_one_is_not(day):
    """Day bars are stamped with midnight itself; a day on which clocks change has 23 or 25 hours."""
    first, next_ = (
        int(datetime(*of.timetuple()[:3], tzinfo=NEW_YORK).timestamp()) * NS for of in (day, day + DAY_LONG)
    )

    def odd(*stamps):
        return [(one.kind, one.count, one.examples) for one in times(pl.Series(stamps, dtype=pl.Int64), day, ZONE)]

    assert odd(first) == odd(first, next_ - 1) == []
    for stamp, other in ((next_, day + DAY_LONG), (first - 1, day - DAY_LONG)):
        told = [(finding.OTHER_DATE, 1, (str(other),))]
        assert odd(stamp) == odd(first, stamp) == odd(stamp, next_ - 1) == told
    assert odd(first, None) == [(finding.NO_STAMP, 1, ())]


@given(ROWS)
def test_prices_of_either_sign_and_rows_without_a_volume_are_judged_by_all_else(rows):
    plain = list(numbers(frame(rows), DAY_BARS))
    signed = list(numbers(frame(rows), DAY_BARS, signed=True))
    assert signed == [one for one in plain if one.kind != finding.NOT_POSITIVE]
    without = list(numbers(frame(rows).drop("volume"), DAY_BARS))
    assert without == [one for one in plain if one.kind not in (finding.NEGATIVE_VOLUME, finding.NO_VOLUME)]


def test_a_stamp_may_be_a_date_in_words():
    assert date_of("2025-08-25", "America/Chicago") == date(2025, 8, 25)
    assert [date_of(odd, "UTC") for odd in ("2025-8-25", "2025-13-01", "20250825-1", "")] == [None] * 4


DATES = st.dates(date(2024, 1, 1), date(2024, 3, 1))
COUNTS = st.dictionaries(DATES, st.one_of(st.integers(0, 200), st.sampled_from([80, 100, 125])), max_size=30)


def far(counts):
    found = {}
    for day in counts:
        alike = [one for one in counts if (one.weekday() >= 5) == (day.weekday() >= 5)]
        before = sorted((one for one in alike if one < day), reverse=True)[:NEIGHBOURS]
        after = sorted(one for one in alike if one > day)[:NEIGHBOURS]
        around = [counts[one] for one in (*before, *after)]
        if len(around) >= 4 and not FEWEST * median(around) <= counts[day] <= MOST * median(around):
            found[day] = counts[day]
    return found


@given(COUNTS)
def test_far_counts_are_those_of_a_plain_reading(counts):
    found = far_counts(counts)
    assert {day: one.count for day, one in found.items()} == far(counts)
    assert {one.kind for one in found.values()} <= {finding.FAR_COUNT}


def test_a_fifth_below_and_a_quarter_above_are_not_far():
    days = [DAY + timedelta(days=n) for n in range(5)]
    for count, is_far in ((79, True), (80, False), (125, False), (126, True)):
        counts = dict.fromkeys(days, 100) | {days[2]: count}
        expected = {days[2]: Finding(finding.FAR_COUNT, count, ("the sessions around have 100",))} if is_far else {}
        assert far_counts(counts) == expected


def test_fewer_than_four_neighbours_tell_nothing():
    days = [DAY + timedelta(days=n) for n in range(4)]
    assert far_counts(dict.fromkeys(days, 100) | {days[0]: 1}) == {}
