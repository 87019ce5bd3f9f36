"""Runs, from settings to summaries: several datasets one after the other, all under one lock."""

from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio.from_thread import start_blocking_portal

from ingest import events
from ingest.cache import lock
from ingest.errors import Disrupted, Forbidden, NotConfirmed, SourceError, Throttled
from ingest.pipeline.dataset_run import run_dataset
from ingest.planning.request import Request
from ingest.planning.survey import connected
from ingest.planning.waiting import wait_for_files
from ingest.settings import Settings
from ingest.sources.resilient import Line

if TYPE_CHECKING:  # what a run with nothing to do need not import
    from ingest.pipeline.committer import ExecutorFor

_Result = TypeVar("_Result")

_TURN_S = 0.1

_SHORTLY_S = 1.0
"""A reader that stores an answer of Yahoo holds the lock only for a moment: no reason to give up a run."""


@dataclass(frozen=True, slots=True)
class Series:
    """What came of a series of runs, in their order.

    `unconfirmed` are the requests whose size has to be confirmed, `failures` the errors of datasets that were skipped.
    """

    finished: tuple[events.Finished, ...]
    unconfirmed: tuple[tuple[Request, NotConfirmed], ...] = ()
    failures: tuple[SourceError, ...] = ()

    @property
    def exit_code(self) -> int:
        """The worst of them: 130 if interrupted, 4 if a dataset failed, 3 if sessions did, else 0."""
        codes = [*(one.exit_code for one in self.finished), *(one.exit_code for one in self.failures)]
        return max(codes, default=0)

    def only(self) -> events.Finished:
        """The summary of the only run requested. Raises the error it ended with, or NotConfirmed."""
        for error in (*self.failures, *(error for _, error in self.unconfirmed)):
            raise error
        return self.finished[0]


async def run(
    settings: Settings,
    requests: Sequence[Request],
    sink: events.Sink,
    stop: anyio.Event,
    wait_s: float = 0,
    *,
    executor_for: "ExecutorFor | None" = None,
) -> Series:
    """Run one request after the other, each with its own record and summary.

    Before that, and before the lock is taken, up to `wait_s` seconds are spent waiting for the files of the newest
    sessions that are due (see `planning.waiting`; Stopped if `stop` is set meanwhile).

    Sessions are downloaded and split in this process, unless there is an `executor_for`.

    When `stop` is set, what is in flight is finished and committed. Failed sessions do not stop the datasets that
    follow, and neither does a dataset that these keys may not list, or that the source answers with errors for: it is
    reported and skipped. A source that is down or refuses the keys, a cache that cannot be written and an interruption
    end the series. Raises UsageError without keys, CacheLocked, and what `run_dataset` raises; Forbidden, Disrupted and
    Throttled only if all datasets were skipped.
    """
    if wait_s:
        await wait_for_files(settings, requests, wait_s, sink, stop)
    async with connected(settings, stop) as line:
        with lock.hold(settings.cache.root, _SHORTLY_S):
            return await _Series(settings, requests, sink, stop, executor_for).run(line)


def run_sync(
    settings: Settings,
    requests: Sequence[Request],
    sink: events.Sink,
    wait_s: float = 0,
    *,
    executor_for: "ExecutorFor | None" = None,
) -> Series:
    """Like `run`, in a thread of its own: the caller may be in an event loop (a notebook). Ctrl-C cancels it.

    An error that `sink` raises is raised as it is, not in an exception group.
    """
    raised: list[BaseException] = []

    def tell(event: events.Event) -> None:
        try:
            sink(event)
        except BaseException as error:
            raised.append(error)
            raise

    try:
        return in_thread(
            partial(run, settings, requests, tell, anyio.Event(), wait_s=wait_s, executor_for=executor_for)
        )
    except BaseExceptionGroup:
        if raised:
            raise raised[0] from None
        raise


def in_thread(work: Callable[[], Coroutine[Any, Any, _Result]]) -> _Result:
    """The result of a coroutine, from a thread of its own: the caller may be in an event loop. Ctrl-C cancels it."""
    with start_blocking_portal() as portal:
        future: Future[_Result] = portal.start_task_soon(work)
        # In short waits: once polars has taken over SIGINT, an endless wait does not notice it.
        while not wait([future], _TURN_S).done:
            pass
        return future.result()


class _Series:
    """A series under way: what has come of each run so far."""

    def __init__(
        self,
        settings: Settings,
        requests: Sequence[Request],
        sink: events.Sink,
        stop: anyio.Event,
        executor_for: "ExecutorFor | None",
    ) -> None:
        self._settings, self._requests, self._sink, self._stop = settings, requests, sink, stop
        self._executor_for = executor_for
        self._finished = list[events.Finished]()
        self._unconfirmed = list[tuple[Request, NotConfirmed]]()
        self._passed_over = list[SourceError]()

    async def run(self, line: Line) -> Series:
        """Run one request after the other."""
        for request in self._requests:
            await self._one(request, line)
            if self._stop.is_set():
                break
        if self._passed_over and not self._finished and not self._unconfirmed:
            raise self._passed_over[0]
        failures = [error for error in self._passed_over if not isinstance(error, Forbidden)]
        return Series(tuple(self._finished), tuple(self._unconfirmed), tuple(failures))

    async def _one(self, request: Request, line: Line) -> None:
        signs = line.liveness.signs
        try:
            run = partial(run_dataset, executor_for=self._executor_for)
            self._finished.append(await run(self._settings, request, line, self._sink, self._stop))
        except NotConfirmed as error:
            self._unconfirmed.append((request, error))
        except (Forbidden, Disrupted, Throttled) as error:
            if line.liveness.signs == signs:  # no sign of the source: the others would fail, too
                raise
            self._passed_over.append(error)
            if len(self._requests) > 1:
                self._sink(
                    events.Notice(f"{request.dataset.short} was skipped: {error.message}", "warning", error.hints)
                )
