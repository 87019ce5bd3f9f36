"""When Yahoo is to be asked: which session is over, and whether what was asked before still suffices.

Events come into force at the opening of a session, and Yahoo adjusts all its prices for them at once. So what was asked
for before a session began is too old on that day, though the newest session that is over is the one before.
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
"""In words, when what was refused is asked for again."""

_LATELY = timedelta(hours=1)
"""So long what an answer did not have is not asked for again."""

_OLDEST = timedelta(days=15)
"""No market rests for so long."""


def _now() -> datetime:
    return datetime.now(UTC)


def calendar_of(cache: Cache) -> Calendar:
    """The dataset's calendar, with all sessions that the source is known to list: a listing beats a table."""
    return Calendar.of(cache.dataset.calendar, cache.manifest.sessions.listed())


def newest_session(dataset: Dataset, now: datetime | None = None, listed: Collection[date] = ()) -> date:
    """The newest session that is over for an hour, by the clock of the dataset's time zone."""
    last = (_local(dataset, now) - dataset.settled).date()
    return Calendar.of(dataset.calendar, listed).between(last - _OLDEST, last)[-1]


def newest_event(dataset: Dataset, now: datetime | None = None) -> date:
    """The newest ex-date that may be in force: today's in the dataset's time zone, where today is a session."""
    day = _local(dataset, now).date()
    return day if Calendar.of(dataset.calendar).is_session(day) else newest_session(dataset, now)


def _local(dataset: Dataset, now: datetime | None) -> datetime:
    return (now or _now()).astimezone(ZoneInfo(dataset.zone)).replace(tzinfo=None)


def has_events(asking: ActionCoverage | None, dataset: Dataset, start: date, now: datetime | None = None) -> bool:
    """Whether all events since `start` are known that may be in force.

    On the day of a session an answer suffices that was given after its opening; one given earlier that day suffices for
    an hour, not beyond the opening, and so does one that did not reach as far as it should.
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
    """Whether the newest session has opened since then: Yahoo may list an event before, and apply it then."""
    return _local(dataset, asked) < _opening(dataset, newest_event(dataset, now)) <= _local(dataset, now)


def _is_lately(asked: datetime, now: datetime | None) -> bool:
    """Within an hour; a clock that was set back since does not make it lately for ever."""
    return abs((now or _now()) - asked) < _LATELY


def has_rows(asking: ActionCoverage | None, start: date, end: date, now: datetime | None = None) -> bool:
    """Whether what was asked for before covers these days, or was asked for so lately that it is not asked again."""
    if asking is None or asking.first > start:
        return False
    return asking.last >= end or _is_lately(datetime.fromisoformat(asking.asked_at), now)


def still_stands(refused: Refusal | None, dataset: Dataset, now: datetime | None = None) -> bool:
    """Whether a refusal still answers the question that it was given to: until another session opens or is over."""
    if refused is None:
        return False
    moment, asked = now or _now(), datetime.fromisoformat(refused.asked_at)
    if not timedelta(0) <= moment - asked < _OLDEST:
        return False
    return newest_session(dataset, asked) == newest_session(dataset, moment) and not _opened_since(
        dataset, asked, moment
    )


def due(quotes: Quotes, dataset: Dataset, tickers: Iterable[str], start: date, end: date) -> list[str]:
    """Those of the tickers that Yahoo may know and that were not asked for these days, sorted."""
    mapped = sorted(ticker for ticker in tickers if dataset.yahoo_symbol(ticker))
    asked, refused = quotes.asked(mapped), quotes.refusals(mapped)
    return [
        ticker
        for ticker in mapped
        if not has_rows(asked.get(ticker), start, end) and not still_stands(refused.get((ticker, start)), dataset)
    ]
