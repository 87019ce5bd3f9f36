"""Commits the results of any executor: one committer, and nobody else, writes a run's sessions to the manifest.

An executor only stages parts, which are not yet part of the cache. So a task may run twice and its result may come late
or twice: the first result of a session counts. A kill leaves what was committed, and staged parts, which the next run
sweeps.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from ingest import events
from ingest.cache import quarantine
from ingest.cache.cache import Cache
from ingest.cache.commit import StagedSession, commit, discard_staged
from ingest.cache.manifest import Answer
from ingest.errors import IngestError, ungrouped
from ingest.lake.update import Arriving
from ingest.pipeline.task import Failed, Forbidden, Gone, Job, Refused, SessionResult, Staged
from ingest.settings import Settings
from ingest.settings.tuning import Tuning
from ingest.sources import spool
from ingest.sources.resilient import ResilientSource


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a task. `recorded` is called once its result is durable: the executor frees what it holds for it."""

    result: SessionResult
    recorded: Callable[[], None]


Results = MemoryObjectSendStream[Ended]
"""Where an executor sends the ends of its tasks. Sending waits while the committer is behind."""


class Executor(Protocol):
    """Downloads and splits sessions, in this process or elsewhere."""

    async def run(self, tasks: Sequence[Job], results: Results) -> None:
        """Send the result of each task, in any order; return once there are no more.

        Raises IngestError if the run has to end, after sending every result available by then.
        """
        ...

    async def idle(self) -> None:
        """Wait until no task is under way; until then, more results may join the next commit."""
        ...


class ExecutorFor(Protocol):
    """Makes the executor of a run: in this process, or elsewhere."""

    def __call__(
        self, source: ResilientSource, settings: Settings, sink: events.Sink, stop: anyio.Event, /
    ) -> Executor:
        """The executor for the sessions of one dataset; events go to `sink`, and `stop` ends it early."""
        ...


class Committer:
    """Commits to one cache, and reports each session to the sink once it is recorded."""

    def __init__(self, cache: Cache, sink: events.Sink, tuning: Tuning, lake: Arriving | None = None) -> None:
        """The lake, if it is wanted, gets the rows of sessions that have them."""
        self._cache, self._sink, self._tuning, self._lake = cache, sink, tuning, lake

    async def run(self, executor: Executor, tasks: Sequence[Job]) -> None:
        """Have an executor download and split sessions, and commit them.

        Raises SourceRefused, SourceUnavailable or CacheError, once everything prepared is committed.
        """
        with ungrouped():
            failure = await self._execute_and_commit(executor, tasks)
        if failure:
            raise failure

    async def _execute_and_commit(self, executor: Executor, tasks: Sequence[Job]) -> IngestError | None:
        """The error that ended the executor early, if any; what was prepared by then is committed."""
        send, receive = anyio.create_memory_object_stream[Ended](self._tuning.max_batch)
        failure: IngestError | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._commit_all, executor, receive)
            async with send:
                try:
                    await executor.run(tasks, send)
                except IngestError as error:
                    failure = error
        return failure

    async def _commit_all(self, executor: Executor, receive: MemoryObjectReceiveStream[Ended]) -> None:
        """Commit results as they arrive: those within a moment, while others are under way, share a commit."""
        done = set[date]()
        async with receive:
            async for first in receive:
                with anyio.move_on_after(self._tuning.gather_s):
                    await executor.idle()
                batch = [first, *_waiting(receive, self._tuning.max_batch - 1)]
                counted, late = _first_ones([one.result for one in batch], done)
                await anyio.to_thread.run_sync(_record, self._cache, counted, late, self._lake)
                for one in batch:
                    one.recorded()
                for result in counted:
                    self._sink(_event(result, self._cache))
                if self._lake:
                    await anyio.to_thread.run_sync(self._lake.ended, [one.job.session for one in counted])


def _first_ones(results: Sequence[SessionResult], done: set[date]) -> tuple[list[SessionResult], list[SessionResult]]:
    """Results of sessions not yet `done`, which are added to it, and results of those that are: they came late."""
    counted, late = list[SessionResult](), list[SessionResult]()
    for one in results:
        session = one.job.session
        (late if session in done else counted).append(one)
        done.add(session)
    return counted, late


def _record(
    cache: Cache, results: Sequence[SessionResult], late: Sequence[SessionResult], lake: Arriving | None
) -> None:
    """Make a batch of results durable, and discard the parts of late ones. Raises CacheError."""
    if staged := [result.session for result in results if isinstance(result, Staged)]:
        commit(cache, staged)
        if lake:
            _hand_over(staged, lake)
    for result in results:
        if isinstance(result, Refused):
            quarantine.keep_refused(cache, result.job.session, result.body, result.reason, result.acceptable)
        if result.job.spool and not isinstance(result, Failed):
            spool.discard(result.job.spool)
    cache.manifest.sessions.answered(list(_answers(results)), cache.run)
    for result in late:
        if isinstance(result, Staged):
            discard_staged(cache, result.session)


def _hand_over(sessions: Sequence[StagedSession], lake: Arriving) -> None:
    for one in sessions:
        if one.numbers is not None:
            lake.rows.keep(one.record.session, one.record.part_sha256, one.numbers)


def _answers(results: Sequence[SessionResult]) -> Iterator[Answer]:
    """What the source said of sessions whose files it did not deliver."""
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


def _waiting(receive: MemoryObjectReceiveStream[Ended], most: int) -> Iterator[Ended]:
    for _ in range(min(receive.statistics().current_buffer_used, most)):
        yield receive.receive_nowait()


def _event(result: SessionResult, cache: Cache) -> events.Ended:
    decision = result.job.decision
    match result:
        case Staged():
            return _committed(result.session, decision.reason)
        case Refused():
            return _quarantined(result, cache)
        case Forbidden():
            return events.Forbidden(decision.session)
        case Gone():
            return events.Vanished(decision.session)
        case Failed():
            return events.Failed(decision.session, result.reason)


def _quarantined(refused: Refused, cache: Cache) -> events.Quarantined:
    held, path = refused.job.decision.held, str(quarantine.file_of(cache, refused.job.session))
    dismissed = held.dismissed and held.quarantined == refused.body.etag
    return events.Quarantined(
        session=refused.job.session,
        reason=refused.reason,
        path=path,
        acceptable=refused.acceptable,
        dataset=cache.dataset.short,
        dismissed=dismissed,
    )


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
