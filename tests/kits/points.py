"""Named points in a Dask worker, at which it obeys the orders of a test; `--preload points` puts it there.

An order is a file (see `Cluster.order`): whoever comes to its point first takes it, by renaming it, and dies, stops or
waits there. Each point that is reached is noted, so that a test can count executions.

Points: `begun` (a task), `fetch` (before a session is requested), `split` (in the split, nothing is staged), `one part`
(the archive part of a session is staged), `one put` (and in the bucket), `all put` (a task's parts are durable),
`answered` (a moment after the task has returned).
"""

import json
import os
import signal
import threading
import time
from contextlib import suppress
from functools import wraps
from pathlib import Path

_ANSWER_TAKES_S = 0.05


def dask_setup(worker):
    """Called by Dask in each worker, before its first task."""
    from ingest.cache.objects.bucket import Bucket
    from ingest.cache.parts.local import LocalParts
    from ingest.engines import hand
    from ingest.pipeline import worker as splitting
    from ingest.pipeline.executor import LocalExecutor

    _before(hand, "work", "begun", lambda order: _first(order.task.jobs))
    _before(LocalExecutor, "_fetched", "fetch", lambda executor, job, share: job.session)
    _before(splitting, "_described", "split", lambda job, *rest: job.session)
    _after(LocalParts, "stage", "one part", lambda parts, session, tier, data: session if tier == "archive" else None)
    _after(Bucket, "put_new", "one put", lambda bucket, name, *rest, **more: _archived(name))
    _after(hand, "_durable", "all put", lambda parts, done, *rest: _first([one.job for one in done]))
    _after(hand, "work", "answered", lambda order: _first(order.task.jobs), later=True)


def _archived(name):
    """The session of an archive part by the name of its object; None for any other object."""
    return name.rpartition("/")[2][:10] if name.startswith("archive/") else None


def _first(jobs):
    return min((job.session for job in jobs), default="")


def _before(owner, name, point, session_of):
    call = getattr(owner, name)

    @wraps(call)
    def wrapped(*arguments, **named):
        _reach(point, session_of(*arguments))
        return call(*arguments, **named)

    setattr(owner, name, wrapped)


def _after(owner, name, point, session_of, later=False):
    call = getattr(owner, name)

    @wraps(call)
    def wrapped(*arguments, **named):
        result = call(*arguments, **named)
        session = session_of(*arguments)
        if later:
            threading.Thread(target=_reach, args=(point, session, _ANSWER_TAKES_S), daemon=True).start()
        elif session is not None:
            _reach(point, session)
        return result

    setattr(owner, name, wrapped)


def _reach(point, session, after_s=0.0):
    time.sleep(after_s)
    folder = Path(os.environ["INGEST_POINTS"])
    with (folder / f"reached-{os.getpid()}").open("a") as log:
        log.write(f"{point} {session}\n")
    for path in sorted((folder / "orders").glob("*.json")):
        order = json.loads(path.read_text()) if path.exists() else {}
        if order.get("point") == point and order["session"] in ("", str(session)) and _took(path):
            _obey(order)


def _took(path):
    """Whether this process takes an order: only one can rename it."""
    with suppress(FileNotFoundError):
        path.rename(path.with_suffix(f".{os.getpid()}"))
        return True
    return False


def _obey(order):
    deed, _, whole = order["deed"].partition(" ")
    if deed == "wait":
        time.sleep(order["wait_s"])
        return
    number = signal.SIGKILL if deed == "kill" else signal.SIGSTOP
    if whole:
        os.kill(os.getppid(), number)  # the nanny
    os.kill(os.getpid(), number)
    if deed == "kill":
        threading.Event().wait()
