"""When Yahoo is to be asked: which session is over, and whether what was asked before still suffices."""

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from ingest.datasets import Dataset
from ingest.manifest import Manifest
from ingest.manifest.quotes import Asking, Quotes
from ingest.sessions import Calendar

_UNKNOWN_FOR = timedelta(days=7)
"""So long a ticker that Yahoo does not have is not asked for again."""

_REFUSED_FOR = timedelta(days=1)
"""So long one is not asked for again of which events are known, and whose last answer could not be used."""

_LATELY = timedelta(hours=1)
"""So long what an answer did not have is not asked for again."""


def calendar_of(manifest: Manifest, dataset: Dataset) -> Calendar:
    """The dataset's calendar, with all sessions that the source is known to list: a listing beats a table."""
    return Calendar.of(dataset.calendar, manifest.listed())


def newest_session(dataset: Dataset, now: datetime | None = None, listed: Collection[date] = ()) -> date:
    """The newest session that is over for an hour, by the clock of the dataset's time zone."""
    moment = (now or datetime.now(UTC)).astimezone(ZoneInfo(dataset.zone)).replace(tzinfo=None)
    last = (moment - dataset.settled).date()
    return Calendar.of(dataset.calendar, listed).between(last - timedelta(days=15), last)[-1]


def is_known(asking: Asking | None, start: date, end: date) -> bool:
    """Whether what was asked for before covers these days, or was asked for so lately that it is not asked again."""
    if asking is None or asking.first > start:
        return False
    age = datetime.now(UTC) - datetime.fromisoformat(asking.asked_at)
    if asking.message:
        return age < (_REFUSED_FOR if asking.known else _UNKNOWN_FOR)
    return asking.last >= end or age < _LATELY


def due(quotes: Quotes, dataset: Dataset, tickers: Iterable[str], start: date, end: date) -> list[str]:
    """Those of the tickers that Yahoo may know and that were not asked for these days, sorted."""
    mapped = sorted(ticker for ticker in tickers if dataset.yahoo_symbol(ticker))
    asked = quotes.asked(mapped)
    return [ticker for ticker in mapped if not is_known(asked.get(ticker), start, end)]
