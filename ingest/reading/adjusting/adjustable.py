"""The rows of tickers that can be adjusted, and which ones cannot, and why."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import polars as pl

from ingest import events
from ingest.cache.cache import Cache
from ingest.cache.manifest.records import Coverage
from ingest.errors import AcrossSeam
from ingest.hints import Message
from ingest.market.adjust import Adjust
from ingest.market.corporate_actions import Actions
from ingest.reading import rows as reading
from ingest.reading.adjusting import adjusted
from ingest.reading.adjusting.actions import (
    HistoryQuery,
    Inquiry,
    KnownActions,
    Notices,
    actions_of,
    daily,
    seams_crossed,
)
from ingest.reading.adjusting.doubts import doubts
from ingest.settings import Settings
from ingest.sources.yahoo import shared


@dataclass(frozen=True, slots=True)
class Adjustable:
    """Rows as traded of the tickers that can be adjusted, what to adjust them for, and all `notices` about both.

    `left_out` has the other tickers, and why; `doubts` are the notices about those that are not left out.
    """

    rows: pl.DataFrame
    actions: Mapping[str, Actions] = field(default_factory=dict)
    notices: Notices = field(default_factory=list)
    left_out: Mapping[str, str] = field(default_factory=dict)
    doubts: Notices = field(default_factory=list)

    def adjusted(self, adjust: Adjust) -> pl.DataFrame:
        """The rows, adjusted; as traded if there is nothing to adjust for. Raises ActionsUnknown."""
        return adjusted.apply(self.rows, self.actions, adjust) if self.actions else self.rows


@dataclass(frozen=True, slots=True)
class _Judged:
    """Rows that can be adjusted, the tickers of all others, and what is odd about those of the rows."""

    rows: pl.DataFrame
    left_out: Mapping[str, Message]
    doubts: Notices


def adjusted_rows(
    cache: Cache,
    settings: Settings,
    query: HistoryQuery,
    tickers: Collection[str],
    on_event: events.Sink = events.ignore,
) -> tuple[pl.DataFrame, Notices]:
    """Rows of these tickers as `rows.rows_schema`, adjusted, with warnings about them. Raises IngestError.

    Rows of markets without splits and dividends (contracts, indices, currencies, coins) are returned as traded.
    """
    found = adjustable_rows(cache, settings, query, tickers, on_event)
    return found.adjusted(query.adjust), found.notices


def adjustable_rows(
    cache: Cache,
    settings: Settings,
    query: HistoryQuery,
    tickers: Collection[str],
    on_event: events.Sink = events.ignore,
) -> Adjustable:
    """The rows as traded of those tickers that can be adjusted, what to adjust them for, and warnings.

    Without anything to adjust for, all rows and no actions. Raises IngestError.
    """
    window = query.window(cache.dataset)

    def read() -> pl.DataFrame:
        return reading.rows(cache, tickers, *window, query.needs_parts)

    if query.adjust == "none" or not cache.dataset.splits:
        return Adjustable(read())
    coverage = cache.manifest.sessions.coverage()  # before the rows: a session committed meanwhile is no gap
    rows = read()
    if rows.is_empty():
        return Adjustable(rows)
    yahoo = shared() if query.fetch and settings.fallback.enabled else None
    with daily(cache, settings) as days:
        inquiry = Inquiry(days, settings, yahoo, on_event)
        known, notices = actions_of(inquiry, rows, errors=query.errors)
    if inquiry.heard and cache.dataset.kind.at_yahoo:  # answers change rows: return them as the next call would
        rows = read()
    return _told(inquiry, notices, _judged(rows, coverage, known, query))


def _told(inquiry: Inquiry, notices: Notices, judged: _Judged) -> Adjustable:
    left = [Message(f"left out: {one.text}", one.hints) for one in judged.left_out.values()]
    return Adjustable(
        judged.rows,
        {ticker: one.actions for ticker, one in inquiry.found.items()},
        [*notices, *left, *judged.doubts],
        {**inquiry.unknown, **{ticker: one.text for ticker, one in judged.left_out.items()}},
        [*inquiry.notices(), *judged.doubts],
    )


def _judged(rows: pl.DataFrame, coverage: Coverage, known: Mapping[str, KnownActions], query: HistoryQuery) -> _Judged:
    """The rows of tickers that can be adjusted, and what is to say about all of them. Raises AcrossSeam."""
    actions = {ticker: one.actions for ticker, one in known.items()}
    begins = {ticker: one.begins for ticker, one in known.items()}
    payouts, skips = query.adjust == "all", query.errors == "skip"
    crossed, doubtful = ({}, []) if query.across_gaps else seams_crossed(rows, coverage, actions, begins, payouts)
    if crossed and not skips:
        first = next(iter(crossed.values()))
        raise AcrossSeam(first.text, *first.hints)
    odd = adjusted.impossible(rows, actions) if payouts and skips else {}
    left_out = {
        ticker: Message(f"{ticker} cannot be adjusted for dividends: {why}") for ticker, why in odd.items()
    } | crossed
    wanted = rows.filter(pl.col("ticker").is_in([ticker for ticker in known if ticker not in left_out]))
    return _Judged(wanted, left_out, [*doubtful, *doubts(wanted, actions, payouts)])
