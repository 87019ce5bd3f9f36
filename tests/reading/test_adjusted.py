"""Adjusted rows of many tickers: prices and volumes change in opposite directions; where a seam begins."""

from contextlib import nullcontext
from datetime import date, timedelta

import polars as pl
import pytest

from ingest.cache.manifest.records import Coverage
from ingest.errors import AcrossSeam, LosesRows
from ingest.market.adjust import without_repeats
from ingest.market.corporate_actions import Actions, StockSplit
from ingest.reading.adjusting.actions import check_seams
from ingest.reading.adjusting.adjusted import SEAM_SESSIONS, apply, seams
from ingest.splitting.diff import refuse_loss

FIRST = date(2025, 1, 1)


def day(number):
    return FIRST + timedelta(days=number)


def rows(*numbers, ticker="A"):
    told = {"ticker": ticker, "open": 10.0, "high": 12.0, "low": 8.0, "close": 11.0, "volume": 100.0}
    return pl.DataFrame([{**told, "date": day(number)} for number in numbers])


def test_a_split_divides_prices_and_multiplies_volumes_of_its_ticker_alone():
    held = pl.concat([rows(0, 1, 2), rows(0, 1, ticker="B")])
    for adjust in ("splits", "all"):
        found = apply(held, {"A": Actions((StockSplit(day(2), 4.0),))}, adjust)
        assert found["close"].to_list() == [2.75, 2.75, 11.0, 11.0, 11.0]
        assert found["volume"].to_list() == [400.0, 400.0, 100.0, 100.0, 100.0]


@pytest.mark.parametrize("missed", [SEAM_SESSIONS - 1, SEAM_SESSIONS])
def test_a_seam_has_no_rows_in_just_so_many_held_sessions(missed):
    coverage = Coverage(frozenset(map(day, range(missed + 2))), {})
    found = [(one.before, one.after, one.sessions) for one in seams(rows(0, missed + 1), coverage)]
    assert found == [(day(0), day(missed + 1), missed)] * (missed >= SEAM_SESSIONS)


def test_a_split_that_is_listed_again_within_a_week_counts_once():
    for apart, kept in ((7, 1), (8, 2)):
        assert len(without_repeats([StockSplit(day(0), 4.0), StockSplit(day(apart), 4.0)])) == kept


@pytest.mark.parametrize(("ex", "refused"), [(0, False), (1, True), (SEAM_SESSIONS + 1, True), (99, True)])
def test_nothing_is_adjusted_across_a_seam_for_what_happened_since_it_began(ex, refused):
    coverage = Coverage(frozenset(map(day, range(SEAM_SESSIONS + 2))), {})
    actions = {"A": Actions((StockSplit(day(ex), 4.0),))}
    with pytest.raises(AcrossSeam) if refused else nullcontext():
        check_seams(rows(0, SEAM_SESSIONS + 1), coverage, actions)


def test_a_tenth_of_the_rows_may_go_and_not_a_row_more():
    refuse_loss(10, 100)
    with pytest.raises(LosesRows):
        refuse_loss(11, 100)
