"""Yahoo's own daily bars and frames; daily bars of completed sessions are stored.

A kill leaves all or nothing of an answer stored.
"""

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from ingest.cache.cache import Cache
from ingest.errors import ActionsUnknown, Disagreement, NotFound, warn
from ingest.market.calendars import today
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.corporate_actions import Actions
from ingest.market.datasets import Dataset
from ingest.reading.adjusting import adjusted, fallback
from ingest.reading.adjusting.doubts import differences
from ingest.settings import Settings
from ingest.sources.yahoo import Daily, Told, as_traded, shared

if TYPE_CHECKING:
    import pandas as pd


def yahoo_frame(
    settings: Settings,
    ticker: str,
    auto_adjust: bool,
    actions: bool,
    dataset: Dataset = STOCKS_DAY,
    **window: Any,
) -> "pd.DataFrame":
    """The frame that yfinance returns; daily bars of completed sessions are stored. Raises SourceError.

    `window` is `period`, or `start` and perhaps `end`, and `interval`. Tickers of other markets than stocks are looked
    up by Yahoo's spelling. Warns about odd dividends; raises ActionsUnknown if prices cannot be adjusted for them.
    """
    if window.get("interval", "1d") != "1d":
        whole = _told(ticker, dataset, window).frame
        _check_adjusted(ticker, whole, auto_adjust)
        return _as_asked(whole, auto_adjust, actions)
    end = window.pop("end", None)
    told, daily = yahoo_daily(settings, ticker, dataset, **window)
    if auto_adjust and (refused := adjusted.impossible(*_known(ticker, daily))):
        raise ActionsUnknown(f"prices of {ticker} cannot be adjusted for dividends: {refused[ticker]}")
    if auto_adjust:
        _check_adjusted(ticker, told.frame, auto_adjust)
    if actions:
        _warn_of_moved(ticker, told, end)
    frame = _as_asked(told.frame, auto_adjust, actions, end)
    if frame.empty:
        raise NotFound(f"Yahoo has no rows of {ticker} before {end}: its first is from {told.frame.index[0].date()}")
    return frame


_ROUNDING = 1e-4
"""More than the rounding error of hundreds of float32 multipliers in an adjusted close."""


def _check_adjusted(ticker: str, frame: "pd.DataFrame", auto_adjust: bool) -> None:
    """Raise ActionsUnknown, or warn, if an adjusted close is not between 0 and its close."""
    kept = frame["Adj Close"] / frame["Close"]
    odd = frame.index[(kept <= 0) | (kept > 1 + _ROUNDING)]
    if len(odd):
        what = f"Yahoo's adjusted close of {ticker} on {odd[0].date()} is {kept[odd[0]]:.4g} of its close"
        if auto_adjust:
            raise ActionsUnknown(f"prices cannot be adjusted for dividends: {what}")
        warn(what)


def _warn_of_moved(ticker: str, told: Told, end: date | None) -> None:
    """Warn about corporate actions on days without a row: yfinance shows them at the row before."""
    days = [stamp.date() for stamp in told.frame.index if not end or stamp.date() < end]
    listed = told.listed
    events = {one.ex_date for one in listed.splits} | {one.ex_date for one in (*listed.dividends, *listed.gains)}
    for day in sorted(events.difference(days)):
        if days and days[0] < day < days[-1]:
            before = max(one for one in days if one < day)
            warn(f"{ticker}: Yahoo has no row on {day}; yfinance shows that day's corporate actions at {before}")


def yahoo_daily(settings: Settings, ticker: str, dataset: Dataset = STOCKS_DAY, **window: Any) -> tuple[Told, Daily]:
    """Yahoo's daily bars through today, as Yahoo has them and as traded; those of completed sessions are stored.

    Raises and warns as `yahoo_frame`.
    """
    if "start" in window:
        window["end"] = today() + timedelta(days=1)  # through today: only so can all later splits be undone
    told = _told(ticker, dataset, window)
    daily = as_traded(ticker, told)
    rows, known = _known(ticker, daily)
    refused = [f"{name}: {why}" for name, why in adjusted.impossible(rows, known).items()]
    for doubt in (*(f"{ticker}: {doubt}" for doubt in daily.doubts), *differences(rows, known), *refused):
        warn(doubt)
    if dataset.yahoo_symbol(ticker) and not daily.bars.is_empty():
        _keep(settings, dataset, ticker, daily)
    return told, daily


def _known(ticker: str, daily: Daily) -> tuple[pl.DataFrame, dict[str, Actions]]:
    return daily.bars.with_columns(ticker=pl.lit(ticker)), {ticker: daily.actions}


def _told(ticker: str, dataset: Dataset, window: dict[str, Any]) -> Told:
    symbol = dataset.yahoo_symbol(ticker) or (ticker if dataset.primary else fallback.symbol_of(dataset, ticker))
    return shared().history(symbol, auto_adjust=False, actions=True, **window)


def _keep(settings: Settings, dataset: Dataset, ticker: str, found: Daily) -> None:
    with Cache.read(settings, dataset) as cache:
        try:
            answer = fallback.compared(cache, ticker, found)
        except Disagreement as error:
            warn(f"not stored: {error.message}")
            fallback.keep_refusal(settings, dataset, ticker, found.bars["date"][0], error)
            return
    for doubt in answer.doubts[len(found.doubts) :]:  # the caller has warned about those before
        warn(f"not stored: {doubt}")
    if answer.refused:
        warn(f"not stored for the days before {answer.start}: {answer.refused}")
    fallback.keep(settings, dataset, answer.start, answer)


def _as_asked(whole: "pd.DataFrame", auto_adjust: bool, actions: bool, end: date | None = None) -> "pd.DataFrame":
    """The columns and days of the frame that yfinance would return, without another request."""
    frame = whole[whole.index.date < end].copy() if end else whole.copy()
    if auto_adjust:
        kept = (frame["Adj Close"] / frame["Close"]).to_numpy()
        frame = frame.assign(**{name: frame[name] * kept for name in ("Open", "High", "Low")}, Close=frame["Adj Close"])
        frame = frame.drop(columns="Adj Close")
    if not actions:
        frame = frame.drop(columns=["Dividends", "Stock Splits", "Capital Gains"], errors="ignore")
    span = [(str(frame.index[0].date()), str(frame.index[-1].date()))] if len(frame) else []
    frame.attrs["sources"] = {"yahoo": span}
    return frame
