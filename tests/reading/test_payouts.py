"""Payouts that Yahoo lists, those that its adjusted close takes out, and the results of both."""

import math
import random
import warnings
from datetime import timedelta

import pandas as pd
import pytest
from pipeline_kit import write_keys
from reading_kit import same, walk, world
from yahoo_kit import Security, fresh_yfinance, past_sessions, plain_history, yahoo

import ingest
from ingest.errors import ActionsUnknown, IngestWarning, NotFound
from ingest.market.calendars import today
from ingest.market.yahoo.multipliers import unfollowed
from ingest.sources import yahoo as source

__all__ = ["fresh_yfinance"]
pytestmark = pytest.mark.usefixtures("fresh_yfinance", "loopback_keys")

DAYS = past_sessions(40)
GAP = DAYS[20]


def flat(close, **events):
    """A security whose closes do not move."""
    return Security({day: (*[float(close)] * 4, 1000.0) for day in DAYS}, **events)


def missing(security, *days):
    """A security as Yahoo has it, without the rows of some days but with their corporate actions."""
    rest = {day: bar for day, bar in security.bars.items() if day not in days}
    return Security(rest, security.splits, security.dividends, gains=security.gains, instrument=security.instrument)


def smart(here, ticker="AAPL", data_source="massive", **arguments):
    how = {"start": DAYS[15]} | arguments
    return ingest.get_smart_data(ticker, data_source=data_source, config=here.config(), **how)


def by_day(column):
    return {stamp.date(): value for stamp, value in column.items() if value}


def close_of(frame, day):
    return float(frame["Close"][[stamp.date() == day for stamp in frame.index]].iloc[0])


GAPS = {
    "dividend": ({}, {GAP: 2.0, DAYS[30]: 0.5}, {}),
    "gain": ({}, {DAYS[30]: 0.5}, {GAP: 4.0}),
    "split": ({GAP: (4, 1)}, {DAYS[30]: 0.5}, {}),
    "all on one day": ({GAP: (1, 10)}, {GAP: 2.0}, {GAP: 1.0}),
    "split in the gap, dividend after it": ({GAP: (4, 1)}, {DAYS[21]: 0.5}, {}),
    "tracked": ({GAP: (1, 10)}, {GAP: 2.0}, {GAP: 1.0}),
}
WRONG = {"BADA": 7.5, "BADB": 5.0, "BADC": -0.5}


