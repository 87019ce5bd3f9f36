"""The real yfinance against a Yahoo on loopback."""

from datetime import date, timedelta

import pytest
from yahoo_kit import yahoo

from ingest import sessions
from ingest.errors import Disrupted
from ingest.sources.yahoo import PROBED, newest_session


@pytest.fixture(autouse=True)
def fresh_yfinance(tmp_path, monkeypatch):
    """No answer, crumb or time zone of another test, and none of this computer's user."""
    import yfinance
    from yfinance.data import YfData

    yfinance.set_tz_cache_location(str(tmp_path))
    YfData._instances.clear()


def closes():
    today = sessions.today()
    days = sessions.Calendar.of("XNYS").between(today - timedelta(days=20), today - timedelta(days=1))
    return {day: 100.0 + number for number, day in enumerate(days)}


def test_the_newest_session_is_the_one_that_yahoo_has(monkeypatch):
    bars = closes()
    with yahoo(monkeypatch, {PROBED: bars}):
        assert newest_session() == max(bars)


@pytest.mark.parametrize("status", [429, 500, 404])
def test_a_yahoo_that_refuses_is_told_of_in_one_line(monkeypatch, status):
    with yahoo(monkeypatch, {PROBED: closes()}, status=status), pytest.raises(Disrupted) as caught:
        newest_session()
    assert "\n" not in str(caught.value)


def test_a_ticker_without_rows_is_no_answer(monkeypatch):
    with yahoo(monkeypatch, {PROBED: {date(2003, 9, 10): 1.0}}), pytest.raises(Disrupted):
        newest_session()
