"""Yahoo through yfinance: what steps in where Massive has nothing.

yfinance is one session for the whole process, without a limit of its own: so everything goes through one `Yahoo`, which
asks for one ticker at a time with a pause in between, tries again after a fault, and stops asking for a while where it
is refused again and again.
"""

import json
import logging
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import tenacity

from ingest.adjust import raw_prices, raw_volumes, split_factors, without_repeats
from ingest.corporate import Actions, Dividend, Split
from ingest.errors import Disrupted, IngestError, NotFound, SourceError, SourceUnavailable, Throttled
from ingest.sessions import today

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

PROBED = "SPY"
"""A ticker that trades on each session."""

PAUSE_S = 0.4
ATTEMPTS = 3
TIMEOUT_S = 15
_BACKOFF = tenacity.wait_random_exponential(multiplier=1, max=20)
_REFUSALS = 3
"""So many tickers in a row that could not be had, whatever was tried, mean that Yahoo is to be left alone ..."""
_REST_S = 600
"""... for so long."""


@dataclass(frozen=True, slots=True)
class Daily:
    """Daily bars as traded, and what happened to the security.

    `bars` has the columns date, open, high, low, close, volume, ascending by date. `actions` are those with an ex-date
    in the span that was asked for; `frame` is yfinance's own answer, with auto_adjust=False and actions=True.
    """

    bars: "pl.DataFrame"
    actions: Actions
    frame: "pd.DataFrame"


class Yahoo:
    """The one door to Yahoo in a process; safe to share between threads."""

    def __init__(self, pause_s: float | None = None) -> None:
        self._pause_s = PAUSE_S if pause_s is None else pause_s
        self._door = threading.Lock()
        self._asked_at = float("-inf")
        self._refusals = 0
        self._rests_until = float("-inf")

    def daily(self, symbol: str, start: date) -> Daily:
        """Daily bars from `start` to today, as traded. Raises NotFound, Throttled, Disrupted or SourceUnavailable.

        It is always asked through today: Yahoo divides each price by the splits that came after it.
        """
        frame = self.history(symbol, start=start, end=today() + timedelta(days=1), auto_adjust=False, actions=True)
        try:
            return as_traded(frame)
        except Exception as error:  # a frame of another shape than yfinance's own: no reason to end a run
            raise Disrupted(f"Yahoo, {symbol}: an answer that cannot be read ({error!r})") from error

    def history(self, symbol: str, **arguments: Any) -> "pd.DataFrame":
        """What `yfinance.Ticker(symbol).history(**arguments)` gives; raises as `daily` does, and never logs."""
        with self._door:
            if (left := self._rests_until - time.monotonic()) > 0:
                raise SourceUnavailable(
                    f"Yahoo gave no answer for {_REFUSALS} tickers in a row: it is asked again in {left / 60:.0f} min"
                )
            return self._counted(lambda: self._persistently(symbol, arguments))

    def _counted(self, call: "Callable[[], pd.DataFrame]") -> "pd.DataFrame":
        try:
            frame = call()
        except (Throttled, Disrupted):
            self._refusals += 1
            if self._refusals >= _REFUSALS:
                self._refusals, self._rests_until = 0, time.monotonic() + _REST_S
            raise
        except NotFound:
            self._refusals = 0
            raise
        self._refusals = 0
        return frame

    def _persistently(self, symbol: str, arguments: dict[str, Any]) -> "pd.DataFrame":
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=lambda state: _BACKOFF(state),
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, IngestError) and error.retryable),
            reraise=True,
        )
        return retrying(self._once, symbol, arguments)

    def _once(self, symbol: str, arguments: dict[str, Any]) -> "pd.DataFrame":
        time.sleep(max(0.0, self._asked_at + self._pause_s - time.monotonic()))
        try:
            return _ask(symbol, arguments)
        finally:
            self._asked_at = time.monotonic()


@cache
def shared() -> Yahoo:
    """The `Yahoo` of this process."""
    return Yahoo()


