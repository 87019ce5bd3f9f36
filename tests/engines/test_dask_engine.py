"""A run by a scheduler and two workers: a killed worker costs time alone, an unfit one is named, a lost one ends it."""

import pytest
from dask_kit import DAYS
from tuning_kit import tune

from ingest import events
from ingest.errors import EngineLost, WorkerUnfit

pytest.importorskip("distributed")


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch):
    tune(monkeypatch, task_sessions=2)


def test_a_worker_that_dies_between_two_parts_costs_nothing_but_time(field):
    field.cluster.order("one part", "kill", session=DAYS[3])
    ran = field.run()
    assert field.cluster.open_orders == []
    assert sum(worker.process.poll() is not None for worker in field.cluster.workers) == 1
    assert ran.committed == DAYS
    assert ran.finished.exit_code == 0
    assert field.times("begun")[str(DAYS[2])] == 2
    field.check()


def test_a_worker_without_keys_is_named_before_the_first_task(field, tmp_path):
    (other,) = field.cluster.start(1, AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "none"))
    field.cluster.ready()
    try:
        ran = field.run(fails=WorkerUnfit)
    finally:
        other.signal("kill")
    assert "no keys" in ran.error.message
    assert f"process {other.pid}" in ran.error.message
    assert field.cluster.reached == []


def test_a_scheduler_that_dies_ends_the_run_at_once_and_what_was_prepared_is_committed(field):
    field.cluster.order("fetch", "wait", session=DAYS[-1], wait_s=60)
    committed = []

    def kill(event):
        committed.extend([event] if isinstance(event, events.Committed) else [])
        if len(committed) == 6:
            field.cluster.scheduler.kill()

    ran = field.run(sink=kill, fails=EngineLost)
    assert "\n" not in ran.error.message
    assert field.address in ran.error.message
    assert len(ran.committed) >= 6
    field.check(downloads=set(DAYS) - set(ran.committed))
    logs = [path.read_text() for path in field.cluster.folder.glob("*.log")]
    assert any("Registered to:" in text for text in logs)
    assert not [text for text in logs if "secret-of-the-loopback" in text]
