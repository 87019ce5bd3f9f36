"""What ends a run: a scheduler that dies or is silent, no worker, Ctrl-C; what was prepared by then is committed."""

import json
import os
import signal
import threading
import time

import pytest
from cluster import cluster_in, until
from dask_kit import DAYS, Field
from tuning_kit import tune

from ingest import events
from ingest.engines import dask
from ingest.errors import EngineLost

pytest.importorskip("distributed")
pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]

WITHIN_S = 5
"""How soon a run has to end once its scheduler is gone."""


@pytest.fixture
def own(environment, source, expected, tmp_path):
    """A cluster of this test's own."""
    with cluster_in(tmp_path / "cluster", points=True) as running:
        yield Field(tmp_path / "cache", source.endpoint_url, running, expected)


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch):
    tune(monkeypatch, task_sessions=2, backup_after_s=1.0)


class At:
    """A sink that does something once so many events of a kind have come, and notes when."""

    def __init__(self, kind, count, deed):
        self.kind, self.left, self.deed, self.at = kind, count, deed, None

    def __call__(self, event):
        self.left -= isinstance(event, self.kind)
        if self.left == 0 and self.at is None:
            self.deed()
            self.at = time.monotonic()


class End:
    """When a process has ended: one that is asked to by SIGTERM takes its time."""

    def __init__(self, process):
        self._process, self._at = process, None
        self._waiting = threading.Thread(target=self._wait, daemon=True)
        self._waiting.start()

    def _wait(self):
        self._process.wait()
        self._at = time.monotonic()

    @property
    def at(self):
        self._waiting.join()
        return self._at


@pytest.mark.parametrize(
    ("kind", "count"),
    [(events.Workers, 1), (events.FetchStarted, 4), (events.Committed, 2), (events.Committed, 6)],
    ids=["early", "with tasks under way", "in the middle", "later"],
)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_scheduler_dies(own, kind, count, how):
    own.cluster.order("fetch", "wait", session=DAYS[-1], wait_s=60)
    sink, end = At(kind, count, lambda: os.kill(own.cluster.scheduler.pid, how)), End(own.cluster.scheduler)
    ran = own.run(sink=sink, fails=EngineLost)
    ended = time.monotonic()
    assert ended - end.at < WITHIN_S
    assert "\n" not in ran.error.message
    assert own.address in ran.error.message
    assert len(ran.committed) >= (count if kind is events.Committed else 0)
    assert ran.finished.exit_code == 4
    own.check(downloads=set(DAYS) - set(ran.committed))


def test_a_scheduler_that_dies_as_all_is_done_is_not_missed(own):
    sink = At(events.Committed, len(DAYS), own.cluster.scheduler.kill)
    assert own.run(sink=sink).finished.exit_code == 0
    own.check()


def test_a_scheduler_that_is_silent(own, monkeypatch):
    monkeypatch.setattr(dask, "_SILENT_S", 2.0)
    own.cluster.order("fetch", "wait", session=DAYS[-1], wait_s=60)
    sink = At(events.Committed, 2, lambda: os.kill(own.cluster.scheduler.pid, signal.SIGSTOP))
    ran = own.run(sink=sink, fails=EngineLost)
    assert "has not answered for" in ran.error.message
    own.check(downloads=set(DAYS) - set(ran.committed))


def test_all_workers_die(own):
    own.place.engine["no_workers_after_s"] = 2

    def kill():
        for worker in own.cluster.workers:
            worker.signal("kill")

    own.cluster.order("fetch", "wait", session=DAYS[-1], wait_s=60)
    ran = own.run(sink=At(events.Committed, 2, kill), fails=EngineLost)
    assert "no worker for 2 s" in ran.error.message
    own.check(downloads=set(DAYS) - set(ran.committed))


def test_no_worker_ever_comes(own):
    own.place.engine["no_workers_after_s"] = 1
    own.cluster.afresh(0)
    for worker in own.cluster.workers:
        worker.end()
    ran = own.run(fails=EngineLost)
    assert "no worker for 1 s" in ran.error.message
    own.check(downloads=DAYS)


def test_workers_that_come_late_are_looked_over_and_used(own):
    for worker in own.cluster.workers:
        worker.end()
    own.cluster.workers.clear()
    sink = At(events.Workers, 1, own.cluster.start)
    assert own.run(sink=sink).committed == DAYS
    own.check()


def test_an_unfit_worker_that_joins_later_is_told_and_gets_no_tasks(own, tmp_path):
    for day in DAYS[2:]:
        own.cluster.order("fetch", "wait", session=day, wait_s=0.7)
    none = str(tmp_path / "none")
    sink = At(events.FetchStarted, 1, lambda: own.cluster.start(1, AWS_SHARED_CREDENTIALS_FILE=none))
    ran = own.run(sink=sink)
    assert ran.committed == DAYS
    assert [said for said in ran.notices if "gets no tasks" in said and "no keys" in said]
    own.check()


def test_the_command_says_it_in_one_line_and_ends_with_4(own):
    own.cluster.order("fetch", "wait", wait_s=60)
    with own.start("--quiet") as run:
        until(lambda: own.cluster.open_orders == [], "no task has begun")
        own.cluster.scheduler.kill()
        began = time.monotonic()
        out, err = run.communicate(timeout=60)
    assert time.monotonic() - began < WITHIN_S + 2
    assert run.returncode == 4
    assert own.address in err
    assert len(err.splitlines()) == 1, err
    assert out == ""


def test_ctrl_c_finishes_what_runs_and_begins_nothing_else(own):
    for day in DAYS:
        own.cluster.order("fetch", "wait", session=day, wait_s=2)
    with own.start("--json") as run:
        until(lambda: own.times("begun"), "no task has begun")
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    committed = [record for record in map(json.loads, out.splitlines()) if record["kind"] == "committed"]
    begun = sum(own.times("begun").values())
    assert 1 <= begun <= 2
    assert len(committed) == sum(own.times("fetch").values())
    assert "Traceback" not in err


def test_a_straggler_costs_at_most_as_much_again(own, monkeypatch):
    for day in DAYS:
        own.cluster.order("fetch", "wait", session=day, wait_s=0.5)
    tune(monkeypatch, task_sessions=1, backup_after_s=1.0)
    began = time.monotonic()
    own.run()
    usual = time.monotonic() - began
    own.check()
    slow = Field(own.root.with_name("slow"), own.place.endpoint_url, own.cluster, own.expected)
    own.cluster.afresh()
    for day in DAYS:
        own.cluster.order("fetch", "wait", session=day, wait_s=10 if day == DAYS[6] else 0.5)
    began = time.monotonic()
    assert slow.run().committed == DAYS
    assert time.monotonic() - began < 2 * usual
    until(lambda: slow.times("answered")[str(DAYS[6])] == 2, "the straggler never ends")
    slow.check()
