"""Bars of every size compared with the real yfinance: half day, splits, payouts, extended hours, thin trading."""

import random
from datetime import timedelta

import pandas as pd
import pytest
from minutes_kit import added_up, at, edges_of, minutes_text, some_minutes
from pipeline_kit import write_keys
from reading_kit import same, walk, world
from yahoo_kit import Security, fresh_yfinance, past_sessions, plain_history

import ingest
from ingest.demo.files.market import pack
from ingest.errors import NotFound
from ingest.market.calendars import Calendar
from ingest.market.catalogue import STOCKS_MINUTE

__all__ = ["fresh_yfinance"]
pytestmark = pytest.mark.usefixtures("fresh_yfinance", "loopback_keys")

SIZES = {"1m": 1, "2m": 2, "5m": 5, "15m": 15, "30m": 30, "60m": 60, "1h": 60, "90m": 90}
YEAR = past_sessions(260)
HALF = max(day for day in Calendar.of("XNYS").early if day in YEAR[3:-12])
AT = YEAR.index(HALF)
DAYS = YEAR[AT - 3 : AT + 2]
SPLITS = {HALF: (4, 1)}
PAID = {DAYS[1]: 0.5, HALF: 0.26}


def minutes_of(share, seed):
    bars = walk(DAYS, splits=SPLITS)
    return {day: some_minutes(day, bars[day][0], share, seed) for day in DAYS}


MINUTES = {"AAPL": minutes_of(0.4, 0), "VTI": minutes_of(0.02, 1)}
for day, minutes in MINUTES["AAPL"].items():  # traded as the day begins, and as the session opens
    first = minutes[min(minutes)]
    minutes |= {at(day, 4): first, at(day, 9, 30): first}


def served(minutes, size):
    """Yahoo's bars of a size: of all hours, with a row without numbers where nothing was traded."""
    found = {}
    for day in minutes:
        edges = edges_of(day, size, prepost=True, close=Calendar.of("XNYS").close(day).hour)
        found |= {begin: None for begin, _ in edges} | added_up(minutes[day], edges)
    return found


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    home = tmp_path_factory.mktemp("sizes")
    write_keys(home / "credentials")
    named = {"AAPL": {"instrument": "EQUITY"}, "VTI": {"instrument": "ETF", "gains": {HALF: 1.5}}}
    everyone = {
        ticker: Security(
            walk(DAYS, splits=SPLITS),
            SPLITS,
            PAID,
            within={name: served(MINUTES[ticker], size) for name, size in SIZES.items() if name != "30m"},
            **more,
        )
        for ticker, more in named.items()
    }
    with pytest.MonkeyPatch.context() as patch, world(patch, home, everyone, everyone, DAYS) as found:
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "credentials"))
        for day in DAYS:
            text = minutes_text({ticker: minutes[day] for ticker, minutes in MINUTES.items()})
            found.server.put(STOCKS_MINUTE.key(day), pack(text))
        yield found


def windowed(interval, **arguments):
    """Up to the half day, which is all that Yahoo returns at once for 1m."""
    return {"interval": interval, "start": DAYS[0], "end": DAYS[-1] + timedelta(days=1), **arguments}


def some(combinations, few):
    """All combinations in long runs, and these few in every run."""
    return [one if one in few else pytest.param(*one, marks=pytest.mark.long) for one in combinations]


MASSIVE = [(interval, prepost) for interval in (*SIZES, "1d") for prepost in (True, False)]
YAHOO = [(interval, prepost) for interval in (*SIZES, "1d", "5d", "1wk", "1mo", "3mo") for prepost in (True, False)]


@pytest.mark.parametrize(
    ("interval", "prepost"),
    some(
        MASSIVE,
        [("1m", True), ("90m", True), ("30m", False), ("60m", True), ("1h", True), ("1h", False), ("1d", False)],
    ),
)
def test_bars_of_massive_are_yfinances(here, interval, prepost):
    for ticker in ("AAPL", "VTI"):
        how = windowed(interval, prepost=prepost, auto_adjust=False, actions=True)
        mine = ingest.get_smart_data(ticker, data_source="massive", config=here.config(), **how)
        theirs = plain_history(ticker, **how)
        events = [name for name in theirs.columns if name in ("Dividends", "Stock Splits", "Capital Gains")]
        if interval == "1d" or (ticker == "AAPL" and (interval, prepost) != ("30m", True)):
            same(mine, theirs)
        else:  # yfinance has events at bars without numbers (of 30m at midnight), or a day before one that opens late
            same(mine.drop(columns=events), theirs.dropna().drop(columns=events))
        sums = mine[events].groupby(mine.index.date).sum().to_dict()
        assert {day: cash for day, cash in sums["Dividends"].items() if cash} == {
            day: pytest.approx(cash / (4 if day < HALF else 1)) for day, cash in PAID.items()
        }


