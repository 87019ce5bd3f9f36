"""A worker's side: one connection to the source per process, which downloads, splits and stages the tasks it is given.

Nothing here knows a manifest. A kill leaves staged parts, which nobody publishes and the next run sweeps, and a folder
of temporary files, which the next worker on that computer removes.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack
from contextvars import ContextVar
from dataclasses import replace
from threading import Lock, Thread

import anyio
from anyio.from_thread import BlockingPortal
from anyio.streams.memory import MemoryObjectReceiveStream

from ingest import events
from ingest.cache.layout import PartKey
from ingest.cache.parts.store import PartStore
from ingest.engines.deposits import Deposit
from ingest.engines.fitness import Terms, here, refuse_unfit_here
from ingest.engines.messages import Answer, Order, Outcome
from ingest.errors import CacheError, IngestError, SourceRefused, UsageError
from ingest.files import opening
from ingest.files.scratch import Scratch
from ingest.pipeline.committer import Ended
from ingest.pipeline.executor import LocalExecutor
from ingest.pipeline.task import Failed, Job, Refused, SessionResult, Staged
from ingest.sources.base import Body
from ingest.sources.liveness import Liveness
from ingest.sources.massive.client import connect
from ingest.sources.resilient import Line, ResilientSource
from ingest.sources.spool import discard, spool_path

_told: ContextVar[list[events.Event]] = ContextVar("_told")
"""The events of the task that is under way: several share one connection."""

_MOST_CLOSING_S = 2.0
"""How long to wait for the connection to close: longer if a task is still under way that nobody waits for."""

_UNSAID = (events.FetchStarted, events.Downloading)
"""Events that are of no use when they are over."""


def work(order: Order) -> Answer:
    """Download, split and stage the sessions of a task; blocks until all are done.

    An error that ends the run is in the answer, with what was done before. Raises WorkerUnfit.
    """
    try:
        return _hand_for(order.terms).work(order)
    except UsageError as error:  # no keys here, or invalid ones: it is no fault of the command
        raise SourceRefused(f"worker {here()}: {error.message}") from error


_lock = Lock()
_hands: list["Hand"] = []


def _hand_for(terms: Terms) -> "Hand":
    """The connection of this process for a run; that of another run is closed, since its keys may have changed."""
    with _lock:
        if not _hands or _hands[0].terms.run != terms.run:
            _close()
            refuse_unfit_here(terms)
            _hands.append(Hand(terms))
        return _hands[0]


def put_down() -> None:
    """Close this process's connection, if it has one, once its tasks have ended."""
    with _lock:
        _close()


def _close() -> None:
    while _hands:
        _hands.pop().close()


