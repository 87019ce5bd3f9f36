"""A process that does not outlive its parent."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from ingest.errors import SourceUnavailable

_LAUNCH = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
if os.getppid() == int(sys.argv[1]):  # else the parent is gone already, and no signal will come
    os.execv(sys.argv[2], sys.argv[2:])
"""


def spawn(
    command: Sequence[str], directory: Path, environment: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    """Start a process in `directory`, in its own session, so that Ctrl-C reaches only the parent.

    On Linux the kernel kills it with its parent (PR_SET_PDEATHSIG). That signal fires when the *thread* that forked
    ends, not its process, so a thread forks that only waits for the child and ends with it, or with the whole parent.
    Raises SourceUnavailable if the process cannot be started.
    """
    started: Future[subprocess.Popen[bytes]] = Future()

    def keep() -> None:
        try:
            process = _popen(command, directory, environment, log)
        except BaseException as error:
            started.set_exception(error)
            return
        started.set_result(process)
        process.wait()

    threading.Thread(target=keep, name="child-keeper", daemon=True).start()
    try:
        return started.result()
    except OSError as error:
        raise SourceUnavailable(f"{command[0]} cannot be started: {error}") from error


def _popen(
    command: Sequence[str], directory: Path, environment: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - the command is the caller's own
            [*_launcher(), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=directory,
            env=environment,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )


def _launcher() -> list[str]:
    """The prefix of the command: on Linux a small Python that requests the signal, then becomes the child."""
    if not sys.platform.startswith("linux"):
        return []
    return [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid())]


@contextmanager
def sigterm_as_exit() -> Iterator[None]:
    """Let SIGTERM unwind the stack (SystemExit 143) in the main thread, unless it has a handler."""
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is _exit:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
