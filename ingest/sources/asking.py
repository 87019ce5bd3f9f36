"""How a run asks a source: so many at once, again after a fault, and not for ever."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import date
from functools import partial
from typing import TypeVar

import anyio

from ingest import events
from ingest.errors import Disrupted, Forbidden, NotFound, SourceError, Stopped, Throttled, ungrouped
from ingest.settings import Source as SourceSettings
from ingest.sources.base import Body, RemoteObject, Source, Write
from ingest.sources.pacing import AdaptiveLimit
from ingest.sources.retrying import Liveness, with_retries
from ingest.tiers.spool import Stretch

_Result = TypeVar("_Result")

UP_AGAIN = "up again"
"""The cause that is given where the limit on downloads is again what it was before it came down."""


class Asker:
    """A source wrapped in retries, a limit on downloads that adapts, and the judgement that it is down."""

    def __init__(self, source: Source, settings: SourceSettings, sink: events.Sink, stop: anyio.Event) -> None:
        self._source, self.sink, self.stop = source, sink, stop
        self.attempts = settings.attempts
        self._liveness = Liveness(settings.down_after_s)
        self.limit = AdaptiveLimit(settings.concurrency)

    @property
    def requests(self) -> int:
        """Requests sent so far."""
        return self._source.requests

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
        """As `watching`; raises Stopped as soon as the run is to stop: what is found out can be found out again."""
        try:
            async with self.watching(), anyio.create_task_group() as group:
                group.start_soon(self._abandon)
                yield
                group.cancel_scope.cancel()
        except SourceError as error:
            if self.stop.is_set():  # it was not asked for again
                raise Stopped("stopped before the source had answered") from error
            raise

    async def _abandon(self) -> None:
        await self.stop.wait()
        raise Stopped("stopped before the source had answered")

    async def listing(self, prefixes: Sequence[str]) -> list[RemoteObject]:
        """All objects below the prefixes, asked for together; raises SourceError, or Stopped."""
        found: dict[str, list[RemoteObject]] = {}

        async def one(prefix: str) -> None:
            found[prefix] = await self._persistently(None, partial(self._source.listing, prefix))

        async with self._finding_out(), anyio.create_task_group() as group:
            for prefix in prefixes:
                group.start_soon(one, prefix)
        return [item for prefix in prefixes for item in found[prefix]]

    async def clock_skew(self, prefix: str) -> float | None:
        """Seconds that this computer's clock is ahead of the source's, if it tells; raises SourceError, or Stopped."""
        found: list[float | None] = []
        async with self._finding_out():
            found.append(await self._persistently(None, partial(self._source.clock_skew, prefix)))
        return found[0]

    async def may_read(self, session: date, item: RemoteObject) -> bool | None:
        """Whether the plan of these keys allows a session; None where no answer was to be had.

        One file in trouble is no reason to end a run: it may be gone, or answer with errors again and again. Raises
        SourceRefused or SourceUnavailable, as they hold for all files, or Stopped.
        """
        try:
            async with self._finding_out():
                await self._persistently(session, partial(self._source.probe, item))
        except Forbidden:
            return False
        except (NotFound, Disrupted, Throttled):
            return None
        return True

    async def fetch(self, session: date, item: RemoteObject) -> Body:
        """One object, in a place among the downloads that the caller has acquired and that is given back here."""
        started = time.monotonic()
        self.sink(events.FetchStarted(session, item.size))
        try:
            body = await self._persistently(session, partial(self._source.fetch, item))
        finally:
            self.limit.release()
        self.sink(events.Fetched(session, len(body.data), time.monotonic() - started))
        return body

    async def look_up(self, session: date, item: RemoteObject) -> RemoteObject:
        """The object that is under a key now; raises SourceError."""
        return await self._persistently(session, partial(self._source.look_up, item))

    async def fetch_stretch(
        self, session: date, item: RemoteObject, left: Callable[[], Stretch], write: Write, alone: bool
    ) -> None:
        """A stretch of an object, in a place of its own among the downloads.

        `left` says what is left of it: each attempt goes on where the one before broke off. Raises SourceError, of
        which Replaced and Unranged are not tried again.
        """

        async def note(at: int, data: bytes | bytearray) -> None:
            self._liveness.answered()
            await write(at, data)

        async def attempt() -> None:
            while (rest := left()).start < rest.stop:  # a source may send less at once than it is asked for
                await self._source.fetch_stretch(item, rest, note, alone)

        await self.limit.acquire()
        try:
            await self._persistently(session, attempt)
        finally:
            self.limit.release()

    async def _persistently(self, session: date | None, call: Callable[[], Awaitable[_Result]]) -> _Result:
        def report(number: int, wait_s: float, cause: str) -> None:
            self.sink(events.Retrying(session, number, wait_s, cause))

        attempt = partial(self._attempt, call)
        return await with_retries(attempt, self.attempts, self._liveness, report, self.stop)

    async def _attempt(self, call: Callable[[], Awaitable[_Result]]) -> _Result:
        """Teach the limit what each attempt tells of the source's health."""
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
