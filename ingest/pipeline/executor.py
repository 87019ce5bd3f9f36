"""Runs a plan: downloads, split workers, one committer, under a budget of bytes.

Downloads are tasks, splits run in worker threads (gunzip, polars, gzip and files release the GIL), and one committer
owns the manifest. Bytes are acquired before a download begins and given back when its session is committed, so memory
is bounded by the budget and not by the number of sessions. A session that fails never stops the others.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress

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
from ingest.pipeline.body import Costly
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
        self._sink, self._stop, self._tuning = sink, stop, source.tuning
        self._budget = ByteBudget(limits.max_bytes_in_flight)
        self._max_unpacked = limits.max_unpacked_bytes
        self._under_way = UnderWay()
        cores = os.cpu_count() or 1
        self._workers = anyio.CapacityLimiter(cores + self._tuning.spare_workers)
        self._spooled_workers = anyio.CapacityLimiter(cores)
        together = max(self._tuning.min_spooled, 2 * cores)
        self._spooled = max(self._tuning.in_flight_spooled, limits.max_bytes_in_flight // together)

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
        send, receive = anyio.create_memory_object_stream[_Ended](self._tuning.max_batch)
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
        sets, layout = {decision.tracked for decision in decisions}, self._cache.layout
        numbers = {tickers: self._cache.manifest.tracked_sets.number(tickers) for tickers in sets}
        replaced = self._cache.manifest.replacements.held(
            one.session for one in decisions if one.held.held == "committed"
        )
        return [
            Job(
                one,
                numbers[one.tracked],
                layout,
                self._max_unpacked,
                replaced.get(one.session),
                accept=self._request.accept,
                spool=self._cache.download(one.session) if _item(one).size >= self._tuning.large else None,
                tuning=self._tuning,
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
        share = Share(self._budget, self._in_flight(job))
        await share.take()
        await self._source.limit.acquire()
        downloads.start_soon(self._session, job, share, send)

    def _in_flight(self, job: Job) -> int:
        return self._spooled if job.spool else _item(job.decision).size * self._tuning.in_flight_per_packed

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
            return Forbidden(job)
        except NotFound as error:
            return Gone(job, error.message)
        except (Disrupted, Throttled) as error:
            return Failed(job, error.message)

    async def _prepared(self, job: Job, share: Share) -> Staged | Refused:
        """A file that is unreadable is fetched once more, lest the fault was on the way."""
        first = await self._split(job, await self._fetched(job, share))
        if isinstance(first, Staged) or first.acceptable:
            return first
        if job.spool:
            await anyio.to_thread.run_sync(spool.discard, job.spool)
        await self._source.limit.acquire()
        return await self._split(job, await self._fetched(job, share))

    async def _fetched(self, job: Job, share: Share) -> Body:
        session, item = job.decision.session, _item(job.decision)
        if job.spool:
            return await downloading.fetch_large(self._source, session, item, job.spool, share)
        return await self._source.fetch(session, item, share)

    async def _split(self, job: Job, body: Body, granted: int | None = None) -> Staged | Refused:
        """Split a file. One that takes more memory than is granted is split again when that is to be had."""
        # Large files go in chunks, and there are no more of them than there are cores.
        granted = granted or (self._tuning.in_chunks if job.spool else self._tuning.ordinary)
        workers = self._spooled_workers if job.spool else self._workers
        try:
            with anyio.CancelScope(shield=True):
                try:
                    staged = await anyio.to_thread.run_sync(prepare, job, body, granted, limiter=workers)
                except Costly as error:
                    async with self._budget.more(error.cost):
                        return await self._split(job, body, error.cost)
        except UnreadableFile as error:
            return Refused(job, body, error.message, acceptable=isinstance(error, LosesRows))
        return Staged(job, staged)

    async def _commit_all(self, receive: MemoryObjectReceiveStream[_Ended]) -> None:
        """Commit results as they come: those that come within a moment, while others are under way, share a commit."""
        async with receive:
            async for first in receive:
                with anyio.move_on_after(self._tuning.gather_s):
                    await self._under_way.none()
                batch = [first, *_waiting(receive, self._tuning.max_batch - 1)]
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
            quarantine.keep_refused(cache, result.job.decision.session, result.body, result.reason, result.acceptable)
        if result.job.spool and not isinstance(result, Failed):
            spool.discard(result.job.spool)
    cache.manifest.sessions.answered(list(_answers(results)), cache.run)


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


def _waiting(receive: MemoryObjectReceiveStream[_Ended], most: int) -> Iterator[_Ended]:
    for _ in range(min(receive.statistics().current_buffer_used, most)):
        yield receive.receive_nowait()


def _item(decision: Decision) -> RemoteObject:
    if decision.item is None:
        raise AssertionError(f"{decision.session} was planned for download but is not listed")
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
