"""Other markets than stocks: their requests to Yahoo, and their frames, compared with the real yfinance."""

import math
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pandas as pd
import polars as pl
import pytest
from reading_kit import walk, world
from yahoo_kit import Security, fresh_yfinance, past_sessions, plain_history

from ingest import settings
from ingest.errors import IngestWarning, NotFound
from ingest.market.catalogue import CATALOGUE, STOCKS_DAY, named
from ingest.pipeline.bring import bring
from ingest.reading import history as stored
from ingest.reading.adjusting.actions import HistoryQuery
from ingest.reading.adjusting.adjusted import SEAM_SESSIONS
from ingest.reading.adjusting.freshness import newest_session
from ingest.reading.smart.massive import massive_frame
from ingest.reading.smart.query import Query, window_of
from ingest.reading.smart.yahoo import yahoo_frame

__all__ = ["fresh_yfinance"]
pytestmark = pytest.mark.usefixtures("fresh_yfinance", "loopback_keys")

CRYPTO, FOREX, INDICES, OPTIONS = (named(f"{market}-day") for market in ("crypto", "forex", "indices", "options"))
DAYS = {one: past_sessions(40, one) for one in (CRYPTO, FOREX, INDICES, OPTIONS)}
MIDNIGHT = time(0)
OPTION = "O:SPY271217C00650000"


def at_yahoo(dataset, days, volume, **named):
    """A security with the days that Yahoo has for its market."""
    zone = {CRYPTO: "UTC", FOREX: "Europe/London"}.get(dataset, "America/New_York")
    opens = MIDNIGHT if dataset in (CRYPTO, FOREX) else time(9, 30)
    bars = {day: (*prices, volume) for day, (*prices, _) in walk(days, **named).items()}
    return Security(bars, zone=zone, opens=opens)


def massive(days, volume, **named):
    return Security({day: (*prices, volume) for day, (*prices, _) in walk(days, **named).items()})


def weekdays(days):
    """The days that Yahoo has for currencies."""
    return [day for day in days if day.weekday() < 5]


def world_of(monkeypatch, tmp_path, dataset):
    """One security of a market, at both sources; Yahoo counts its volume in another unit, and has no Sundays."""
    ticker, symbol, volume = {
        CRYPTO: ("X:BTC-USD", "BTC-USD", 123.456789),
        FOREX: ("C:EUR-USD", "EURUSD=X", 98_765.0),
        INDICES: ("I:SPX", "^GSPC", 0.0),
        OPTIONS: (OPTION, "SPY271217C00650000", 12.0),
    }[dataset]
    days = DAYS[dataset]
    # The same path on the days that both have.
    theirs = at_yahoo(dataset, days, 5_000_000_000)
    theirs.bars = {day: bar for day, bar in theirs.bars.items() if dataset is CRYPTO or day.weekday() < 5}
    return (
        world(monkeypatch, tmp_path, {ticker: massive(days, volume)}, {symbol: theirs}, days, dataset),
        ticker,
        symbol,
    )


@pytest.fixture
def open_world(monkeypatch, tmp_path):
    opened = []

    def start(dataset):
        context, ticker, symbol = world_of(monkeypatch, tmp_path, dataset)
        opened.append(context)
        return context.__enter__(), ticker, symbol

    yield start
    for context in opened:
        context.__exit__(None, None, None)


def frame(here, dataset, ticker, start, auto_adjust=True, actions=False, fetch=True):
    query = Query(ticker, start, newest_session(dataset), auto_adjust, actions, fetch, dataset)
    chosen = settings.load(here.config())
    bring(chosen, query)
    return massive_frame(chosen, query)


def history(here, dataset, ticker, **named):
    return stored.history(settings.load(here.config()), dataset, HistoryQuery([ticker], **named))


