"""How a run uses a source: with limited concurrency, retries, and an end to waiting."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import TypeVar

import anyio

from ingest import events
from ingest.errors import Disrupted, Forbidden, NotFound, SourceError, Stopped, Throttled, ungrouped
from ingest.settings import SourceSettings
from ingest.settings.tuning import DEFAULT, Tuning
from ingest.sources import heard
from ingest.sources.base import Body, RemoteObject, Source, Write
from ingest.sources.limits import AdaptiveLimit, Lease, Place, aside
from ingest.sources.liveness import Liveness, Silence
from ingest.sources.retry_policy import of_massive
from ingest.sources.retrying import Persistence
from ingest.sources.spool import ByteRange

_Result = TypeVar("_Result")

UP_AGAIN = "up again"
"""The cause that is reported if the limit on downloads is back at its value before it was lowered."""


@dataclass(frozen=True, slots=True)
class Line:
    """A connected source, and what has been heard of it; shared by consecutive runs."""

    source: Source
    liveness: Liveness
    tuning: Tuning = DEFAULT


@dataclass(slots=True)
class Coming:
    """An object being downloaded, and how many of its bytes are there, if they are counted here."""

    session: date
    item: RemoteObject
    bytes: int = 0


@asynccontextmanager
async def ending_with(stop: anyio.Event) -> AsyncIterator[None]:
    """Within this, a run that is asked to stop raises Stopped at once; perhaps in a group, see `errors.ungrouped`."""

    async def abandon() -> None:
        await stop.wait()
        raise Stopped("stopped before the source had answered")

    async with anyio.create_task_group() as group:
        group.start_soon(abandon)
        yield
        group.cancel_scope.cancel()


class ResilientSource:
    """A source with retries, an adaptive limit on downloads, and the decision when it is down."""

    def __init__(self, line: Line, settings: SourceSettings, sink: events.Sink, stop: anyio.Event) -> None:
        self._source, self._liveness, self.tuning = line.source, line.liveness, line.tuning
        self.sink, self.stop = sink, stop
        self.policy = of_massive(settings.attempts, self.tuning)
        self.limit = AdaptiveLimit(settings.concurrency)
        self._asking_for_life = anyio.Lock()
        self._sent_before, self._sent_elsewhere = line.source.requests, 0
        self._coming: dict[str, Coming] = {}

    @property
    def requests(self) -> int:
        """Requests sent so far."""
        return self._source.requests - self._sent_before + self._sent_elsewhere

    def count(self, requests: int) -> None:
        """Add the requests that workers elsewhere have sent for this run."""
        self._sent_elsewhere += requests

    def hurry(self) -> None:
        """From now on, give up requests that are silent: the run is to stop."""
        self._liveness.hurry()

    @contextmanager
    def coming(self, session: date, item: RemoteObject) -> Iterator[Coming]:
        """While an object is downloaded; the caller may count its bytes."""
        one = self._coming[item.key] = Coming(session, item)
        try:
            yield one
        finally:
            del self._coming[item.key]

    def pending(self) -> tuple[events.PendingDownload, ...]:
        """The downloads with a request under way, by session."""
        found = dict[str, list[Silence]]()
        for silence in self._liveness.silences():
            found.setdefault(silence.what, []).append(silence)
        coming = [(one, found[key]) for key, one in self._coming.items() if key in found]
        return tuple(_pending(one, silences) for one, silences in sorted(coming, key=lambda pair: pair[0].session))

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Within this, a source that is down ends everything with SourceUnavailable.

        Of several errors at once the first is raised, out of its group.
        """
        with ungrouped():
            async with anyio.create_task_group() as group:
                group.start_soon(self._liveness.watch)
                yield
                group.cancel_scope.cancel()

    @asynccontextmanager
    async def _finding_out(self) -> AsyncIterator[None]:
        """Like `watching`; raises Stopped as soon as the run is to stop: these answers can be requested again."""
        try:
            async with self.watching(), ending_with(self.stop):
                yield
        except SourceError as error:
            if self.stop.is_set():  # it was not requested again
                raise Stopped("stopped before the source had answered") from error
            raise

    async def listing(self, prefixes: Sequence[str]) -> list[RemoteObject]:
        """All objects below the prefixes, requested together; raises SourceError, or Stopped."""
        found: dict[str, list[RemoteObject]] = {}

        async def one(prefix: str) -> None:
            async with self._place() as place:
                call = partial(self._source.listing, prefix)
                found[prefix] = await self._persistently(None, f"listing {prefix}", call, place)

        async with self._finding_out(), anyio.create_task_group() as group:
            for prefix in prefixes:
                group.start_soon(one, prefix)
        return [item for prefix in prefixes for item in found[prefix]]

    async def clock_skew(self, prefix: str) -> float | None:
        """Seconds that this computer's clock is ahead of the source's, if known; raises SourceError, or Stopped."""
        found: list[float | None] = []
        async with self._finding_out():
            found.append(await self._persistently(None, "the clock", partial(self._source.clock_skew, prefix)))
        return found[0]

    async def may_read(self, session: date, item: RemoteObject) -> bool | None:
        """Whether the subscription allows a session; None if there was no answer.

        Trouble with one file is no reason to end a run: it may be gone, or answer with errors again and again. Raises
        SourceRefused or SourceUnavailable, which concern all files, or Stopped.
        """
        try:
            async with self._finding_out():
                attempts = min(self.policy.attempts, self.tuning.probe_attempts)
                policy = replace(self.policy, attempts=attempts, most_waited_s=self.tuning.probe_waited_s)
                probing = replace(self._persistence(session), policy=policy)
                await probing.call(item.key, partial(self._attempt, partial(self._source.probe, item)))
        except Forbidden:
            return False
        except (NotFound, Disrupted, Throttled):
            return None
        return True

    async def fetch(self, session: date, item: RemoteObject, *held: Lease) -> Body:
        """One object, in a place among the downloads that the caller has acquired and that is released here.

        While it waits for another attempt, others have its place, and what is `held` for it.
        """
        started = time.monotonic()
        self.sink(events.FetchStarted(session, item.size))
        place = Place(self.limit, held=True)
        try:
            with self.coming(session, item):
                body = await self._of_object(session, item, partial(self._source.fetch, item), *held, place)
        finally:
            place.give_back()
        self.sink(events.Fetched(session, len(body.data), time.monotonic() - started))
        return body

    async def look_up(self, session: date, item: RemoteObject) -> RemoteObject:
        """The object that a key has now; raises SourceError."""
        return await self._of_object(session, item, partial(self._source.look_up, item))

    async def fetch_stretch(
        self, session: date, item: RemoteObject, left: Callable[[], ByteRange], write: Write, alone: bool, *held: Lease
    ) -> None:
        """A range of an object, in a place of its own among the downloads; `held` is as for `fetch`.

        `left` says what is left of it: each attempt continues where the one before broke off. Raises SourceError;
        ObjectReplaced and Unranged are not retried.
        """

        async def note(at: int, data: bytes | bytearray) -> None:
            self._liveness.alive(well=True)
            with heard.busy():
                await write(at, data)

        async def attempt() -> None:
            while (rest := left()).start < rest.stop:  # a source may send less at once than was requested
                await self._source.fetch_stretch(item, rest, note, alone)

        async with self._place() as place:
            await self._of_object(session, item, attempt, *held, place)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[Place]:
        place = Place(self.limit)
        await place.take()
        try:
            yield place
        finally:
            place.give_back()

    async def _of_object(
        self, session: date, item: RemoteObject, call: Callable[[], Awaitable[_Result]], *held: Lease
    ) -> _Result:
        """Like `_persistently`. If nothing at all was heard in the meantime, the object is not to blame yet.

        Then the source is asked for a sign of life. If it stays silent the run ends; if it is alive, the object is
        requested once more.
        """
        signs = self._liveness.signs
        with self._liveness.asked():  # throughout, or each call would start a new silence
            try:
                return await self._persistently(session, item.key, call, *held)
            except Disrupted:
                if self._liveness.signs > signs:
                    raise
                async with aside(*held):
                    await self._sign_of_life(item, signs)
                if self.stop.is_set():
                    raise
            return await self._persistently(session, item.key, call, *held)

    async def _sign_of_life(self, item: RemoteObject, signs: int) -> None:
        """Wait for any; the first task to wait requests it, by the shortest possible listing, until there is one."""
        async with self._asking_for_life:
            while self._liveness.signs == signs and not self.stop.is_set():
                with suppress(Disrupted, Throttled, Forbidden, NotFound):
                    await self._persistently(None, "a sign of life", partial(self._source.clock_skew, item.key))

    async def _persistently(
        self, session: date | None, what: str, call: Callable[[], Awaitable[_Result]], *held: Lease
    ) -> _Result:
        return await self._persistence(session).call(what, partial(self._attempt, call), partial(aside, *held))

    def _persistence(self, session: date | None) -> Persistence:
        def report(number: int, wait_s: float, cause: str) -> None:
            self.sink(events.Retrying(session, number, wait_s, cause))

        return Persistence(self.policy, self._liveness, report, self.stop)

    async def _attempt(self, call: Callable[[], Awaitable[_Result]]) -> _Result:
        """One attempt, whose outcome raises or lowers the limit on downloads."""
        window = self.limit.window
        try:
            result = await call()
        except (Throttled, Disrupted) as error:
            if self.limit.congested(window):
                self.sink(events.ConcurrencyChanged(self.limit.limit, str(error)))
            raise
        if self.limit.succeeded():
            self.sink(events.ConcurrencyChanged(self.limit.limit, UP_AGAIN))
        return result


def _pending(one: Coming, silences: Sequence[Silence]) -> events.PendingDownload:
    came = one.bytes or sum(silence.bytes for silence in silences)
    silent_s = round(min(silence.seconds for silence in silences), 1)
    return events.PendingDownload(one.session, came, one.item.size, silent_s)
