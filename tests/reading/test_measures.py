"""Measures compared with numbers worked out by hand, with plain Python, and with a market of known volatility."""

import math
import statistics
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.reading import measures

PRICES = ("open", "high", "low", "close")


def frame(bars, volumes=None, start=date(2025, 1, 1)):
    """Rows of (open, high, low, close) bars."""
    days = [start + timedelta(days=n) for n in range(len(bars))]
    columns = dict(zip(PRICES, (list(map(float, column)) for column in zip(*bars, strict=True)), strict=True))
    rows = pl.DataFrame({"date": days, **columns, "volume": volumes or [1000.0] * len(bars)})
    return rows.with_columns(dollars=pl.col("close") * pl.col("volume"))


@st.composite
def bars(draw, least=3):
    """Bars whose open and close lie in their range."""
    price = st.floats(0.5, 5000)
    found = draw(st.lists(st.tuples(price, price, price, price), min_size=least, max_size=60))
    return [(o, max(o, h, low, c), min(o, h, low, c), c) for o, h, low, c in found]


def columns(bars):
    return [np.array(column, float) for column in zip(*bars, strict=True)]


# By hand


def test_volatility_of_closes_by_hand():
    # Returns ln 2, −ln 2, ln 2: mean ln 2 ÷ 3, sum of squares 2.667 ln² 2, two degrees of freedom.
    expected = math.sqrt((8 / 3) / 2 * 252) * math.log(2)
    assert measures.close_to_close(np.array([1.0, 2.0, 1.0, 2.0])) == pytest.approx(expected)


def test_parkinson_by_hand():
    # One session whose range is a factor of 2: variance ln² 2 ÷ (4 ln 2) = ln 2 ÷ 4.
    assert measures.parkinson(np.array([2.0]), np.array([1.0])) == pytest.approx(math.sqrt(252 * math.log(2) / 4))


def test_garman_klass_by_hand():
    # Range a factor of 4, close twice the open: ½ (2 ln 2)² − (2 ln 2 − 1) ln² 2 = ln² 2 (3 − 2 ln 2).
    found = measures.garman_klass(*(np.array([price]) for price in (1.0, 4.0, 1.0, 2.0)))
    assert found == pytest.approx(math.sqrt(252 * math.log(2) ** 2 * (3 - 2 * math.log(2))))


def test_on_balance_volume_by_hand():
    closes, volumes = np.array([10.0, 11.0, 11.0, 9.0, 12.0]), np.array([100.0, 20.0, 30.0, 5.0, 50.0])
    assert measures.on_balance_volume(closes, volumes).tolist() == [0, 20, 20, 15, 65]


def test_the_last_volume_beside_the_twenty_before():
    assert measures.against_usual(np.array([9e9, *[100.0] * 20, 250.0])) == 2.5
    assert measures.against_usual(np.array([100.0] * 20)) is None
    assert measures.against_usual(np.array([0.0] * 20 + [5.0])) is None


def test_largest_moves_have_their_days():
    found = measures.measures_of(frame([(c, c, c, c) for c in (100, 110, 99, 99, 198, 99, 100)]))
    days = [date(2025, 1, 1) + timedelta(days=n) for n in range(7)]
    assert [(move.date, round(move.change, 4)) for move in found.largest_up] == [
        *((days[4], 1.0), (days[1], 0.1), (days[6], 0.0101))
    ]
    assert [(move.date, round(move.change, 4)) for move in found.largest_down] == [(days[5], -0.5), (days[2], -0.1)]
    assert (found.total_return, found.sessions, found.first, found.last) == (0, 7, days[0], days[6])


def test_means_are_of_shares_and_of_dollars():
    found = measures.measures_of(frame([(1, 2, 1, 2), (2, 4, 2, 4)], [100.0, 300.0]))
    assert (found.average_volume, found.average_dollar_volume, found.last_volume) == (200, 700, 300)


# Too few rows, and invalid prices


def test_one_row_has_no_return_and_no_volatility_of_closes():
    found = measures.measures_of(frame([(10, 11, 9, 10)]))
    assert (found.total_return, found.volatility_close, found.volume_ratio) == (None, None, None)
    assert found.volatility_parkinson > 0
    assert (found.on_balance_volume, found.largest_up, found.largest_down) == (0, (), ())
    assert measures.close_to_close(np.array([1.0, 2.0])) is None


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf"), None])
def test_rows_without_prices_are_left_out(bad):
    rows = frame([(10, 11, 9, 10), (10, 12, 9, 11), (11, 12, 10, 12)])
    spoilt = rows.with_columns(pl.Series("low", [9.0, bad, 10.0], strict=False))
    assert measures.measures_of(spoilt) == measures.measures_of(rows[[0, 2]])
    assert measures.measures_of(rows.clear()) is None


