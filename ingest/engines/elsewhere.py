"""An executor whose tasks are done by the workers of a cluster; what they stage is committed here, by the committer.

The queue is here: the cluster gets little more than its workers can begin, so a run that stops has little to wait for.
A task that takes too long is given to another worker as well, whatever the cluster knows of the first; the first answer
counts. A kill leaves staged parts, which the next run sweeps, and tasks whose answers nobody waits for.
"""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass

import anyio
from anyio.to_thread import run_sync

from ingest import events
from ingest.engines import hand
from ingest.engines.cluster import Cluster
from ingest.engines.deposits import Deposit, fetched
from ingest.engines.fitness import Terms, probes, versions
from ingest.engines.messages import Answer, Order
from ingest.engines.tasks import Board, Task
from ingest.errors import EngineLost, IngestError, WorkerUnfit
from ingest.pipeline.committer import Ended, Executor, Results
from ingest.pipeline.task import Failed, Job
from ingest.settings import Settings
from ingest.sources.limits import UnderWay
from ingest.sources.resilient import ResilientSource

Connect = Callable[[Terms, events.Sink], Cluster]
"""Connects to a cluster, or returns the one that is connected; may block, and raises EngineLost."""


class Elsewhere(Executor):
    """Tasks for the workers of a cluster, which is opened when there is something to do."""

    def __init__(
        self, connect: Connect, source: ResilientSource, settings: Settings, sink: events.Sink, stop: anyio.Event
    ) -> None:
        self._connect, self._source, self._settings, self._sink, self._stop = connect, source, settings, sink, stop
        self._under_way = UnderWay()

    async def idle(self) -> None:
        """See `Executor`."""
        await self._under_way.none()

    async def run(self, tasks: Sequence[Job], results: Results) -> None:
        """See `Executor`. Raises EngineLost if there is nobody to do the tasks, after sending what was done by then."""
        terms = await run_sync(self._terms, tasks[0])
        try:
            cluster = await run_sync(self._connect, terms, self._sink)
            board, patience_s = Board(tasks, terms.tuning), self._settings.engine.no_workers_after_s
            going = _Going(cluster, terms, board, self._sink, self._under_way, patience_s=patience_s)
            try:
                await going.run(results, self._stop)
            finally:
                going.end()
                self._source.count(going.requests)
        finally:
            with anyio.CancelScope(shield=True):
                await run_sync(_tidy, terms)

    def _terms(self, first: Job) -> Terms:
        """What all tasks have in common."""
        settings, run, parts = self._settings, uuid.uuid4().hex, first.parts
        return Terms(
            run=run,
            source=settings.source,
            limits=settings.limits,
            tuning=settings.tuning,
            versions=versions(),
            parts=parts,
            probes=probes(parts, first.session, run),
        )


def _tidy(terms: Terms) -> None:
    """Remove what a run needs only while it goes on."""
    hand.put_down()
    for key in terms.probes:
        terms.parts.discard(key)


@dataclass(frozen=True, slots=True, eq=False)
class _Execution:
    """A task that was given to a worker."""

    task: Task
    call: Future[Answer]


