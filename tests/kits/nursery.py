"""A process that has imported everything and forks a run for each order on its stdin; some are killed.

An order is a line of JSON: the cache, the source, the window, and when to die: at the n-th durable step (`at_step`), as
an event is reported for the n-th time (`at_event`: its name and n), or seconds after the fork (`after_s`). With `deed`
"repair" the process does what `verify --repair` does, except for the downloads. The answer is a line of JSON: whether
the run was killed, the names of the durable steps and events that it reached, and how long it took.

The commit protocol consists of durable steps: `stage` (dying there leaves half a temporary file), `publish` and `sync`
of `ingest.files.durable`, `begin` and `commit` of each transaction of the manifest, and, with `store` (the settings of
a bucket), `put-archive`, `put-tracked` and so on before each object that is put, and `swap` before one that is
replaced. The named kill points are a
run's events, which it reports to a sink anyway, so that killing needs no hooks in the code.
"""

import gc
import io
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path

import anyio
import descriptions

from ingest.cache.manifest.database import Database
from ingest.cache.objects.bucket import Bucket
from ingest.cli.app import app
from ingest.cli.commands import track  # noqa: F401 - what a command imports when it needs it
from ingest.cli.commands.fetching import adopt  # noqa: F401
from ingest.cli.commands.state import quarantine  # noqa: F401
from ingest.events import name_of
from ingest.files import durable
from ingest.maintenance import repair
from ingest.market.catalogue import named
from ingest.market.windows import Window
from ingest.pipeline import run as runs
from ingest.planning.request import Request
from ingest.settings import Archive, CacheSettings, Fallback, Settings, SourceSettings
from ingest.settings.sections.lake import Lake
from ingest.settings.sections.store import Store
from ingest.sources.massive.client import connect
from ingest.tracked import (
    projection,  # noqa: F401 - what a run imports when it needs it
)

EVENT = "event:"


def die():
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()


class Steps:
    """Counts durable steps, writes their names to a pipe, and dies at the chosen one."""

    def __init__(self, log, fatal):
        self._log, self._fatal = log, fatal
        self._count = 0
        self._lock = threading.Lock()

    def take(self, name, last_deed=lambda: None):
        with self._lock:
            self._count += 1
            os.write(self._log, f"{name}\n".encode())
            if self._count == self._fatal:
                last_deed()
                die()

    def wrap(self):
        """Put a step before each durable call."""
        stage, writing, publish, sync, transaction = (
            durable.stage,
            durable.staging,
            durable.publish,
            durable.sync_folder,
            Database.transaction,
        )

        def staging(path, data, **more):
            left = more.get("under") or durable.temporary(path)
            self.take("stage", lambda: left.write_bytes(data[: len(data) // 2]))
            return stage(path, data, **more)

        @contextmanager
        def written(path, **more):
            self.take("stage")
            with writing(path, **more) as write:
                yield write
                self.take("staged")

        def publishing(path, *left):
            self.take("publish")
            publish(path, *left)

        def syncing(folder):
            self.take("sync")
            sync(folder)

        @contextmanager
        def deciding(database):
            self.take("begin")
            with transaction(database) as db:
                yield db
                self.take("commit")

        durable.stage, durable.staging = staging, written
        durable.publish, durable.sync_folder = publishing, syncing
        Database.transaction = deciding
        self._wrap_bucket()

    def _wrap_bucket(self):
        put_new, put_over, put_anyway = Bucket.put_new, Bucket.put_over, Bucket.put_anyway

        def putting(bucket, name, *given):
            self.take(f"put-{name.partition('/')[0]}")
            return put_new(bucket, name, *given)

        def swapping(bucket, *given):
            self.take("swap")
            return put_over(bucket, *given)

        def replacing(bucket, *given):
            self.take("put-lake")
            return put_anyway(bucket, *given)

        Bucket.put_new, Bucket.put_over, Bucket.put_anyway = putting, swapping, replacing


class Events:
    """A sink that writes the names of events to a pipe, and dies at the chosen one."""

    def __init__(self, log, fatal):
        self._log, self._fatal = log, fatal
        self._counts = Counter()

    def __call__(self, event):
        name = name_of(event)
        self._counts[name] += 1
        os.write(self._log, f"{EVENT}{name}\n".encode())
        if [name, self._counts[name]] == self._fatal:
            die()


def wrap_names(steps):
    """Put a step before each change of a name on the disk and each sync: a repair is made of these and transactions."""

    def before(name):
        call = getattr(os, name)

        def taken(*arguments, **named):
            steps.take(name)
            return call(*arguments, **named)

        setattr(os, name, taken)

    for name in ("link", "rename", "replace", "unlink", "fsync"):
        before(name)


def mend(order, log):
    steps = Steps(log, order.get("at_step"))
    steps.wrap()
    wrap_names(steps)
    settings, request = asked(order)
    repair.repair(settings, request, False, lambda words: None)
    return 0


def command(order, log):
    """Run a command whose output is discarded."""
    os.environ.update(order["environment"])
    os.chdir(Path(order["root"]).parent)
    sys.stdout = sys.stderr = io.StringIO()
    steps = Steps(log, order.get("at_step"))
    steps.wrap()
    if order.get("by_names"):
        wrap_names(steps)
    return app(order["arguments"], standalone_mode=False) or 0


def run(order, log):
    Steps(log, order.get("at_step")).wrap()
    sink = Events(log, order.get("at_event"))
    settings, request = asked(order)

    async def work():
        return (await runs.run(settings, [request], sink, anyio.Event())).only()

    return anyio.run(work).exit_code


def asked(order):
    settings = Settings(
        source=SourceSettings(
            endpoint_url=order["url"], same_as="the tests' own source", concurrency=order["concurrency"]
        ),
        cache=CacheSettings(root=Path(order["root"]), archive=order.get("bucket", "")),
        store=Store(**order.get("store", {})),
        archive=Archive(save_others=order["save_others"]),
        fallback=Fallback(enabled=False),
        lake=Lake(enabled=order.get("lake", False), place=order.get("lake_place", "local")),
    )
    start, end = map(date.fromisoformat, order["window"])
    request = Request(Window(start, end), frozenset(order["tracked"]), accept=True, dataset=named(order["dataset"]))
    return settings, request


def obey(order):
    """Fork a run and wait for its end."""
    read, write = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(read)
            code = DEEDS[order.get("deed", "run")](order, write)
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(code)
    os.close(write)
    if (after_s := order.get("after_s")) is not None:
        timer = threading.Timer(after_s, partial(os.kill, child, signal.SIGKILL))
        timer.start()
    with os.fdopen(read) as log:
        said = log.read().split()
    # The pipe ends with the child; until it is waited for, its pid is not reused.
    if after_s is not None:
        timer.cancel()
        timer.join()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {
        "status": status,
        "steps": [name for name in said if not name.startswith(EVENT)],
        "events": [name.removeprefix(EVENT) for name in said if name.startswith(EVENT)],
        "seconds": time.monotonic() - started,
    }


DEEDS = {"run": run, "command": command, "repair": mend}


def warm():
    """Do once what every run would repeat: load botocore's descriptions, make a client, collect garbage."""
    descriptions.parsed_once().start()

    async def once():
        async with connect(SourceSettings(endpoint_url="http://127.0.0.1:9")):
            pass

    anyio.run(once)
    gc.collect()
    gc.freeze()
    gc.disable()


if __name__ == "__main__":
    warm()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(obey(json.loads(line))) + "\n")
        sys.stdout.flush()
