"""The interface to whatever runs the tasks, and the one over any executor of Python's `concurrent.futures`."""

import os
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from ingest import events
from ingest.engines.fitness import Terms

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


class Cluster(Protocol):
    """Workers that call functions for a run.

    Only `look_over` and `close` may block. The others are called four times a second, also once the cluster is lost.
    """

    @property
    def name(self) -> str:
        """What messages call it, with its address: "Dask at tcp://10.0.0.5:8786"."""
        ...

    def look_over(self, terms: Terms, sink: events.Sink) -> None:
        """Look over the workers for the sessions of one dataset, before its first task; may block.

        Raises WorkerUnfit if there is one that cannot do the work. What else is to be said of them, now or when others
        join, goes to `sink`, in the event loop.
        """
        ...

    def submit(
        self, work: Callable[[_Task], _Result], task: _Task, beside: Future[_Result] | None = None
    ) -> Future[_Result]:
        """Have some worker call a function of a module; each call is executed, even if it equals an earlier one.

        `beside` is a call of the same task that takes too long: this one belongs on another worker, if that can be
        chosen. The future raises what the function raised, or an error of the engine. Its `cancel` does not block.
        """
        ...

    def recall(self, call: Future[_Result]) -> bool:
        """Cancel a call that has not begun; False if it has, or if that is not known."""
        ...

    def places(self) -> int:
        """How many calls can be executed at once now; 0 if there is no worker."""
        ...

    def workers(self) -> int:
        """How many processes there are now."""
        ...

    def ended(self) -> str | None:
        """Why no call will end any more; None as long as they may."""
        ...

    def deaths(self, error: BaseException) -> int:
        """How many workers died of a call, as far as its error says; 0 if it is another error."""
        ...

    def close(self) -> None:
        """Let go of the workers; those that the user has started stay."""
        ...


class ExecutorCluster(Cluster):
    """An executor of the user's own, which stays open."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    @property
    def name(self) -> str:
        """See `Cluster`."""
        return type(self._executor).__name__

    def look_over(self, terms: Terms, sink: events.Sink) -> None:
        """See `Cluster`: each task does that."""

    def submit(
        self, work: Callable[[_Task], _Result], task: _Task, beside: Future[_Result] | None = None
    ) -> Future[_Result]:
        """See `Cluster`: an executor chooses the worker itself."""
        return self._executor.submit(work, task)

    def recall(self, call: Future[_Result]) -> bool:
        """See `Cluster`."""
        return call.cancel()

    def places(self) -> int:
        """See `Cluster`: executors have no common way to say it, but most say it in one of these."""
        said = (getattr(self._executor, name, None) for name in ("_max_workers", "num_workers", "max_workers"))
        return next((one for one in said if isinstance(one, int) and one > 0), os.cpu_count() or 1)

    def workers(self) -> int:
        """See `Cluster`: threads share a process, and its connection; others have one each, as far as is known."""
        return 1 if isinstance(self._executor, ThreadPoolExecutor) else self.places()

    def ended(self) -> str | None:
        """See `Cluster`: its calls say so themselves."""
        return None

    def deaths(self, error: BaseException) -> int:
        """See `Cluster`: an executor that has lost a process is broken for good."""
        return 0

    def close(self) -> None:
        """See `Cluster`: it belongs to the caller."""
