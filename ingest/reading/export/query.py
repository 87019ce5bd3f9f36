"""What an export writes: which rows, in which bars."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from ingest import events
from ingest.market.adjust import Adjust
from ingest.market.catalogue import bars_of, named, of_tickers
from ingest.market.datasets import Dataset
from ingest.reading.adjusting.actions import Errors, HistoryQuery
from ingest.reading.history import history
from ingest.reading.resample import aggregate, bar_size
from ingest.settings import Settings


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """Which rows to write: those of a window (both ends inclusive; None: all), in bars of an `interval`.

    `market` names a dataset of the market; None takes it from the tickers' prefixes. Intraday bars outside regular
    hours are included only with `prepost`. With `errors` "skip", tickers that cannot be adjusted are left out, with a
    warning. Without `fetch` Yahoo is not asked for splits and dividends.
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
            fetch=self.fetch,
            across_gaps=self.across_gaps,
            errors=self.errors,
        )


def exported_rows(settings: Settings, query: ExportQuery, on_event: events.Sink) -> pl.DataFrame:
    """The rows to write. Raises IngestError, and warns as `history` does."""
    size = None if query.interval == "1d" else bar_size(query.interval)
    dataset = query.dataset
    rows = history(settings, dataset, query.history, on_event)
    return aggregate(rows, size, dataset, query.prepost) if size else rows
