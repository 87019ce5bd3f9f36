"""A Dask cluster that runs already: a connection to its scheduler, and what it says of its workers.

Of Dask only `Client`, `get_executor`, `processing`, `run` and `scheduler_info` are used, which stay as they are from
release to release. The coordinator's event loop never waits here: a thread asks the scheduler who is there, looks
workers over when they join, and keeps what it has learned as one value.
"""

import asyncio
import json
import logging
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from ingest import events
from ingest.engines.cluster import Cluster
from ingest.engines.fitness import Fitness, Terms, look_over, refuse_unfit
from ingest.engines.roster import Roster
from ingest.errors import EngineLost, UsageError
from ingest.settings import EngineSettings

_T = TypeVar("_T")
_R = TypeVar("_R")

_CONNECT_S = 10.0
_CLOSE_S = 2.0
_ASK_EVERY_S = 0.5

_SILENT_S = 30.0
"""A scheduler that does not answer for so long is lost, though the connection stands: its computer may have gone."""

_LOGGERS = ("distributed", "tornado")


def open_dask(settings: EngineSettings) -> "DaskCluster":
    """Connect to the scheduler; waits for it, but not for workers.

    Raises UsageError if `distributed` is not installed, the address is not one, or the TLS files are not those of the
    cluster; EngineLost if no scheduler answers.
    """
    address = address_of(settings.address)
    loggers = _Quiet()
    try:
        return DaskCluster(_connected(address), address, loggers)
    except BaseException:
        loggers.restore()
        raise


def address_of(said: str) -> str:
    """The address of a scheduler in Dask's own spelling: `tcp://host:port` or `tls://host:port`.

    `said` is that, or begins with `dask://`, or is the path of a scheduler's file. Raises UsageError.
    """
    if "://" in said:
        return "tcp://" + said.removeprefix("dask://") if said.startswith("dask://") else said
    try:
        return str(json.loads(Path(said).expanduser().read_text(encoding="utf-8"))["address"])
    except FileNotFoundError as error:
        raise UsageError(
            f"[engine] address {said}: no such file. A scheduler writes it if started with --scheduler-file; the "
            "address of a scheduler begins with dask:// or tls://"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise UsageError(f"[engine] address {said} is not the file of a Dask scheduler: {error}") from error


def is_open(address: str) -> bool:
    """Whether the address is reached without TLS, and not on this computer alone."""
    scheme, _, place = address.partition("://")
    host = place.rpartition(":")[0].strip("[]")
    if scheme == "tls" or host == "localhost":
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True


def is_partial(info: Mapping[str, Any]) -> bool:
    """Whether an answer of `scheduler_info` leaves workers out.

    The client asks for itself, too, for numbers without names, and may put that answer in the place of ours.
    """
    return len(info["workers"]) < int(info.get("n_workers", 0))


def _connected(address: str) -> Any:
    try:
        client = _in_time(partial(_client, address))
    except ImportError as error:
        raise UsageError("[engine] kind dask needs Dask: pip install 'ingest[dask]'") from error
    except OSError as error:  # its TimeoutError is one, too
        raise EngineLost(f"no Dask scheduler answers at {address}{_why(error)}") from error
    except TypeError as error:  # of an SSL context that is missing
        raise UsageError(
            f"[engine] address {address}: Dask knows no certificate; its own configuration names the files for TLS "
            "(distributed.comm.tls)"
        ) from error
    except (ValueError, RuntimeError) as error:  # a scheme or a port that is none
        raise UsageError(f"[engine] address {address}: {error}") from error
    if client is None:
        raise EngineLost(f"{address} does not answer like a Dask scheduler")
    return client


def _client(address: str) -> Any:
    from distributed import Client

    class QuietClient(Client):
        """One whose end is not worth a traceback: it may have no scheduler by then, or never had one."""

        def __del__(self) -> None:
            with suppress(Exception):
                super().__del__()  # type: ignore[no-untyped-call]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of versions: those that matter are compared
        return QuietClient(address, timeout=_CONNECT_S, set_as_default=False)  # type: ignore[no-untyped-call]


def _in_time(work: Callable[[], _R]) -> _R | None:
    """The result of a call; None if there is none in time: what accepts a connection and is silent is not given up.

    Not by a pool of threads: at its end the program would wait for them.
    """
    done: Future[_R] = Future()

    def call() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=call, name="dask-connect", daemon=True).start()
    return done.result() if wait([done], 1.5 * _CONNECT_S).done else None


def _why(error: OSError) -> str:
    """What the innermost error said, as far as it is more than that time is over."""
    inner: BaseException = error
    while inner.__cause__ or inner.__context__:
        inner = inner.__cause__ or inner.__context__ or inner
    return f": {inner.strerror}" if isinstance(inner, OSError) and inner.strerror else ""


class DaskCluster(Cluster):
    """See `Cluster`. Made by `open_dask`."""

    def __init__(self, client: Any, address: str, loggers: "_Quiet") -> None:
        self._client, self._address, self._loggers = client, address, loggers
        self._executor = client.get_executor(pure=False)
        self._keys = WeakKeyDictionary[Future[Any], str]()
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
        self._keys[future] = key
        return future

    def recall(self, call: Future[_R]) -> bool:
        """See `Cluster`: a call that no worker had when the scheduler was asked last has not begun."""
        key = self._keys.get(call, "")
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
        _close(self._client)
        self._loggers.restore()

    # In the thread

    def _watch(self) -> None:
        while not self._closing.wait(_ASK_EVERY_S) and not self._lost:
            with suppress(Exception), self._asking:  # whatever Dask raises when it has lost the scheduler
                self._ask()
                self._notices += _left_out(self.name, self._look_over_new())

    def _ask(self) -> None:
        """Ask the scheduler for its workers, and for the tasks of each."""
        info, tasks = self._client.scheduler_info(n_workers=-1), self._client.processing()
        while info and is_partial(info):
            info = self._client.scheduler_info(n_workers=-1)
        if not info or self._client.status != "running":
            return
        if self._scheduler not in ("", str(info["id"])):
            self._lost = "the scheduler was started again, and knows nothing of the tasks"
            return
        self._scheduler = str(info["id"])
        self._roster = self._roster.seen(info["workers"], tasks)
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


def _close(client: Any) -> None:
    with suppress(Exception):  # a client that has lost its scheduler may raise anything, and holds nothing of value
        client.close(timeout=_CLOSE_S)


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


class _Quiet:
    """Keeps Dask's own log off stderr, where a lost scheduler would fill pages; what matters is told as an error."""

    def __init__(self) -> None:
        with suppress(ImportError):
            import distributed  # noqa: F401 - it sets the levels of its loggers

        known = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in _LOGGERS]
        self._levels = {name: logging.getLogger(name).level for name in {*known, *_LOGGERS}}
        for name in self._levels:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)

    def restore(self) -> None:
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)
