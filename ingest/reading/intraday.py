"""`get_smart_data` within days: the minute files of a market, brought like those of days, as bars of a size."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from ingest.cache.cache import Cache
from ingest.errors import NotFound, warn
from ingest.hints import Option
from ingest.reading import gaps, rows, smart
from ingest.reading.adjusting.actions import KnownActions, check_seams, daily, doubts
from ingest.reading.adjusting.freshness import calendar_of
from ingest.reading.frames import intraday_frame
from ingest.reading.gaps import Span
from ingest.reading.resample import BarSize, aggregate, bar_size
from ingest.reading.smart import Query, TickerRows
from ingest.settings import Settings
from ingest.sources.yahoo import shared

if TYPE_CHECKING:
    import pandas as pd


def massive_frame(
    settings: Settings, query: Query, interval: str, prepost: bool, across_seams: bool = False
) -> "pd.DataFrame":
    """A ticker's frame of bars; the query's dataset is of minutes. Raises IngestError; warns of what is missing."""
    found = fetch(settings, query, bar_size(interval), prepost, across_seams=across_seams)
    how = (query.auto_adjust, query.actions, query.dataset, interval, found.missing)
    return intraday_frame(found.rows, found.actions, *how)


def fetch(
    settings: Settings, query: Query, size: BarSize, prepost: bool, events: bool = True, across_seams: bool = False
) -> TickerRows:
    """A ticker's bars as traded.

    Without `events` none are looked for: the bars are not to be adjusted. Raises and warns as `massive_frame`.
    """
    with Cache.read(settings, query.dataset) as cache:
        covered = cache.manifest.coverage()  # before the rows: what a run commits meanwhile is no gap in them
        minutes = rows.rows(cache, [query.ticker], query.start, query.end)
        missing = _warn_of_missing(cache, query, covered.of(query.ticker), minutes)
        bars = aggregate(minutes, size, query.dataset, prepost)
        if bars.is_empty():
            raise _nothing(cache, query, minutes)
        known = _events(settings, cache, query, bars) if events else None
        if known and not across_seams:
            actions, begins = {query.ticker: known.actions}, {query.ticker: known.begins}
            for doubt in check_seams(bars, covered, actions, begins, payouts=False):
                warn(doubt)
    for doubt in doubts(bars, {query.ticker: known.actions}, payouts=False) if known else ():
        warn(doubt)
    return TickerRows(bars, known.actions if known else None, missing)


def _events(settings: Settings, cache: Cache, query: Query, bars: pl.DataFrame) -> KnownActions | None:
    yahoo = shared() if query.fetch and settings.fallback.enabled else None
    with daily(cache, settings) as days:
        return smart.events_of(days, settings, query, bars, yahoo)


def _warn_of_missing(cache: Cache, query: Query, covered: Collection[date], minutes: pl.DataFrame) -> Sequence[Span]:
    sessions = calendar_of(cache).between(query.start, query.end)
    missing = [day for day in sessions if day not in covered]
    stretches = gaps.spans(missing, sessions)
    if missing:
        warn(
            f"{len(missing):,} of {len(sessions):,} sessions are missing ({gaps.spans_in_words(stretches)}): no file "
            f"of {query.dataset.short} is held, and Yahoo is not asked for minutes"
        )
    days = frozenset(minutes["date"].to_list())
    return [*(smart.warn_of_ends(query, sessions, days, covered) if days else ()), *stretches]


def _nothing(cache: Cache, query: Query, minutes: pl.DataFrame) -> NotFound:
    if minutes.height:
        text = f"{smart.no_data(query)} in regular hours, only before and after them"
        return NotFound(text, Option("prepost", True, "to include those"))
    return NotFound(f"{smart.no_data(query)}{smart.spelling(cache, query)}")
