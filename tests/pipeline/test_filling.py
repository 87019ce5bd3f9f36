"""Runs that ask Yahoo for what Massive is missing: the real yfinance against a Yahoo on loopback."""

import json

import pytest
from pipeline_kit import key
from reading_kit import security, world
from tuning_kit import tune
from yahoo_kit import Security, fresh_yfinance, past_sessions

import ingest
from ingest import events
from ingest.cache.manifest import Manifest
from ingest.errors import Disrupted

__all__ = ["fresh_yfinance"]
pytestmark = pytest.mark.usefixtures("fresh_yfinance", "loopback_keys")

DAYS = past_sessions(40)
SPAN = (DAYS[0], DAYS[-1])
SPLITS = {DAYS[20]: (4, 1)}
AAPL = security(DAYS, SPLITS)
EVERYONE = {"AAPL": AAPL, "BRK.B": security(DAYS, first=400.0), "BCpC": security(DAYS)}
AT_YAHOO = {"AAPL": AAPL, "BRK-B": EVERYONE["BRK.B"]}


@pytest.fixture
def here(monkeypatch, tmp_path):
    with world(monkeypatch, tmp_path, EVERYONE, AT_YAHOO, DAYS) as found:
        found.place.yahoo = True
        yield found


def kept(here, ticker="AAPL"):
    with Manifest.read(here.place.root / "manifest.sqlite", "us_stocks_sip/day_aggs_v1") as manifest:
        return {row[1]: row[5] for row in manifest.yahoo.rows([ticker], *SPAN)}


def run(here, *span, **named):
    return here.place.run(*(span or SPAN), tracked={"AAPL", "BRK.B"}, **named)


def test_forbidden_and_unpublished_sessions_of_tracked_tickers_are_filled(here):
    here.server.forbidden.update(map(key, DAYS[:3]))
    del here.server.objects[key(DAYS[-1])]
    ran = run(here)
    assert (ran.finished.exit_code, ran.finished.yahoo_rows) == (0, 8)
    assert kept(here) == {day: AAPL.bars[day][3] for day in (*DAYS[:3], DAYS[-1])}
    assert [event.ticker for event in ran.of(events.YahooAsked)] == ["AAPL", "BRK.B"]
    # The CSVs contain Massive's rows.
    assert list(here.place.csv("AAPL")) == [str(day) for day in DAYS[3:-1]]
    frame = ingest.history("AAPL", adjust="all", config=here.config())
    assert frame["source"].to_list() == ["yahoo"] * 3 + ["massive"] * 36 + ["yahoo"]
    assert here.yahoo.asked == ["AAPL", "BRK-B"]
    told = here.place.status()
    assert (told.yahoo_rows, told.yahoo_tickers, told.yahoo_asked) == (8, 2, DAYS[-1])


def test_a_yahoo_that_takes_too_long_is_left_alone_and_asked_by_the_next_run(here, monkeypatch):
    tune(monkeypatch, yahoo_s=0.0, yahoo_ticker_s=0.0)
    ran = run(here)
    assert (ran.finished.exit_code, ran.of(events.YahooAsked), here.yahoo.asked) == (0, [], [])
    assert "Yahoo was not asked for AAPL, BRK.B: it takes too long to answer; the next run asks again" in ran.notices


def test_tickers_without_a_yahoo_symbol_are_reported(here):
    ran = here.place.run(*SPAN, tracked={"AAPL", "BCpC"})
    assert "not looked up at Yahoo, symbol unknown there: FTV.WD" not in ran.notices
    ran = here.place.run(*SPAN, tracked={"BRK.B", "FTV.WD"})
    assert "not looked up at Yahoo, symbol unknown there: FTV.WD" in ran.notices


def test_the_next_run_of_the_day_asks_nothing(here):
    run(here)
    ran = run(here)
    assert (here.yahoo.asked, ran.of(events.YahooAsked)) == (["AAPL", "BRK-B"], [])


def test_a_source_that_is_down_leaves_yahoo(here):
    here.place.yahoo = False
    run(here, DAYS[0], DAYS[20])
    here.place.yahoo = True
    here.place.endpoint_url = "http://127.0.0.1:9"
    ran = run(here, fails=Disrupted, attempts=1)
    assert (ran.finished.exit_code, ran.finished.yahoo_rows) == (4, 38)
    assert sorted(kept(here)) == DAYS[21:]


def test_yahoo_that_gives_no_answer_ends_no_run_and_is_asked_by_the_next(here):
    here.yahoo.faults["*"] = 429
    ran = run(here)
    assert (ran.finished.exit_code, ran.finished.committed) == (0, 40)
    alarms = [event.message for event in ran.of(events.Notice) if event.level == "warning"]
    assert [alarm.partition(":")[0] for alarm in alarms] == ["no answer about AAPL", "no answer about BRK.B"]
    here.yahoo.faults.clear()
    assert len(run(here).of(events.YahooAsked)) == 2


FOUR = {name: security(DAYS, {}, {DAYS[20]: 0.5}, first=50.0 + at) for at, name in enumerate("ABCD")}


@pytest.fixture
def four(monkeypatch, tmp_path):
    with world(monkeypatch, tmp_path, FOUR, FOUR, DAYS) as here:
        here.place.yahoo = True
        yield here


