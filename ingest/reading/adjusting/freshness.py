"""When to ask Yahoo: which session is over, and whether an earlier answer is still good enough.

Corporate actions take effect when a session opens, and Yahoo then adjusts all its prices for them at once. So an answer
from before the opening is too old on that day, although the newest completed session is still the one before.
"""

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from zoneinfo import ZoneInfo

from ingest.cache.cache import Cache
from ingest.cache.manifest.yahoo import ActionCoverage, Quotes, Refusal
from ingest.market.calendars import Calendar
from ingest.market.datasets import Dataset

ASKS_AGAIN = "asked again when the next session opens or closes, or by a run with refresh"
"""When a refused request is sent again, in words."""

_LATELY = timedelta(hours=1)
"""For this long, days missing from an answer are not requested again."""

_OLDEST = timedelta(days=15)
"""No market is closed for so long."""


def _now() -> datetime:
    return datetime.now(UTC)


def calendar_of(cache: Cache) -> Calendar:
    """The dataset's calendar, including all sessions that the source has listed: a listing beats a table."""
    return Calendar.of(cache.dataset.calendar, cache.manifest.sessions.listed())


def newest_session(dataset: Dataset, now: datetime | None = None, listed: Collection[date] = ()) -> date:
    """The newest completed session: `dataset.settled` has passed since its date began in the dataset's zone."""
    last = (_local(dataset, now) - dataset.settled).date()
    return Calendar.of(dataset.calendar, listed).between(last - _OLDEST, last)[-1]


def newest_event(dataset: Dataset, now: datetime | None = None) -> date:
    """The newest ex-date that may be in force: today in the dataset's time zone, if it is a session."""
    day = _local(dataset, now).date()
    return day if Calendar.of(dataset.calendar).is_session(day) else newest_session(dataset, now)


def _local(dataset: Dataset, now: datetime | None) -> datetime:
    return (now or _now()).astimezone(ZoneInfo(dataset.zone)).replace(tzinfo=None)


def has_events(asking: ActionCoverage | None, dataset: Dataset, start: date, now: datetime | None = None) -> bool:
    """Whether all corporate actions since `start` that may be in force are known.

    On the day of a session an answer from after its opening suffices. One from earlier that day suffices for an hour,
    but not beyond the opening, and so does one that ended too early.
    """
    if asking is None or asking.first > start:
        return False
    newest = newest_event(dataset, now)
    if asking.last >= newest:
        return True
    asked = datetime.fromisoformat(asking.asked_at)
    if asking.last >= newest_session(dataset, now) and _local(dataset, asked) >= _opening(dataset, newest):
        return True
    return _local(dataset, asked).date() >= newest and _is_lately(asked, now) and not _opened_since(dataset, asked, now)


def _opening(dataset: Dataset, session: date) -> datetime:
    return datetime.combine(session, (Calendar.of(dataset.calendar).hours or [clock(0)])[0])


def _opened_since(dataset: Dataset, asked: datetime, now: datetime | None) -> bool:
    """Whether the newest session has opened since then: Yahoo may list an action before and apply it then."""
    return _local(dataset, asked) < _opening(dataset, newest_event(dataset, now)) <= _local(dataset, now)


def _is_lately(asked: datetime, now: datetime | None) -> bool:
    """Whether it is less than an hour ago; also for a time in the future, if the clock was set back since."""
    return abs((now or _now()) - asked) < _LATELY


def has_rows(asking: ActionCoverage | None, start: date, end: date, now: datetime | None = None) -> bool:
    """Whether an earlier answer covers these days, or is so recent that they are not requested again."""
    if asking is None or asking.first > start:
        return False
    return asking.last >= end or _is_lately(datetime.fromisoformat(asking.asked_at), now)


def still_stands(refused: Refusal | None, dataset: Dataset, now: datetime | None = None) -> bool:
    """Whether a refusal is still valid for the same request: until another session opens or is over."""
    if refused is None:
        return False
    moment, asked = now or _now(), datetime.fromisoformat(refused.asked_at)
    if not timedelta(0) <= moment - asked < _OLDEST:
        return False
    return newest_session(dataset, asked) == newest_session(dataset, moment) and not _opened_since(
        dataset, asked, moment
    )


def due(quotes: Quotes, dataset: Dataset, tickers: Iterable[str], start: date, end: date) -> list[str]:
    """The tickers that Yahoo may know and that have not been requested for these days yet, sorted."""
    mapped = sorted(ticker for ticker in tickers if dataset.yahoo_symbol(ticker))
    asked, refused = quotes.asked(mapped), quotes.refusals(mapped)
    return [
        ticker
        for ticker in mapped
        if not has_rows(asked.get(ticker), start, end) and not still_stands(refused.get((ticker, start)), dataset)
    ]
