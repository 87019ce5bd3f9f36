"""Yahoo through yfinance: the fallback where Massive has no data.

yfinance is one session for the whole process, without a limit of its own. So everything goes through one `Yahoo`, which
asks for one ticker at a time with a pause in between, tries again after a fault, and stops asking for a while if it is
refused again and again.
"""

import json
import logging
import re
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import tenacity

from ingest.errors import Disrupted, NotFound, SourceError, SourceUnavailable, Throttled, Unintelligible
from ingest.market.adjust import Days, Floats, raw_prices, raw_volumes, split_factors, without_repeats
from ingest.market.calendars import today
from ingest.market.corporate_actions import Actions, Dividend, StockSplit
from ingest.market.yahoo.multipliers import Bars, confirmed
from ingest.settings import tuning
from ingest.settings.tuning import Tuning
from ingest.sources.retry_policy import of_yahoo
from ingest.sources.yahoo_chart import ChartEvents, Overheard, overheard

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

PROBED = "SPY"
"""A ticker that trades in each session."""


@dataclass(frozen=True, slots=True)
class Told:
    """yfinance's own table, and the events of the Yahoo answer from which it is made."""

    frame: "pd.DataFrame"
    listed: ChartEvents


@dataclass(frozen=True, slots=True)
class Daily:
    """Daily bars as traded, and the corporate actions of the security.

    `bars` has the columns date, open, high, low, close, volume, ascending by date; it is empty if Yahoo has only rows
    without prices. `actions` are those with an ex-date in the requested span; `doubts` says what is odd about them.
    """

    bars: "pl.DataFrame"
    actions: Actions
    doubts: tuple[str, ...] = ()


class Yahoo:
    """A process's only access to Yahoo; safe to share between threads."""

    def __init__(self, tuning: Tuning) -> None:
        self._tuning, self._policy = tuning, of_yahoo(tuning)
        self._door = threading.Lock()
        self._asked_at = float("-inf")
        self._silent: set[str] = set()
        self._rests_until = float("-inf")

    def daily(self, symbol: str, start: date) -> Daily:
        """Daily bars from `start` to today, as traded. Raises NotFound, Throttled, Disrupted or SourceUnavailable.

        The request always extends through today: Yahoo divides each price by the splits that came after it.
        """
        told = self.history(symbol, start=start, end=today() + timedelta(days=1), auto_adjust=False, actions=True)
        daily = as_traded(symbol, told)
        if daily.bars.is_empty():
            error = NotFound(f"Yahoo has no prices of {symbol} for these days")
            with self._door:
                self._vouch(error)
            raise error
        return daily

    def history(self, symbol: str, **arguments: Any) -> Told:
        """What `yfinance.Ticker(symbol).history(**arguments)` returns; raises as `daily` does, and never logs."""
        with self._door:
            if (left := self._rests_until - time.monotonic()) > 0:
                raise SourceUnavailable(
                    f"Yahoo gave no answer for {self._tuning.yahoo_silences} tickers in a row: "
                    f"it is asked again in {left / 60:.0f} min"
                )
            return self._counted(symbol, lambda: self._persistently(symbol, arguments))

    def _counted(self, symbol: str, call: Callable[[], Told]) -> Told:
        """The result of a call; symbols without an answer are counted until one is answered, whatever the answer is."""
        try:
            told = call()
        except Unintelligible:
            self._silent.clear()
            raise
        except (Throttled, Disrupted):
            self._silent.add(symbol)
            if len(self._silent) >= self._tuning.yahoo_silences:
                self._silent.clear()
                self._rests_until = time.monotonic() + self._tuning.yahoo_rest_s
            raise
        except NotFound as error:
            self._silent.clear()
            self._vouch(error)
            raise
        self._silent.clear()
        return told

    def _vouch(self, error: NotFound) -> None:
        """Raise SourceUnavailable if `error` cannot be believed: in an outage Yahoo says the same of all tickers.

        Each time it looks up a ticker that must exist and have prices, since an outage may have just begun: that costs
        little compared with what yfinance requests for a ticker that does not exist.
        """
        try:
            told = self._persistently(
                PROBED, {"start": today() - timedelta(days=10), "end": today() + timedelta(days=1)}
            )
            if not (told.frame["Close"] > 0).any():
                raise NotFound(f"Yahoo has no prices of {PROBED}")
        except SourceError as other:
            raise SourceUnavailable(f"{error}, but no {PROBED} either, which must exist ({other})") from other

    def _persistently(self, symbol: str, arguments: dict[str, Any]) -> Told:
        return self._policy.built(tenacity.Retrying)(self._once, symbol, arguments)

    def _once(self, symbol: str, arguments: dict[str, Any]) -> Told:
        time.sleep(max(0.0, self._asked_at + self._tuning.yahoo_pause_s - time.monotonic()))
        try:
            return _ask(symbol, {"timeout": self._tuning.yahoo_timeout_s} | arguments)
        finally:
            self._asked_at = time.monotonic()


@cache
def shared() -> Yahoo:
    """The `Yahoo` of this process."""
    return Yahoo(tuning.DEFAULT)


def _yfinance() -> Any:
    """The module, set up for one request. Raises SourceUnavailable, however its import fails.

    It looks for a home folder during its import, and brings libraries that may not suit the machine.
    """
    try:
        import yfinance
        from yfinance.data import YfData

        # Failures are raised: yfinance would log them and return nothing, as if there were no such ticker.
        yfinance.config.debug.hide_exceptions = False
        # It also caches the bodies of errors, and would answer a second attempt with the first one's.
        YfData.cache_get.cache_clear()
    except (Exception, SystemExit) as error:
        raise SourceUnavailable(f"yfinance cannot be used: {type(error).__name__}: {error}") from error
    logging.getLogger("yfinance").setLevel(logging.CRITICAL)
    return yfinance


