"""Tasks in processes of this computer.

anyio's, because each has pipes of its own: one that is killed ends its own call, and no other. Python's
`ProcessPoolExecutor` shares a queue among its processes; it breaks with the first one that is killed, and may hang.
"""

import os
import pickle
import signal
import tempfile
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from threading import Event
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import anyio
from anyio import BrokenWorkerProcess, to_process
from anyio.from_thread import start_blocking_portal

from ingest import events
from ingest.engines.cluster import Cluster
from ingest.engines.fitness import Terms
from ingest.errors import EngineLost
from ingest.files.scratch import Scratch
from ingest.pipeline.own_process import tune_process
from ingest.settings import Settings

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

_DEATHS = (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError, TimeoutError)
"""What ends a call whose process is gone, or took too long to begin."""

_GUARD = 'Each imports the script that runs: let it do its work only below `if __name__ == "__main__":`'

_LEAST_IN_FLIGHT = 16 << 20
"""Bytes of the least share of a process: one large file."""

_ENDS = ("SIGINT", "SIGTERM", "SIGHUP")


class Processes(Cluster):
    """`count` processes, each begun when it is first needed; a call that is cancelled kills its process."""

    def __init__(self, count: int | None = None) -> None:
        self._count = count or os.cpu_count() or 1
        self._scratch = _scratch(self.name)
        self._open = ExitStack()
        self._portal = self._open.enter_context(start_blocking_portal())
        self._portal.call(_deaf)
        self._free = anyio.CapacityLimiter(self._count)
        self._begun: WeakKeyDictionary[Future[Any], Event] = WeakKeyDictionary()

    @property
    def name(self) -> str:
        """See `Cluster`."""
        return "processes of this computer"

    def look_over(self, terms: Terms, sink: events.Sink) -> None:
        """See `Cluster`: they are like this one."""

    def submit(
        self, work: Callable[[_Task], _Result], task: _Task, beside: Future[_Result] | None = None
    ) -> Future[_Result]:
        """See `Cluster`: no process has two calls."""
        begun = Event()
        call = self._portal.start_task_soon(self._call, begun, work, task)
        self._begun[call] = begun
        return call

    async def _call(self, begun: Event, work: Callable[[_Task], _Result], task: _Task) -> _Result:
        async with self._free:
            begun.set()
            try:
                packed, one = pickle.dumps((work, task)), anyio.CapacityLimiter(1)
                return await to_process.run_sync(_worked, packed, self._scratch.path, cancellable=True, limiter=one)
            except BrokenWorkerProcess as error:
                if isinstance(error.__cause__, _DEATHS):
                    raise
                raise EngineLost(f"{self.name}: one cannot be started: {error.__cause__ or error}. {_GUARD}") from error

    def recall(self, call: Future[_Result]) -> bool:
        """See `Cluster`."""
        return not self._begun[call].is_set() and call.cancel()

    def places(self) -> int:
        """See `Cluster`."""
        return self._count

    def workers(self) -> int:
        """See `Cluster`."""
        return self._count

    def ended(self) -> str | None:
        """See `Cluster`: a process that dies is replaced."""
        return None

    def deaths(self, error: BaseException) -> int:
        """See `Cluster`."""
        return int(isinstance(error, BrokenWorkerProcess))

    def close(self) -> None:
        """See `Cluster`: the processes are killed; those that still work have nobody who waits for them.

        They remove nothing any more, so their temporary files are in a folder of this process.
        """
        try:
            self._open.close()
        finally:
            self._scratch.discard()


def _scratch(name: str) -> Scratch:
    try:
        return Scratch("processes")
    except OSError as error:
        raise EngineLost(f"{name}: there is no folder for their temporary files: {error}") from error


def _worked(packed: bytes, scratch: Path) -> Any:
    """In a process: the result of a call. It is unpacked here, since that imports polars, which reads its settings."""
    _tune_once()
    tempfile.tempdir = str(scratch)
    work, task = pickle.loads(packed)  # noqa: S301 - it comes from the process that has started this one
    return work(task)


_tune_once = cache(tune_process)


def _deaf() -> None:
    """Let processes that this thread starts not hear what ends a run: it finishes what is under way."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, [getattr(signal, name) for name in _ENDS if hasattr(signal, name)])


def share_of(settings: Settings, count: int | None = None) -> Settings:
    """The same settings with the memory that each of the processes may take, as all of them share this computer's."""
    whole = settings.limits.max_bytes_in_flight
    share = min(max(whole // (count or os.cpu_count() or 1), _LEAST_IN_FLIGHT), whole)
    return settings.model_copy(update={"limits": settings.limits.model_copy(update={"max_bytes_in_flight": share})})