def cases():
    """Securities by ticker: as they are, and as Yahoo has them."""
    found = {}
    for at, (name, (splits, dividends, gains)) in enumerate(GAPS.items()):
        whole = Security(walk(DAYS, splits=splits), splits, dividends, gains=gains, instrument="ETF")
        found["GAP" + chr(65 + at)] = (whole, missing(whole, GAP, *([DAYS[21]] if "after" in name else [])))
    plain = Security(walk(DAYS), dividends={GAP: 2.0})
    found["OWN"] = (plain, missing(plain, GAP))
    found["NOROW"] = (missing(plain, GAP), missing(plain, GAP))
    fund = Security(walk(DAYS), dividends={DAYS[30]: 0.123456}, gains={GAP: 4.0, DAYS[30]: 0.5}, instrument="ETF")
    found["VTI"] = (fund, fund)
    adr = flat(20, dividends={GAP: 0.2, DAYS[-1]: 1e-4}, listed={GAP: 30.0, DAYS[-1]: 0.15})
    found["ADR"] = (adr, adr)
    for ticker, amount in WRONG.items():
        found[ticker] = (flat(5, dividends={GAP: amount, DAYS[30]: 0.1}),) * 2
    silent = flat(50, dividends={GAP: 1.0, DAYS[30]: 0.5})
    told = Security(silent.bars, dividends={DAYS[30]: 0.5})
    told.adjusted_closes = silent.adjusted_closes
    found["MUTE"] = (silent, told)
    found["LISTS"] = (flat(50, dividends={GAP: 0.0}, listed={GAP: 1.0}),) * 2
    upside = flat(5, dividends={GAP: 0.1})
    upside.adjusted_closes = lambda: {day: -5.0 if day < GAP else 5.0 for day in DAYS}
    found["MINUS"] = (upside, upside)
    return found


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A cache with all sessions; each test has a ticker of its own."""
    home, known = tmp_path_factory.mktemp("payouts"), cases()
    write_keys(home / "credentials")
    massive, at_yahoo = ({name: both[n] for name, both in known.items()} for n in (0, 1))
    with pytest.MonkeyPatch.context() as patch, world(patch, home, massive, at_yahoo, DAYS) as found:
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "credentials"))
        found.place.run(DAYS[0], DAYS[-1], tracked={"GAPF"})
        found.cases = known
        yield found


# Where Yahoo has no row of the ex-date


@pytest.mark.parametrize("name", GAPS)
def test_an_event_on_a_day_that_yahoo_lacks_counts_from_that_day_on(here, name):
    ticker, (splits, dividends, gains) = "GAP" + chr(65 + list(GAPS).index(name)), GAPS[name]
    mine, adjusted = smart(here, ticker, actions=True), here.cases[ticker][1].adjusted_closes()
    right = {day: close for day, close in adjusted.items() if day >= DAYS[15]}
    assert {day: close_of(mine, day) for day in right} == pytest.approx(right, rel=3e-7)
    assert by_day(mine["Dividends"]) == pytest.approx(dividends)
    assert by_day(mine["Capital Gains"]) == pytest.approx(gains)
    assert by_day(mine["Stock Splits"]) == {day: new / old for day, (new, old) in splits.items()}
    pd.testing.assert_frame_equal(smart(here, ticker, actions=True), mine)  # now from the manifest
    history = ingest.history(ticker, DAYS[15], adjust="all", config=here.config())
    assert history["close"].to_list() == mine["Close"].tolist()


def test_yahoos_own_frame_keeps_its_prices_and_its_events_are_kept_by_their_own_dates(here):
    how = {"start": DAYS[15], "actions": True}
    with pytest.warns(IngestWarning, match=f"OWN: Yahoo has no row on {GAP}; yfinance shows .* at {DAYS[19]}"):
        mine = smart(here, "OWN", data_source="yfinance", **how)
    pd.testing.assert_frame_equal(mine, plain_history("OWN", **how))
    asked = len(here.yahoo.asked)
    assert by_day(smart(here, "OWN", **how)["Dividends"]) == {GAP: 2.0}
    assert len(here.yahoo.asked) == asked


def test_an_event_without_a_row_anywhere_stands_at_the_next_one_and_is_said(here):
    with pytest.warns(IngestWarning, match=f"NOROW: no row on {GAP}; .* shown at {DAYS[21]}"):
        mine = smart(here, "NOROW", actions=True)
    assert by_day(mine["Dividends"]) == {DAYS[21]: 2.0}
    right = here.cases["NOROW"][1].adjusted_closes()[DAYS[19]]
    assert close_of(mine, DAYS[19]) == pytest.approx(right, rel=3e-7)


def test_an_event_that_is_listed_before_its_day_is_not_in_force(monkeypatch):
    """Yahoo sometimes lists an action of the next day, for which its prices are not adjusted yet."""
    tomorrow = today() + timedelta(days=1)
    early = Security(walk(DAYS), {tomorrow: (4, 1)}, {tomorrow: 1.0}, ahead=timedelta(days=2))
    early.later_splits, early.adjusted_closes = lambda day: 1.0, early.closes
    with yahoo(monkeypatch, {"AAPL": early}):
        found = source.shared().daily("AAPL", DAYS[0])
    assert (found.actions.splits, found.actions.dividends, found.doubts) == ((), (), ())
    assert found.bars["close"].to_list() == [bar[3] for bar in early.bars.values()]


def test_a_yfinance_that_hides_its_answers_gives_a_doubt(monkeypatch):
    """Such as one that does not keep its access to Yahoo in `Ticker._data`."""
    from yfinance.base import TickerBase
    from yfinance.data import YfData
    from yfinance.scrapers.history import PriceHistory

    def otherwise(ticker):
        return PriceHistory(YfData(), ticker.ticker, "America/New_York")

    security = Security(walk(DAYS), {DAYS[10]: (4, 1)}, {GAP: 2.0}, gains={DAYS[30]: 1.0}, instrument="ETF")
    with yahoo(monkeypatch, {"AAPL": security}):
        told = source.shared().daily("AAPL", DAYS[0])
        monkeypatch.setattr(TickerBase, "_lazy_load_price_history", otherwise)
        found = source.shared().daily("AAPL", DAYS[0])
    assert (told.doubts, len(found.doubts)) == ((), 1)
    assert "hides Yahoo's own lists" in found.doubts[0]
    assert found.bars.equals(told.bars)
    assert found.actions == told.actions


# Funds


def test_a_gain_is_taken_out_as_a_dividend_is(here):
    at_once = smart(here, "VTI", actions=True)
    before, later = here.cases["VTI"][0].bars[DAYS[19]][3], here.cases["VTI"][0].bars[DAYS[29]][3]
    assert close_of(at_once, DAYS[19]) == pytest.approx((before - 4.0) * (1 - 0.623456 / later), rel=3e-7)
    same(at_once, plain_history("VTI", start=DAYS[15]))
    asked = len(here.yahoo.asked)
    pd.testing.assert_frame_equal(smart(here, "VTI", actions=True), at_once)
    assert len(here.yahoo.asked) == asked


KINDS = ["EQUITY", "ETF", "MUTUALFUND", "INDEX", "CURRENCY", "CRYPTOCURRENCY", "FUTURE", ""]


@pytest.mark.parametrize("auto_adjust", [False, pytest.param(True, marks=pytest.mark.long)])
def test_frames_are_yfinances_for_every_kind_of_security(monkeypatch, tmp_path, auto_adjust):
    """A security with corporate actions, one without, one that Massive does not have, and one stored before."""
    securities = {"NONE": Security(walk(DAYS), instrument="ETF")}
    for at, kind in enumerate(KINDS):
        gains = {GAP: 1.5, DAYS[33]: 0.25} if kind in ("ETF", "MUTUALFUND") else {}
        events = {"splits": {DAYS[25]: (3, 1)}, "dividends": {DAYS[12]: 0.5, GAP: 0.75}, "gains": gains}
        securities["A" + chr(65 + at)] = Security(walk(DAYS, splits=events["splits"]), instrument=kind, **events)
    massive = {name: one for name, one in securities.items() if name != "AC"}
    with world(monkeypatch, tmp_path, massive, securities, DAYS) as here:
        how = {"start": DAYS[15], "auto_adjust": auto_adjust, "actions": True}
        for name in securities:
            theirs = plain_history(name, **how)
            for _ in range(2):  # from Yahoo, then from the manifest
                same(smart(here, name, **how), theirs)
            pd.testing.assert_frame_equal(smart(here, name, data_source="yfinance", **how), theirs)


# Listed payouts, and those that Yahoo's adjusted close takes out


def test_thirty_yen_on_twenty_dollars_are_what_yahoos_adjusted_close_makes_of_them(here):
    right = pytest.approx([19.7999] * 5 + [19.9999] * 19 + [20.0], rel=3e-6)
    said = f"ADR: Yahoo lists 30 paid on {GAP}, and .* keeps 0.99 of the value: .*; likewise on {DAYS[-1]}"
    for data_source in ("massive", "massive", "yfinance"):  # from Yahoo, from the manifest, and Yahoo's own
        with pytest.warns(IngestWarning, match=said):
            assert smart(here, "ADR", data_source=data_source)["Close"].tolist() == right
    with pytest.warns(IngestWarning, match=said):
        history = ingest.history("ADR", DAYS[15], adjust="all", config=here.config())
    assert history["close"].to_list() == right
    history = ingest.history("ADR", DAYS[15], adjust="splits", config=here.config())
    assert history["close"].to_list() == [20.0] * 25


@pytest.mark.parametrize("ticker", WRONG)
def test_an_impossible_payout_is_refused_by_name(here, ticker):
    words = f"{ticker}.*Yahoo lists {WRONG[ticker]:g} paid on {GAP} on a close of 5"
    with pytest.raises(ActionsUnknown, match=words):
        smart(here, ticker)
    with pytest.raises(ActionsUnknown, match=words), pytest.warns(IngestWarning, match=words):
        smart(here, ticker, data_source="yfinance")
    with pytest.raises(ActionsUnknown, match=words):
        ingest.history(ticker, DAYS[15], adjust="all", config=here.config())
    assert ingest.history(ticker, DAYS[15], adjust="splits", config=here.config())["close"].to_list() == [5.0] * 25
    assert smart(here, ticker, start=GAP)["Close"].iloc[-1] == 5.0  # later rows are not affected
    with pytest.warns(IngestWarning, match=f"Adj Close is missing: .*{words}"):
        mine = smart(here, ticker, auto_adjust=False)
    assert (mine["Close"].tolist(), mine["Adj Close"].isna().all()) == ([5.0] * 25, True)


@pytest.mark.parametrize("interval", ["1d", "1wk"])
def test_an_adjusted_close_of_yahoos_that_cannot_be_is_refused_or_said(here, interval):
    """Its corporate actions are usable, so Massive's prices are adjusted correctly, with a warning."""
    how = {"data_source": "yfinance", "interval": interval}
    words = f"adjusted close of MINUS on {DAYS[15]} is -1 of its close"
    if interval == "1wk":
        with pytest.raises(ActionsUnknown, match=words):
            smart(here, "MINUS", **how)
        with pytest.warns(IngestWarning, match=words):
            smart(here, "MINUS", auto_adjust=False, **how)
        return
    said = f"MINUS: Yahoo's adjusted close keeps -1 of the value on {GAP}, for 0.1 that it lists as paid"
    with pytest.raises(ActionsUnknown, match=words), pytest.warns(IngestWarning, match=said):
        smart(here, "MINUS", **how)
    with pytest.warns(IngestWarning, match=said):
        smart(here, "MINUS", auto_adjust=False, **how)


