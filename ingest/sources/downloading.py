"""Large objects, downloaded in ranges, several at once, into a file that a later run can continue.

Small ones come whole, in one request, and stay in memory. Here only the pieces being written are in memory. A range
that breaks off continues from the byte where it stopped. After an interruption, a kill or a failure the spool file
stays, and the download resumes if the object is still the same, by ETag and size.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from ingest import events
from ingest.errors import Disrupted, ObjectReplaced, Stopped, Unranged, ungrouped
from ingest.sources.base import Body, RemoteObject, Write, is_as_listed, looks_like_md5
from ingest.sources.limits import Common, Lease
from ingest.sources.resilient import ResilientSource
from ingest.sources.spool import ByteRange, ObjectVersion, PartialDownload


async def fetch_large(source: ResilientSource, session: date, item: RemoteObject, path: Path, *held: Lease) -> Body:
    """One large object into the file `path`, checked; for the place and what is `held` for it see `sources.resilient`.

    Raises SourceError, CacheError, or Stopped; what has come is kept for the next run.
    """
    source.limit.release()  # each range takes a place of its own
    return await _Download(source, session, item, path, held).body()


class _Download:
    """One object being downloaded."""

    def __init__(
        self, source: ResilientSource, session: date, item: RemoteObject, path: Path, held: Sequence[Lease]
    ) -> None:
        self._source, self._session, self._path, self._held = source, session, path, held
        self._tuning = source.tuning
        self._listed = self._item = item
        self._alone = False
        self._mismatched: str | None = None
        self._told = self._started = time.monotonic()

    async def body(self) -> Body:
        """All of it. Raises Disrupted if each attempt brings another object, or other bytes."""
        with self._source.coming(self._session, self._item) as self._coming:
            return await self._body()

    async def _body(self) -> Body:
        self._source.sink(events.FetchStarted(self._session, self._item.size))
        self._spool = await run_sync(PartialDownload.open, self._path, self._known())
        self._resumed = self._coming.bytes = self._spool.there
        for number in range(1, self._source.policy.attempts + 1):
            if await self._filled(number) and (body := await self._checked(number)):
                seconds = time.monotonic() - self._started
                self._source.sink(events.Fetched(self._session, self._item.size, seconds, self._resumed))
                return body
        raise Disrupted(f"{self._item.key}: it was replaced, or arrived damaged, {self._source.policy.attempts} times")

    def _known(self) -> ObjectVersion:
        return ObjectVersion(self._item.etag, self._item.size)

    async def _begin_anew(self, number: int, cause: str) -> None:
        self._source.sink(events.Retrying(self._session, number, 0.0, cause))
        self._spool, self._resumed = await run_sync(PartialDownload.begin, self._path, self._known()), 0

    async def _filled(self, number: int) -> bool:
        """Download what is missing; False if the object was replaced in the meantime and has to be started over."""
        try:
            with ungrouped():
                await self._fill()
        except Unranged:
            self._alone = True
            return await self._filled(number)
        except ObjectReplaced as error:
            self._item = await self._source.look_up(self._session, self._item)
            await self._begin_anew(number, str(error))
            return False
        return True

    async def _fill(self) -> None:
        most = self._item.size if self._alone else self._tuning.range_bytes
        waiting = self._spool.missing(most)
        tasks = 1 if self._alone else self._tuning.ranges_at_once
        held = [Common(one, tasks) for one in self._held]
        async with anyio.create_task_group() as group:
            for _ in range(tasks):
                group.start_soon(self._take, waiting, held)
        if self._spool.there < self._item.size:
            raise Stopped("stopped before the download was complete")

    async def _take(self, waiting: Iterator[ByteRange], held: Sequence[Common]) -> None:
        """Download one range after the other, until none is left or the run stops."""
        for stretch in waiting:
            one = _Range(stretch, self._keep)
            with suppress(Stopped):  # it was silent; others, which are not, go on to the end of theirs
                await self._source.fetch_stretch(self._session, self._item, one.left, one.write, self._alone, *held)
            if self._source.stop.is_set():
                break
        for lease in held:
            lease.leave()

    async def _keep(self, at: int, data: bytes | bytearray) -> None:
        """Write the bytes that came, and report progress a few times a second."""
        await run_sync(self._spool.write, at, data)
        self._coming.bytes = self._spool.there
        if (now := time.monotonic()) - self._told >= self._tuning.tell_every_s:
            self._told = now
            there, size = self._spool.there, self._item.size
            self._source.sink(events.Downloading(self._session, there, size, self._resumed))

    async def _checked(self, number: int) -> Body | None:
        """The body, if its md5 is the ETag or the ETag is not an md5; None if it has to be downloaded once more.

        It is stored under the ETag of the listing if it is the object that was listed. Bytes that come twice are
        believed, like those of small objects.
        """
        hashed = looks_like_md5(self._item.etag) or looks_like_md5(self._listed.etag)
        md5 = await run_sync(self._spool.md5) if hashed else ""
        kept = self._listed if is_as_listed(self._listed, self._item, md5) else self._item
        told = {one for one in (self._item.etag, kept.etag) if looks_like_md5(one)}
        fits = not told or md5 in told
        if not fits and md5 != self._mismatched:
            self._mismatched = md5
            await self._begin_anew(number, f"{self._item.key}: the md5 of the download is not the ETag")
            return None
        return Body(b"", kept.etag, kept.last_modified, etag_is_md5=fits, path=self._path)


class _Range:
    """A range being downloaded: what is left of it, piece by piece."""

    def __init__(self, stretch: ByteRange, keep: Write) -> None:
        self._left, self._keep = stretch, keep

    def left(self) -> ByteRange:
        return self._left

    async def write(self, at: int, data: bytes | bytearray) -> None:
        if data:
            await self._keep(at, data)
            self._left = ByteRange(at + len(data), self._left.stop)