@pytest.mark.parametrize(("interval", "prepost"), some(YAHOO, [("1m", True), ("1h", True), ("1wk", False)]))
def test_bars_of_yahoo_are_yfinances_for_windows_that_end_long_ago(here, interval, prepost):
    for window in ({"start": DAYS[0], "end": DAYS[3]}, {"start": DAYS[1]} if interval != "1m" else {}):
        if window:
            how = {"interval": interval, "prepost": prepost, "actions": True, **window}
            mine = ingest.get_smart_data("VTI", config=here.config(), **how)
            pd.testing.assert_frame_equal(mine, plain_history("VTI", **how))


def test_why_yahoo_has_no_minutes_is_said(here):
    with pytest.raises(NotFound, match="Only 8 days worth of 1m granularity data"):
        ingest.get_smart_data("VTI", config=here.config(), interval="1m", start=YEAR[AT - 20], end=DAYS[-1])


@pytest.mark.filterwarnings("ignore:A. no row on")
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 40))])
def test_random_minutes_are_yfinances_bars(monkeypatch, tmp_path, seed):
    """Prices and volumes of each bar, and the corporate actions of each day with a bar."""
    chance = random.Random(seed)
    at, name = chance.randrange(3, len(YEAR) - 15), chance.choice(["5m", "15m", "30m", "60m", "1h"])
    days = chance.choice([DAYS, YEAR[at : at + 5]])
    splits = {day: chance.choice([(4, 1), (1, 10), (3, 2)]) for day in chance.sample(days, chance.choice([0, 1]))}
    paid = {day: round(chance.uniform(0.01, 2), 4) for day in chance.sample(days, chance.choice([0, 1, 2]))}
    gains = dict.fromkeys(chance.sample(days, chance.choice([0, 1])), 0.5)
    bars, share = walk(days, splits=splits), chance.choice([0.005, 0.05, 0.5])
    minutes = {day: some_minutes(day, bars[day][0], share, seed) for day in days if chance.random() < 0.9}
    asked = "15m" if name == "30m" else name
    within = {asked: served(minutes, SIZES[asked])}
    fund = Security(bars, splits, paid, gains=gains, instrument=chance.choice(["ETF", "EQUITY"]), within=within)
    with world(monkeypatch, tmp_path, {"A": fund}, {"A": fund}, days) as here:
        for day in days:
            here.server.put(
                STOCKS_MINUTE.key(day), pack(minutes_text({"A": minutes.get(day, {}), "B": some_minutes(day)}))
            )
        how = {
            "interval": name,
            "start": days[0],
            "end": days[-1] + timedelta(days=1),
            "prepost": chance.random() < 0.5,
        }
        theirs = plain_history("A", auto_adjust=False, actions=True, **how)
        mine = ingest.get_smart_data(
            "A", data_source="massive", auto_adjust=False, actions=True, config=here.config(), **how
        )
        assert list(mine.columns) == list(theirs.columns)
        prices = ["Open", "High", "Low", "Close", "Adj Close", "Volume"]
        whole = theirs[prices].dropna()
        if name == "30m":  # which yfinance sums from halves, whose volumes are whole shares
            assert (mine["Volume"] - whole["Volume"]).abs().max() <= 1
            mine["Volume"] = whole["Volume"]
        same(mine[prices], whole)
        traded = sorted(set(mine.index.date))
        for column, events in (("Dividends", paid), ("Capital Gains", gains), ("Stock Splits", splits)):
            if column in mine.columns:
                assert {stamp.date() for stamp, value in mine[column].items() if value} == {
                    min(day for day in traded if day >= ex_date)
                    for ex_date in events
                    if traded[0] <= ex_date <= traded[-1]
                }
