"""Waiting for the vendor's files: the listing is polled until each dataset's newest session that is due has one.

Nothing is written and no lock is held: after a crash there is nothing to mend, and other runs go on meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import anyio

from ingest import events
from ingest.cache.cache import Cache
from ingest.cache.provenance import refuse_other
from ingest.errors import SourceError, SourceRefused, SourceUnavailable, Stopped
from ingest.market.calendars import Calendar, today
from ingest.market.datasets import Dataset
from ingest.planning.request import Request
from ingest.planning.survey import asking
from ingest.settings import Settings
from ingest.sources.resilient import ResilientSource

_LONGEST_CLOSURE = timedelta(days=14)
"""Within so many days each market has a session."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """A session whose file is waited for. `cause` is the error of the last look, empty if the source answered."""

    dataset: Dataset
    session: date
    cause: str = ""


def newest_due(dataset: Dataset, day: date) -> date | None:
    """The newest session that was over before `day` began in New York: its file may be there."""
    sessions = Calendar.of(dataset.calendar).between(day - _LONGEST_CLOSURE, day - timedelta(days=1))
    return sessions[-1] if sessions else None


async def wait_for_files(
    settings: Settings, requests: Sequence[Request], most_s: float, sink: events.Sink, stop: anyio.Event
) -> None:
    """Return once the newest session due of each request is stored or listed, or after `most_s` seconds.

    Faults that may pass are waited out. After any other error of the source there is nothing to wait for, and the run
    reports it. Raises Stopped as soon as `stop` is set, UsageError without keys, and CacheError.
    """
    waiting = [one for request in requests if (one := _awaited(settings, request))]
    since, began, pause = datetime.now(UTC), anyio.current_time(), settings.tuning.poll_first_s
    while waiting := await _not_listed(settings, waiting, sink, stop):
        left = most_s - (anyio.current_time() - began)
        shortened = min(pause, left)
        later = datetime.now(UTC) + timedelta(seconds=shortened) if left > 0 else None
        for one in waiting:
            sink(_told(one, since, later, since + timedelta(seconds=most_s)))
        if later is None:
            return
        await _pause(shortened, stop)
        pause = min(pause * settings.tuning.poll_base, settings.tuning.poll_longest_s)


def _awaited(settings: Settings, request: Request) -> Awaited | None:
    """What is not stored yet; None if there is nothing to wait for."""
    session = newest_due(request.dataset, today())
    if session is None or not request.window.start <= session <= request.window.end:
        return None
    with Cache.read(settings, request.dataset) as cache:
        refuse_other(cache.manifest, settings.source)
        is_stored = bool(cache.manifest.sessions.committed(session, session))
    return None if is_stored else Awaited(request.dataset, session)


async def _not_listed(
    settings: Settings, waiting: Sequence[Awaited], sink: events.Sink, stop: anyio.Event
) -> list[Awaited]:
    """Those of which the source lists no file yet; each look has a connection of its own, minutes after the last."""
    if not waiting:
        return []
    async with asking(settings, sink, stop) as source:
        try:
            looked = [await _looked_for(source, one) for one in waiting]
        except (SourceRefused, SourceUnavailable):
            return []
    return [one for one in looked if one]


async def _looked_for(source: ResilientSource, one: Awaited) -> Awaited | None:
    """None once the file is listed, or if its dataset cannot be listed: the run says why."""
    try:
        items = await source.listing([one.dataset.key(one.session)])
    except (SourceRefused, SourceUnavailable):
        raise
    except SourceError as error:
        return Awaited(one.dataset, one.session, error.message) if error.retryable else None
    is_listed = any(one.dataset.session_of(item.key) == one.session for item in items)
    return None if is_listed else Awaited(one.dataset, one.session)


def _told(one: Awaited, since: datetime, later: datetime | None, until: datetime) -> events.Awaiting:
    return events.Awaiting(
        dataset=one.dataset.name,
        session=one.session,
        since=since.isoformat(timespec="seconds"),
        next=later.isoformat(timespec="seconds") if later else None,
        until=until.isoformat(timespec="seconds"),
        cause=one.cause,
    )


async def _pause(seconds: float, stop: anyio.Event) -> None:
    with anyio.move_on_after(seconds):
        await stop.wait()
    if stop.is_set():
        raise Stopped("stopped while waiting for the source's files")
