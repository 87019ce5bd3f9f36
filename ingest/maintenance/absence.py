"""Why a report about stored sessions says nothing: none is stored, the days have none, or a ticker was misspelt."""

from datetime import date

from ingest.cache.cache import Cache
from ingest.errors import warn
from ingest.market.calendars import today
from ingest.market.datasets import Dataset
from ingest.market.patterns import is_pattern
from ingest.market.windows import why_empty
from ingest.reading.adjusting.freshness import calendar_of
from ingest.reading.known import suggestions
from ingest.reading.scan import warn_of_none
from ingest.settings import Settings


def warn_if_none_stored(settings: Settings, dataset: Dataset) -> bool:
    """Warn if no session of a dataset is stored, and say how to store some; returns whether it is so.

    Raises CacheError.
    """
    with Cache.read(settings, dataset) as cache:
        is_empty = not cache.manifest.sessions.committed()
    if is_empty:
        warn_of_none(settings, dataset)
    return is_empty


def warn_of_nothing(
    settings: Settings,
    dataset: Dataset,
    start: date | None = None,
    end: date | None = None,
    ticker: str | None = None,
) -> None:
    """Say why there may be nothing about these days, both inclusive, and a ticker, if a reason is known.

    Raises CacheError.
    """
    if warn_if_none_stored(settings, dataset):
        return
    with Cache.read(settings, dataset) as cache:
        why = why_empty(start, end, dataset, calendar_of(cache), today())
        near = suggestions(cache, [ticker])[ticker] if ticker and not is_pattern(ticker) else ""
    if why or near:
        warn(why or f"nothing is known of {ticker}{near}")
