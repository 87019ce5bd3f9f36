"""The adjusted views have the numbers of `history`, and say which tickers they leave out."""

from datetime import date

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pipeline_kit import Place, market_objects, trading_days, window
from polars.testing import assert_frame_equal

import ingest
from ingest.cache.manifest import Manifest
from ingest.cache.manifest.yahoo import ActionCoverage
from ingest.demo.servers import loopback
from ingest.errors import IngestWarning
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.corporate_actions import Actions, Dividend, StockSplit
from ingest.querying.adjusted import SUFFIXES

DAYS = trading_days(date(2025, 2, 20), 9)
NAMES = ["AAPL", "BRK.B", "MSFT", "TRUE", "ZVZZT"]
COLUMNS = ["ticker", "date", "open", "high", "low", "close", "volume", "transactions"]

EX_DATES = st.sampled_from([date(2024, 1, 2), *DAYS[1:], date(2025, 6, 2)])
SPLITS = st.dictionaries(EX_DATES, st.sampled_from([0.1, 2.0, 4.0, 1.5]), max_size=3)
PAID = st.dictionaries(EX_DATES, st.sampled_from([0.01, 0.25, 1.0]), max_size=3)


@pytest.fixture(scope="module")
def place(environment, tmp_path_factory):
    with loopback.serve(market_objects(DAYS)) as server:
        place = Place(tmp_path_factory.mktemp("adjusted") / "cache", server.endpoint_url, lake=True)
        place.run(*window(DAYS), tracked=frozenset(NAMES[:2]))
    return place


def know(place, actions):
    """Make the corporate actions of these tickers, and of no others, the known ones."""
    with Manifest.open(place.root / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        with manifest.database.transaction() as db:
            for table in ("actions", "askings", "instruments", "refusals"):
                db.execute(f"DELETE FROM {table}")
        for ticker, (splits, paid) in actions.items():
            known = Actions(
                tuple(StockSplit(*one) for one in sorted(splits.items())),
                tuple(Dividend(day, amount) for day, amount in sorted(paid.items())),
            )
            manifest.yahoo.keep(ticker, ActionCoverage(date(2024, 1, 1), date(2026, 1, 1)), known, [])


@pytest.mark.filterwarnings("ignore::ingest.errors.IngestWarning")
def test_they_have_the_numbers_of_history_whatever_happened_to_the_shares(place):
    config = place.config()

    @settings(max_examples=15, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(st.sampled_from(NAMES), st.tuples(SPLITS, PAID), min_size=1))
    def check(actions):
        know(place, actions)
        for adjust, end in SUFFIXES.items():
            tickers = sorted(actions)
            expected = ingest.history(
                tickers, adjust=adjust, columns=COLUMNS, errors="skip", fetch=False, config=config
            )
            found = ingest.sql(f"from stocks_day{end} order by ticker, date", config)
            assert_frame_equal(found, expected, check_exact=True)

    check()


def test_a_ticker_that_cannot_be_adjusted_is_left_out_with_a_warning(place):
    know(place, {"AAPL": ({DAYS[4]: 2.0}, {}), "MSFT": ({}, {DAYS[3]: 100_000.0})})
    with pytest.warns(IngestWarning) as told:
        found = ingest.sql("select distinct ticker from stocks_day_adjusted", place.config())
    assert found["ticker"].to_list() == ["AAPL"]
    assert any("MSFT" in str(one.message) for one in told)


def test_without_any_known_actions_they_are_empty(place):
    know(place, {})
    for end in SUFFIXES.values():
        assert ingest.sql(f"from stocks_day{end}", place.config()).is_empty()


def test_adjusting_leaves_the_traded_prices_as_they_are(place):
    know(place, {"AAPL": ({DAYS[4]: 2.0}, {})})
    query = """
        select date, a.close / t.close as scale, a.volume / t.volume as shares
        from stocks_day_splits a join stocks_day t using (ticker, date) order by date
    """
    with pytest.warns(IngestWarning, match="AAPL"):  # the generated prices do not jump
        found = ingest.sql(query, place.config())
    later = pl.col("date") >= DAYS[4]
    assert found.filter(later).select("scale", "shares").unique().rows() == [(1.0, 1.0)]
    assert found.filter(~later).select("scale", "shares").unique().rows() == [(0.5, 2.0)]