def test_a_missing_volume_counts_as_none_traded():
    rows = frame([(10, 11, 9, 10)] * 2).with_columns(volume=pl.Series([None, 50.0]), dollars=pl.Series([None, 500.0]))
    assert measures.measures_of(rows).average_volume == 25


def test_closes_outside_of_the_range_give_no_garman_klass():
    assert measures.garman_klass(*(np.array([price]) for price in (10.0, 10.0, 10.0, 20.0))) is None


# Compared with plain Python, and what must hold for any bars


@given(bars())
def test_each_is_what_plain_python_makes_of_the_formula(bars):
    opens, highs, lows, closes = columns(bars)
    returns = [math.log(after / before) for before, after in pairwise(closes)]
    ranges = [math.log(high / low) ** 2 for _, high, low, _ in bars]
    bodies = [math.log(close / opened) ** 2 for opened, _, _, close in bars]
    near = {"rel": 1e-9, "abs": 1e-7}
    assert measures.close_to_close(closes) == pytest.approx(statistics.stdev(returns) * 252**0.5, **near)
    mean = statistics.fmean(ranges)
    assert measures.parkinson(highs, lows) == pytest.approx((252 * mean / 4 / math.log(2)) ** 0.5, **near)
    practical = 0.5 * mean - (2 * math.log(2) - 1) * statistics.fmean(bodies)
    assert measures.garman_klass(opens, highs, lows, closes) == pytest.approx((252 * practical) ** 0.5, **near)


@given(st.floats(0.01, 1e5), st.integers(3, 40))
def test_prices_that_stand_still_have_no_volatility(price, count):
    found = measures.measures_of(frame([(price,) * 4] * count))
    assert (found.volatility_close, found.volatility_parkinson, found.volatility_garman_klass) == (0, 0, 0)
    assert (found.total_return, found.on_balance_volume, found.largest_up, found.largest_down) == (0, 0, (), ())


@given(bars(), st.floats(0.01, 100))
def test_a_split_of_all_prices_changes_no_volatility(bars, factor):
    opens, highs, lows, closes = columns(bars)
    near = {"rel": 1e-6, "abs": 1e-6}
    assert measures.close_to_close(closes * factor) == pytest.approx(measures.close_to_close(closes), **near)
    assert measures.parkinson(highs * factor, lows * factor) == pytest.approx(measures.parkinson(highs, lows), **near)
    scaled = measures.garman_klass(opens * factor, highs * factor, lows * factor, closes * factor)
    assert scaled == pytest.approx(measures.garman_klass(opens, highs, lows, closes), **near)


@given(bars(least=1))
def test_ranges_can_always_be_measured(bars):
    opens, highs, lows, closes = columns(bars)
    assert measures.parkinson(highs, lows) >= 0
    assert measures.garman_klass(opens, highs, lows, closes) is not None


def brownian(sigma, sessions, steps=4000, seed=5):
    """Bars of a geometric Brownian motion without drift in the log, sampled `steps` times a session."""
    rng = np.random.default_rng(seed)
    logs = np.cumsum(rng.normal(0, sigma / math.sqrt(252 * steps), (sessions, steps)), axis=1)
    within = np.hstack([np.zeros((sessions, 1)), logs])
    opens = np.concatenate([[0.0], np.cumsum(within[:, -1])[:-1]]) + math.log(100)
    levels = (opens, opens + within.max(axis=1), opens + within.min(axis=1), opens + within[:, -1])
    return [np.exp(level) for level in levels]


@pytest.mark.parametrize("sigma", [0.1, 0.3, 0.8])
def test_on_brownian_motion_all_find_its_volatility(sigma):
    opens, highs, lows, closes = brownian(sigma, 1500)
    # 1500 sessions: standard errors of 1.8 %, 0.8 % and 0.7 %; steps hide about 1 % of a range.
    assert measures.close_to_close(closes) == pytest.approx(sigma, rel=0.06)
    assert measures.parkinson(highs, lows) == pytest.approx(sigma, rel=0.04)
    assert measures.garman_klass(opens, highs, lows, closes) == pytest.approx(sigma, rel=0.04)
