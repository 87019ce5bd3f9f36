"""`get_smart_data` within days: the minute files of a market, brought like those of days, as bars of a size."""

from typing import TYPE_CHECKING

import polars as pl

from ingest import reading, smart
from ingest.actions import check_seams, daily, doubts
from ingest.aggregate import BarSize, aggregate, bar_size
from ingest.corporate import Actions
from ingest.errors import NotFound
from ingest.freshness import calendar_of
from ingest.lookalike import intraday_frame_of
from ingest.manifest import Manifest
from ingest.reading import Stock
from ingest.settings import Settings
from ingest.smart import Query
from ingest.sources.yahoo import shared
from ingest.warned import warn

if TYPE_CHECKING:
    import pandas as pd


def massive_frame(
    settings: Settings, query: Query, interval: str, prepost: bool, across_seams: bool = False
) -> "pd.DataFrame":
    """A ticker's frame of bars; the query's dataset is of minutes. Raises IngestError; warns of what is missing."""
    bars, actions = fetch(settings, query, bar_size(interval), prepost, across_seams=across_seams)
    return intraday_frame_of(bars, actions, query.auto_adjust, query.actions, query.dataset, interval)


def fetch(
    settings: Settings, query: Query, size: BarSize, prepost: bool, events: bool = True, across_seams: bool = False
) -> tuple[pl.DataFrame, Actions | None]:
    """A ticker's bars as traded, as `reading.rows_schema`; and its splits and dividends.

    Without `events` none are looked for: the bars are not to be adjusted. Raises and warns as `massive_frame`.
    """
    if query.fetch:
        smart.bring(settings, query)
    with Manifest.read(settings.manifest_path, query.dataset.name) as manifest:
        stock = reading.stock_of(manifest, settings, query.dataset)
        _warn_of_missing(stock, query)
        coverage = manifest.coverage()  # before the rows: what a run commits meanwhile is no gap in them
        minutes = reading.rows(stock, [query.ticker], query.start, query.end)
        bars = aggregate(minutes, size, query.dataset, prepost)
        if bars.is_empty():
            raise NotFound(_nothing(query, minutes))
        actions = _events(settings, stock, query, bars) if events else None
        if actions and not across_seams:
            check_seams(bars, coverage, {query.ticker: actions})
    for doubt in doubts(bars, {query.ticker: actions}, payouts=False) if actions else ():
        warn(doubt)
    return bars, actions


def _events(settings: Settings, stock: Stock, query: Query, bars: pl.DataFrame) -> Actions | None:
    yahoo = shared() if query.fetch and settings.fallback.enabled else None
    with daily(stock, settings) as days:
        return smart.events_of(days, settings, query, bars, None, yahoo)


def _warn_of_missing(stock: Stock, query: Query) -> None:
    covered = stock.manifest.coverage().of(query.ticker)
    sessions = calendar_of(stock.manifest, query.dataset).between(query.start, query.end)
    if missing := [day for day in sessions if day not in covered]:
        span = f"{missing[0]}" if len(missing) == 1 else f"{missing[0]} to {missing[-1]}"
        warn(
            f"{len(missing):,} of {len(sessions):,} sessions are missing ({span}): no file of {query.dataset.short} is "
            "held of them, and Yahoo is not asked for minutes"
        )


def _nothing(query: Query, minutes: pl.DataFrame) -> str:
    span = f"{query.ticker} from {query.start} to {query.end}"
    if minutes.height:
        return f"there is nothing of {span} in regular hours, only before and after them: prepost=True, --prepost"
    how = "" if query.fetch else " (fetch=False: nobody was asked)"
    return f"there is nothing of {span} in {query.dataset.short}{how}; {smart.spelling(query)}"
