"""A ticker's rows or bars, Massive's first, with the warnings about them."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from ingest.cache.cache import Cache
from ingest.errors import ActionsUnknown, NotFound, warn
from ingest.hints import Option
from ingest.market.corporate_actions import Actions
from ingest.market.row_kinds import made_of
from ingest.reading import rows as reading
from ingest.reading.adjusting.actions import Inquiry, KnownActions, actions_of, check_seams, daily
from ingest.reading.adjusting.doubts import doubts
from ingest.reading.gaps import Span
from ingest.reading.resample import aggregate, bar_size
from ingest.reading.smart import frames
from ingest.reading.smart.filling import Filled, believed, fill
from ingest.reading.smart.missing import closed, missing_days, missing_minutes, nothing, spelling, to_download
from ingest.reading.smart.query import Query, TickerRows, no_data
from ingest.settings import Settings
from ingest.sources.yahoo import shared

if TYPE_CHECKING:
    import pandas as pd


def massive_frame(settings: Settings, query: Query) -> "pd.DataFrame":
    """A ticker's frame with Massive's rows first. Raises IngestError; warns about missing sessions."""
    return frames.frame(fetch(settings, query), query)


def fetch(settings: Settings, query: Query, adjusts: bool = True) -> TickerRows:
    """A ticker's rows as traded, Massive's first, or its intraday bars. Weeks and months are still days.

    Without `adjusts` splits and dividends are not looked up. Raises and warns as `massive_frame`.
    """
    is_daily = not made_of(query.interval).timed
    read = _bars if query.dataset.kind.timed else _days
    with Cache.read(settings, query.dataset) as cache:
        coverage = cache.manifest.sessions.coverage()  # before the rows: what a run commits meanwhile is no gap in them
        rows, known, missing = read(cache, settings, query, coverage.of(query.ticker), adjusts)
        if known is None:
            return TickerRows(rows, None, missing)
        actions = {query.ticker: known.actions}
        if not query.across_gaps:
            for doubt in check_seams(rows, coverage, actions, {query.ticker: known.begins}, payouts=is_daily):
                warn(doubt)
    for doubt in doubts(rows, actions, payouts=is_daily):
        warn(doubt)
    return TickerRows(rows, known.actions, missing)


_Rows = tuple[pl.DataFrame, KnownActions | None, Sequence[Span]]


def _days(cache: Cache, settings: Settings, query: Query, covered: Collection[date], adjusts: bool) -> _Rows:
    yahoo = shared() if query.fetch and settings.fallback.enabled and query.asks_yahoo else None
    filled = fill(cache, settings, query, covered, yahoo)
    if filled.rows.is_empty():
        why = f"{nothing(query, bool(yahoo), filled.refused)}{spelling(cache, query)}"
        raise _not_found(cache, settings, query, why)
    known = _actions(cache, settings, query, filled) if adjusts else None
    rows = believed(cache, query, filled)
    return rows, known, missing_days(cache, query, replace(filled, rows=rows), bool(yahoo))


def _bars(cache: Cache, settings: Settings, query: Query, covered: Collection[date], adjusts: bool) -> _Rows:
    minutes = reading.rows(cache, [query.ticker], query.start, query.end)
    missing = missing_minutes(cache, query, covered, minutes)
    size = bar_size(query.interval) if made_of(query.interval).timed else "1d"
    bars = aggregate(minutes, size, query.dataset, query.prepost)
    if bars.is_empty() and minutes.height:
        text = f"{no_data(query)} in regular hours, only before and after them"
        raise NotFound(text, Option("prepost", True, "to include those"))
    if bars.is_empty():
        raise _not_found(cache, settings, query, f"{no_data(query)}{spelling(cache, query)}")
    with daily(cache, settings) as days:
        return bars, _actions(days, settings, query, Filled(bars)) if adjusts else None, missing


def _not_found(cache: Cache, settings: Settings, query: Query, why: str) -> NotFound:
    if shut := closed(cache, query):
        return NotFound(shut)
    return NotFound(why, *to_download(cache, query, settings.run.datasets))


def _actions(cache: Cache, settings: Settings, query: Query, filled: Filled) -> KnownActions | None:
    """Splits and dividends; None if they are unavailable and raw prices were asked for.

    Yahoo is not asked again if it was just asked: its answer, or the reason of its refusal, is used.
    """
    if not cache.dataset.splits:
        return KnownActions(Actions())
    rows, answer, first = filled.rows, filled.answer, filled.rows["date"].min()
    if answer and isinstance(first, date) and answer.start <= first:
        return KnownActions(answer.actions, answer.begins)
    yahoo = shared() if query.fetch and settings.fallback.enabled else None
    try:
        told = {query.ticker: filled.refused} if filled.refused else {}
        known, notices = actions_of(Inquiry(cache, settings, yahoo), rows, told)
    except ActionsUnknown as error:
        if query.auto_adjust:
            raise
        warn(f"prices are as traded: {error.message}")
        return None
    for notice in notices:
        warn(notice)
    return known[query.ticker]
