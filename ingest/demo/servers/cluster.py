"""A Dask cluster on loopback: a real scheduler and workers, each a process of its own, which no one outlives.

They end when `serve` is left, also by Ctrl-C or SIGTERM; on Linux the kernel kills them when the parent is killed (see
`child`). Elsewhere, after a SIGKILL of the parent, a scheduler without work ends by itself, and its workers with it.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ingest.demo.servers.child import sigterm_as_exit, spawn
from ingest.errors import SourceUnavailable

_HOST = "127.0.0.1"
_QUIET = ("--host", _HOST, "--no-dashboard", "--dashboard-address", f"{_HOST}:0")
"""Without a dashboard there still is an HTTP server, by default at a port that another cluster may have."""

_SCHEDULER = ("distributed.cli.dask_scheduler", "--port", "0", *_QUIET)
_WORKER = ("distributed.cli.dask_worker", "--nworkers", "1", *_QUIET)
_IDLE = "10 minutes"
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 5.0


def available() -> bool:
    """Whether Dask's `distributed` is installed."""
    return find_spec("distributed") is not None


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running scheduler, and workers that have been started; `address` is the scheduler's, `tcp://127.0.0.1:…`."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: tuple[subprocess.Popen[bytes], ...]

    @property
    def engine(self) -> str:
        """The address as `[engine]` has it."""
        return self.address.replace("tcp://", "dask://")


@contextmanager
def serve(directory: Path, workers: int = 2, environment: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """Run a scheduler and workers of one thread each, with their files in `directory`, until the block is left.

    The scheduler answers by then; its workers join a moment later. Raises SourceUnavailable.
    """
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "scheduler.json"
    clean = clean_environment(os.environ if environment is None else environment)
    with sigterm_as_exit():
        started = [start_scheduler(file, clean)]
        try:
            # Each is in the list as soon as it runs, so that it ends even if the next one does not start.
            options = ("--no-nanny", "--nthreads", "1")
            started.extend(start_worker(file, clean, f"{number}", options) for number in range(workers))
            yield Cluster(address_in(file, started[0]), started[0], tuple(started[1:]))
        finally:
            end(started)


def start_scheduler(file: Path, environment: Mapping[str, str], more: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """Start a scheduler that writes its address to `file`, and its log beside it. Raises SourceUnavailable."""
    options = ("--scheduler-file", str(file), "--idle-timeout", _IDLE, *more)
    return _started([*_SCHEDULER, *options], file.parent, environment, "scheduler")


def start_worker(
    file: Path, environment: Mapping[str, str], name: str, more: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Start a worker of the scheduler that writes, or will write, its address to `file`. Raises SourceUnavailable."""
    options = ("--scheduler-file", str(file), "--name", name, "--local-directory", str(file.parent / f"worker-{name}"))
    return _started([*_WORKER, *options, *more], file.parent, environment, f"worker-{name}")


def _started(
    module: Sequence[str], directory: Path, environment: Mapping[str, str], name: str
) -> subprocess.Popen[bytes]:
    return spawn([sys.executable, "-m", *module], directory, environment, directory / f"{name}.log")


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without variables by which Dask would take the user's settings of other clusters."""
    return {name: value for name, value in environment.items() if not name.startswith("DASK_")}


def address_in(file: Path, scheduler: subprocess.Popen[bytes], timeout_s: float = _START_TIMEOUT_S) -> str:
    """The address that the scheduler has written to its file, once it has. Raises SourceUnavailable."""
    deadline = time.monotonic() + timeout_s
    while scheduler.poll() is None and time.monotonic() < deadline:
        with suppress(FileNotFoundError, json.JSONDecodeError):  # not written yet, or half of it
            return str(json.loads(file.read_text(encoding="utf-8"))["address"])
        time.sleep(0.02)
    raise SourceUnavailable(f"the Dask scheduler does not answer; its log: {file.parent / 'scheduler.log'}")


def end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End these processes, the last one first, gracefully at first; a second Ctrl-C meanwhile kills them at once."""
    try:
        for process in reversed(processes):
            process.terminate()
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
    finally:
        for process in processes:
            process.kill()
            process.wait()
