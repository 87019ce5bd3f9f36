"""The real yfinance against a Yahoo on loopback."""

import sqlite3
import time
from contextlib import suppress
from datetime import date

import numpy as np
import pytest
import trustme
from proxy_kit import proxying, server_tls
from yahoo_kit import Security, flat_bars, fresh_yfinance, past_sessions, yahoo

from ingest.demo.servers import loopback
from ingest.errors import Disrupted, NotFound, SourceUnavailable, Throttled
from ingest.market.corporate_actions import StockSplit
from ingest.settings.tuning import Tuning
from ingest.sources import yahoo as source
from ingest.sources.yahoo import PROBED, Yahoo, newest_at_yahoo

DAYS = past_sessions(60)
__all__ = ["fresh_yfinance"]
pytestmark = pytest.mark.usefixtures("fresh_yfinance")


def plain():
    return Security(flat_bars(DAYS))


def test_the_newest_session_is_the_one_that_yahoo_has(monkeypatch):
    with yahoo(monkeypatch, {PROBED: plain()}):
        assert newest_at_yahoo() == DAYS[-1]


@pytest.mark.parametrize("fault", [None, 404])
def test_no_database_of_yfinance_stays_open_in_the_thread_that_asked(monkeypatch, fault):
    opened, connect = [], sqlite3.connect

    def noted(*arguments, **named):
        opened.append(connect(*arguments, **named))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", noted)
    with yahoo(monkeypatch, {PROBED: plain()}) as server:
        server.faults["*"] = fault
        for _ in range(2):
            with suppress(NotFound, Disrupted):
                newest_at_yahoo()
    assert opened
    for one in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            one.execute("SELECT 1")


@pytest.mark.parametrize("fault", [429, 500, 404, "drop"])
def test_a_yahoo_that_refuses_is_told_of_in_one_line(monkeypatch, fault):
    with yahoo(monkeypatch, {PROBED: plain()}) as server:
        server.faults["*"] = fault
        with pytest.raises((Disrupted, Throttled, NotFound)) as caught:
            newest_at_yahoo()
    assert "\n" not in str(caught.value)


def test_bars_come_back_as_they_were_traded(monkeypatch):
    security = Security(
        {day: (100.01 + n, 101.25 + n, 99.5 + n, 100.77 + n, 12_345 + n) for n, day in enumerate(DAYS)},
        splits={DAYS[20]: (4, 1), DAYS[40]: (1, 10), DAYS[-1]: (3, 2)},
        dividends={DAYS[10]: 0.82, DAYS[40]: 0.5},
    )
    with yahoo(monkeypatch, {"AAPL": security}):
        found = source.shared().daily("AAPL", DAYS[0])
    assert found.bars["date"].to_list() == DAYS
    for at, name in enumerate(("open", "high", "low", "close")):
        assert found.bars[name].to_list() == [round(security.bars[day][at], 2) for day in DAYS]
    # Whole shares, divided and multiplied by 10: within the ratio.
    assert np.abs(found.bars["volume"].to_numpy() - [security.bars[day][4] for day in DAYS]).max() <= 10
    assert found.actions.splits == (StockSplit(DAYS[20], 4.0), StockSplit(DAYS[40], 0.1), StockSplit(DAYS[-1], 1.5))
    assert [(one.ex_date, round(one.amount, 5)) for one in found.actions.dividends] == [
        (DAYS[10], 0.82),
        (DAYS[40], 0.5),
    ]
    assert [one.close_before for one in found.actions.dividends] == [109.77, 139.77]


def test_a_split_that_yahoo_lists_twice_counts_once(monkeypatch):
    security = Security(flat_bars(DAYS), splits={DAYS[30]: (4, 1)})
    twice = Security(flat_bars(DAYS), splits={DAYS[30]: (4, 1), DAYS[32]: (4, 1)})
    twice.later_splits = security.later_splits
    with yahoo(monkeypatch, {"AAPL": twice}):
        assert source.shared().daily("AAPL", DAYS[0]).actions.splits == (StockSplit(DAYS[30], 4.0),)


def test_an_unknown_ticker_is_not_an_outage(monkeypatch):
    with yahoo(monkeypatch, {}), pytest.raises(NotFound):
        source.shared().daily("ZZZZ", DAYS[0])


