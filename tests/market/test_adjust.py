"""Splits and dividends taken out of Yahoo's prices and put on raw ones."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.market.adjust import (
    dividend_factors,
    kept_shares,
    raw_prices,
    raw_volumes,
    split_factors,
    unmatched,
    without_repeats,
)
from ingest.market.corporate_actions import Actions, Dividend, StockSplit

EPOCH = date(2020, 1, 1)


def days(*numbers):
    return np.array([EPOCH + timedelta(days=n) for n in numbers], dtype="datetime64[D]")


def day(number):
    return EPOCH + timedelta(days=number)


def factors(found, closes, actions):
    return dividend_factors(found, kept_shares(found, closes, actions))


def test_a_split_divides_what_came_before_its_ex_date():
    splits = [StockSplit(day(5), 4.0), StockSplit(day(2), 0.1)]
    assert split_factors(days(0, 1, 2, 4, 5, 9), splits) == pytest.approx([0.4, 0.4, 4, 4, 1, 1])
    assert split_factors(days(), splits).tolist() == []


def test_apple_before_its_split_of_august_2020():
    """Massive has 499.23 for 2020-08-28, Yahoo 124.8075 since the 4:1 split of 2020-08-31."""
    session = np.array(["2020-08-28"], dtype="datetime64[D]")
    factors = split_factors(session, [StockSplit(date(2020, 8, 31), 4.0)])
    served = np.float32([124.8075])
    assert raw_prices(served, factors).tolist() == [499.23]
    assert (np.array([499.23]) / factors) == pytest.approx([124.8075])
    assert raw_volumes(np.array([187_630_000.0]), factors).tolist() == [46_907_500.0]


def test_dividends_as_yahoo_applies_them():
    """Yahoo's own example: a dividend of 0.08 upon a close of 24.96 leaves 0.9968 of what came before."""
    actions = Actions(dividends=(Dividend(day(1), 0.08, 24.96),))
    assert factors(days(0, 1), np.array([24.96, 24.95]), actions) == pytest.approx([0.9968, 1], abs=1e-4)


def test_a_dividend_without_a_close_takes_the_one_before_it_here():
    actions = Actions(dividends=(Dividend(day(3), 1.0), Dividend(day(0), 1.0)))
    assert factors(days(1, 2, 3), np.array([40.0, 50.0, 49.0]), actions) == pytest.approx([0.98, 0.98, 1])


def test_a_dividends_own_close_counts_where_rows_are_missing_before_it():
    """The last row that is here is of long before: it is not the close that the dividend was taken from."""
    told, untold = (Actions(dividends=(Dividend(day(9), 1.0, close),)) for close in (40.0, None))
    rows = (days(0, 9), np.array([100.0, 39.0]))
    assert factors(*rows, told) == pytest.approx([1 - 1 / 40, 1])
    assert factors(*rows, untold) == pytest.approx([1 - 1 / 100, 1])


def test_a_split_on_the_ex_date_of_a_dividend_counts_for_the_close_before():
    actions = Actions((StockSplit(day(1), 2.0),), (Dividend(day(1), 0.5, 100.0),))
    assert factors(days(0), np.array([100.0]), actions) == pytest.approx([1 - 0.5 / 50])


prices = st.integers(1, 6_553_500).map(lambda cents: cents / 100)
ratios = st.sampled_from([2.0, 3.0, 4.0, 7.0, 20.0, 1.5, 1.253, 0.1, 0.05, 1 / 3, 50.0])


@given(st.lists(prices, min_size=1, max_size=20), st.lists(st.tuples(st.integers(0, 25), ratios), max_size=3))
def test_prices_in_cents_come_back_exactly(raw, splits):
    found = days(*range(len(raw)))
    factors = split_factors(found, [StockSplit(day(n), ratio) for n, ratio in splits])
    assert raw_prices((np.array(raw) / factors).astype(np.float32), factors).tolist() == raw


@given(
    st.lists(st.floats(1e-4, 1e6), min_size=1, max_size=20), st.lists(st.tuples(st.integers(0, 25), ratios), max_size=3)
)
def test_other_prices_come_back_within_what_is_said(raw, splits):
    raw = np.array(raw)
    factors = split_factors(days(*range(len(raw))), [StockSplit(day(n), ratio) for n, ratio in splits])
    back = raw_prices((raw / factors).astype(np.float32), factors)
    assert np.all(np.abs(back - raw) <= 2e-7 * raw)


def test_missing_prices_stay_missing():
    assert np.isnan(raw_prices(np.array([np.nan]), np.array([4.0])))[0]


def test_a_split_listed_twice_counts_once_and_two_splits_count_twice():
    twice = (StockSplit(day(0), 4.0), StockSplit(day(3), 4.0), StockSplit(day(300), 4.0), StockSplit(day(301), 2.0))
    assert without_repeats(twice) == (twice[0], twice[2], twice[3])


@pytest.mark.parametrize(
    ("closes", "ratio", "found"),
    [
        ([100, 100, 25, 25], 4.0, False),
        ([100, 100, 99, 25], 4.0, True),
        ([10, 10, 100, 100], 0.1, False),
        ([10, 10, 10, 10], 0.1, True),
        ([100, 100, 99, 99], 1.05, False),  # too small to judge
    ],
)
def test_a_split_without_a_jump_is_told_of(closes, ratio, found):
    prices = np.array(closes, dtype=float)
    split = StockSplit(day(2), ratio)
    assert unmatched(days(0, 1, 2, 3), prices, prices, [split]) == ([split] if found else [])
