"""The program of [notify] on_failure; it gets the exit code and a summary, and the last lines on its standard input."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from ingest.cli.nightly.ending import Ending
from ingest.errors import printable

_STDERR = 2


def run_program(command: Sequence[str], ending: Ending, timeout_s: float) -> str:
    """Run it, for `timeout_s` at most; its output goes to stderr. Returns what went wrong, without its arguments."""
    told = {"INGEST_EXIT_CODE": str(ending.code), "INGEST_SUMMARY": ending.summary}
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own program; no shell reads it
            command,
            stdin=subprocess.PIPE,
            stdout=_STDERR,
            stderr=_STDERR,
            env={**os.environ, **told},
            start_new_session=sys.platform != "win32",
        )
    except OSError as error:
        return f"{printable(command[0])} cannot be run: {error.strerror}"
    with process:
        return _ended(process, printable(command[0]), ending.body, timeout_s)


def _ended(process: "subprocess.Popen[bytes]", name: str, body: bytes, timeout_s: float) -> str:
    try:
        process.communicate(body, timeout_s)
    except subprocess.TimeoutExpired:
        _end(process)
        return f"{name} was ended after {timeout_s:g} s"
    return f"{name} ended with {process.returncode}" if process.returncode else ""


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End it with all that it started, where the system knows what that is."""
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
