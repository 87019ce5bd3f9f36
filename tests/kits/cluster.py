"""A real Dask cluster on loopback: a scheduler and workers, each a process that a test can stop or kill by its pid.

`cluster_in` is a context manager; a module's tests share one cluster, and a test that kills a scheduler has its own.
Workers may be told to die, to stop or to wait at named points (see `points.py`).
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ingest.demo.servers import cluster as servers

KITS = Path(__file__).parent
_SOON_S = 60
_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "continue": signal.SIGCONT}


@dataclass
class Worker:
    """A worker, with its nanny or without: `process` is the nanny then."""

    name: str
    process: subprocess.Popen
    log: Path
    has_nanny: bool

    @property
    def pid(self) -> int:
        """The process that works; under a nanny another one after each death."""
        return self.pids[-1]

    @property
    def pids(self) -> list[int]:
        """All processes of the worker: the nanny first."""
        return [self.process.pid, *(children(self.process.pid) if self.has_nanny else ())]

    @property
    def is_well(self) -> bool:
        """Whether it works: none of its processes has ended or is stopped, and a nanny has a worker."""
        return all(map(is_running, self.pids)) and len(self.pids) == 1 + self.has_nanny

    def end(self) -> None:
        """Kill its processes, whatever state they are in."""
        for pid in self.pids[1:]:
            _kill(pid)
        self.process.kill()
        self.process.wait()

    def signal(self, deed: str, whole: bool = False) -> None:
        """Kill, stop or continue the worker; `whole`: as its computer would be, with its nanny."""
        for pid in self.pids if whole else [self.pid]:
            os.kill(pid, _SIGNALS[deed])


@dataclass
class Cluster:
    """A running scheduler and its workers; `orders` is the folder of what workers are to do at named points.

    `more` are options of all its workers.
    """

    folder: Path
    environment: Mapping[str, str]
    scheduler: subprocess.Popen
    more: Sequence[str] = ()
    workers: list[Worker] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.folder / "scheduler.json"

    @property
    def address(self) -> str:
        """The scheduler's address, `tcp://127.0.0.1:…`."""
        return servers.address_in(self.file, self.scheduler)

    @property
    def orders(self) -> Path:
        return self.folder / "orders"

    def start(self, count: int = 1, nanny: bool = False, threads: int = 1, **environment) -> list[Worker]:
        """Start workers; returns them at once. A variable of `environment` that is None is removed."""
        started = [self._start(nanny, threads, environment) for _ in range(count)]
        self.workers += started
        return started

    def _start(self, nanny, threads, changed):
        name = f"w{len(list(self.folder.glob('worker-w*.log')))}"
        chosen = {key: value for key, value in {**self.environment, **changed}.items() if value is not None}
        options = ["--nanny" if nanny else "--no-nanny", "--nthreads", str(threads), *self.more]
        process = servers.start_worker(self.file, chosen, name, options)
        return Worker(name, process, self.folder / f"worker-{name}.log", nanny)

    def ready(self, workers: Sequence[Worker] | None = None) -> None:
        """Wait until these workers, or all, have joined."""
        assert self.address  # else its log says why
        for one in self.workers if workers is None else workers:
            until(lambda one=one: "Registered to:" in one.log.read_text(), f"{one.name} has not joined")

    def order(self, point: str, deed: str, session: object = "", wait_s: float = 0.0) -> None:
        """Once a worker comes to `point` (with this session, if one is named), it does `deed`; once per order."""
        self.orders.mkdir(exist_ok=True)
        number = len(list(self.orders.iterdir()))
        order = {"point": point, "deed": deed, "session": str(session), "wait_s": wait_s}
        draft = self.orders / f".{number}"
        draft.write_text(json.dumps(order))
        draft.rename(self.orders / f"{number:03}.json")

    @property
    def open_orders(self) -> list[str]:
        """Orders that no worker has carried out."""
        return sorted(path.name for path in self.orders.glob("*.json"))

    @property
    def reached(self) -> list[tuple[str, str]]:
        """Points that workers came to, and the session of each, in the order of time within one worker."""
        lines = [line for path in sorted(self.folder.glob("reached-*")) for line in path.read_text().splitlines()]
        return [tuple(line.split(" ", 1)) for line in lines]

    def settle(self) -> None:
        """Wait until no worker has a task any more; those whose scheduler is lost are killed: they may never end."""
        if not is_running(self.scheduler.pid):
            for worker in self.workers:
                worker.end()
        until(lambda: not any(map(_is_busy, self.folder.glob("reached-*"))), "a task never ends")

    def afresh(self, workers: int = 2, **how) -> None:
        """Forget orders and what was reached, and have so many workers that are well; end those that are stopped."""
        for path in self.orders.glob("*"):
            path.unlink()
        for worker in [one for one in self.workers if not one.is_well]:
            self.workers.remove(worker)
            worker.end()
        for path in self.folder.glob("reached-*"):
            path.unlink()
        self.start(max(workers - len(self.workers), 0), **how)
        self.ready()

    def end(self) -> None:
        """Kill every process, whatever state it is in."""
        for worker in self.workers:
            worker.end()
        self.scheduler.kill()
        self.scheduler.wait()


def _is_busy(reached: Path) -> bool:
    """Whether a process that runs has begun a task that it has not answered, by what it has noted."""
    points = [line.partition(" ")[0] for line in reached.read_text().splitlines()]
    return points.count("begun") > points.count("answered") and is_running(int(reached.name.partition("-")[2]))


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@contextmanager
def cluster_in(
    folder: Path, workers: int = 2, nanny: bool = False, points: bool = False, wait: bool = True, **environment: str
) -> Iterator[Cluster]:
    """A scheduler and workers with all their files in `folder`; with `points`, workers obey orders at named points.

    Workers see this process's environment as it is now, without Dask's own variables, and `environment`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen = {**servers.clean_environment(os.environ), "PYTHONWARNINGS": "error", **environment}
    if points:
        chosen["PYTHONPATH"] = os.pathsep.join([str(KITS), chosen.get("PYTHONPATH", "")]).strip(os.pathsep)
        chosen["INGEST_POINTS"] = str(folder)
    more = ["--preload", "points"] if points else []
    cluster = Cluster(folder, chosen, servers.start_scheduler(folder / "scheduler.json", chosen), more)
    try:
        (folder / "orders").mkdir(exist_ok=True)
        cluster.start(workers, nanny)
        if wait:
            cluster.ready()
        yield cluster
    finally:
        cluster.end()


def children(pid: int) -> list[int]:
    """The worker processes of a nanny, by /proc: not its resource tracker."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid and b"spawn_main" in command:
            found.append(int(entry.name))
    return sorted(found)


def state_of(pid: int) -> str:
    """The state of a process as /proc has it: R or S if it runs, T if it is stopped; Z, or nothing, if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_gone(pid: int) -> bool:
    """Whether a process has ended, though perhaps nobody has waited for it yet."""
    return state_of(pid) in ("", "Z", "X")


def is_running(pid: int) -> bool:
    """Whether a process is there, and not stopped."""
    return not is_gone(pid) and state_of(pid) != "T"


def until(holds, otherwise: str, within_s: float = _SOON_S) -> None:
    """Wait until `holds()`; fail with `otherwise` if that takes a minute."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)
