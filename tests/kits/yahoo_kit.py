"""A small Yahoo on loopback for the real yfinance: its chart endpoint, with Yahoo's adjustments and noise.

A `Security` is given as traded. It is served as Yahoo does: prices divided by all later splits and rounded to float32,
volumes multiplied, dividends divided, and an adjusted close.
"""

import json
import threading
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from datetime import time as clock
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from curl_cffi import requests
from tuning_kit import tune

from ingest.market import calendars
from ingest.market.catalogue import STOCKS_DAY
from ingest.reading.adjusting.freshness import newest_session

NEW_YORK = ZoneInfo("America/New_York")
_PERIODS = (("period1", "0"), ("period2", "99999999999"))
_REQUEST = requests.Session.request
_UNKNOWN = {"chart": {"result": None, "error": {"code": "Not Found", "description": "No data found"}}}


@dataclass
class Security:
    """Bars by day as (open, high, low, close, volume), splits by ex-date as (new, old), dividends by ex-date.

    `gains` are capital gains by ex-date, which Yahoo lists for funds. `listed` has dividends that Yahoo lists with
    another amount than its adjusted close deducts. A bar that is None is a row without numbers, a day without one is a
    gap: its events stay. Events are listed up to `ahead` of the requested window. `zone` and `opens` say when its days
    begin at Yahoo. `within` has intraday bars by Yahoo's interval and their start; None is a bar without numbers.
    """

    bars: dict[date, tuple[float, float, float, float, float] | None]
    splits: dict[date, tuple[float, float]] = field(default_factory=dict)
    dividends: dict[date, float] = field(default_factory=dict)
    zone: str = "America/New_York"
    opens: clock = clock(9, 30)
    within: dict[str, dict[datetime, tuple[float, float, float, float, float] | None]] = field(default_factory=dict)
    gains: dict[date, float] = field(default_factory=dict)
    listed: dict[date, float] = field(default_factory=dict)
    instrument: str = "EQUITY"
    ahead: timedelta = timedelta(0)

    def opening(self, day):
        """The timestamp of a day's bar."""
        return int(datetime.combine(day, self.opens, ZoneInfo(self.zone)).timestamp())

    def later_splits(self, day):
        return float(np.prod([new / old for ex, (new, old) in self.splits.items() if ex > day]))

    def closes(self):
        """Closes of each day that has one, divided by later splits."""
        return {day: bar[3] / self.later_splits(day) for day, bar in sorted(self.bars.items()) if bar}

    def adjusted_closes(self):
        """Yahoo's adjusted close of each day that has a close."""
        closes, kept = self.closes(), {}
        for ex_date in {*self.dividends, *self.gains}:
            if before := [day for day in closes if day < ex_date]:
                paid = (self.dividends.get(ex_date, 0) + self.gains.get(ex_date, 0)) / self.later_splits(ex_date)
                kept[ex_date] = 1 - paid / closes[before[-1]]
        return {
            day: close * float(np.prod([share for ex_date, share in kept.items() if ex_date > day]))
            for day, close in closes.items()
        }


def flat_bars(days, close=100.0, volume=1000):
    """Bars with four equal prices, which rise a cent a day."""
    return {day: (*[round(close + n / 100, 2)] * 4, volume + n) for n, day in enumerate(days)}


def past_sessions(count, dataset=STOCKS_DAY):
    """The last sessions that ended at least an hour ago, ascending."""
    end = newest_session(dataset)
    calendar = calendars.Calendar.of(dataset.calendar)
    return list(calendar.between(end - timedelta(days=2 * count + 10), end))[-count:]


def plain_history(symbol, **arguments):
    """What yfinance itself returns, without its pandas deprecation warnings."""
    import yfinance

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return yfinance.Ticker(symbol).history(**arguments)


def _single(value):
    return float(np.float32(value))