@pytest.mark.parametrize(
    ("dataset", "auto_adjust", "actions"),
    [(CRYPTO, False, True), (FOREX, True, False), (INDICES, False, True)],
    ids=["crypto", "forex", "indices"],
)
def test_a_frame_is_the_one_that_yfinance_gives_but_for_the_volume(open_world, dataset, auto_adjust, actions):
    here, ticker, symbol = open_world(dataset)
    days = DAYS[dataset]
    here.server.forbidden.update(map(dataset.key, days[-5:-2]))
    mine = frame(here, dataset, ticker, days[10], auto_adjust, actions)
    theirs = plain_history(
        symbol, start=days[10], end=days[-1] + timedelta(days=1), auto_adjust=auto_adjust, actions=actions
    )
    known = {str(day) for day in theirs.index.date}
    assert [str(day) for day in mine.index.date if str(day) not in known] == [
        str(day) for day in days[10:] if str(day) not in known and day not in days[-5:-2]
    ]  # Massive's Sundays
    both = mine[[str(day) in known for day in mine.index.date]]
    pd.testing.assert_index_equal(both.index, theirs.index)
    assert list(mine.columns) == list(theirs.columns)
    pd.testing.assert_frame_equal(
        both.drop(columns="Volume"), theirs.drop(columns="Volume"), check_exact=False, rtol=3e-7, atol=1e-6
    )
    volume = mine["Volume"].to_list()
    place = len(days) - 10 - 5
    massives = {CRYPTO: 123.456789, FOREX: 98_765, INDICES: 0}[dataset]
    assert volume[:place] == [massives] * place
    filled = [one for one in volume[place:] if one != massives]
    assert all(math.isnan(one) for one in filled) if dataset is CRYPTO else set(filled) <= {0}
    assert mine["Volume"].dtype == (float if dataset is CRYPTO else int)
    assert len(mine.attrs["sources"]["yahoo"]) == 1


def test_a_run_does_not_ask_yahoo_about_markets_without_actions_and_gaps(open_world):
    here, ticker, symbol = open_world(CRYPTO)
    here.place.yahoo = True
    days = DAYS[CRYPTO]
    here.place.run(days[0], days[-2], tracked={ticker})
    assert here.yahoo.asked == []
    del here.server.objects[CRYPTO.key(days[-1])]
    assert here.place.run(days[0], days[-1], tracked={ticker}).finished.yahoo_rows == 1
    assert here.yahoo.asked == [symbol]


@pytest.mark.filterwarnings("ignore:.* missing for C.EUR-USD")  # Sundays, which Yahoo does not have
@pytest.mark.parametrize("dataset", [CRYPTO, FOREX], ids=lambda one: one.short)
def test_a_run_stores_yahoos_rows_of_missing_sessions_without_a_volume(open_world, dataset):
    here, ticker, symbol = open_world(dataset)
    here.place.yahoo = True
    refused = DAYS[dataset][:5]
    here.server.forbidden.update(map(dataset.key, refused))
    ran = here.place.run(DAYS[dataset][0], DAYS[dataset][-1], tracked={ticker})
    assert (ran.finished.exit_code, here.yahoo.asked) == (0, [symbol])
    rows = history(here, dataset, ticker, fetch=False)
    yahoo = rows.filter(pl.col("source") == "yahoo")
    assert yahoo["date"].to_list() == (refused if dataset is CRYPTO else weekdays(refused))
    assert yahoo["volume"].null_count() == rows["volume"].null_count() == yahoo.height
    again = here.place.run(DAYS[dataset][0], DAYS[dataset][-1], tracked={ticker})
    assert (again.finished.yahoo_rows, here.yahoo.asked) == (0, [symbol])


def test_contracts_are_never_adjusted_and_never_asked_for_at_yahoo(open_world):
    here, _, symbol = open_world(OPTIONS)
    here.place.yahoo = True
    days = DAYS[OPTIONS]
    here.server.forbidden.update(map(OPTIONS.key, days[:3]))
    ran = here.place.run(days[0], days[-1], tracked={OPTION})
    assert [notice for notice in ran.notices if "Yahoo" in notice] == []
    raw = history(here, OPTIONS, OPTION)
    assert raw["date"].to_list() == days[3:]
    for adjust in ("splits", "all"):
        assert history(here, OPTIONS, OPTION, adjust=adjust).equals(raw)
    mine = frame(here, OPTIONS, OPTION, days[3], auto_adjust=False, actions=True)
    assert mine["Adj Close"].to_list() == mine["Close"].to_list() == raw["close"].to_list()
    assert not mine[["Dividends", "Stock Splits"]].to_numpy().any()
    assert str(mine.index.tz) == "America/New_York"
    here.yahoo.securities["O:" + symbol] = here.yahoo.securities[symbol]
    with pytest.raises(NotFound, match=f"{symbol}7 .*is not looked up at Yahoo, which does not have options-day"):
        frame(here, OPTIONS, f"{OPTION}7", days[3])
    assert here.yahoo.asked == []


def test_contracts_that_come_and_go_have_no_seams(monkeypatch, tmp_path):
    days = past_sessions(SEAM_SESSIONS + 6, OPTIONS)
    rare = massive([*days[:3], *days[-3:]], 1.0)
    with world(monkeypatch, tmp_path, {OPTION: rare, "O:Z": massive(days, 1.0)}, {}, days, OPTIONS) as here:
        here.place.run(days[0], days[-1], tracked=())
        assert history(here, OPTIONS, OPTION, adjust="all").height == len(frame(here, OPTIONS, OPTION, days[0])) == 6


