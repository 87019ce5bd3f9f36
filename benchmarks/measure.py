"""Measures one process from outside: wall time, CPU time and peak memory, of itself and of the processes it starts."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
_EVERY_S = 0.05
_SETTINGS = ("AWS_", "INGEST_", "POLARS_", "RCLONE_")


@dataclass(frozen=True, slots=True)
class Sample:
    """The cost of one process. `cpu_s` is user and system time, including children that it waited for.

    `rss_mb` is the peak of the process itself, `tree_mb` that of the sum over it and its children, sampled every 50 ms;
    both are 0 without /proc.
    """

    wall_s: float
    cpu_s: float
    rss_mb: float
    tree_mb: float
    output: str


def measure(
    command: Sequence[str], environment: Mapping[str, str] | None = None, checkout: Path = CHECKOUT, sync: bool = True
) -> Sample:
    """Run a command from the checkout to its end; raises RuntimeError with the end of its output if it fails.

    The writes of earlier processes are synced first, so that no process pays for the one before.
    """
    if sync:
        os.sync()
    started = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=checkout,
        env={**clean_environment(), **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        memory = _Memory(process.pid)
        try:
            output = process.stdout.read() if process.stdout else ""
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
        except BaseException:
            process.kill()
            raise
        finally:
            memory.stop()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} … ended with {process.returncode}:\n{output[-2000:]}")
    return Sample(wall, usage.ru_utime + usage.ru_stime, memory.own / 2**20, memory.tree / 2**20, output)


def python(module: str, *arguments: object) -> list[str]:
    """The command that runs a module with this Python."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def clean_environment() -> dict[str, str]:
    """The environment without settings that would affect a contender."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}


class _Memory:
    """Watches a process from a thread: the kernel's `VmHWM`, and the sum over the tree, which the kernel does not keep.

    (The maximum that wait4 reports starts at the parent's size at the fork, so it is useless here.)
    """

    def __init__(self, pid: int) -> None:
        self.own = self.tree = 0
        self._pid = pid
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(_EVERY_S):
            self.own = max(self.own, _status(self._pid, "VmHWM"))
            self.tree = max(self.tree, self.own, sum(_status(pid, "VmRSS") for pid in _tree(self._pid)))


def _status(pid: int, name: str) -> int:
    """A size in bytes from /proc/PID/status; 0 if the process is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0


def _tree(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for parent in found:
        with suppress(OSError):
            for children in Path(f"/proc/{parent}/task").glob("*/children"):
                found.extend(map(int, children.read_text().split()))
    return found