def chart(ticker, security, first, last):
    """The answer for bars from `first` to `last`, in seconds since the epoch."""
    opening = security.opening
    days = [day for day in sorted(security.bars) if first <= opening(day) < last]
    later = {day: security.later_splits(day) for day in days}
    names = ("open", "high", "low", "close")
    bars = {day: security.bars[day] for day in days}
    quote = {name: [bars[day] and _single(bars[day][at] / later[day]) for day in days] for at, name in enumerate(names)}
    quote["volume"] = [bars[day] and round(bars[day][4] * later[day]) for day in days]
    closes = security.adjusted_closes()
    result = {
        "meta": _meta(ticker, security),
        "indicators": {
            "quote": [quote if days else {}],
            "adjclose": [{"adjclose": [bars[day] and _single(closes[day]) for day in days]} if days else {}],
        },
    }
    if days:
        result["timestamp"] = [opening(day) for day in days]
    if events := _events(security, first, last):
        result["events"] = events
    return {"chart": {"result": [result], "error": None}}


def intraday_chart(ticker, security, interval, prepost, first, last):
    """The answer for intraday bars: no adjusted close, but the hours of each day."""
    known = security.within[interval]
    begins = [at for at in sorted(known) if first <= at.timestamp() < last and (prepost or is_regular(at))]
    names = ("open", "high", "low", "close", "volume")
    factors = {at: security.later_splits(at.date()) for at in begins}
    quote = {name: [_within(known[at], place, factors[at]) for at in begins] for place, name in enumerate(names)}
    days = sorted({at.date() for at in begins})
    meta = _meta(ticker, security) | {"dataGranularity": interval}
    meta["tradingPeriods"] = _periods(days, prepost)
    result = {"meta": meta, "timestamp": [int(at.timestamp()) for at in begins], "indicators": {"quote": [quote]}}
    if events := _events(security, first, last):
        result["events"] = events
    return {"chart": {"result": [result], "error": None}}


def _within(bar, place, factor):
    if bar is None:
        return None
    return round(bar[place] * factor) if place == 4 else _single(bar[place] / factor)


def _beyond(interval, first, last):
    """Yahoo's answer to a request for more minutes than it serves."""
    if interval == "1m" and last - first > 8 * 86400:
        why = "Only 8 days worth of 1m granularity data are allowed to be fetched per request."
        words = f"1m data not available for startTime={first} and endTime={last}. {why}"
        return {"chart": {"result": None, "error": {"code": "Unprocessable Entity", "description": words}}}
    return None


def is_regular(at):
    return clock(9, 30) <= at.astimezone(NEW_YORK).time() < closing(at.date())


def closing(day):
    return calendars.Calendar.of("XNYS").close(day)


def _periods(days, prepost):
    edges = [[clock(4), clock(9, 30), closing(day), clock(20)] for day in days]
    stamps = [
        [int(datetime.combine(day, at, NEW_YORK).timestamp()) for at in one]
        for day, one in zip(days, edges, strict=True)
    ]
    zone = {"timezone": "EST", "gmtoffset": -18000}
    named = {
        name: [[{"start": one[at], "end": one[at + 1], **zone}] for one in stamps]
        for at, name in enumerate(("pre", "regular", "post"))
    }
    return named if prepost else named["regular"]


def _events(security, first, last):
    def listed(events, told):
        stamps = {day: security.opening(day) for day in events}
        return {
            str(stamp): {"date": stamp, **told(day, events[day])}
            for day, stamp in stamps.items()
            if first <= stamp < last + security.ahead.total_seconds()
        }

    def paid(day, cash):
        return {"amount": round(cash / security.later_splits(day), 6)}

    def split(day, ratio):
        new, old = ratio
        return {"numerator": new, "denominator": old, "splitRatio": f"{new}:{old}"}

    found = {
        "splits": listed(security.splits, split),
        "dividends": listed(security.dividends | security.listed, paid),
        "capitalGains": listed(security.gains, paid),
    }
    return {name: events for name, events in found.items() if events}


