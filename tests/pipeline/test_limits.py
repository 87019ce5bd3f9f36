"""Little memory, few threads, few open files: a run makes do with them, or names what was missing; it is no bug."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from pipeline_kit import Place, market_objects, sampled, trading_days, window

from ingest.cli.limits import used_up
from ingest.demo.servers import loopback
from ingest.errors import CacheError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")

DAYS = trading_days(date(2025, 3, 3), 12)
SPAN = tuple(map(str, window(DAYS)))
EMFILE = OSError(errno.EMFILE, "Too many open files")


@pytest.fixture
def place(loopback_keys: Path, tmp_path: Path) -> Iterator[Place]:
    with loopback.serve(market_objects(DAYS)) as server:
        yield Place(tmp_path / "cache", server.endpoint_url)


def limited(place: Place, limit: str, *arguments: str) -> tuple[int, str]:
    """Run a command under a shell's limits; returns its exit code and stderr."""
    command = ["sh", "-c", f'{limit} && exec "$@"', "sh", *place.command(*arguments)]
    done = subprocess.run(
        command, env=place.environment(), cwd=place.root.parent, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


RUN = ("run", "--start", SPAN[0], "--end", SPAN[1])


@pytest.mark.parametrize("limit", sampled(["ulimit -S -n 12", "ulimit -n 24"]))
def test_a_run_makes_do_with_few_open_files_and_asks_for_as_many_as_it_may_have(place: Place, limit: str) -> None:
    assert limited(place, limit, *RUN) == (0, "")
    assert len(place.csv("AAPL") or ()) == len(DAYS)


@pytest.mark.parametrize("most", sampled([10, 12]))
def test_too_few_open_files_are_reported_and_the_next_run_goes_on(place: Place, most: int) -> None:
    code, said = limited(place, f"ulimit -n {most}", *RUN)
    assert code == 5
    assert "open" in said.splitlines()[-1]
    assert place.cli(*RUN).returncode == 0
    assert len(place.csv("AAPL") or ()) == len(DAYS)
    assert place.here("verify").code == 0


FEW_THREADS = """
import sys, threading, _thread
left = [int(sys.argv.pop(1))]

def bounded(start):
    def starting(*arguments, **named):
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("can't start new thread")
        return start(*arguments, **named)
    return starting

for name in ("start_new_thread", "start_joinable_thread"):  # the second from Python 3.13 on
    if start := getattr(_thread, name, None):
        setattr(_thread, name, bounded(start))
        setattr(threading, f"_{name}", getattr(_thread, name))
from ingest.__main__ import main
main()
"""


@pytest.mark.parametrize("most", sampled([1, 0]))
def test_too_few_threads_are_named_and_the_next_run_goes_on(place: Place, most: int) -> None:
    command = [sys.executable, "-c", FEW_THREADS, str(most), *RUN]
    done = subprocess.run(
        command, env=place.environment(), cwd=place.root.parent, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 5
    assert done.stderr.startswith("error: no more threads can be started: raise the limit")
    assert done.stderr.count("\n") == 1
    assert place.cli(*RUN).returncode == 0
    assert place.here("verify").code == 0


@pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0 or not shutil.which("setpriv"), reason="changes its user"
)
def test_threads_that_polars_cannot_start_are_named(place: Place) -> None:
    place.run(*window(DAYS[:2]))
    place.root.chmod(0o777)
    powers = "-all,+dac_override"
    user = ["setpriv", "--reuid", "54321", "--inh-caps", powers, "--ambient-caps", powers, "--bounding-set", powers]
    show = place.command("show", "AAPL", "--start", SPAN[0], "--no-fetch", "--adjust", "none")
    done = place.ended([*user, "bash", "-c", 'ulimit -u 1; exec "$@"', "bash", *show])
    if "setpriv" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 5, done.stderr
    assert "error: no more threads can be started" in done.stderr
    assert "Traceback" not in done.stderr


class PanicException(BaseException):
    """Like polars' exception, whose class cannot be imported."""


POISONED = PanicException("LazyLock instance has previously been poisoned")


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (EMFILE, "files"),
        (BaseExceptionGroup("", [EMFILE, POISONED, CacheError("cannot write x: Too many open files")]), "files"),
        (PanicException('Os { code: 11, kind: WouldBlock, message: "Resource temporarily unavailable" }'), "threads"),
        (MemoryError(), "memory"),
    ],
    ids=repr,
)
def test_the_exhausted_resource_is_named(error: BaseException, word: str) -> None:
    assert word in (used_up(error) or "")


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        OSError(errno.EIO, "x"),
        RuntimeError("x"),
        KeyboardInterrupt(),
        POISONED,
        BaseExceptionGroup("", [EMFILE, ExceptionGroup("", [KeyError("x")])]),
    ],
    ids=repr,
)
def test_a_bug_stays_a_bug(error: BaseException) -> None:
    assert not used_up(error)