def test_what_yahoo_takes_out_and_does_not_list_is_taken_out_and_said(here):
    for _ in range(2):
        with pytest.warns(IngestWarning, match=f"lists nothing paid on {GAP}.*keeps 0.98 of"):
            same(smart(here, "MUTE", actions=True), plain_history("MUTE", start=DAYS[15]))


def test_what_yahoo_lists_and_does_not_take_out_is_said(here):
    with pytest.warns(IngestWarning, match=f"lists 1 paid on {GAP}.*keeps 1 of"):
        same(smart(here, "LISTS", actions=True), plain_history("LISTS", start=DAYS[15]))


def test_an_adjusted_close_that_goes_up_and_down_is_said_and_not_followed(monkeypatch):
    odd, right = flat(50, dividends={DAYS[30]: 0.5}), flat(50, dividends={DAYS[30]: 0.5})
    odd.adjusted_closes = lambda: right.adjusted_closes() | {GAP: 40.0}
    with yahoo(monkeypatch, {"AAPL": odd}):
        found = source.shared().daily("AAPL", DAYS[0])
    assert [(one.amount, one.kept) for one in found.actions.dividends] == [(0.5, None)]
    assert [(one.ex_date, one.amount) for one in found.actions.odd] == [(GAP, 0), (DAYS[21], 0)]
    said = f"Yahoo's adjusted close keeps 1.2375 of the value on {GAP}, for nothing that it lists"
    assert unfollowed(found.actions.odd) == f"{said}; likewise on {DAYS[21]}"


