"""What worker processes are given in tests; light, since each imports it."""

import os
import signal
import time
from pathlib import Path

DEADLY = "2025-03-05"
"""The session that kills whoever downloads it."""


def pid(_):
    """The process that has the call."""
    return os.getpid()


def die(_):
    """Kill the process in the middle of the call."""
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for(path):
    """Say which process this is, and wait until the file is gone."""
    Path(path, str(os.getpid())).touch()
    while Path(path).exists():
        time.sleep(0.02)
    return os.getpid()


def work_or_die(order):
    """Do the task, unless the deadly session is among its."""
    from ingest.engines import hand

    if any(str(job.session) == DEADLY for job in order.task.jobs):
        die(order)
    return hand.work(order)
