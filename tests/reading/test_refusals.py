"""Which of Yahoo's answers are trusted, stored and refused, and for which requests."""

import random
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from functools import partial

import pandas as pd
import pytest
from pipeline_kit import key, sampled, sampled_by_name
from reading_kit import security, walk, world
from yahoo_kit import NEW_YORK, Security, fresh_yfinance, past_sessions

import ingest
from ingest import events
from ingest.cache.manifest import Manifest
from ingest.cli.commands.reading.export import export_command
from ingest.errors import ActionsUnknown, IngestError, IngestWarning, UsageError
from ingest.finding import NOT_YAHOOS
from ingest.market.calendars import Calendar
from ingest.market.catalogue import STOCKS_DAY
from ingest.reading.export.form import Form
from ingest.reading.selection import Selection

__all__ = ["fresh_yfinance"]
pytestmark = pytest.mark.usefixtures("fresh_yfinance", "loopback_keys")

DAYS = past_sessions(100)
FACEBOOK = security(DAYS, {DAYS[80]: (2, 1)}, first=200.0)
META = Security(walk(DAYS[:10], first=15.0) | {day: FACEBOOK.bars[day] for day in DAYS[60:]})
"""The ticker was a fund's, then nobody's, then a company's; Yahoo shows the company throughout."""

TOLD = "asked again when the next session opens or closes, or by a run with refresh"


def closes(frame):
    return dict(frame.select("date", "close").iter_rows())


def adjusted(one, days):
    """Closes adjusted for splits."""
    return pytest.approx({day: one.bars[day][3] / one.later_splits(day) for day in days if day in one.bars}, rel=1e-6)


