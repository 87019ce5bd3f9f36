"""The adjusted views have the numbers of `history`, and say which tickers they leave out."""

from datetime import date, timedelta

import polars as pl
import pytest
import typer.main
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pipeline_kit import Place, market_objects, trading_days, window
from polars.testing import assert_frame_equal
from reading_kit import security, world
from yahoo_kit import fresh_yfinance, past_sessions

import ingest
from ingest.cache.manifest import Manifest
from ingest.cache.manifest.yahoo import ActionCoverage, Refusal
from ingest.cli.app import app
from ingest.demo.servers import loopback
from ingest.errors import IngestWarning
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.corporate_actions import Actions, Dividend, StockSplit
from ingest.querying.adjusted import SUFFIXES

__all__ = ["fresh_yfinance"]

DAYS = trading_days(date(2025, 2, 20), 9)
NAMES = ["AAPL", "BRK.B", "MSFT", "TRUE", "ZVZZT"]
COLUMNS = ["ticker", "date", "open", "high", "low", "close", "volume", "transactions"]

EX_DATES = st.sampled_from([date(2024, 1, 2), *DAYS, DAYS[-1] + timedelta(days=1), date(2025, 6, 2)])
SPLITS = st.dictionaries(EX_DATES, st.sampled_from([0.1, 2.0, 4.0, 1.5, 1 / 3]), max_size=3)
AMOUNTS = st.sampled_from([0.01, 0.25, 1.0, 1e5])
PAYOUTS = st.one_of(
    st.tuples(AMOUNTS),
    st.tuples(AMOUNTS, st.sampled_from([3.0, 97.31])),  # with the close before the ex-date
    st.tuples(AMOUNTS, st.none(), st.sampled_from([0.9, 0.333])),  # with the share that Yahoo's own close keeps
)
PAID = st.dictionaries(EX_DATES, PAYOUTS, max_size=3)
BEGINS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([date(2024, 1, 2), DAYS[2], DAYS[-1]]))


@pytest.fixture(scope="module")
def place(environment, tmp_path_factory):
    with loopback.serve(market_objects(DAYS)) as server:
        place = Place(tmp_path_factory.mktemp("adjusted") / "cache", server.endpoint_url, lake=True)
        place.run(*window(DAYS), tracked=frozenset(NAMES[:2]))
    return place