class Hand:
    """A connection to the source, and the event loop that uses it, in a thread that does not keep the process alive."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self._scratch = Scratch("worker")
        self._portal: Future[BlockingPortal] = Future()
        self._counted = 0
        self._thread = Thread(target=self._live, name="ingest worker", daemon=True)
        self._thread.start()

    def work(self, order: Order) -> Answer:
        """See `work`; several threads may call it at once."""
        return self._portal.result().start_task_soon(self._work, order).result()

    def close(self) -> None:
        """Close the connection once the tasks under way have ended."""
        if not self._portal.exception():
            portal = self._portal.result()
            portal.start_task_soon(portal.stop)
        self._thread.join(_MOST_CLOSING_S)

    def _live(self) -> None:
        try:
            anyio.run(self._serve)
        except BaseException as error:
            if self._portal.done():
                raise
            self._portal.set_exception(error)
        finally:
            self._scratch.discard()

    async def _serve(self) -> None:
        terms = self.terms
        async with AsyncExitStack() as opened:
            client = await opened.enter_async_context(connect(terms.source, terms.tuning))
            line = Line(client, Liveness(terms.source, terms.tuning), terms.tuning)
            stop = anyio.Event()  # never set: a run that stops lets its tasks end
            self._source = ResilientSource(line, terms.source, _tell, stop)
            self._executor = LocalExecutor(self._source, terms.limits, _tell, stop)
            async with BlockingPortal() as portal:
                self._portal.set_result(portal)
                await portal.sleep_until_stopped()

    async def _work(self, order: Order) -> Answer:
        told: list[events.Event] = []
        _told.set(told)
        self._source.limit.share(order.downloads, order.adapted)
        outcomes, failure = await self._outcomes([self._here(job) for job in order.task.jobs])
        self._counted, before = self._source.requests, self._counted
        return Answer(
            here(),
            outcomes,
            told=tuple(one for one in told if not isinstance(one, _UNSAID)),
            requests=self._counted - before,
            adapted=self._source.limit.adapted,
            failure=failure,
        )

    def _here(self, job: Job) -> Job:
        """The same job with the folders of this process."""
        spool = spool_path(self._scratch.path / job.dataset.short, job.session) if job.spool else None
        return replace(job, parts=job.parts.working_in(self._scratch.path), spool=spool)

    async def _outcomes(self, jobs: Sequence[Job]) -> tuple[tuple[Outcome, ...], IngestError | None]:
        """What came of each job, durable; and the error, if any, that ended this early."""
        done: list[SessionResult] = []
        failure: IngestError | None = None
        send, receive = anyio.create_memory_object_stream[Ended]()
        async with anyio.create_task_group() as group:
            group.start_soon(_gather, receive, done)
            async with send:
                try:
                    await self._executor.run(jobs, send)
                except IngestError as error:
                    failure = named(error)
        carried = self.terms.tuning.carried_body
        try:
            made = await anyio.to_thread.run_sync(_durable, jobs[0].parts, done, carried)
        except CacheError as error:
            if not error.retryable:
                return (), failure or named(error)
            named(error)
            return tuple(Outcome.of(Failed(one.job, error.message)) for one in done), failure
        return made, failure


def _tell(event: events.Event) -> None:
    _told.get([]).append(event)


def named(error: IngestError) -> IngestError:
    """The same error, which says at which worker it was met."""
    error.args = (f"worker {here()}: {error.message}", *error.args[1:])
    return error


async def _gather(receive: MemoryObjectReceiveStream[Ended], done: list[SessionResult]) -> None:
    """Take results as they come, and let go of the memory that was counted for them."""
    async with receive:
        async for one in receive:
            done.append(one.result)
            one.recorded()


def _durable(parts: PartStore, done: Sequence[SessionResult], carried: int) -> tuple[Outcome, ...]:
    """Make what is staged durable, together. Raises CacheError."""
    keys = [key for one in done if isinstance(one, Staged) for key in one.session.staged]
    refused = ((at, one) for at, one in enumerate(done) if isinstance(one, Refused) and one.body.size > carried)
    deposits = {at: _deposited(parts, one) for at, one in refused}
    synced = iter(parts.sync_staged([*keys, *deposits.values()]))
    final = dict(zip(keys, synced, strict=False))
    kept = dict(zip(deposits, synced, strict=True))
    return tuple(_outcome(one, final, kept.get(at)) for at, one in enumerate(done))


def _outcome(result: SessionResult, final: dict[PartKey, PartKey], kept: PartKey | None) -> Outcome:
    if isinstance(result, Staged):
        staged = tuple(final[key] for key in result.session.staged)
        return Outcome.of(result, session=replace(result.session, staged=staged))
    if isinstance(result, Refused):
        body = result.body
        if kept is None:
            data = body.data if body.path is None else opening.read(body.path)
            carried: Body | Deposit = replace(body, data=data, path=None)
        else:
            carried = Deposit(kept, body.etag, body.last_modified, body.etag_is_md5)
        if result.job.spool:
            discard(result.job.spool)
        return Outcome.of(result, body=carried)
    return Outcome.of(result)


def _deposited(parts: PartStore, result: Refused) -> PartKey:
    """Put a refused file where the parts are: a staged part that nobody publishes, and the next run sweeps."""
    with parts.staging(result.job.session, "archive") as file, result.body.open() as body:
        while piece := body.read(1 << 20):
            file.write(piece)
    return file.key