def _yfinance() -> Any:
    """The module, set up for one question. Raises SourceUnavailable, whatever its import ends in.

    It looks for a home folder as it is imported, and brings libraries that may not suit the machine.
    """
    try:
        import yfinance
        from yfinance.data import YfData

        # What goes wrong is raised: yfinance would log it, and hand out nothing, as if there were no such ticker.
        yfinance.config.debug.hide_exceptions = False
        # It keeps bodies of errors, too, and would answer a second attempt with the first one's.
        YfData.cache_get.cache_clear()
    except (Exception, SystemExit) as error:
        raise SourceUnavailable(f"yfinance cannot be used: {type(error).__name__}: {error}") from error
    logging.getLogger("yfinance").setLevel(logging.CRITICAL)
    return yfinance


def _ask(symbol: str, arguments: dict[str, Any]) -> "pd.DataFrame":
    yfinance = _yfinance()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of yfinance's own use of pandas
            frame: pd.DataFrame = yfinance.Ticker(symbol).history(timeout=TIMEOUT_S, **arguments)
    except Exception as error:  # yfinance passes on whatever its transport and its parsers raise
        raise _translated(symbol, error) from error
    finally:
        _close_its_databases()
    if frame.empty:
        raise NotFound(f"Yahoo has no rows of {symbol} for these days")
    return frame


def _close_its_databases() -> None:
    """What it keeps in SQLite (time zones, cookies) it opens in each thread that asks, and leaves open.

    A thread that ends would leave its connection behind. The next question opens them again.
    """
    import peewee
    from yfinance import cache

    for kept in list(vars(cache).values()):
        if isinstance(kept, peewee.Proxy) and kept.obj is not None:
            kept.obj.close()


def _translated(symbol: str, error: Exception) -> SourceError:
    from yfinance.exceptions import YFPricesMissingError, YFRateLimitError, YFTzMissingError

    status = getattr(getattr(error, "response", None), "status_code", None)
    words = f"Yahoo, {symbol}: {type(error).__name__}: {str(error).partition(' See http')[0]}"
    if isinstance(error, YFRateLimitError) or status == 429:
        return Throttled(f"Yahoo, {symbol}: too many requests")
    if isinstance(error, YFPricesMissingError | YFTzMissingError) or status == 404:
        return NotFound(f"Yahoo has no {symbol}, or no rows of it for these days")
    if isinstance(error, json.JSONDecodeError):
        return Disrupted(f"Yahoo, {symbol}: an answer that is no JSON")
    return Disrupted(words)


def as_traded(frame: "pd.DataFrame") -> Daily:
    """Undo Yahoo's adjustments in an answer that reaches through today (auto_adjust=False, actions=True)."""
    import polars as pl

    days = frame.index.tz_localize(None).to_numpy().astype("datetime64[D]")
    splits = without_repeats(
        [Split(day, float(ratio)) for day, ratio in _events(days, frame, "Stock Splits") if ratio > 0 and ratio != 1]
    )
    factors = split_factors(days, splits)
    prices = {
        name: raw_prices(frame[name.title()].to_numpy(float), factors) for name in ("open", "high", "low", "close")
    }
    volume = raw_volumes(frame["Volume"].to_numpy(float), factors)
    bars = pl.DataFrame({"date": days, **prices, "volume": volume}).filter(pl.col("close").is_not_nan())
    return Daily(bars, Actions(splits, _dividends(days, frame, factors, prices["close"])), frame)


def _events(days: Any, frame: "pd.DataFrame", name: str) -> list[tuple[date, float]]:
    values = frame[name].to_numpy(float)
    return [(days[at].item(), float(values[at])) for at in values.nonzero()[0]]


def _dividends(days: Any, frame: "pd.DataFrame", factors: Any, closes: Any) -> tuple[Dividend, ...]:
    """Dividends as they were paid for a share of then, each with the raw close of the session before."""
    values = frame["Dividends"].to_numpy(float)
    return tuple(
        Dividend(
            ex_date=days[at].item(),
            amount=round(float(values[at] * factors[at]), 6),
            close_before=float(closes[at - 1]) if at and closes[at - 1] == closes[at - 1] else None,
        )
        for at in values.nonzero()[0]
    )


def newest_session() -> date:
    """The newest session that Yahoo has of a well-known ticker, asked for once; raises SourceError."""
    frame = _ask(PROBED, {"start": today() - timedelta(days=10), "end": today() + timedelta(days=1), "actions": False})
    newest: date = frame.index[-1].date()
    return newest