def asked_of_four(four):
    ran = four.place.run(*SPAN, tracked=set(FOUR))
    alarms = [event.message.partition(":")[0] for event in ran.of(events.Notice) if event.level == "warning"]
    return [event.ticker for event in ran.of(events.YahooAsked)], alarms


def test_one_ticker_that_gets_no_answer_does_not_leave_the_others_without(four):
    four.yahoo.faults["A"] = 429
    assert asked_of_four(four) == (["B", "C", "D"], ["no answer about A"])
    assert asked_of_four(four) == ([], ["no answer about A"])
    four.yahoo.faults.clear()
    assert asked_of_four(four) == (["A"], [])


def test_an_answer_that_cannot_be_read_is_of_its_ticker_alone(four):
    """However often it comes, it does not mean an outage."""
    unreadable = Security(FOUR["A"].bars, {DAYS[20]: (0, 1)})
    unreadable.later_splits = lambda day: 1.0
    four.yahoo.securities["A"] = unreadable
    for _ in range(4):
        assert asked_of_four(four)[1] == ["no answer about A"]
    assert four.yahoo.asked == ["A", "B", "C", "D", "A", "A", "A"]
    ingest.history("B", adjust="all", config=four.config())


def test_three_tickers_without_an_answer_are_an_outage(four):
    four.yahoo.faults["*"] = 429
    alarms = ["no answer about A", "no answer about B", "no answer about C", "Yahoo was not asked for D"]
    assert asked_of_four(four) == ([], alarms)


def test_another_securitys_prices_are_refused_and_reported_once(here):
    here.yahoo.securities["AAPL"] = security(DAYS, first=7.0)
    here.server.forbidden.update(map(key, DAYS[:3]))
    ran = run(here)
    assert any("Yahoo's prices of AAPL disagree with Massive" in notice for notice in ran.notices)
    assert kept(here) == {}
    assert [notice for notice in run(here).notices if "AAPL" in notice] == []


def test_a_split_that_yahoo_dates_differently_is_found_though_all_else_agrees(here):
    late = {day: (*(4 * price for price in AAPL.bars[day][:4]), AAPL.bars[day][4] / 4) for day in DAYS[20:23]}
    here.yahoo.securities["AAPL"] = Security(AAPL.bars | late, {DAYS[23]: (4, 1)}, {})
    here.server.forbidden.update(map(key, DAYS[:3]))
    ran = run(here)
    assert any(f"Yahoo's prices of AAPL disagree with Massive: on {DAYS[22]}" in notice for notice in ran.notices)
    assert kept(here) == {}


def test_yahoo_is_asked_far_enough_back_to_cover_a_stored_session(here):
    here.place.yahoo = False
    run(here, DAYS[0], DAYS[5])
    here.place.yahoo = True
    here.server.forbidden.update(map(key, DAYS[20:]))
    assert run(here, DAYS[35], DAYS[-1]).finished.yahoo_rows > 0
    assert kept(here) == {day: AAPL.bars[day][3] for day in DAYS[6:]}


def test_the_csvs_follow_the_setting_at_once(here):
    here.server.forbidden.update(map(key, DAYS[:3]))
    for into_csv in (False, True, False, True):
        here.place.into_csv = into_csv
        run(here)
        assert len(here.place.csv("AAPL")) == (40 if into_csv else 37)
        assert run(here).of(events.Projected) == []


def test_rows_that_cannot_be_compared_are_not_kept(here):
    here.yahoo.securities["AAPL"] = security(DAYS, first=7.0)
    here.server.forbidden.update(map(key, DAYS))
    assert run(here).finished.yahoo_rows == 0
    assert kept(here) == {}


def test_massives_rows_take_the_place_of_yahoos_in_the_csvs(here):
    here.place.into_csv = True
    here.server.forbidden.update(map(key, DAYS[:3]))
    run(here)
    assert here.place.closes("AAPL") == {str(day): str(AAPL.bars[day][3]) for day in DAYS}
    first = here.place.csv("AAPL")[str(DAYS[0])]
    here.server.forbidden.clear()
    run(here)
    assert here.place.closes("AAPL") == {str(day): str(AAPL.bars[day][3]) for day in DAYS}
    assert [float(number) for number in here.place.csv("AAPL")[str(DAYS[0])].split(",")] == [
        float(number) for number in first.split(",")
    ]
    assert ingest.history("AAPL", config=here.config())["source"].unique().to_list() == ["massive"]


def test_the_command_can_do_without(here):
    here.place.yahoo = True
    done = here.place.here("run", "--start", DAYS[0], "--end", DAYS[-1], "--no-fallback", "--json")
    assert done.code == 0
    assert json.loads(done.out.splitlines()[-1])["yahoo_rows"] == 0
    assert here.yahoo.asked == []


def test_a_run_with_nothing_to_ask_imports_nothing_for_it(here):
    run(here)
    tracked = {"INGEST_TRACKED__TICKERS": '["AAPL", "BRK.B"]'}
    imported = here.place.imported("run", "--start", DAYS[0], "--end", DAYS[-1], **tracked)
    assert not {"polars", "pandas", "numpy", "yfinance", "curl_cffi"} & imported
