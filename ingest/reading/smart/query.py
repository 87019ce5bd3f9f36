"""The request and the result of `get_smart_data`, as values."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from ingest.cache.cache import Cache
from ingest.errors import UsageError
from ingest.market.calendars import today
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.corporate_actions import Actions
from ingest.market.datasets import Dataset
from ingest.market.windows import first_day, first_of_bar, span
from ingest.reading.adjusting.freshness import newest_session
from ingest.reading.gaps import Span
from ingest.reading.resample import bar_size
from ingest.settings import Settings

UNFETCHED = "no source was asked"


@dataclass(frozen=True, slots=True)
class Query:
    """A request for one ticker: completed sessions from `start` to `end`, both inclusive.

    `dataset` has the rows from which bars of an `interval` are made: days or minutes. Intraday bars of extended hours
    are included only with `prepost`. If prices cannot be adjusted, that is an error with `auto_adjust`; without it they
    are returned as traded. With `across_gaps` a ticker without rows for months counts as one company. Raises UsageError
    for an unknown interval.
    """

    ticker: str
    start: date
    end: date
    auto_adjust: bool
    with_actions: bool
    fetch: bool
    dataset: Dataset = STOCKS_DAY
    interval: str = "1d"
    prepost: bool = False
    across_gaps: bool = False

    def __post_init__(self) -> None:
        bar_size(self.interval)

    @property
    def asks_yahoo(self) -> bool:
        """Whether Yahoo may have what is missing."""
        return self.dataset.is_filled_from_yahoo


@dataclass(frozen=True, slots=True)
class TickerRows:
    """A ticker's rows as traded, as `rows.rows_schema`, and the spans that are missing.

    `actions` are its splits and dividends; None if they are unknown.
    """

    rows: pl.DataFrame
    actions: Actions | None
    missing: Sequence[Span]


def listed_sessions(settings: Settings, dataset: Dataset) -> frozenset[date]:
    """Sessions that the source has listed, according to the manifest. Raises CacheError."""
    with Cache.read(settings, dataset) as cache:
        return cache.manifest.sessions.listed()


def window_of(
    period: str,
    start: date | None,
    end: date | None,
    dataset: Dataset = STOCKS_DAY,
    listed: Collection[date] = (),
    *,
    interval: str = "1d",
) -> tuple[date, date]:
    """First and last day, both inclusive, of a period that ends today, or of `start` to `end` (exclusive).

    `listed` days are sessions, whatever the calendar says. A period that counts days back begins with a whole bar of an
    `interval`. Raises UsageError.
    """
    span(start, end)
    newest = newest_session(dataset, listed=listed)
    last = newest if end is None or end > newest else end - timedelta(days=min(1, end.toordinal() - 1))
    first = start or first_day(period, today() if end is None else end, last, dataset, listed)
    if start is None and period not in ("max", "ytd"):
        first = max(first_of_bar(first, interval), min(first, dataset.first_session))
    if first > last:
        raise UsageError(_empty(first, last, newest))
    return first, last


def _empty(first: date, last: date, newest: date) -> str:
    if first > newest:
        return f"no session from {first} on is complete yet; the newest complete one is {newest}"
    return f"the window is empty: it begins on {first} and ends on {last}. Choose an earlier start or a later end"


def no_data(query: Query) -> str:
    """The message that nothing was found."""
    unfetched = "" if query.fetch else f" ({UNFETCHED})"
    return f"no data for {query.ticker} from {query.start} to {query.end} in {query.dataset.short}{unfetched}"
