"""A Dask cluster that runs already: a connection to its scheduler, and what it says of its workers.

Of Dask only `Client`, `get_executor`, `processing`, `run` and `scheduler_info` are used, which stay as they are from
release to release. The coordinator's event loop never waits here: a thread asks the scheduler who is there, looks
workers over when they join, and keeps what it has learned as one value.
"""

import asyncio
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from ingest import events
from ingest.engines.cluster import Cluster
from ingest.engines.fitness import Fitness, Terms, look_over, refuse_unfit
from ingest.engines.roster import Roster
from ingest.engines.scheduler import Quiet, address_of, close, connected, is_open
from ingest.errors import EngineLost
from ingest.settings import EngineSettings

_T = TypeVar("_T")
_R = TypeVar("_R")

_ASK_EVERY_S = 0.5
_ASK_A_WORKER_S = 0.02
"""So much is added to the pause for each worker, since a scheduler's answer grows with them."""

_ON_ITS_WAY_S = 10.0
"""So long after it was sent a task may be on no worker by the scheduler's word and begin yet: that may be busy."""

_TRIES = 5

_SILENT_S = 30.0
"""A scheduler that does not answer for so long is lost, though the connection stands: its computer may have gone."""


def open_dask(settings: EngineSettings) -> "DaskCluster":
    """Connect to the scheduler; waits for it, but not for workers.

    Raises UsageError if `distributed` is not installed, the address is not one, or the TLS files are not those of the
    cluster; EngineLost if no scheduler answers.
    """
    address = address_of(settings.address)
    loggers = Quiet()
    try:
        return DaskCluster(connected(address), address, loggers)
    except BaseException:
        loggers.restore()
        raise


def is_partial(info: Mapping[str, Any]) -> bool:
    """Whether an answer of `scheduler_info` leaves workers out.

    The client asks for itself, too, for numbers without names, and may put that answer in the place of ours.
    """
    return len(info["workers"]) < int(info.get("n_workers", 0))


class DaskCluster(Cluster):
    """See `Cluster`. Made by `open_dask`."""

    def __init__(self, client: Any, address: str, loggers: Quiet) -> None:
        self._client, self._address, self._loggers = client, address, loggers
        self._executor = client.get_executor(pure=False)
        self._keys = WeakKeyDictionary[Future[Any], str]()
        self._sent = WeakKeyDictionary[Future[Any], float]()
        self._asked = 0.0
        self._roster = Roster()
        self._terms: Terms | None = None
        self._notices = list[events.Notice]()
        self._sink: events.Sink | None = None
        self._scheduler = ""
        self._lost: str | None = None
        self._patience = _Patience(_SILENT_S)
        self._asking, self._closing = threading.Lock(), threading.Event()
        self._watching = threading.Thread(target=self._watch, name="dask-watch", daemon=True)

    def look_over(self, terms: Terms, sink: events.Sink) -> None:
        """See `Cluster`: those workers that are there; later ones are looked over when they join."""
        if self._terms is None and is_open(self._address):
            self._notices.append(_unprotected(self._address))
        with self._asking:
            self._terms, self._sink = terms, sink
            self._roster = Roster()
            self._ask()
            if self._lost:
                raise EngineLost(f"{self.name}: {self._lost}")
            found = self._look_over_new()
        refuse_unfit(self.name, found)
        self._notices += _slow(found)
        if not self._watching.is_alive():
            self._watching.start()

    @property
    def name(self) -> str:
        """See `Cluster`."""
        return f"Dask at {self._address}"

    def submit(self, work: Callable[[_T], _R], task: _T, beside: Future[_R] | None = None) -> Future[_R]:
        """See `Cluster`: a task goes to any worker that is fit, its double to another one if there is one."""
        if reason := self.ended():
            raise EngineLost(f"{self.name}: {reason}")
        key = f"ingest-{uuid.uuid4().hex}"
        chosen = self._roster.to_choose(self._keys.get(beside) if beside else None)
        where: Mapping[str, Any] = {"workers": chosen, "allow_other_workers": True} if chosen else {}
        future: Future[_R] = self._executor.submit(work, task, key=key, **where)
        self._keys[future], self._sent[future] = key, time.monotonic()
        return future

    def recall(self, call: Future[_R]) -> bool:
        """See `Cluster`: a call that no worker had when the scheduler was asked last, and knew of it, has not begun."""
        key, sent = self._keys.get(call, ""), self._sent.get(call, 0.0)
        if self._asked < sent + _ON_ITS_WAY_S:
            return False
        return not any(key in keys for keys in self._roster.tasks.values()) and call.cancel()

    def places(self) -> int:
        """See `Cluster`. Tells what the thread has found meanwhile, too, since it is called in the event loop."""
        while self._notices and self._sink:
            self._sink(self._notices.pop(0))
        return self._roster.places

    def workers(self) -> int:
        """See `Cluster`."""
        return len(self._roster.usable)

    def ended(self) -> str | None:
        """See `Cluster`. What was lost stays lost: a scheduler that is started again knows nothing of our tasks."""
        if self._lost is None and self._client.status != "running":
            self._lost = "the connection to the scheduler is lost"
        if self._lost is None and self._patience.is_over():
            self._lost = f"the scheduler has not answered for {_SILENT_S:g} s"
        return self._lost

    def deaths(self, error: BaseException) -> int:
        """See `Cluster`."""
        if type(error).__name__ != "KilledWorker":
            return 0
        return int(getattr(error, "allowed_failures", 0)) + 1

    def close(self) -> None:
        """See `Cluster`."""
        self._closing.set()
        close(self._client)
        self._loggers.restore()

    # In the thread

    def _watch(self) -> None:
        while not self._closing.wait(_ASK_EVERY_S + _ASK_A_WORKER_S * len(self._roster.threads)) and not self._lost:
            with suppress(Exception), self._asking:  # whatever Dask raises when it has lost the scheduler
                self._ask()
                self._notices += _left_out(self.name, self._look_over_new())

    def _ask(self) -> None:
        """Ask the scheduler for its workers, and for the tasks of each."""
        began, tasks = time.monotonic(), self._client.processing()
        answers = (self._client.scheduler_info(n_workers=-1) for _ in range(_TRIES))
        info = next((one for one in answers if one and not is_partial(one)), None)
        if info is None or self._client.status != "running":
            return
        if self._scheduler not in ("", str(info["id"])):
            self._lost = "the scheduler was started again, and knows nothing of the tasks"
            return
        self._scheduler = str(info["id"])
        self._roster, self._asked = self._roster.seen(info["workers"], tasks), began
        self._patience.renew()

    def _look_over_new(self) -> Sequence[Fitness]:
        """Look over the workers that are new; returns what they said."""
        if not (unknown := self._roster.unknown):
            return ()
        answers = self._client.run(_looked_over, self._terms, workers=unknown, on_error="return")
        found = {worker: _fitness(worker, answer) for worker, answer in answers.items()}
        unfit = {worker for worker, one in found.items() if one.problems}
        self._roster = self._roster.looked_over(found.keys() - unfit, unfit)
        return list(found.values())