def know(place, actions, first=date(2024, 1, 1), begins=None):
    """Make the corporate actions of these tickers, and of no others, the known ones, since `first`.

    Each ticker has splits and dividends, and may have capital gains, by ex-date. Yahoo's rows are said to begin on the
    date in `begins`.
    """
    with Manifest.open(place.root / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        with manifest.database.transaction() as db:
            for table in ("actions", "askings", "instruments", "refusals"):
                db.execute(f"DELETE FROM {table}")
        for ticker, (splits, *payouts) in actions.items():
            paid = [tuple(Dividend(day, *one) for day, one in sorted(found.items())) for found in payouts]
            known = Actions(tuple(StockSplit(*one) for one in sorted(splits.items())), *paid)
            asking = ActionCoverage(first, date(2026, 1, 1), begins=(begins or {}).get(ticker))
            manifest.yahoo.keep(ticker, asking, known, [])


@pytest.mark.filterwarnings("ignore::ingest.errors.IngestWarning")
def test_they_have_the_numbers_of_history_whatever_happened_to_the_shares(place):
    config = place.config()
    traded = set(ingest.sql("from tickers", config)["ticker"])

    @settings(max_examples=12, suppress_health_check=list(HealthCheck))
    @given(
        st.dictionaries(st.sampled_from(NAMES), st.tuples(SPLITS, PAID, PAID), min_size=1),
        st.sampled_from([date(2024, 1, 1), DAYS[3]]),
        BEGINS,
    )
    def check(actions, first, begins):
        know(place, actions, first, begins)
        missing = {}
        for adjust, end in SUFFIXES.items():
            tickers = sorted(actions)
            expected = ingest.history(
                tickers, adjust=adjust, columns=COLUMNS, errors="skip", fetch=False, config=config
            )
            found = ingest.sql(f"from stocks_day{end} order by ticker, date", config)
            assert_frame_equal(found, expected, check_exact=True)
            missing[adjust] = traded - set(expected["ticker"])
        left_out = ingest.sql("select adjust, ticker from unadjusted", config)
        assert sorted(left_out.rows()) == sorted((adjust, one) for adjust, found in missing.items() for one in found)

    check()


def test_a_ticker_that_cannot_be_adjusted_is_left_out_with_a_warning(place):
    know(place, {"AAPL": ({DAYS[4]: 2.0}, {}), "MSFT": ({}, {DAYS[3]: (100_000.0,)})})
    with pytest.warns(IngestWarning) as told:
        found = ingest.sql("select distinct ticker from stocks_day_adjusted", place.config())
    assert found["ticker"].to_list() == ["AAPL"]
    words = "stocks_day_adjusted lacks tickers that cannot be adjusted (1): MSFT; the table unadjusted says why"
    assert words in [str(one.message) for one in told]
    reasons = dict(ingest.sql("select ticker, reason from unadjusted where adjust = 'all'", place.config()).rows())
    assert "100000 paid" in reasons.pop("MSFT")
    assert set(reasons.values()) == {"Yahoo was not asked for its splits and dividends"}
    splits = ingest.sql("select ticker from unadjusted where adjust = 'splits'", place.config())
    assert set(splits["ticker"]) == set(reasons)


def test_what_yahoo_said_of_a_ticker_that_it_refused_is_the_reason(place):
    know(place, {})
    with Manifest.open(place.root / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        manifest.yahoo.refuse("BRK.B", Refusal(DAYS[0], DAYS[-1], "Yahoo has no such ticker"))
    query = "select distinct reason from unadjusted where ticker = 'BRK.B'"
    assert ingest.sql(query, place.config())["reason"].to_list() == ["Yahoo has no such ticker"]


def test_without_any_known_actions_they_are_empty_and_say_so(place):
    know(place, {})
    for end in SUFFIXES.values():
        with pytest.warns(IngestWarning, match=f"stocks_day{end} lacks .* whose splits and dividends are not known"):
            assert ingest.sql(f"from stocks_day{end}", place.config()).is_empty()


def test_another_company_of_the_same_ticker_is_left_out(place):
    know(place, {"AAPL": ({DAYS[7]: 2.0}, {}), "MSFT": ({}, {})}, begins={"AAPL": DAYS[6], "MSFT": DAYS[6]})
    with pytest.warns(IngestWarning) as told:
        found = ingest.sql("select distinct ticker from stocks_day_splits", place.config())
    assert any("cannot be adjusted (1): AAPL;" in str(one.message) for one in told)
    assert found["ticker"].to_list() == ["MSFT"]  # without anything to adjust for, the seam does not matter
    reasons = ingest.sql("select reason from unadjusted where ticker = 'AAPL'", place.config())["reason"]
    assert all(f"Yahoo has AAPL only since {DAYS[6]}" in one for one in reasons)


def test_adjusting_leaves_the_traded_prices_as_they_are(place):
    know(place, {"AAPL": ({DAYS[4]: 2.0}, {})})
    query = """
        select date, a.close / t.close as scale, a.volume / t.volume as shares
        from stocks_day_splits a join stocks_day t using (ticker, date) order by date
    """
    with pytest.warns(IngestWarning) as told:
        found = ingest.sql(query, place.config())
    assert any("AAPL" in str(one.message) for one in told)  # the generated prices do not jump
    later = pl.col("date") >= DAYS[4]
    assert found.filter(later).select("scale", "shares").unique().rows() == [(1.0, 1.0)]
    assert found.filter(~later).select("scale", "shares").unique().rows() == [(0.5, 2.0)]


def test_a_ticker_with_rows_before_what_is_known_is_left_out(place):
    know(place, {"AAPL": ({}, {})}, first=DAYS[3])
    with pytest.warns(IngestWarning) as told:
        assert ingest.sql("from stocks_day_splits", place.config()).is_empty()
    assert any("cannot be adjusted (1): AAPL;" in str(one.message) for one in told)
    assert "AAPL" in ingest.sql("from unadjusted", place.config())["ticker"].to_list()


def test_it_says_how_to_make_the_splits_of_a_ticker_known(place, monkeypatch):
    know(place, {})
    with Manifest.open(place.root / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        manifest.yahoo.refuse("AAPL", Refusal(DAYS[0], DAYS[-1], "Yahoo has no such ticker"))
    query = "from stocks_day_splits"
    first = sorted(
        name for name in ingest.day(DAYS[-1], config=place.config())["ticker"] if STOCKS_DAY.yahoo_symbol(name)
    )
    ticker = next(name for name in first if name != "AAPL")
    how = f"Run `ingest export {ticker} --adjust splits --out prices` to ask Yahoo for those of one ticker"
    assert how in place.here("sql", query, INGEST_FALLBACK__ENABLED="true").err
    assert how not in place.here("sql", query, INGEST_FALLBACK__ENABLED="false").err
    monkeypatch.setenv("INGEST_FALLBACK__ENABLED", "true")
    with pytest.warns(IngestWarning, match=rf'Call ingest.history\(tickers="{ticker}", adjust="splits"\) to ask Yahoo'):
        ingest.sql(query, place.config())


@pytest.mark.usefixtures("fresh_yfinance", "loopback_keys")
@pytest.mark.parametrize("how", ["history", "export"])
def test_what_it_says_makes_them_known(how, monkeypatch, tmp_path):
    days = past_sessions(130)
    traded = security(days, {days[110]: (4, 1)})
    with world(monkeypatch, tmp_path, {"AAPL": traded, "MSFT": traded}, {"AAPL": traded}, days) as here:
        here.place.run(days[0], days[-1], tracked=frozenset())
        config = here.config([])
        if how == "history":
            ingest.history(tickers="AAPL", adjust="splits", config=config)
        else:
            command = typer.main.get_command(app)
            command(
                ["export", "AAPL", "--adjust", "splits", "--out", str(tmp_path / "prices"), "--config", str(config)],
                standalone_mode=False,
            )
        with pytest.warns(IngestWarning, match="lacks 1 of the tickers .* MSFT"):
            found = ingest.sql("select ticker, count(*) as rows from stocks_day_splits group by 1", config)
    assert found.rows() == [("AAPL", len(days))]
