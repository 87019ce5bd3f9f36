"""Prices to which a split was not applied are recognized by themselves; ordinary prices never are."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.market.corporate_actions import StockSplit
from ingest.reading.adjusting.unapplied import lone_steps, unapplied

DAYS = np.arange("2025-01-01", "2025-04-11", dtype="datetime64[D]")
EX_DATE = date(2025, 3, 12)
AT = int(np.searchsorted(DAYS, np.datetime64(EX_DATE)))


def raw(ratio, noise=None):
    """Closes as traded around a split."""
    level = 50 * np.exp(np.cumsum(np.zeros(len(DAYS)) if noise is None else noise))
    return np.where(np.arange(len(DAYS)) < AT, level, level / ratio)


def found(closes, *splits):
    return [(one.rows.start, one.rows.stop) for one in unapplied(DAYS, closes, splits)]


@pytest.mark.parametrize("ratio", [2.0, 10.0, 1.5, 0.1, 1 / 3])
@pytest.mark.parametrize("rows", [slice(10, 30), slice(40, 41), slice(60, AT), slice(80, 85)])
@pytest.mark.parametrize("twice", [False, True])
def test_a_stretch_is_found_wherever_it_is(ratio, rows, twice):
    closes = raw(ratio)
    closes[rows] *= 1 / ratio if twice else ratio
    assert found(closes, StockSplit(EX_DATE, ratio)) == [(rows.start, rows.stop)]
    assert found(closes) == []


def test_several_stretches_are_found_by_their_own_splits():
    closes = raw(4.0)
    closes[5:9] *= 4
    closes[20:22] *= 2
    splits = (StockSplit(DAYS[-4].item(), 2.0), StockSplit(EX_DATE, 4.0))
    closes[-4:] /= 2
    assert found(closes, *splits) == [(5, 9), (20, 22)]


@pytest.mark.parametrize("ratio", [1.05, 1.3, 1.253])
def test_what_shares_do_on_a_day_is_no_sign(ratio):
    closes = raw(ratio)
    closes[10:30] *= ratio
    assert found(closes, StockSplit(EX_DATE, ratio)) == []


def test_a_price_that_does_not_come_back_is_no_stretch():
    closes = raw(2.0)
    closes[:30] *= 2
    assert found(closes, StockSplit(EX_DATE, 2.0)) == []


@pytest.mark.parametrize("ratio", [2.0, 10.0, 1.5, 0.1])
@pytest.mark.parametrize(
    ("rows", "at"), [(slice(0, 30), 30), (slice(0, 1), 1), (slice(85, 100), 85), (slice(99, 100), 99)]
)
def test_a_stretch_at_an_edge_is_one_step(ratio, rows, at):
    closes = raw(ratio)
    closes[rows] *= ratio
    split = StockSplit(EX_DATE, ratio)
    assert lone_steps(DAYS, closes, [split, StockSplit(DAYS[-1].item(), 1.05)]) == {at: split}
    assert lone_steps(DAYS, raw(ratio), [split]) == {}


def test_a_step_that_is_taken_back_or_is_the_splits_own_is_none_alone():
    split, closes = StockSplit(EX_DATE, 2.0), raw(2.0)
    closes[10:30] *= 2
    assert lone_steps(DAYS, closes, [split]) == {}
    assert lone_steps(DAYS, np.full(len(DAYS), 50.0), [split]) == {}


@pytest.mark.parametrize("shown", [0, 1])
def test_one_of_two_equal_splits_that_prices_do_not_show_is_no_step_of_the_other(shown):
    splits = (StockSplit(DAYS[20].item(), 2.0), StockSplit(DAYS[60].item(), 2.0))
    at = (20, 60)[shown]
    closes = np.where(np.arange(len(DAYS)) < at, 50.0, 25.0)
    assert lone_steps(DAYS, closes, splits) == {}


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.sampled_from([1.5, 2.0, 0.1, 7.0]), st.floats(0.001, 0.05))
def test_ordinary_prices_have_none_and_a_forgotten_split_is_found_in_all(seed, ratio, spread):
    noise = np.clip(np.random.default_rng(seed).normal(0, spread / 3, len(DAYS)), -spread, spread)
    closes = raw(ratio, noise)
    assert found(closes, StockSplit(EX_DATE, ratio)) == []
    closes[12:40] *= ratio
    assert found(closes, StockSplit(EX_DATE, ratio)) == [(12, 40)]
