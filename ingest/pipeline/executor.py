"""Runs a plan: downloads, split workers, one committer, under a budget of bytes.

Downloads are tasks, splits run in worker threads (gunzip, polars, gzip and files release the GIL), and one committer
owns the manifest. Bytes are acquired before a download begins and given back when its session is committed, so memory
is bounded by the budget and not by the number of sessions. A session that fails never stops the others.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from ingest import errors, events
from ingest.cache import quarantine
from ingest.cache.cache import Cache
from ingest.cache.commit import StagedSession, commit
from ingest.cache.manifest import Answer
from ingest.errors import (
    Disrupted,
    IngestError,
    LosesRows,
    NotFound,
    Stopped,
    Throttled,
    UnreadableFile,
    ungrouped,
)
from ingest.pipeline.body import AT_ONCE, ORDINARY, Costly
from ingest.pipeline.task import Failed, Forbidden, Gone, Job, Refused, SessionResult, Staged
from ingest.pipeline.worker import prepare
from ingest.planning.plan import Decision
from ingest.planning.request import Request
from ingest.settings import Limits
from ingest.sources import downloading, spool
from ingest.sources.base import Body, RemoteObject
from ingest.sources.limits import ByteBudget, Share, UnderWay
from ingest.sources.resilient import ResilientSource

_Ended = tuple[SessionResult, Share]

_IN_FLIGHT_PER_PACKED = 6
"""Bytes in memory for one packed byte: the body, its text (about 3 times), both parts of it before they are packed."""

_IN_FLIGHT_SPOOLED = 16 << 20
"""Bytes that a large file counts for, however large: it is in memory in pieces alone. Splits, which take more than
downloads, are as few as there are cores."""

_MIN_SPOOLED = 4
"""Large files in flight together, or two a core where those are more: what is beyond would only lie on the disk."""

_SPARE_WORKERS = 2
"""Split workers beyond one a core: some of them always wait for the disk, for polars or for the GIL."""

_MAX_BATCH = 64
"""Sessions in one transaction at most."""

_GATHER_S = 0.1
"""How long the committer waits for others to share a transaction, whose cost hardly depends on their number."""


class Pipeline:
    """The machinery of one run; `run` may be called for several waves."""

    def __init__(
        self,
        source: ResilientSource,
        cache: Cache,
        request: Request,
        limits: Limits,
        sink: events.Sink,
        stop: anyio.Event,
    ) -> None:
        self._source, self._cache, self._request = source, cache, request
        self._sink, self._stop = sink, stop
        self._budget = ByteBudget(limits.max_bytes_in_flight)
        self._max_unpacked = limits.max_unpacked_bytes
        self._under_way = UnderWay()
        cores = os.cpu_count() or 1
        self._workers = anyio.CapacityLimiter(cores + _SPARE_WORKERS)
        self._spooled_workers = anyio.CapacityLimiter(cores)
        self._spooled = max(_IN_FLIGHT_SPOOLED, limits.max_bytes_in_flight // max(_MIN_SPOOLED, 2 * cores))

    async def run(self, decisions: Sequence[Decision]) -> None:
        """Fetch, split and commit sessions in their order; each one's end is told to the sink when it is recorded.

        Raises SourceRefused, SourceUnavailable or CacheError, when all that was prepared is committed.
        """
        jobs = self._jobs(decisions)
        with ungrouped():
            failure = await self._download_and_commit(jobs)
        if failure:
            raise failure

    async def _download_and_commit(self, jobs: Sequence[Job]) -> IngestError | None:
        """Returns why downloads had to end early: what was prepared by then is committed all the same."""
        send, receive = anyio.create_memory_object_stream[_Ended](_MAX_BATCH)
        failure: IngestError | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._commit_all, receive)
            async with send:
                try:
                    await self._download_all(jobs, send)
                except IngestError as error:
                    failure = error
        return failure

    def _jobs(self, decisions: Sequence[Decision]) -> list[Job]:
        """The decisions with the numbers of their tracked sets: a transaction a set, of which there are few."""
        sets = {decision.tracked for decision in decisions}
        numbers = {tickers: self._cache.manifest.tracked_set(tickers) for tickers in sets}
        replaced = self._cache.manifest.replacements.held(
            one.session for one in decisions if one.held.held == "committed"
        )
        return [
            Job(
                one,
                numbers[one.tracked],
                self._cache,
                self._max_unpacked,
                replaced.get(one.session),
                accept=self._request.accept,
            )
            for one in decisions
        ]

    async def _download_all(self, jobs: Sequence[Job], send: MemoryObjectSendStream[_Ended]) -> None:
        async with self._source.watching(), anyio.create_task_group() as helpers:
            async with anyio.create_task_group() as downloads:
                with anyio.CancelScope() as feeding:
                    helpers.start_soon(self._stop_feeding, feeding)
                    for job in jobs:
                        await self._start(job, downloads, send)
            helpers.cancel_scope.cancel()

    async def _stop_feeding(self, feeding: anyio.CancelScope) -> None:
        await self._stop.wait()
        self._sink(events.Stopping(self._source.limit.in_flight))
        feeding.cancel()

    async def _start(self, job: Job, downloads: TaskGroup, send: MemoryObjectSendStream[_Ended]) -> None:
        """Begin a session as soon as there is a place and room for it."""
        share = Share(self._budget, self._in_flight(_item(job.decision)))
        await share.take()
        await self._source.limit.acquire()
        downloads.start_soon(self._session, job, share, send)

    def _in_flight(self, item: RemoteObject) -> int:
        return self._spooled if downloading.is_large(item) else item.size * _IN_FLIGHT_PER_PACKED

    async def _session(self, job: Job, share: Share, send: MemoryObjectSendStream[_Ended]) -> None:
        with self._under_way:
            try:
                result = await self._result(job, share)
            except Stopped:  # a large file, of which the next run will find what has come
                share.give_back()
                return
            # What is here by the time that another session ends the run is committed all the same.
            with anyio.CancelScope(shield=True), suppress(anyio.BrokenResourceError):  # no committer: a second Ctrl-C
                await send.send((result, share))

    async def _result(self, job: Job, share: Share) -> SessionResult:
        """Fetch and split one session. A refusal of the keys and a broken disk end the run and so are raised."""
        try:
            return await self._prepared(job, share)
        except errors.Forbidden:
            return Forbidden(job, self._spool_path(job))
        except NotFound as error:
            return Gone(job, error.message, self._spool_path(job))
        except (Disrupted, Throttled) as error:
            return Failed(job, error.message)

    async def _prepared(self, job: Job, share: Share) -> Staged | Refused:
        """A file that is unreadable is fetched once more, lest the fault was on the way."""
        first = await self._split(job, await self._fetched(job, share))
        if isinstance(first, Staged) or first.acceptable:
            return first
        if first.spooled:
            await anyio.to_thread.run_sync(spool.discard, first.spooled)
        await self._source.limit.acquire()
        return await self._split(job, await self._fetched(job, share))

    def _spool_path(self, job: Job) -> Path | None:
        return self._cache.download(job.decision.session) if downloading.is_large(_item(job.decision)) else None

    async def _fetched(self, job: Job, share: Share) -> Body:
        session, item = job.decision.session, _item(job.decision)
        if path := self._spool_path(job):
            return await downloading.fetch_large(self._source, session, item, path, share)
        return await self._source.fetch(session, item, share)

    async def _split(self, job: Job, body: Body, granted: int = ORDINARY) -> Staged | Refused:
        """Split a file. One that takes more memory than is granted is split again when that is to be had."""
        granted = AT_ONCE if body.path else granted  # in chunks, and no more of them than there are cores
        workers = self._spooled_workers if body.path else self._workers
        try:
            with anyio.CancelScope(shield=True):
                try:
                    staged = await anyio.to_thread.run_sync(prepare, job, body, granted, limiter=workers)
                except Costly as error:
                    async with self._budget.more(error.cost):
                        return await self._split(job, body, error.cost)
        except UnreadableFile as error:
            return Refused(job, body, error.message, acceptable=isinstance(error, LosesRows))
        return Staged(job, staged, body.path)

    async def _commit_all(self, receive: MemoryObjectReceiveStream[_Ended]) -> None:
        """Commit results as they come: those that come within a moment, while others are under way, share a commit."""
        async with receive:
            async for first in receive:
                with anyio.move_on_after(_GATHER_S):
                    await self._under_way.none()
                batch = [first, *_waiting(receive)]
                await anyio.to_thread.run_sync(_record, self._cache, [result for result, _ in batch])
                for result, share in batch:
                    share.give_back()
                    self._sink(_event(result, self._cache))


def _record(cache: Cache, results: Sequence[SessionResult]) -> None:
    """Make what came of a batch of sessions durable. Raises CacheError."""
    if staged := [result.session for result in results if isinstance(result, Staged)]:
        commit(cache, staged)
    for result in results:
        if isinstance(result, Refused):
            quarantine.keep(cache, result.job.decision.session, result.body, result.reason, result.acceptable)
        if result.spooled:
            spool.discard(result.spooled)
    cache.manifest.answered(list(_answers(results)), cache.run)


def _answers(results: Sequence[SessionResult]) -> Iterator[Answer]:
    """What the source has said of sessions whose files it did not give."""
    for result in results:
        decision = result.job.decision
        session, etag = decision.session, decision.item.etag if decision.item else None
        match result:
            case Forbidden():
                yield session, "forbidden", None, etag
            case Gone():
                yield session, "absent", result.reason, etag
            case Failed():
                yield session, "failed", result.reason, etag


def _waiting(receive: MemoryObjectReceiveStream[_Ended]) -> Iterator[_Ended]:
    for _ in range(min(receive.statistics().current_buffer_used, _MAX_BATCH - 1)):
        yield receive.receive_nowait()


def _item(decision: Decision) -> RemoteObject:
    if decision.item is None:
        raise AssertionError(f"{decision.session} is to be fetched and is not listed")
    return decision.item


def _event(result: SessionResult, cache: Cache) -> events.Ended:
    decision = result.job.decision
    match result:
        case Staged():
            return _committed(result.session, decision.reason)
        case Refused():
            path = str(cache.quarantined(decision.session))
            return events.Quarantined(decision.session, result.reason, path, result.acceptable)
        case Forbidden():
            return events.Forbidden(decision.session)
        case Gone():
            return events.Vanished(decision.session)
        case Failed():
            return events.Failed(decision.session, result.reason)


def _committed(staged: StagedSession, reason: str) -> events.Committed:
    record, correction = staged.record, staged.correction
    return events.Committed(
        session=record.session,
        bytes=record.size,
        source_rows=record.source_rows,
        tracked_rows=record.tracked_rows,
        archive_rows=record.archive_rows,
        dropped_rows=record.dropped_rows,
        reason=reason,
        corrected=correction is not None and correction.kind != "equal rows",
        findings=record.findings,
    )
