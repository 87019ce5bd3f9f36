"""A small Yahoo on loopback, for the real yfinance: daily bars of a few tickers, as its chart endpoint answers them."""

import json
import threading
from contextlib import contextmanager
from datetime import datetime, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from curl_cffi import requests

NEW_YORK = ZoneInfo("America/New_York")


def opening(day):
    """The stamp of a day's bar: when the exchange opens."""
    return int(datetime.combine(day, time(9, 30), NEW_YORK).timestamp())


def chart(ticker, closes, first, last):
    """The answer for bars from `first` to `last`, in seconds since the epoch; all prices of a day are its close."""
    days = [day for day in sorted(closes) if first <= opening(day) < last]
    prices = [closes[day] for day in days]
    quote = dict.fromkeys(("open", "high", "low", "close"), prices) | {"volume": [1000] * len(days)}
    meta = {
        "symbol": ticker,
        "currency": "USD",
        "exchangeName": "PCX",
        "instrumentType": "ETF",
        "gmtoffset": -18000,
        "timezone": "EST",
        "exchangeTimezoneName": "America/New_York",
        "priceHint": 2,
        "regularMarketPrice": 1.0,
        "dataGranularity": "1d",
        "range": "",
        "validRanges": ["1d", "5d", "1mo", "max"],
    }
    result = {"meta": meta, "indicators": {"quote": [quote], "adjclose": [{"adjclose": prices}]}}
    if days:
        result["timestamp"] = [opening(day) for day in days]
    return {"chart": {"result": [result], "error": None}}


_PERIODS = (("period1", "0"), ("period2", "99999999999"))
_UNKNOWN = {"chart": {"result": None, "error": {"code": "Not Found", "description": "No data found"}}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Keep the tests' output clean."""

    def do_GET(self):
        host, _, path = urlsplit(self.path).path[1:].partition("/")
        if host == "fc.yahoo.com":
            self._answer(404, "", cookie="A3=fake; Max-Age=3600; Path=/")
        elif path.endswith("test/getcrumb"):
            self._answer(200, "crumb")
        elif self.server.status:
            self._answer(self.server.status, "<html>no</html>")
        else:
            self._chart(path.rpartition("/")[2])

    def _chart(self, ticker):
        if ticker not in self.server.tickers:
            self._answer(404, json.dumps(_UNKNOWN))
            return
        query = parse_qs(urlsplit(self.path).query)
        first, last = (int(query.get(name, [default])[0]) for name, default in _PERIODS)
        self._answer(200, json.dumps(chart(ticker, self.server.tickers[ticker], first, last)))

    def _answer(self, code, text, cookie=None):
        self.send_response(code)
        self.send_header("Content-Length", str(len(text.encode())))
        if cookie:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()
        self.wfile.write(text.encode())


@contextmanager
def yahoo(monkeypatch, tickers, status=None):
    """Serve {ticker: {date: close}} to yfinance while the block lasts; with `status` each question for bars fails."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.tickers, server.status = tickers, status
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    original = requests.Session.request

    def request(session, method, url, *arguments, **named):
        parts = urlsplit(url)
        if not (parts.hostname or "").endswith("yahoo.com"):
            raise AssertionError(f"yfinance asks {url}")
        query = f"?{parts.query}" if parts.query else ""
        there = f"http://127.0.0.1:{server.server_port}/{parts.hostname}{parts.path}{query}"
        return original(session, method, there, *arguments, **named)

    monkeypatch.setattr(requests.Session, "request", request)
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
