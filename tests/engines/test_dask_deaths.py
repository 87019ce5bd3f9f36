"""Workers that are killed or stopped at named points: the run ends as if nothing had happened."""

import pytest
from cluster import state_of, until
from dask_kit import DAYS
from tuning_kit import tune

from ingest import events
from ingest.engines import roster
from ingest.maintenance.verify import verify

pytest.importorskip("distributed")
pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]

POINTS = ["begun", "fetch", "split", "one part", "all put", "answered"]
OF_TASKS = {"begun", "all put", "answered"}
"""Points that belong to a task, whose first session names it."""


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch):
    tune(monkeypatch, task_sessions=2, backup_after_s=1.0)


def session_at(point):
    return DAYS[4] if point in OF_TASKS else DAYS[5]


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_that_is_killed(field, point):
    field.cluster.order(point, "kill", session=session_at(point))
    ran = field.run()
    assert field.cluster.open_orders == []
    assert ran.committed == DAYS
    assert ran.finished.exit_code == 0
    field.check()


@pytest.mark.parametrize("deed", ["kill", "kill whole", "stop", "stop whole"])
@pytest.mark.parametrize("point", POINTS)
def test_a_worker_under_a_nanny(nannies, point, deed):
    nannies.cluster.order(point, deed, session=session_at(point))
    ran = nannies.run()
    assert nannies.cluster.open_orders == []
    assert ran.committed == DAYS
    assert ran.finished.exit_code == 0
    nannies.check()


@pytest.mark.parametrize("point", POINTS)
def test_a_zombie_that_ends_after_the_run_changes_nothing(field, point):
    field.cluster.order(point, "stop", session=session_at(point))
    ran = field.run()
    assert ran.committed == DAYS
    stopped = [one for one in field.cluster.workers if state_of(one.pid) == "T"]
    (zombie,) = stopped
    zombie.signal("continue")
    until(lambda: (field.cluster.folder / f"reached-{zombie.pid}").read_text().count("answered"), "it never ends")
    told = verify(field.place.settings()).problems
    assert {(one.kind, one.about) for one in told} <= {("orphan", "leftover")}
    assert told or point == "answered"
    field.check()


def test_a_task_that_runs_twice_is_committed_once(field):
    field.cluster.order("fetch", "wait", session=DAYS[2], wait_s=3)
    ran = field.run()
    assert field.times("begun")[str(DAYS[2])] == 2
    assert [event.session for event in ran.of(events.Committed)].count(DAYS[2]) == 1
    assert ran.committed == DAYS
    until(lambda: field.times("answered")[str(DAYS[2])] == 2, "the first execution never ends")
    field.check()


@pytest.mark.timeout(600)  # twelve workers are started one after the other, each in half a minute on a busy machine
def test_a_session_that_kills_workers_is_failed_and_all_others_are_committed(nannies):
    for _ in range(40):  # four a try; on a slow machine the first has a second worker, too
        nannies.cluster.order("split", "kill", session=DAYS[4])
    ran = nannies.run()
    assert ran.finished.exit_code == 3
    (failed,) = ran.of(events.Failed)
    assert failed.session == DAYS[4]
    assert "died" in failed.reason
    assert ran.committed == [day for day in DAYS if day != DAYS[4]]
    nannies.cluster.afresh(0)
    nannies.check(downloads=[DAYS[4]])


def test_a_worker_that_stays_silent_gets_no_further_tasks(field, monkeypatch):
    monkeypatch.setattr(roster, "SILENT_S", 2.0)
    field.cluster.order("begun", "stop", session=DAYS[0])
    for day in DAYS[4::2]:
        field.cluster.order("fetch", "wait", session=day, wait_s=1)
    ran = field.run()
    assert ran.committed == DAYS
    stopped = next(one for one in field.cluster.workers if state_of(one.pid) == "T")
    assert (field.cluster.folder / f"reached-{stopped.pid}").read_text().count("begun") == 1
    field.check()
