"""Downloads and splits sessions in this process: downloads and split workers, under a budget of bytes.

Downloads are async tasks; splits run in worker threads (gunzip, polars, gzip and files release the GIL). Bytes are
acquired before a download begins and given back when its session is recorded, so memory is limited by the budget and
not by the number of sessions. A session that fails never stops the others.
"""

import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from ingest import errors, events
from ingest.cache.commit import StagedSession
from ingest.errors import Disrupted, LosesRows, NotFound, Stopped, Throttled, UnreadableFile
from ingest.pipeline.committer import Ended, Executor, Results
from ingest.pipeline.session.body import Costly
from ingest.pipeline.task import Failed, Forbidden, Gone, Job, Refused, SessionResult, Staged
from ingest.pipeline.worker import prepare, prepare_together
from ingest.settings import Limits, Settings
from ingest.settings.tuning import Tuning
from ingest.sources import downloading, spool
from ingest.sources.base import Body
from ingest.sources.limits import ByteBudget, Share, UnderWay
from ingest.sources.resilient import ResilientSource


class LocalExecutor(Executor):
    """Downloads and worker threads of one run; `run` may be called for several waves."""

    def __init__(self, source: ResilientSource, limits: Limits, sink: events.Sink, stop: anyio.Event) -> None:
        self._source, self._sink, self._stop, self._tuning = source, sink, stop, source.tuning
        self._budget = ByteBudget(limits.max_bytes_in_flight)
        self._under_way = UnderWay()
        cores = os.cpu_count() or 1
        self._workers = anyio.CapacityLimiter(cores + self._tuning.spare_workers)
        self._small = Workers(cores + self._tuning.spare_small_workers, self._tuning)
        self._large_workers = anyio.CapacityLimiter(cores)
        together = max(self._tuning.min_spooled, 2 * cores)
        self._spooled = max(self._tuning.in_flight_spooled, limits.max_bytes_in_flight // together)

    async def idle(self) -> None:
        """See `Executor`."""
        await self._under_way.none()

    async def run(self, tasks: Sequence[Job], results: Results) -> None:
        """See `Executor`: sessions are started in order, until `stop` is set."""
        async with self._source.watching(), anyio.create_task_group() as helpers:
            async with anyio.create_task_group() as downloads:
                with anyio.CancelScope() as feeding:
                    helpers.start_soon(self._stop_feeding, feeding)
                    for job in tasks:
                        await self._start(job, downloads, results)
            helpers.cancel_scope.cancel()

    async def _stop_feeding(self, feeding: anyio.CancelScope) -> None:
        await self._stop.wait()
        self._source.hurry()
        self._sink(events.Stopping(self._source.limit.in_flight, self._tuning.silent_when_stopping_s))
        feeding.cancel()
        while True:
            if pending := self._source.pending():
                self._sink(events.Draining(pending))
            await anyio.sleep(self._tuning.tell_stopping_s)

    async def _start(self, job: Job, downloads: TaskGroup, results: Results) -> None:
        """Start a session as soon as the limit and the budget have room for it."""
        share = Share(self._budget, self._in_flight(job))
        await share.take()
        await self._source.limit.acquire()
        downloads.start_soon(self._session, job, share, results)

    def _in_flight(self, job: Job) -> int:
        if job.spool:
            return self._spooled
        alone = self._is_split_alone(job)
        return job.item.size * (self._tuning.in_flight_alone if alone else self._tuning.in_flight_per_packed)

    def _is_split_alone(self, job: Job) -> bool:
        return job.item.size >= self._tuning.alone

    async def _session(self, job: Job, share: Share, results: Results) -> None:
        with self._under_way:
            try:
                result = await self._result(job, share)
            except Stopped:  # a large file, or a silent one: the next run resumes it, or requests it again
                share.give_back()
                return
            # A result that is ready when another session ends the run is still committed.
            with anyio.CancelScope(shield=True), suppress(anyio.BrokenResourceError):  # no committer: a second Ctrl-C
                await results.send(Ended(result, share.give_back))

    async def _result(self, job: Job, share: Share) -> SessionResult:
        """Download and split one session. Refused keys and a broken disk end the run, so they are raised."""
        try:
            return await self._prepared(job, share)
        except errors.Forbidden:
            return Forbidden(job)
        except NotFound as error:
            return Gone(job, error.message)
        except (Disrupted, Throttled) as error:
            return Failed(job, error.message)

    async def _prepared(self, job: Job, share: Share) -> Staged | Refused:
        """Download and split a session. An unreadable file is downloaded again: the fault may have been in transit."""
        first = await self._split(job, await self._fetched(job, share))
        if isinstance(first, Staged) or first.acceptable:
            return first
        if job.spool:
            await anyio.to_thread.run_sync(spool.discard, job.spool)
        await self._source.limit.acquire()
        return await self._split(job, await self._fetched(job, share), explain=True)

    async def _fetched(self, job: Job, share: Share) -> Body:
        session, item = job.session, job.item
        if job.spool:
            return await downloading.fetch_large(self._source, session, item, job.spool, share)
        return await self._source.fetch(session, item, share)

    async def _split(self, job: Job, body: Body, explain: bool = False) -> Staged | Refused:
        """Split a file. If it needs more memory than is granted, split it again once that much is available.

        With `explain`, the reason why it cannot be read names the line, which takes another pass over the text.
        """
        # Large files may take as much as chunks do, and no more of them are split at once than there are cores.
        granted = self._tuning.in_chunks if self._is_split_alone(job) else self._tuning.ordinary
        try:
            with anyio.CancelScope(shield=True):
                try:
                    staged = await self._staged(job, body, granted)
                except Costly as error:
                    staged = await self._with_more(job, body, error.cost)
        except UnreadableFile as error:
            acceptable = isinstance(error, LosesRows)
            reason = error.message if acceptable or not explain else await self._explained(job, body, error)
            return Refused(job, body, reason, acceptable)
        return Staged(job, staged)

    async def _explained(self, job: Job, body: Body, error: UnreadableFile) -> str:
        from ingest.pipeline.session.reason import RefusedText  # most runs refuse nothing

        text = RefusedText(body, job.dataset, job.max_unpacked, job.tuning)
        return await anyio.to_thread.run_sync(text.reason, error, limiter=self._large_workers)

    async def _with_more(self, job: Job, body: Body, cost: int) -> StagedSession:
        """Whoever needs still more gives back what it has first: it would wait for itself."""
        while True:
            try:
                async with self._budget.more(cost):
                    return await self._staged(job, body, cost)
            except Costly as error:
                cost = error.cost

    async def _staged(self, job: Job, body: Body, granted: int) -> StagedSession:
        if granted <= self._tuning.ordinary:
            return await self._small.prepare(job, body)
        workers = self._large_workers if self._is_split_alone(job) else self._workers
        return await anyio.to_thread.run_sync(prepare, job, body, granted, limiter=workers)


def local_executor(source: ResilientSource, settings: Settings, sink: events.Sink, stop: anyio.Event) -> Executor:
    """See `ExecutorFor`: everything happens in this process."""
    return LocalExecutor(source, settings.limits, sink, stop)


@dataclass(slots=True, eq=False)
class _Waiting:
    """A session in the queue. Once its `turn` comes, it has either a `result` or a batch to prepare, its own first."""

    job: Job
    body: Body
    turn: anyio.Event = field(default_factory=anyio.Event)
    batch: Sequence["_Waiting"] = ()
    result: StagedSession | BaseException | None = None


class Workers:
    """`count` threads for sessions that take no more than `Tuning.ordinary` bytes of memory each.

    Each thread takes as many as are waiting, up to a limit: a call of polars, and each handover between threads, costs
    as much for ten sessions as for one. No session waits for others to come: if downloads are slower than the workers,
    each is prepared alone, and at once.
    """

    def __init__(self, count: int, tuning: Tuning) -> None:
        self._tuning, self._idle = tuning, count
        self._threads = anyio.CapacityLimiter(count)
        self._waiting = deque[_Waiting]()

    async def prepare(self, job: Job, body: Body) -> StagedSession:
        """See `worker.prepare`. The result is awaited even if the task is cancelled."""
        mine = _Waiting(job, body)
        self._waiting.append(mine)
        if self._idle:
            self._idle -= 1
            self._hand_over()
        with anyio.CancelScope(shield=True):
            await mine.turn.wait()
            batch, mine.batch = mine.batch, ()  # it contains itself: a cycle would keep its downloads in memory
            if batch:
                await self._prepare(batch)
        if isinstance(mine.result, StagedSession):
            return mine.result
        raise mine.result or AssertionError("a session had its turn without a result")

    def _hand_over(self) -> None:
        """Give a thread to the session that has waited longest, with those that are to share it."""
        if not self._waiting:
            self._idle += 1
            return
        share = min(len(self._waiting), self._tuning.most_together)
        batch = [self._waiting.popleft() for _ in range(share)]
        batch[0].batch = batch
        batch[0].turn.set()

    async def _prepare(self, batch: Sequence[_Waiting]) -> None:
        work = [(one.job, one.body) for one in batch]
        results: Sequence[StagedSession | BaseException]
        try:
            results = await anyio.to_thread.run_sync(
                prepare_together, work, self._tuning.ordinary, limiter=self._threads
            )
        except BaseException as error:  # such as a thread that cannot be started, or a panic in polars
            results = [error] * len(batch)
        self._hand_over()
        for one, result in zip(batch, results, strict=True):
            one.result = result
            one.turn.set()