class _Going:
    """A run of tasks: which are with a worker, and what has come back."""

    def __init__(
        self,
        cluster: Cluster,
        terms: Terms,
        board: Board,
        sink: events.Sink,
        under_way: UnderWay,
        *,
        patience_s: float,
    ) -> None:
        self._cluster, self._terms, self._board, self._sink = cluster, terms, board, sink
        self._under_way = under_way
        self._bell = _Bell()
        self._executions: list[_Execution] = []
        self._adapted: int | None = None
        self._workers, self._seen = -1, time.monotonic()
        self._unfit: Counter[int] = Counter()
        self._stopping = False
        self._patience_s = patience_s
        self.requests = 0

    async def run(self, results: Results, stop: anyio.Event) -> None:
        """Send the results of all tasks, or of those under way when `stop` is set."""
        while not self._board.is_done:
            self._look()
            if stop.is_set():
                self._stop()
            else:
                self._feed()
            await self._bell.wait(self._terms.tuning.engine_tick_s)
            for one in self._ended():
                await self._take(one, results)
            self._refuse_lost()

    def end(self) -> None:
        """Let go of all tasks under way: nobody waits for their answers."""
        for one in self._executions:
            one.call.cancel()
            self._under_way.__exit__()
        self._executions.clear()

    def _stop(self) -> None:
        """Begin nothing else, and take back what no worker has begun."""
        if self._stopping:
            return
        self._stopping = True
        self._board.stop()
        for one in tuple(self._executions):
            if self._cluster.recall(one.call):
                self._forget(one)
                self._board.recalled(one.task)
        self._sink(events.Stopping(self._board.under_way))

    def _look(self) -> None:
        """Note how many workers there are. Raises EngineLost if there has been none for too long."""
        now = time.monotonic()
        if (count := self._cluster.workers()) != self._workers:
            self._workers = count
            self._sink(events.Workers(count, self._cluster.name))
        if self._cluster.places():
            self._seen = now
        elif now - self._seen > self._patience_s:
            raise EngineLost(f"{self._cluster.name}: no worker for {self._patience_s:g} s; {_STAYS}")

    def _feed(self) -> None:
        """Give workers what they can begin, and have others do what takes too long."""
        places, now = self._places(), time.monotonic()
        while len(self._executions) - self._board.stuck(now) < places and (task := self._board.next()):
            self._submit(task)
        for task in self._board.overdue(now):
            if len(self._executions) - self._board.stuck(now) < places:
                self._submit(task)

    def _places(self) -> int:
        """How many tasks to have under way: each downloads one file at least."""
        return min(self._cluster.places(), self._terms.source.concurrency)

    def _submit(self, task: Task) -> None:
        beside = next((one.call for one in self._executions if one.task.number == task.number), None)
        share = max(self._terms.source.concurrency // max(self._cluster.workers(), 1), 1)
        order = Order(self._terms, task, share, self._adapted)
        try:
            call = self._cluster.submit(hand.work, order, beside)
        except IngestError:
            raise
        except Exception as error:
            raise self._lost(error) from error
        if beside is None:
            for job in task.jobs:
                self._sink(events.FetchStarted(job.session, job.item.size))
        self._executions.append(_Execution(task, call))
        self._under_way.__enter__()
        self._board.begun(task, time.monotonic())
        call.add_done_callback(self._bell.ring)

    def _ended(self) -> list[_Execution]:
        return [one for one in self._executions if one.call.done()]

    def _forget(self, execution: _Execution) -> None:
        self._executions.remove(execution)
        self._under_way.__exit__()

    async def _take(self, execution: _Execution, results: Results) -> None:
        """Send on what came of an execution. Raises EngineLost, and what a worker says must end the run."""
        if execution not in self._executions:
            return
        answer, error = _outcome_of(execution)
        if answer is not None:
            await self._send(execution, answer, results)
            self._forget(execution)
            return
        self._forget(execution)
        if isinstance(error, WorkerUnfit) and self._unfit[execution.task.number] < _MOST_UNFIT:
            self._unfit[execution.task.number] += 1
            self._board.died(execution.task, deaths=0)
            return
        if isinstance(error, IngestError):
            raise error
        # A call that is cancelled, though not from here, is of a cluster that was restarted.
        deaths = self._cluster.deaths(error) or isinstance(error, CancelledError)
        if not deaths:
            raise self._lost(error) from error
        given_up = self._board.died(execution.task, deaths)
        if not self._board.is_open(execution.task):
            self._take_back(execution.task)
        for session in given_up:
            job = next(one for one in execution.task.jobs if one.session == session)
            await results.send(Ended(Failed(job, f"{self._cluster.name}: {_DEADLY}"), _nothing))

    async def _send(self, execution: _Execution, answer: Answer, results: Results) -> None:
        """Send results; those of a second answer only because their staged parts are to be removed."""
        self.requests += answer.requests
        self._adapted = answer.adapted if answer.adapted is not None else self._adapted
        is_first = self._board.answered(execution.task, time.monotonic())
        for event in answer.told if is_first else ():
            self._sink(event)
        jobs = {job.session: job for job in execution.task.jobs}
        for outcome in answer.outcomes:
            job = jobs[outcome.session]
            there = outcome.values.get("body")
            if not isinstance(there, Deposit):
                await results.send(Ended(outcome.result(job), _nothing))
            elif is_first:
                await results.send(Ended(outcome.result(job, body=await run_sync(fetched, there, job)), _nothing))
            else:  # its spool file is the first answer's, which may be read now
                await run_sync(job.parts.discard, there.key)
        self._take_back(execution.task)
        if answer.failure:
            raise answer.failure

    def _take_back(self, task: Task) -> None:
        """Wait no longer for any execution of a task; what has ended already is still taken, to clear up after it."""
        for one in [one for one in self._executions if one.task.number == task.number and not one.call.done()]:
            one.call.cancel()
            self._forget(one)

    def _refuse_lost(self) -> None:
        if why := self._cluster.ended():
            raise EngineLost(f"{self._cluster.name}: {why}; {_STAYS}")

    def _lost(self, error: BaseException) -> EngineLost:
        """An error that is not of this package: whatever a worker or an executor has met."""
        if why := self._cluster.ended():
            return EngineLost(f"{self._cluster.name}: {why}; {_STAYS}")
        inner = next(_leaves(error))
        return EngineLost(f"{self._cluster.name}: a task cannot be done: {type(inner).__name__}: {inner}; {_STAYS}")


_STAYS = "what was committed stays, run again to continue"
_MOST_UNFIT = 3
"""How many unfit workers a task may meet: a cluster that can choose leaves them out once it has seen them."""


def _nothing() -> None:
    """Nothing is held here for a result."""


_DEADLY = "every worker that had it died, the last one with no other session"


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error


def _outcome_of(execution: _Execution) -> tuple[Answer | None, BaseException]:
    """The answer of a call that has ended, or its error; an executor of the caller's own may have mixed them up.

    Awaited as a future of asyncio, a call that the cluster cancels would look like the cancellation of this task.
    """
    call = execution.call
    if call.cancelled():
        return None, CancelledError("the cluster has cancelled it")
    if (error := call.exception()) is not None:
        return None, error
    answer = call.result()
    if isinstance(answer, Answer) and answer.is_for(execution.task):
        return answer, CancelledError()
    return None, ValueError("what came back is not the answer to it")


class _Bell:
    """Wakes the event loop from any thread."""

    def __init__(self) -> None:
        self._loop, self._event = asyncio.get_running_loop(), anyio.Event()

    def ring(self, call: object) -> None:
        """Wake whoever waits."""
        with suppress(RuntimeError):  # the loop is closed: it was a late answer
            self._loop.call_soon_threadsafe(self._set)

    def _set(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Wait for the bell, at most so long."""
        with anyio.move_on_after(seconds):
            await self._event.wait()
        if self._event.is_set():
            self._event = anyio.Event()
