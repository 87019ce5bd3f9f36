"""Splits the files of a mirror where they are: nothing of them is copied but into parts, or into quarantine.

A kill leaves staged parts, which the next run sweeps.
"""

import gzip
import hashlib
import os
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from ingest.cache.commit import StagedSession
from ingest.cache.parts import members
from ingest.errors import LosesRows, UnreadableFile
from ingest.files import durable, opening
from ingest.files.hashing import md5_of
from ingest.maintenance.adopt.day_file import moment_of
from ingest.maintenance.adopt.mirror import MirroredFile
from ingest.maintenance.adopt.sniffing import misfit
from ingest.pipeline.committer import Ended, Executor, Results
from ingest.pipeline.session.body import Costly
from ingest.pipeline.session.reason import RefusedText
from ingest.pipeline.task import Job, Refused, SessionResult, Staged
from ingest.pipeline.worker import prepare
from ingest.settings import Settings
from ingest.sources.base import Body
from ingest.sources.limits import UnderWay

_READ = 1 << 20
_GZIP = 31
"""zlib's number for gzip's own header, without a time."""


class MirrorExecutor(Executor):
    """As many files at once as there are cores, and as the budget of bytes in flight has room for.

    `unread` gets the session of a file that could not be read, and why. `md5` has the ETags of those read so far whose
    bytes are the object's.
    """

    def __init__(
        self,
        files: Mapping[date, MirroredFile],
        settings: Settings,
        stop: anyio.Event,
        unread: Callable[[date, str], None],
    ) -> None:
        self._files, self._stop, self._unread, self._tuning = files, stop, unread, settings.tuning
        room = settings.limits.max_bytes_in_flight // self._tuning.in_chunks
        self._at_once = max(1, min(os.cpu_count() or 1, room))
        self._under_way, self._costly = UnderWay(), threading.Lock()
        self.md5: dict[date, str] = {}

    async def idle(self) -> None:
        """See `Executor`."""
        await self._under_way.none()

    async def run(self, tasks: Sequence[Job], results: Results) -> None:
        """See `Executor`: files are begun in order, until `stop` is set."""
        waiting = iter(tasks)
        async with anyio.create_task_group() as group:
            for _ in range(self._at_once):
                group.start_soon(self._take, waiting, results)

    async def _take(self, waiting: Iterator[Job], results: Results) -> None:
        for job in waiting:
            if self._stop.is_set():
                return
            with self._under_way:
                result = await run_sync(self._result, job)
                if isinstance(result, str):
                    self._unread(job.session, result)
                    continue
                with anyio.CancelScope(shield=True), suppress(anyio.BrokenResourceError):
                    await results.send(Ended(result, _nothing))

    def _result(self, job: Job) -> SessionResult | str:
        """The session, staged or refused; the reason in words if its file could not be read."""
        one = self._files[job.session]
        try:
            if one.is_guessed and (why := misfit(one, job.dataset)):
                return why
            before = opening.state(one.path)
            body = _body(one, job)
            result = self._split(job, body)
            after = opening.state(one.path)
        except UnreadableFile as error:
            return error.message
        except OSError as error:
            return f"cannot be read: {opening.why_unread(error)}"
        if not (before and after and os.path.samestat(before, after) and before.st_mtime_ns == after.st_mtime_ns):
            _discard(job, result)
            return "it changed while it was read: adopt again once the mirror is complete"
        if one.is_packed:
            self.md5[job.session] = body.etag
        return result

    def _split(self, job: Job, body: Body) -> Staged | Refused:
        try:
            return Staged(job, self._staged(job, body))
        except LosesRows as error:
            return Refused(job, body, error.message, acceptable=True)
        except UnreadableFile as error:
            text = RefusedText(body, job.dataset, job.max_unpacked, job.tuning)
            return Refused(job, body, text.reason(error), acceptable=False)

    def _staged(self, job: Job, body: Body) -> StagedSession:
        """The session; one that needs more memory than others waits until no other one needs more."""
        granted = self._tuning.in_chunks if job.item.size >= self._tuning.alone else self._tuning.ordinary
        try:
            return prepare(job, body, granted)
        except Costly as error:
            granted = error.cost
        with self._costly:
            while True:
                try:
                    return prepare(job, body, granted)
                except Costly as error:
                    granted = error.cost


def _nothing() -> None:
    """The executor holds nothing for a session whose result is recorded."""


def _discard(job: Job, result: Staged | Refused) -> None:
    for part in result.session.staged if isinstance(result, Staged) else ():
        job.parts.discard(part)


def _body(one: MirroredFile, job: Job) -> Body:
    """The file like a downloaded body. Raises OSError, UnreadableFile."""
    if not one.is_packed:
        return _packed(one, job)
    changed = moment_of(one.changed)
    if job.spool:
        return Body(b"", md5_of(one.path), changed, path=one.path, borrowed=True)
    data = opening.read(one.path)
    return Body(data, hashlib.md5(data, usedforsecurity=False).hexdigest(), changed)


def _packed(one: MirroredFile, job: Job) -> Body:
    """The file, packed: a large one into the place of its download. Never the ETag of an object, whose bytes it is not.

    The next run downloads the session, if it can, and compares the rows.
    """
    if one.size > job.max_unpacked:
        raise members.too_large(job.max_unpacked)
    changed = moment_of(one.changed)
    if job.spool:
        return Body(b"", _text_etag(_pack(one.path, job.spool)), changed, path=job.spool)
    text = opening.read(one.path)
    etag = _text_etag(hashlib.md5(text, usedforsecurity=False).hexdigest())
    return Body(gzip.compress(text, 1, mtime=0), etag, changed)


def _text_etag(md5: str) -> str:
    return f"text-{md5}"


def _pack(path: Path, target: Path) -> str:
    """Pack a file into another, which a crash may tear; returns the md5 of the text. Raises OSError, CacheError."""
    durable.make_folder(target.parent)
    digest, packer = hashlib.md5(usedforsecurity=False), zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    with opening.to_read(path) as file, durable.staging(target, sync=False, under=target) as write:
        while piece := file.read(_READ):
            digest.update(piece)
            write(packer.compress(piece))
        write(packer.flush())
    return digest.hexdigest()
