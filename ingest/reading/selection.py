"""Rows of several tickers for an export or a panel: which ones, in which bars."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from ingest import events
from ingest.lake import top
from ingest.market.adjust import Adjust
from ingest.market.catalogue import bars_of, days_of, named, of_tickers
from ingest.market.datasets import Dataset
from ingest.market.row_kinds import OF_DAYS
from ingest.reading.adjusting.actions import Errors, HistoryQuery
from ingest.reading.beside import beside, known_actions
from ingest.reading.history import history
from ingest.reading.resample import aggregate, bar_size, in_periods
from ingest.settings import Settings
from ingest.settings.lists import tracked


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows of a window (both ends inclusive; None: all), in bars of an `interval`.

    `market` names a dataset of the market; None takes it from the tickers' prefixes. Intraday bars outside regular
    hours are included only with `prepost`. With `errors` "skip", tickers that cannot be adjusted are left out, with a
    warning. Without `fetch` Yahoo is not asked for splits and dividends. `columns` are those beside ticker, date and,
    for intraday bars, time; None: those of `history`. With `actions` the rows also have `dividend` and `split` (see
    `beside`).
    """

    tickers: Sequence[str]
    start: date | None = None
    end: date | None = None
    adjust: Adjust = "none"
    across_gaps: bool = False
    market: str | None = None
    interval: str = "1d"
    prepost: bool = False
    errors: Errors = "raise"
    fetch: bool = True
    columns: Sequence[str] | None = None
    actions: bool = False

    @property
    def dataset(self) -> Dataset:
        """The dataset whose bars these are built from. Raises UsageError if the tickers belong to several."""
        if self.market:
            return bars_of(named(self.market), self.interval)
        return of_tickers(self.tickers, self.interval)

    @property
    def history(self) -> HistoryQuery:
        """The query for the rows, before they are aggregated into bars."""
        return HistoryQuery(
            self.tickers,
            self.start,
            self.end,
            self.adjust,
            columns=self._columns,
            fetch=self.fetch,
            across_gaps=self.across_gaps,
            errors=self.errors,
        )

    @property
    def _columns(self) -> Sequence[str] | None:
        if self.columns is None:
            return None
        needed = ("open", "close", "source") if self.actions else ()  # to see whether a symbol changed hands
        return list(dict.fromkeys((*self.dataset.kind.order, "date", *self.columns, *needed)))


def selected_rows(settings: Settings, query: Selection, on_event: events.Sink) -> pl.DataFrame:
    """The rows, sorted by ticker and time. Raises IngestError, and warns as `history` does."""
    size, dataset = bar_size(query.interval), query.dataset
    rows = history(settings, dataset, query.history, on_event)
    if dataset.kind.timed:
        rows = aggregate(rows, "1d" if size in OF_DAYS else size, dataset, query.prepost)
    if query.actions:
        known = known_actions(settings, dataset, rows, query.history, on_event)
        rows = beside(rows, known, query.adjust)
    return in_periods(rows, size)


def followed(settings: Settings, dataset: Dataset) -> Sequence[str]:
    """The tickers and patterns that a dataset's lists stand for now; those of the market's days if it has none.

    Raises UsageError for an invalid list.
    """
    for one in (dataset, days_of(dataset)):
        if one and (lists := tracked(one.csv_name, settings.lists_of(one), extra=settings.tickers_of(one))).top:
            return sorted(top.followed(settings, one, lists))
        if one and lists.tickers:
            return lists.tickers
    return ()