@pytest.mark.parametrize(("fault", "error"), [(429, Throttled), (500, Disrupted), ("drop", Disrupted)])
def test_an_outage_is_not_an_unknown_ticker(monkeypatch, fault, error):
    with yahoo(monkeypatch, {"AAPL": plain()}) as server:
        server.faults["*"] = fault
        with pytest.raises(error):
            source.shared().daily("AAPL", DAYS[0])


@pytest.mark.parametrize("fault", [429, 500, "drop"])
def test_a_fault_that_passes_is_not_seen(monkeypatch, fault):
    with yahoo(monkeypatch, {"AAPL": plain()}) as server:
        source.shared().daily("AAPL", DAYS[0])
        server.faults["AAPL"] = [fault]
        assert source.shared().daily("AAPL", DAYS[0]).bars.height == len(DAYS)


@pytest.mark.parametrize("known", [True, pytest.param(False, marks=pytest.mark.long)])
def test_a_hang_ends(monkeypatch, known):
    """For the time zone of a ticker that it does not know yet, yfinance waits ten seconds, whatever it is told."""
    with yahoo(monkeypatch, {"AAPL": plain()}) as server:
        if known:
            source.shared().daily("AAPL", DAYS[0])
        server.faults["*"] = "hang"
        began = time.monotonic()
        with pytest.raises(Disrupted):
            Yahoo(Tuning(yahoo_timeout_s=0.3, yahoo_attempts=1)).daily("AAPL", DAYS[0])
    assert time.monotonic() - began < 60


def test_who_is_refused_again_and_again_stops_asking(monkeypatch):
    securities = {name: plain() for name in "ABCDEF"}
    with yahoo(monkeypatch, securities) as server:
        server.faults["*"] = 429
        for name in "ABC":
            with pytest.raises(Throttled):
                source.shared().daily(name, DAYS[0])
        before = len(server.asked)
        with pytest.raises(SourceUnavailable, match="3 tickers in a row"):
            source.shared().daily("D", DAYS[0])
        assert len(server.asked) == before
        later = time.monotonic() + 601
        monkeypatch.setattr(source.time, "monotonic", lambda: later)
        server.faults.clear()
        assert source.shared().daily("D", DAYS[0]).bars.height == len(DAYS)


def test_one_ticker_that_is_refused_again_and_again_is_no_outage(monkeypatch):
    with yahoo(monkeypatch, {"A": plain(), "B": plain()}) as server:
        server.faults["A"] = 500
        for _ in range(4):
            with pytest.raises(Disrupted):
                source.shared().daily("A", DAYS[0])
        assert source.shared().daily("B", DAYS[0]).bars.height == len(DAYS)


def test_there_is_a_pause_between_two_tickers(monkeypatch):
    slept = []
    monkeypatch.setattr(source.time, "sleep", slept.append)
    with yahoo(monkeypatch, {"A": plain(), "B": plain()}):
        door = Yahoo(Tuning(yahoo_pause_s=5))
        door.daily("A", DAYS[0])
        door.daily("B", DAYS[0])
    assert [seconds > 4 for seconds in slept] == [False, True]


def test_a_ticker_without_rows_is_no_answer(monkeypatch):
    with yahoo(monkeypatch, {PROBED: Security(flat_bars([date(2003, 9, 10)]))}), pytest.raises(NotFound):
        newest_at_yahoo()


def test_behind_a_proxy_its_certificate_is_verified_too(fresh_yfinance, monkeypatch):
    """The real yfinance, led by a proxy to a server that nobody vouches for: it asks that one nothing."""
    names = ("query1_finance_yahoo_com", "query2_finance_yahoo_com", "fc_yahoo_com", "guce_yahoo_com")
    tls = server_tls(trustme.CA(), *(name.replace("_", ".") for name in names))
    with loopback.serve({}, tls=tls) as server:
        with proxying(**dict.fromkeys(names, server.endpoint_url)) as proxy:
            proxy.in_environment(monkeypatch)
            with pytest.raises(Disrupted, match=r"(?i)certificate"):
                source.shared().daily("AAPL", date(2025, 3, 3))
        assert server.requests == ()
    assert {line.split()[0] for line in proxy.asked} == {"CONNECT"}