def test_the_newest_session_of_contracts_is_missing_in_words_of_its_own(open_world):
    here, *_ = open_world(OPTIONS)
    del here.server.objects[OPTIONS.key(DAYS[OPTIONS][-1])]
    with pytest.warns(IngestWarning, match="1 session from .* is missing: Massive does not have them yet"):
        frame(here, OPTIONS, OPTION, DAYS[OPTIONS][0])


def test_a_coin_of_the_same_letters_is_refused(open_world):
    here, ticker, symbol = open_world(CRYPTO)
    days = DAYS[CRYPTO]
    here.server.forbidden.update(map(CRYPTO.key, days[-5:-2]))
    here.yahoo.securities[symbol] = at_yahoo(CRYPTO, days, 1, first=93.0)
    with pytest.warns(IngestWarning, match=r"Yahoo's prices of X:BTC-USD disagree with Massive: .* another security$"):
        mine = frame(here, CRYPTO, ticker, days[10])
    assert list(mine.attrs["sources"]) == ["massive", "missing"]


def test_prices_of_other_exchanges_may_lie_further_apart_than_those_of_one(open_world):
    here, ticker, symbol = open_world(CRYPTO)
    days = DAYS[CRYPTO]
    here.server.forbidden.update(map(CRYPTO.key, days[-5:-2]))
    here.yahoo.securities[symbol] = at_yahoo(CRYPTO, days, 1, first=103.0)
    assert len(frame(here, CRYPTO, ticker, days[10])) == 30


def test_what_has_no_counterpart_at_yahoo_says_so(open_world):
    here, *_ = open_world(CRYPTO)
    words = "X:UNICORN-USD is not looked up at Yahoo: its symbol there is unknown"
    with pytest.warns(IngestWarning, match=words), pytest.raises(NotFound, match=words):
        frame(here, CRYPTO, "X:UNICORN-USD", DAYS[CRYPTO][10])
    with pytest.raises(NotFound, match=words):
        yahoo_frame(settings.load(here.config()), "X:UNICORN-USD", True, False, CRYPTO, start=DAYS[CRYPTO][0])
    assert here.yahoo.asked == []


def test_yahoos_own_frame_of_a_coin_is_kept_under_massives_name(open_world):
    here, ticker, symbol = open_world(CRYPTO)
    days = DAYS[CRYPTO]
    here.place.run(days[0], days[20], tracked={ticker})
    whole = yahoo_frame(settings.load(here.config()), ticker, True, False, CRYPTO, start=days[0])
    pd.testing.assert_frame_equal(whole, plain_history(symbol, start=days[0], actions=False))
    assert history(here, CRYPTO, ticker, fetch=False)["date"].to_list() == days


@pytest.mark.parametrize(
    ("short", "moment", "newest"),
    [
        ("stocks-day", "2025-07-03T20:59", date(2025, 7, 2)),
        ("stocks-day", "2025-07-03T21:00", date(2025, 7, 3)),
        ("stocks-day", "2025-07-05T01:00", date(2025, 7, 3)),  # of a holiday
        ("options-day", "2025-12-01T22:00", date(2025, 12, 1)),
        ("crypto-day", "2025-07-05T00:59", date(2025, 7, 3)),
        ("crypto-day", "2025-07-05T01:00", date(2025, 7, 4)),
        ("forex-day", "2025-07-06T12:00", date(2025, 7, 4)),  # of a Sunday, before its evening
        ("forex-day", "2025-07-07T01:00", date(2025, 7, 6)),
        ("futures-cme-day", "2025-07-07T22:59", date(2025, 7, 4)),
        ("futures-cme-day", "2025-07-07T23:00", date(2025, 7, 7)),
    ],
)
def test_a_session_is_over_by_the_clock_of_its_market(short, moment, newest):
    assert newest_session(named(short), datetime.fromisoformat(moment).replace(tzinfo=UTC)) == newest


def test_five_days_of_a_coin_are_five_days():
    first, last = window_of("5d", None, None, CRYPTO)
    assert (last - first).days == 4


def test_only_stocks_have_splits_and_only_days_are_filled():
    assert {one.short for one in CATALOGUE.values() if one.splits} == {"stocks-day", "stocks-minute"}
    filled = {one.short for one in CATALOGUE.values() if one.is_filled_from_yahoo}
    assert filled == {"stocks-day", "indices-day", "forex-day", "crypto-day"}
    assert not replace(STOCKS_DAY, spelling=None).is_filled_from_yahoo