def kept(here, ticker):
    with Manifest.read(here.place.root / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        return {row[1]: row[5] for row in manifest.yahoo.rows([ticker], DAYS[0], DAYS[-1])}


def later(here):
    """As if the newest session had ended since the last request."""
    here.place.execute(f"UPDATE refusals SET asked_at = '{DAYS[-2]}T23:00:00+00:00'")


@pytest.fixture
def meta(monkeypatch, tmp_path):
    with world(monkeypatch, tmp_path, {"META": META, "AAPL": security(DAYS)}, {"META": FACEBOOK}, DAYS) as here:
        here.place.yahoo = True
        yield here


@pytest.mark.parametrize("tracked", ["META", "AAPL"])
def test_a_refusal_is_about_the_days_that_are_anothers(meta, tracked):
    meta.yahoo.securities["AAPL"] = security(DAYS)
    ran = meta.place.run(DAYS[0], DAYS[-1], tracked={tracked})
    told = [notice for notice in ran.notices if "META" in notice]
    assert [f"{DAYS[9]}" in notice and notice.endswith(TOLD) for notice in told] == (
        [True] if tracked == "META" else []
    )
    config = meta.config()
    for _ in range(2):
        with pytest.raises(ActionsUnknown, match=f"prices of META disagree with Massive: on {DAYS[9]} .* 9 more since"):
            ingest.history("META", adjust="splits", config=config)
        found = ingest.history("META", DAYS[60], adjust="splits", config=config)
        assert closes(found) == adjusted(FACEBOOK, DAYS[60:])


def test_rows_are_filled_on_the_days_that_are_its_own_alone(meta):
    meta.server.forbidden.update(map(key, (DAYS[5], DAYS[70])))
    meta.place.run(DAYS[0], DAYS[-1], tracked={"META"})
    assert kept(meta, "META") == {DAYS[70]: FACEBOOK.bars[DAYS[70]][3]}
    assert len(meta.yahoo.asked) == 1


def test_a_ticker_that_yahoo_gets_a_day_late_is_asked_for_when_the_day_is_over(monkeypatch, tmp_path):
    new = security(DAYS[97:])
    with world(monkeypatch, tmp_path, {"TARDY": new, "AAPL": security(DAYS)}, {}, DAYS) as here:
        here.place.run(DAYS[95], DAYS[-1], tracked={"AAPL"})
        config = here.config()
        for _ in range(2):
            with pytest.raises(ActionsUnknown, match="Yahoo has no TARDY"):
                ingest.history("TARDY", adjust="all", config=config)
        assert here.yahoo.asked == ["SPY"]
        here.yahoo.securities["TARDY"] = new
        later(here)
        assert closes(ingest.history("TARDY", adjust="all", config=config)) == adjusted(new, DAYS[97:])


def test_a_person_clears_a_refusal(monkeypatch, tmp_path):
    new = security(DAYS[97:])
    with world(monkeypatch, tmp_path, {"NEW": new, "AAPL": security(DAYS)}, {"AAPL": security(DAYS)}, DAYS) as here:
        here.place.yahoo = True
        ran = here.place.run(DAYS[97], DAYS[-1], tracked={"NEW"})
        assert any("Yahoo has no NEW" in notice and notice.endswith(TOLD) for notice in ran.notices)
        here.yahoo.securities["NEW"] = new
        with pytest.raises(ActionsUnknown, match=TOLD):
            ingest.history("NEW", adjust="all", config=here.config())
        here.place.run(DAYS[-1], DAYS[-1], tracked={"AAPL"}, refresh=True)
        assert closes(ingest.history("NEW", adjust="all", config=here.config())) == adjusted(new, DAYS[97:])


FIVE = {name: security(DAYS[90:], {DAYS[-1]: (4, 1)}, first=100.0 + n) for n, name in enumerate("ABCDE")}


@pytest.fixture
def five(monkeypatch, tmp_path):
    with world(monkeypatch, tmp_path, FIVE, FIVE, DAYS) as here:
        here.place.yahoo = True
        yield here


def outage(here):
    """Makes Yahoo answer that no ticker exists; returns what it had."""
    before = dict(here.yahoo.securities)
    here.yahoo.securities.clear()
    return before


def test_in_an_outage_no_refusal_of_an_unknown_ticker_is_trusted(five):
    before = outage(five)
    ran = five.place.run(DAYS[90], DAYS[-1], tracked=set(FIVE))
    (alarm,) = [event.message for event in ran.of(events.Notice) if event.level == "warning"]
    assert alarm.startswith("Yahoo was not asked for A, B, C, D, E: Yahoo has no A")
    assert "no SPY either" in alarm
    config = five.config()
    with pytest.raises(ActionsUnknown, match="no SPY either"):
        ingest.history(FIVE, adjust="splits", config=config)
    five.yahoo.securities.update(before)
    frame = ingest.history(FIVE, adjust="splits", config=config)
    assert all(closes(frame.filter(ticker=name)) == adjusted(one, DAYS) for name, one in FIVE.items())


def test_an_outage_that_begins_after_a_ticker_that_there_is_not_is_one(five):
    """SPY was there a moment ago."""
    before = {"A": five.yahoo.securities.pop("A")}
    five.place.run(DAYS[90], DAYS[-1], tracked={"A"})
    assert five.yahoo.asked[-1] == "SPY"
    before |= outage(five)
    ran = five.place.run(DAYS[90], DAYS[-1], tracked=set(FIVE))
    assert any(notice.startswith("Yahoo was not asked for B, C, D, E") for notice in ran.notices)
    five.yahoo.securities.update(before)
    frame = ingest.history(list("BCDE"), adjust="splits", config=five.config())
    assert all(closes(frame.filter(ticker=name)) == adjusted(FIVE[name], DAYS) for name in "BCDE")


@pytest.mark.parametrize("price", sampled([None, 0.0], 2))
def test_rows_without_prices_are_an_outage_where_spy_has_none_either(five, price):
    before = dict(five.yahoo.securities)
    five.yahoo.securities |= {name: without_prices(one, price) for name, one in before.items()}
    ran = five.place.run(DAYS[90], DAYS[-1], tracked=set(FIVE))
    assert any("Yahoo has no prices of A for these days, but no SPY either" in notice for notice in ran.notices)
    five.yahoo.securities |= before
    frame = ingest.history(FIVE, adjust="splits", config=five.config())
    assert all(closes(frame.filter(ticker=name)) == adjusted(one, DAYS) for name, one in FIVE.items())


def without_prices(one, price):
    if price is None:
        return Security(dict.fromkeys(one.bars), one.splits, {DAYS[95]: 1.0})  # yfinance keeps rows that have an event
    return Security(dict.fromkeys(one.bars, (*[price] * 4, 0.0)), one.splits)


def test_in_an_outage_what_is_known_is_of_the_day_before_and_said_to_be(five):
    config = five.config()
    today = five.yahoo.securities["A"]
    yesterday = security(DAYS[90:-1], first=100.0)
    five.yahoo.securities["A"] = yesterday
    five.place.run(DAYS[90], DAYS[-1], tracked={"A"})
    five.place.execute(f"UPDATE askings SET last = '{DAYS[-2]}', asked_at = '{DAYS[-2]}T22:30:00+00:00'")
    before = outage(five)
    for _ in range(2):
        with pytest.warns(IngestWarning, match=f"of A are known only up to {DAYS[-2]}: .*no SPY either"):
            assert closes(ingest.history("A", adjust="splits", config=config))[DAYS[-2]] == today.bars[DAYS[-2]][3]
    five.yahoo.securities.update(before, A=today)
    assert closes(ingest.history("A", adjust="splits", config=config)) == adjusted(today, DAYS)


def test_a_ticker_that_is_traded_and_that_yahoo_alone_lost_is_of_the_day_before(five):
    five.place.run(DAYS[90], DAYS[-1], tracked={"A"})
    five.place.execute(f"UPDATE askings SET last = '{DAYS[-2]}', asked_at = '{DAYS[-2]}T22:30:00+00:00'")
    del five.yahoo.securities["A"]
    asked = []
    for _ in range(2):
        with pytest.warns(IngestWarning, match=f"of A are known only up to {DAYS[-2]}: Yahoo has no A"):
            ingest.history("A", adjust="splits", config=five.config())
        asked.append(len(five.yahoo.asked))
    assert asked[0] == asked[1]


def test_a_ticker_without_any_event_is_known_when_yahoo_is_gone(five):
    five.yahoo.securities["A"] = Security(FIVE["A"].bars)
    five.place.run(DAYS[90], DAYS[-2], tracked={"A"})
    five.place.execute(f"UPDATE askings SET last = '{DAYS[-3]}', asked_at = '{DAYS[-3]}T22:30:00+00:00'")
    five.yahoo.faults["*"] = 500
    with pytest.warns(IngestWarning, match=f"of A are known only up to {DAYS[-3]}"):
        frame = ingest.get_smart_data(
            "A", data_source="massive", start=DAYS[90], end=DAYS[-1], fetch=True, config=five.config(["A"])
        )
    assert frame["Close"].tolist() == [FIVE["A"].bars[day][3] for day in DAYS[90:-1]]


# Many tickers


def test_each_ticker_is_requested_once_and_reported(five):
    five.yahoo.securities.pop("C")
    five.place.run(DAYS[90], DAYS[-1], tracked={"Z"})
    told, config = [], five.config()
    with pytest.warns(IngestWarning, match="splits and dividends are unknown: C .Yahoo has no C"):
        frame = ingest.history([*FIVE, *FIVE], adjust="splits", errors="skip", on_event=told.append, config=config)
    assert [(one.ticker, one.number, one.of) for one in told] == [(name, n, 5) for n, name in enumerate("ABCDE", 1)]
    assert [name for name in five.yahoo.asked if name not in ("SPY", "C")] == ["A", "B", "D", "E"]
    assert all(closes(frame.filter(ticker=name)) == adjusted(FIVE[name], DAYS) for name in "ABDE")
    assert "C" not in frame["ticker"]
    with pytest.raises(ActionsUnknown, match=r'known for C and .* errors="skip" to leave'):
        ingest.history(FIVE, adjust="splits", config=config)
    with pytest.raises(UsageError, match="'ignore'"):
        ingest.history(FIVE, adjust="splits", errors="ignore", config=config)
    assert len(told) == 5


def test_an_export_leaves_out_what_cannot_be_adjusted(five, tmp_path, capsys):
    five.yahoo.securities.pop("C")
    five.place.run(DAYS[90], DAYS[-1], tracked={"Z"})
    query = Selection(list(FIVE), adjust="splits")
    export = partial(
        export_command, form=Form(), folder=tmp_path / "out", config=five.config(), tracked=False, as_json=False
    )
    with pytest.raises(ActionsUnknown):
        export(query)
    assert export(replace(query, errors="skip")) == 3
    assert "left out because their splits and dividends are unknown: C" in capsys.readouterr().err
    assert len(list((tmp_path / "out").glob("*.csv"))) == 4


# Whole answers that are wrong, and single closes


SPLIT = {DAYS[50]: (1, 10)}
FORGOTTEN = security(DAYS, SPLIT, first=20.0)


def forgetting(one, days, factor):
    """A security whose last splits Yahoo forgot to apply to some days."""
    scaled = {day: (*(price * factor for price in one.bars[day][:4]), one.bars[day][4]) for day in days}
    return Security(one.bars | scaled, one.splits, one.dividends)


@pytest.mark.parametrize(
    ("forgotten", "missing"),
    [
        (slice(20, 31), slice(22, 26)),
        (slice(20, 31), slice(20, 26)),  # only one side of the gap shows it
        (slice(20, 31), slice(26, 31)),
        (slice(20, 31), slice(21, 31)),
        (slice(20, 21), slice(21, 22)),
        (slice(0, 2), slice(0, 1)),
    ],
)
def test_rows_beside_closes_that_are_wrong_by_a_factor_are_not_used(monkeypatch, tmp_path, forgotten, missing):
    at_yahoo = forgetting(FORGOTTEN, DAYS[forgotten], 0.1)
    with world(monkeypatch, tmp_path, {"ABC": FORGOTTEN}, {"ABC": at_yahoo}, DAYS) as here:
        here.server.forbidden.update(map(key, DAYS[missing]))
        here.place.yahoo = True
        ran = here.place.run(DAYS[0], DAYS[-1], tracked={"ABC"})
        assert kept(here, "ABC") == {}
        assert any("Yahoo's prices of ABC disagree with Massive" in notice for notice in ran.notices)
        with pytest.warns(IngestWarning, match="Yahoo's prices of ABC disagree with Massive"):
            frame = ingest.get_smart_data(
                "ABC", data_source="massive", start=DAYS[0], auto_adjust=False, config=here.config(["ABC"])
            )
        assert len(frame) == 100 - len(DAYS[missing])
        assert frame.attrs["sources"]["missing"] == [(str(DAYS[missing][0]), str(DAYS[missing][-1]))]
        found = ingest.history("ABC", DAYS[31], adjust="splits", config=here.config(["ABC"]))
        assert closes(found) == adjusted(FORGOTTEN, DAYS[31:])


@pytest.mark.parametrize("asks", sampled(["smart", "raw", "yfinance", "run", "history"]))
def test_rows_that_were_kept_are_taken_back_when_massive_shows_that_they_are_wrong(monkeypatch, tmp_path, asks):
    """There was nothing to compare them with when they were stored."""
    at_yahoo = forgetting(FORGOTTEN, DAYS[20:31], 0.4)
    with world(monkeypatch, tmp_path, {"ABC": FORGOTTEN}, {"ABC": at_yahoo}, DAYS) as here:
        here.server.forbidden.update(map(key, DAYS[15:36]))
        here.place.yahoo = True
        config = here.config(["ABC"])
        here.place.run(DAYS[0], DAYS[-1], tracked={"ABC"})
        assert set(kept(here, "ABC")) == set(DAYS[15:36])
        here.server.forbidden.difference_update(map(key, [*DAYS[15:25], *DAYS[27:36]]))
        here.place.yahoo = asks == "run"
        here.place.execute(f"UPDATE askings SET last = '{DAYS[-2]}', asked_at = '{DAYS[-2]}T22:30:00+00:00'")
        here.place.run(DAYS[0], DAYS[-1], tracked={"ABC"})
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            frame = asked_for(asks, config)
        assert asks != "raw" or {stamp.date() for stamp in frame.index} == set(DAYS) - set(DAYS[25:27])
        assert asks not in ("raw", "yfinance") or any("disagree with Massive" in str(one.message) for one in told)
        assert set(kept(here, "ABC")) == set(DAYS[31:36])
        found = closes(ingest.history("ABC", DAYS[31], adjust="splits", config=config))
        assert found == adjusted(FORGOTTEN, DAYS[31:])


@pytest.mark.parametrize("factor", sampled([0.1, 10.0], 2))
def test_rows_that_a_split_was_not_applied_to_are_left_out_though_all_that_is_compared_agrees(
    monkeypatch, tmp_path, factor
):
    at_yahoo = forgetting(FORGOTTEN, DAYS[20:31], factor)
    days = {*DAYS[15:20], *DAYS[31:36]}
    with world(monkeypatch, tmp_path, {"ABC": FORGOTTEN}, {"ABC": at_yahoo}, DAYS) as here:
        here.server.forbidden.update(map(key, DAYS[15:36]))
        here.place.yahoo = True
        ran = here.place.run(DAYS[0], DAYS[-1], tracked={"ABC"})
        (alarm,) = [event.message for event in ran.of(events.Notice) if event.level == "warning"]
        assert f"from {DAYS[20]} to {DAYS[30]} are " in alarm
        assert "as if its 0.1-for-1 split" in alarm
        assert kept(here, "ABC") == {day: FORGOTTEN.bars[day][3] for day in days}
        with pytest.warns(IngestWarning, match=rf"11 sessions are missing \({DAYS[20]} to {DAYS[30]}\)"):
            frame = ingest.get_smart_data("ABC", data_source="massive", start=DAYS[0], config=here.config(["ABC"]))
        assert len(frame) == 89
        assert frame["Close"].iloc[0] == pytest.approx(FORGOTTEN.bars[DAYS[0]][3] * 10)


@pytest.mark.parametrize("ratio", [(2, 1), (1, 2), (3, 1)], ids=str)
def test_a_split_that_yahoo_forgot_since_its_first_row_is_doubted_by_its_one_step(monkeypatch, tmp_path, ratio):
    told = security(DAYS, {DAYS[50]: ratio}, first=20.0)
    times = ratio[0] / ratio[1]
    with world(monkeypatch, tmp_path, {"ABC": told}, {"ABC": forgetting(told, DAYS[:31], times)}, DAYS) as here:
        here.server.forbidden.update(map(key, DAYS[:36]))
        here.place.yahoo = True
        here.place.run(DAYS[0], DAYS[-1], tracked={"ABC"})
        config = here.config(["ABC"])
        said = rf"prices jump on {DAYS[31]} as for the {times:g}-for-1 split on {DAYS[50]}, which Yahoo may not have"
        with pytest.warns(IngestWarning, match=said):
            assert ingest.history("ABC", DAYS[0], adjust="splits", config=config).height == len(DAYS)
        with pytest.warns(IngestWarning, match=said):
            ingest.get_smart_data("ABC", data_source="massive", start=DAYS[0], config=config)


def test_a_price_that_goes_by_a_splits_ratio_and_back_at_massive_too_is_one(monkeypatch, tmp_path):
    wild = forgetting(FORGOTTEN, DAYS[20:31], 10.0)
    with world(monkeypatch, tmp_path, {"ABC": wild}, {"ABC": wild}, DAYS) as here:
        here.server.forbidden.update(map(key, [*DAYS[15:24], *DAYS[26:36]]))
        here.place.yahoo = True
        here.place.run(DAYS[0], DAYS[-1], tracked={"ABC"})
        assert len(kept(here, "ABC")) == 19


def asked_for(what, config):
    """Returns a function that requests 100 sessions; it returns nothing if they cannot be adjusted."""

    def ask():
        if what == "history":
            return ingest.history("ABC", DAYS[0], adjust="splits", config=config)
        how = {"data_source": "yfinance" if what == "yfinance" else "massive", "auto_adjust": what != "raw"}
        return ingest.get_smart_data("ABC", start=DAYS[0], config=config, **how)

    if what in ("raw", "yfinance"):
        return ask()
    if what != "run":
        with pytest.raises(ActionsUnknown, match="disagree with Massive"):
            ask()
    return None


@pytest.mark.parametrize("place", sampled([0, 3, 4, 50, 98, 99], 3))
def test_one_close_that_is_off_is_a_finding(monkeypatch, tmp_path, place):
    odd = forgetting(FORGOTTEN, [DAYS[place]], 1.03)
    with world(monkeypatch, tmp_path, {"ABC": FORGOTTEN}, {"ABC": odd}, DAYS) as here:
        here.server.forbidden.add(key(DAYS[2]))
        here.place.yahoo = True
        ran = here.place.run(DAYS[0], DAYS[-1], tracked={"ABC"})
        assert [event.session for event in ran.of(events.Found)] == [DAYS[place]]
        assert kept(here, "ABC") == {DAYS[2]: FORGOTTEN.bars[DAYS[2]][3]}
        config = here.config(["ABC"])
        found = ingest.findings(kind=NOT_YAHOOS, config=config)
        assert [(one["date"], one["examples"]) for one in found.to_dicts()] == [(DAYS[place], ["ABC"])]
        assert closes(ingest.history("ABC", adjust="splits", config=config)) == adjusted(FORGOTTEN, DAYS)


# The morning of a split


@pytest.fixture
def morning(monkeypatch, tmp_path):
    """It is 9:50 in a session on which a split is in force; corporate actions were requested the evening before."""
    opens = next(day for n in range(1, 9) if Calendar.of("XNYS").is_session(day := DAYS[-1] + timedelta(days=n)))
    now = datetime.combine(opens, clock(9, 50), NEW_YORK)
    today = {opens: (4, 1)}
    before = security(DAYS)
    with world(monkeypatch, tmp_path, {"AAPL": before}, {"AAPL": before}, DAYS) as here:
        here.place.yahoo = True
        here.place.run(DAYS[60], DAYS[-1], tracked={"AAPL"})
        here.place.execute(f"UPDATE askings SET asked_at = '{DAYS[-1]}T23:30:00+00:00'")
        after = security([*DAYS, opens], today)
        here.yahoo.securities["AAPL"] = after
        monkeypatch.setattr("ingest.reading.adjusting.freshness._now", lambda: now.astimezone(UTC))
        monkeypatch.setattr("ingest.sources.yahoo.today", lambda: opens)
        here.after = after
        yield here


def test_events_of_the_evening_before_are_asked_for_again_on_the_day_of_a_session(morning):
    config = morning.config(["AAPL"])
    frame = ingest.history("AAPL", DAYS[60], adjust="splits", config=config)
    assert closes(frame) == adjusted(morning.after, DAYS[60:])
    frame = ingest.get_smart_data("AAPL", data_source="massive", start=DAYS[60], config=config)
    assert frame["Close"].tolist() == pytest.approx([morning.after.bars[day][3] / 4 for day in DAYS[60:]])


@pytest.mark.parametrize("listed", [False, True])
def test_what_was_said_before_the_opening_is_asked_for_again_after_it(morning, monkeypatch, listed):
    """Yahoo may list a split before it applies it: until then its answer is refused, or has no split."""
    opens, config = max(morning.after.splits), morning.config(["AAPL"])
    before = Security(security(DAYS).bars, {opens: (4, 1)} if listed else {}, ahead=timedelta(days=5))
    before.later_splits = lambda day: 1.0
    morning.yahoo.securities["AAPL"] = before
    early = datetime.combine(opens, clock(9, 20), NEW_YORK).astimezone(UTC)
    with monkeypatch.context() as patched:
        patched.setattr("ingest.reading.adjusting.freshness._now", lambda: early)
        patched.setattr("ingest.cache.manifest.yahoo.now", early.isoformat)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            ingest.history("AAPL", DAYS[60], adjust="splits", config=config)
    assert any("disagree with Massive" in str(one.message) for one in told) is listed
    morning.yahoo.securities["AAPL"] = morning.after
    frame = ingest.history("AAPL", DAYS[60], adjust="splits", config=config)
    assert closes(frame) == adjusted(morning.after, DAYS[60:])


@pytest.mark.parametrize("how", ["fetch", "outage"])
def test_events_of_the_evening_before_are_said_to_be_where_nobody_can_be_asked(morning, how):
    config = morning.config(["AAPL"])
    if how == "outage":
        outage(morning)
    with pytest.warns(IngestWarning, match=f"splits and dividends of AAPL are known only up to {DAYS[-1]}"):
        ingest.history("AAPL", adjust="splits", fetch=how != "fetch", config=config)


# Which days are known


RUNS_OF_QUESTIONS = {  # the start of each request, and the last day of the first one's answer
    "a little before a question Yahoo is asked, too": ((50, 45), 0),
    "from the first day on": ((0, 50), 0),
    "later, all, later": ((50, 0, 60, 0), 0),
    "known up to a day, and then of later ones": ((20, 60, 45, 20), 40),
    "all known up to a day": ((0, 60, 0), 40),
}


@pytest.mark.parametrize(("questions", "late"), sampled_by_name(RUNS_OF_QUESTIONS, 3))
def test_days_that_were_asked_for_have_their_rows_whatever_is_asked_for_then(monkeypatch, tmp_path, questions, late):
    missing = [DAYS[n] for n in (3, 42, 46, 49, 55, 70)]
    with world(monkeypatch, tmp_path, {"ABC": FORGOTTEN}, {"ABC": FORGOTTEN}, DAYS) as here:
        here.server.forbidden.update(map(key, missing))
        here.place.run(DAYS[0], DAYS[-1], tracked={"ABC"})
        for number, first in enumerate(questions):
            frame = ingest.get_smart_data("ABC", data_source="massive", start=DAYS[first], config=here.config())
            assert [stamp.date() for stamp in frame.index] == DAYS[first:]
            if late and not number:
                here.place.execute(f"DELETE FROM yahoo_rows WHERE session > '{DAYS[late]}'")
                here.place.execute(
                    f"UPDATE askings SET last = '{DAYS[late]}', asked_at = '{DAYS[late]}T22:30:00+00:00'"
                )
        assert set(kept(here, "ABC")) <= set(missing)


# What Yahoo lists late


@pytest.mark.parametrize("first", sampled(["history", "smart", "yfinance"], 2))
def test_an_event_that_is_listed_late_is_not_missed_for_a_question_of_later_days(monkeypatch, tmp_path, first):
    late = Security(FORGOTTEN.bars, SPLIT, {DAYS[40]: 0.5})
    questions = {
        "history": lambda config: ingest.history("ABC", DAYS[90], adjust="all", config=config),
        "smart": lambda config: ingest.get_smart_data("ABC", start=DAYS[90], data_source="massive", config=config),
        "yfinance": lambda config: ingest.get_smart_data("ABC", start=DAYS[90], config=config),
    }
    with world(monkeypatch, tmp_path, {"ABC": FORGOTTEN}, {"ABC": FORGOTTEN}, DAYS) as here:
        here.place.run(DAYS[0], DAYS[-1], tracked={"ABC"})
        config = here.config(["ABC"])
        ingest.history("ABC", adjust="all", config=config)
        here.place.execute(f"UPDATE askings SET last = '{DAYS[-2]}', asked_at = '{DAYS[-2]}T22:30:00+00:00'")
        here.yahoo.securities["ABC"] = late
        questions[first](config)
        assert closes(ingest.history("ABC", adjust="all", config=config)) == pytest.approx(late.adjusted_closes())
        asked = len(here.yahoo.asked)
        ingest.history("ABC", DAYS[50], adjust="all", config=config)
        assert len(here.yahoo.asked) == asked


# Requests in any order


def answers(here, questions):
    """The answer to each request, with errors and warnings, in a cache where Yahoo was never asked."""
    for table in ("askings", "refusals", "actions", "yahoo_rows"):
        here.place.execute(f"DELETE FROM {table}")
    return {name: answer(ask) for name, ask in questions}


def answer(ask):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            found = ask()
            rows = found.to_csv() if isinstance(found, pd.DataFrame) else found.write_csv()
        except IngestError as error:
            return type(error), TOLD in str(error)
    return rows, sorted(str(one.message).replace(f" ({TOLD})", "") for one in told)


def ask_in_random_orders(here, seeds):
    config = here.config(["META"])
    starts = (0, 5, 9, 12, 60, 61, 75, 90)
    questions = {("history", n, how): history(config, n) for n in starts for how in ("splits",)}
    questions |= {("smart", n, how): smart(config, n, how) for n in starts for how in (True, False)}
    expected = {}
    for name, ask in questions.items():
        expected |= answers(here, [(name, ask)])
    for seed in seeds:
        order = list(questions.items())
        random.Random(seed).shuffle(order)
        found = answers(here, order[:12])
        assert [name for name in found if told_apart(found[name]) != told_apart(expected[name])] == []


def told_apart(found):
    """An error is the same one whether Yahoo was asked now or before."""
    return found[0] if isinstance(found[0], type) else found


def history(config, start):
    return lambda: ingest.history("META", DAYS[start], adjust="splits", config=config)


def smart(config, start, adjust):
    return lambda: ingest.get_smart_data(
        "META", data_source="massive", start=DAYS[start], auto_adjust=adjust, config=config
    )


@pytest.fixture
def mixed(meta):
    meta.place.yahoo = False
    meta.server.forbidden.update(map(key, (DAYS[5], DAYS[12], DAYS[70], DAYS[-1])))
    meta.place.run(DAYS[0], DAYS[-1], tracked={"META"})
    meta.yahoo.securities["META"] = forgetting(FACEBOOK, [DAYS[65]], 1.03)
    return meta


def test_answers_do_not_depend_on_the_order_of_questions(mixed):
    ask_in_random_orders(mixed, (2, 4))


@pytest.mark.long
@pytest.mark.timeout(600)
def test_answers_do_not_depend_on_any_order_of_questions(mixed):
    ask_in_random_orders(mixed, range(5, 60))