def _meta(ticker, security):
    return {
        "symbol": ticker,
        "currency": "USD",
        "exchangeName": "NMS",
        "instrumentType": security.instrument,
        "gmtoffset": -18000,
        "timezone": "EST",
        "exchangeTimezoneName": security.zone,
        "priceHint": 2,
        "regularMarketPrice": 1.0,
        "dataGranularity": "1d",
        "range": "",
        "validRanges": ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"],
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits 40 ms for an acknowledgement of its headers

    def log_message(self, *_):
        """Keep the tests' output clean."""

    def do_GET(self):
        host, _, path = urlsplit(self.path).path[1:].partition("/")
        if host == "fc.yahoo.com":
            self._answer(404, "", cookie="A3=fake; Max-Age=3600; Path=/")
        elif path.endswith("test/getcrumb"):
            self._answer(200, "crumb")
        else:
            self._chart(unquote(path.rpartition("/")[2]), parse_qs(urlsplit(self.path).query))

    def _chart(self, ticker, query):
        first, last = (int(query.get(name, [default])[0]) for name, default in _PERIODS)
        if "period1" in query:
            self.server.asked.append(ticker)
        fault = self.server.fault(ticker)
        if fault == "drop":
            self.close_connection = True
            self.connection.close()
        elif fault == "hang":
            time.sleep(2)
        elif fault:
            self._answer(fault, "<html>no</html>")
        elif ticker not in self.server.securities:
            self._answer(404, json.dumps(_UNKNOWN))
        elif (interval := query["interval"][0]) in (security := self.server.securities[ticker]).within:
            prepost = query["includePrePost"][0].lower() == "true"
            if refusal := _beyond(interval, first, last):
                self._answer(422, json.dumps(refusal))
                return
            self._answer(200, json.dumps(intraday_chart(ticker, security, interval, prepost, first, last)))
        else:
            self._answer(200, json.dumps(chart(ticker, self.server.securities[ticker], first, last)))

    def _answer(self, code, text, cookie=None):
        self.send_response(code)
        self.send_header("Content-Length", str(len(text.encode())))
        if cookie:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()
        self.wfile.write(text.encode())


class Yahoo(ThreadingHTTPServer):
    """The running server. `securities` by Yahoo's symbol; `asked` has the symbols whose bars were requested.

    `faults` by symbol, or "*" for all: a list of what its next answers are (a status, "drop", "hang"), or one for ever.
    """

    daemon_threads = True

    def __init__(self, securities):
        super().__init__(("127.0.0.1", 0), _Handler)
        # Without a ticker that must exist nothing is believed of those that do not.
        self.securities = {"SPY": Security(flat_bars(past_sessions(10)))} | dict(securities)
        self.faults = {}
        self.asked = []

    def fault(self, ticker):
        script = self.faults.get(ticker, self.faults.get("*"))
        if isinstance(script, list):
            return script.pop(0) if script else None
        return script


@contextmanager
def yahoo(monkeypatch, securities):
    """Serve securities to this process's real yfinance until the block is left; other hosts are refused."""
    server = Yahoo(securities)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()

    def request(session, method, url, *arguments, **named):
        parts = urlsplit(url)
        if not (parts.hostname or "").endswith("yahoo.com"):
            raise AssertionError(f"yfinance asks {url}")
        query = f"?{parts.query}" if parts.query else ""
        there = f"http://127.0.0.1:{server.server_port}/{parts.hostname}{parts.path}{query}"
        return _REQUEST(session, method, there, *arguments, **named)

    monkeypatch.setattr(requests.Session, "request", request)
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def fresh_yfinance(tmp_path, monkeypatch):
    """Use no answer, crumb or time zone of another test or of this computer's user, and no pauses."""
    forget_yahoo(tmp_path)
    tune(monkeypatch, yahoo_pause_s=0.0, yahoo_backoff_first_s=0.01)


def forget_yahoo(folder):
    """Let yfinance begin afresh, with its caches in this folder: that of an earlier test may be gone."""
    import yfinance
    from yfinance import cache
    from yfinance.data import YfData

    from ingest.sources import yahoo as source

    yfinance.set_tz_cache_location(str(folder))
    # What has looked a time zone up once goes on in the folder of that time, which other tests have filled since.
    cache._TzCacheManager._tz_cache = cache._CookieCacheManager._Cookie_cache = None
    YfData._instances.clear()
    source.shared.cache_clear()