def _ask(symbol: str, arguments: dict[str, Any]) -> Told:
    yfinance = _yfinance()
    answer: Overheard | None = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of yfinance's own use of pandas
            ticker = yfinance.Ticker(symbol)
            answer = overheard(ticker)
            frame: pd.DataFrame = ticker.history(**arguments)
    except Exception as error:  # yfinance passes on whatever its transport and its parsers raise
        raise _translated(symbol, error, came=answer is not None and answer.came) from error
    finally:
        _close_its_databases()
    if frame.empty:
        raise NotFound(f"Yahoo has no rows of {symbol} for these days")
    try:
        return Told(frame, answer.listed(frame))
    except Exception as error:  # a chart in another shape than Yahoo's own: no reason to end a run
        raise Unintelligible(f"Yahoo, {symbol}: events that cannot be read ({error!r})") from error


def _close_its_databases() -> None:
    """It opens its SQLite caches (time zones, cookies) in each thread that asks, and leaves them open.

    A thread that ends would leave its connection behind. The next request opens them again.
    """
    import peewee
    from yfinance import cache

    for kept in list(vars(cache).values()):
        if isinstance(kept, peewee.Proxy) and kept.obj is not None:
            kept.obj.close()


_TRANSPORT = re.compile(r"Failed to perform, curl: \(\d+\) ")
"""What the errors of yfinance's transport begin with, before they say what happened."""


def _translated(symbol: str, error: Exception, came: bool) -> SourceError:
    from yfinance.exceptions import YFPricesMissingError, YFRateLimitError, YFTzMissingError

    status = getattr(getattr(error, "response", None), "status_code", None)
    said = str(error).partition(" See http")[0]
    words = f"Yahoo, {symbol}: {type(error).__name__}: {said}"
    if isinstance(error, YFRateLimitError) or status == 429:
        return Throttled(f"Yahoo, {symbol}: too many requests")
    if isinstance(error, YFPricesMissingError | YFTzMissingError) or status == 404:
        reason = getattr(error, "yahoo_reason", None)
        return NotFound(f"Yahoo has no {symbol}, or no rows of it for these days{f' ({reason})' if reason else ''}")
    if isinstance(error, json.JSONDecodeError):
        return Disrupted(f"Yahoo, {symbol}: an answer that is not JSON")
    if transport := _TRANSPORT.match(said):
        return Disrupted(f"Yahoo, {symbol}: {said[transport.end() :].rstrip('.')}")
    return Unintelligible(words) if came else Disrupted(words)


_UNCERTAIN = (
    "this version of yfinance hides Yahoo's own lists of corporate actions: one on a day without a row is dated to the "
    "row before"
)


def as_traded(symbol: str, told: Told) -> Daily:
    """Undo Yahoo's adjustments in an answer that reaches through today (auto_adjust=False). Raises Disrupted."""
    try:
        return _as_traded(told)
    except Exception as error:  # a frame in another shape than yfinance's own: no reason to end a run
        raise Unintelligible(f"Yahoo, {symbol}: an answer that cannot be read ({error!r})") from error


def _as_traded(told: Told) -> Daily:
    import polars as pl

    listed, frame = told.listed, told.frame[told.frame["Close"] > 0]
    days = frame.index.tz_localize(None).to_numpy().astype("datetime64[D]")
    in_force = max([today(), *days[-1:].tolist()])  # Yahoo lists some events the day before
    splits = without_repeats([one for one in listed.splits if one.ex_date <= in_force])
    factors = split_factors(days, splits)
    served = {name: frame[name].to_numpy(float) for name in ("Open", "High", "Low", "Close", "Adj Close", "Volume")}
    prices = {name: raw_prices(served[name.title()], factors) for name in ("open", "high", "low", "close")}
    bars = pl.DataFrame({"date": days, **prices, "volume": raw_volumes(served["Volume"], factors)})

    def as_paid(payouts: tuple[Dividend, ...]) -> tuple[Dividend, ...]:
        return tuple(_as_paid(one, splits, days, served["Close"]) for one in payouts if one.ex_date <= in_force)

    actions = Actions(splits, as_paid(listed.dividends), as_paid(listed.gains), listed.instrument)
    actions = confirmed(Bars(days, prices["close"], served["Close"], served["Adj Close"]), actions)
    return Daily(bars, actions, () if listed.certain else (_UNCERTAIN,))


def _as_paid(payout: Dividend, splits: tuple[StockSplit, ...], days: Days, closes: Floats) -> Dividend:
    """The payout per share of that day, with the close before it per share as it was before the splits of that day."""
    before, on = split_factors(_day(payout.ex_date, -1), splits), split_factors(_day(payout.ex_date), splits)
    at = int(np.searchsorted(days, np.datetime64(payout.ex_date, "D"))) - 1
    close = float(raw_prices(closes[at : at + 1], before)[0]) if at >= 0 else None
    return Dividend(payout.ex_date, float(f"{payout.amount * on[0]:.12g}"), close)


def _day(day: date, later: int = 0) -> Days:
    return np.array([day + timedelta(days=later)], dtype="datetime64[D]")


def newest_at_yahoo() -> date:
    """The newest session that Yahoo has of a well-known ticker, requested once; raises SourceError."""
    window = {"start": today() - timedelta(days=10), "end": today() + timedelta(days=1)}
    told = _ask(PROBED, window | {"actions": False, "timeout": tuning.DEFAULT.yahoo_timeout_s})
    newest: date = told.frame.index[-1].date()
    return newest
