"""Why a report about stored sessions says nothing: days without a session, or a ticker that was probably misspelt."""

from datetime import date

from ingest.cache.cache import Cache
from ingest.market.calendars import today
from ingest.market.datasets import Dataset
from ingest.market.patterns import is_pattern
from ingest.market.windows import why_empty
from ingest.reading.adjusting.freshness import calendar_of
from ingest.reading.known import suggestions
from ingest.settings import Settings


def why_nothing(
    settings: Settings, dataset: Dataset, start: date | None, end: date | None, ticker: str | None = None
) -> str:
    """Why there may be nothing about these days, both inclusive, and a ticker; empty if no reason is known.

    Raises CacheError.
    """
    with Cache.read(settings, dataset) as cache:
        if why := why_empty(start, end, dataset, calendar_of(cache), today()):
            return why
        near = suggestions(cache, [ticker])[ticker] if ticker and not is_pattern(ticker) else ""
    return f"nothing is known of {ticker}{near}" if near else ""
