"""Commands at a real terminal: a pseudo-terminal of 80 columns, with answers that are typed."""

import os
import select
import subprocess
import sys
import time

import pytest

if sys.platform == "win32":
    pytest.skip("pseudo-terminals are POSIX's", allow_module_level=True)

import pty


def at_terminal(command, answers=(), cwd=None, env=None, seconds=60):
    """Run a command at a terminal and type one line at each question; returns its exit code, and what was shown.

    `answers` are pairs: a part of the question, and the line to type; bytes are typed as they are.
    """
    ours, theirs = pty.openpty()
    environment = {**(os.environ if env is None else env), "COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1"}
    child = subprocess.Popen(
        [str(one) for one in command], stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, env=environment
    )
    os.close(theirs)
    shown, waiting, until = "", list(answers), time.monotonic() + seconds
    seen = 0
    try:
        while time.monotonic() < until and select.select([ours], [], [], max(0, until - time.monotonic()))[0]:
            try:
                data = os.read(ours, 1 << 16)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            shown += data.decode(errors="replace")
            if waiting and waiting[0][0] in shown[seen:]:
                seen = len(shown)
                _, typed = waiting.pop(0)
                os.write(ours, typed if isinstance(typed, bytes) else f"{typed}\n".encode())
        code = child.wait(max(1, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise AssertionError(shown) from None
    finally:
        child.kill()
        child.wait()
        os.close(ours)
    assert waiting == [], shown
    return code, shown.replace("\r\n", "\n")