def test_what_is_odd_is_said_whenever_it_matters_and_not_only_when_yahoo_is_asked(monkeypatch, tmp_path):
    odd, right = flat(50, dividends={DAYS[30]: 0.5}), flat(50, dividends={DAYS[30]: 0.5})
    odd.adjusted_closes = lambda: right.adjusted_closes() | {GAP: 40.0}
    said = f"AAPL: Yahoo's adjusted close keeps 1.2375 of the value on {GAP}, for nothing that it lists"
    with world(monkeypatch, tmp_path, {"AAPL": right}, {"AAPL": odd}, DAYS) as here:
        here.place.yahoo = True
        ran = here.place.run(DAYS[0], DAYS[-1], tracked={"AAPL"})
        assert any(notice.startswith(said) for notice in ran.notices)
        for ask in (
            lambda start: ingest.history("AAPL", start, adjust="all", config=here.config()),
            lambda start: smart(here, start=start),
        ):
            for _ in range(2):
                with pytest.warns(IngestWarning, match=said):
                    ask(DAYS[0])
            ask(DAYS[25])
        ingest.history("AAPL", adjust="splits", config=here.config())
        assert here.yahoo.asked == ["AAPL"]
        with pytest.warns(IngestWarning, match=said):
            smart(here, start=DAYS[0], data_source="yfinance")