async def _looked_over(terms: Terms, dask_worker: Any = None) -> Fitness:
    """On a worker: look it over in a thread, since that takes a while, and the worker's event loop is to go on."""
    return await asyncio.to_thread(look_over, terms, dask_worker.state.nthreads)


def _fitness(worker: str, answer: Fitness | BaseException) -> Fitness:
    """What a worker said, or what prevented it from saying anything, as when `ingest` is not installed there."""
    if isinstance(answer, Fitness):
        return answer
    if isinstance(answer, ImportError | AttributeError):
        return Fitness(worker, (f"it has no ingest like this one ({answer}): install the same version there",), ())
    return Fitness(worker, (f"it cannot be looked over: {type(answer).__name__}: {answer}",), ())


def _left_out(name: str, found: Sequence[Fitness]) -> Iterator[events.Notice]:
    """What to say of workers that have joined and cannot take part: the run goes on without them."""
    for one in found:
        if one.problems:
            said = f"worker {one.worker} has joined {name} and gets no tasks: {'; '.join(one.problems)}"
            yield events.Notice(said, "warning")


def _slow(found: Sequence[Fitness]) -> Iterator[events.Notice]:
    """What to say of workers that could be faster: once, however many say it."""
    by_note = dict[str, list[str]]()
    for one in found:
        for note in one.notes:
            by_note.setdefault(note, []).append(one.worker)
    for note, workers in by_note.items():
        whose = f"worker {workers[0]}" if len(workers) == 1 else f"{len(workers)} workers, such as {workers[0]}"
        yield events.Notice(f"{whose}: {note}")


def _unprotected(address: str) -> events.Notice:
    return events.Notice(
        f"{address} is not this computer, and the connection has no TLS: whoever reaches that port can run programs on "
        "the workers, and read what they are sent",
        "warning",
    )


class _Patience:
    """Whether `limit_s` seconds have passed since the last `renew`, as far as this process was running."""

    _STEP_S = 1.0

    def __init__(self, limit_s: float) -> None:
        self._limit_s, self._waited_s, self._before = limit_s, 0.0, time.monotonic()

    def renew(self) -> None:
        self._waited_s = 0.0

    def is_over(self) -> bool:
        now = time.monotonic()
        self._waited_s += min(now - self._before, self._STEP_S)  # more than that: this process was stopped
        self._before = now
        return self._waited_s > self._limit_s