def random_security(seed):
    """Any right history: prices of a cent to thousands, splits and payouts on any day."""
    chance = random.Random(seed)
    events = {}
    for name, share in (("splits", 0.05), ("dividends", 0.2), ("gains", 0.1)):
        events[name] = [day for day in DAYS if chance.random() < share * chance.choice([0, 1, 1])]
    level, bars = math.exp(chance.uniform(math.log(0.05), math.log(5000))), {}
    ratios = [(2, 1), (4, 1), (3, 2), (1, 10), (1253, 1000), (1, 8)]
    splits = {day: chance.choice(ratios) for day in events["splits"]}
    for day, ratio in [*splits.items()]:  # the same one again within a week counts once
        if any(one == ratio and timedelta(0) < day - before <= timedelta(7) for before, one in splits.items()):
            del splits[day]
    paid = {name: {} for name in ("dividends", "gains")}
    for day in DAYS:
        new, old = splits.get(day, (1, 1))
        for name, amounts in paid.items():
            if day in events[name]:
                amounts[day] = round(level * old / new * chance.choice([1e-4, 0.004, 0.02, 0.3]), 6)
        level = max(round(level * old / new * math.exp(chance.gauss(0, 0.02)), 4), 0.01)
        bars[day] = (level, round(level * 1.01, 4), round(level * 0.99, 4), level, float(chance.randint(0, 10**7)))
    fund = chance.choice(["ETF", "MUTUALFUND", "EQUITY"])
    gains = paid["gains"] if fund != "EQUITY" else {}
    return Security(bars, splits, paid["dividends"], gains=gains, instrument=fund)


SEEDS = [0, 37, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(100) if seed not in (0, 37))]


def with_holes(security, seed):
    """The same with some rows missing at Yahoo, and some without numbers; the first and the last are there."""
    chance = random.Random(f"holes {seed}")
    rest = missing(security, *(day for day in DAYS[1:-1] if chance.random() < 0.1))
    for day in [*rest.bars][1:-1]:
        if chance.random() < 0.05:
            rest.bars[day] = None
    return rest


@pytest.mark.parametrize("seed", SEEDS)
def test_a_right_history_is_read_without_a_doubt(monkeypatch, seed):
    """Whatever its prices, actions and gaps: nothing differs by more than the arithmetic of float32 explains."""
    security = random_security(seed)
    with yahoo(monkeypatch, {"A": security, "B": with_holes(security, seed)}):
        for symbol in "AB":
            found = source.shared().daily(symbol, DAYS[0])
            paid = found.actions.payouts
            assert (found.doubts, [one for one in paid if one.kept is not None]) == ((), [])
            days = {*security.dividends, *security.gains}
            assert {one.ex_date: one.amount for one in paid} == pytest.approx(
                {day: security.dividends.get(day, 0) + security.gains.get(day, 0) for day in days}, rel=1e-4, abs=2e-4
            )


@pytest.mark.parametrize("seed", SEEDS)
def test_frames_of_random_histories_are_yfinances(monkeypatch, tmp_path, seed):
    """Every column if Yahoo has all rows; else the prices of those it has, and actions by their own dates."""
    security = random_security(seed)
    holes = with_holes(security, seed)
    with world(monkeypatch, tmp_path, {"A": security, "B": security}, {"A": security, "B": holes}, DAYS) as here:
        for auto_adjust in (True, False) if seed > 1 else (False,):
            how = {"start": DAYS[3], "auto_adjust": auto_adjust, "actions": True}
            theirs = plain_history("A", **how)
            mine = smart(here, "A", **how)
            assert list(mine.columns) == list(theirs.columns)
            assert mine.dtypes.tolist() == theirs.dtypes.tolist()
            pd.testing.assert_frame_equal(mine, theirs, rtol=2e-5, atol=1e-6)
            rest = plain_history("B", **how).dropna()
            prices = [name for name in mine.columns if name in ("Open", "High", "Low", "Close", "Adj Close")]
            others = smart(here, "B", **how)
            kept = rest.index[rest.index.isin(others.index)]
            pd.testing.assert_frame_equal(others.loc[kept, prices], rest.loc[kept, prices], rtol=2e-5, atol=1e-6)
            events = [name for name in mine.columns if name in ("Dividends", "Stock Splits", "Capital Gains")]
            pd.testing.assert_frame_equal(others[events], mine[events], rtol=2e-5, atol=1e-6)


def wronged(security, seed):
    """The same with payouts that Yahoo lists in another unit, on other days or not at all, and one never paid."""
    chance = random.Random(f"wrong {seed}")
    told = {}
    for day, cash in security.dividends.items():
        how = chance.choice(["right", "unit", "nowhere", "moved"])
        if how != "nowhere":
            shift = chance.choice([-2, -1, 1, 2]) if how == "moved" else 0
            at = min(max(DAYS.index(day) + shift, 0), len(DAYS) - 1)
            told[DAYS[at]] = cash * (chance.choice([0.01, 0.5, 7.0, 100.0, -1.0]) if how == "unit" else 1)
    if chance.random() < 0.5:
        told[chance.choice(DAYS)] = 3.21
    wrong = Security(security.bars, security.splits, told, gains=security.gains, instrument=security.instrument)
    wrong.adjusted_closes = security.adjusted_closes
    return wrong


@pytest.mark.parametrize("seed", SEEDS)
def test_what_yahoo_lists_wrongly_is_never_used_silently(monkeypatch, tmp_path, seed):
    """Prices are those of Yahoo's adjusted close, as yfinance has them; else there is a warning about it."""
    security = random_security(seed)
    wrong = wronged(security, seed)
    with world(monkeypatch, tmp_path, {"A": security}, {"A": wrong}, DAYS) as here:
        theirs = plain_history("A", start=DAYS[3])
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            mine = smart(here, "A", start=DAYS[3])
        pd.testing.assert_frame_equal(mine[["Close"]], theirs[["Close"]], rtol=2e-5, atol=2e-6)
        listed = {day: round(cash, 6) for day, cash in wrong.dividends.items() if day > DAYS[3]}
        right = {day: round(cash, 6) for day, cash in security.dividends.items() if day > DAYS[3]}
        visible = any(
            abs(listed.get(day, 0) - right.get(day, 0)) > 1e-3 * security.bars[day][3] for day in listed | right
        )
        assert bool(said) or not visible


# Answers without usable rows


def test_an_event_without_any_price_is_no_crash(monkeypatch, tmp_path):
    whole = Security(walk(DAYS), dividends={DAYS[-1]: 0.5})
    alone = Security({**{day: whole.bars[day] for day in DAYS[:-1]}, DAYS[-1]: None}, dividends={DAYS[-1]: 0.5})
    with world(monkeypatch, tmp_path, {"AAPL": whole}, {"AAPL": alone}, DAYS) as here:
        theirs = plain_history("AAPL", start=DAYS[-1], actions=True)
        pd.testing.assert_frame_equal(smart(here, data_source="yfinance", start=DAYS[-1], actions=True), theirs)
        assert close_of(smart(here, start=DAYS[-2], auto_adjust=False), DAYS[-1]) == whole.bars[DAYS[-1]][3]


def test_days_before_the_first_row_are_not_found(here):
    with pytest.raises(NotFound, match=f"no rows of VTI before {DAYS[0]}: its first is from {DAYS[0]}"):
        smart(here, "VTI", data_source="yfinance", start=DAYS[0] - timedelta(days=30), end=DAYS[0])


def test_rows_without_any_price_are_not_found(monkeypatch, tmp_path):
    empty = Security(dict.fromkeys(DAYS), dividends={GAP: 0.5})
    with (
        world(monkeypatch, tmp_path, {}, {"AAPL": empty}, DAYS) as here,
        pytest.warns(IngestWarning, match="no prices of AAPL"),
        pytest.raises(NotFound),
    ):
        smart(here)
