"""A run by a cluster is killed at each of its events: the next run begins at once, while tasks of it still go on."""

import json

import pytest
from cluster import cluster_in, until
from dask_kit import DAYS, Field
from pipeline_kit import Place, key, market_objects, window
from tuning_kit import tune

from ingest import events
from ingest.demo.servers import loopback
from ingest.demo.servers.faults import INTERNAL_ERROR

pytest.importorskip("distributed")
pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]

EACH = ("run_started", "planned", "workers", "fetch_started", "fetched", "committed", "projected", "finished")
"""The events of a run without trouble."""

REFUSED, FORBIDDEN, FAILED, RETRIED = DAYS[2], DAYS[3], DAYS[5], DAYS[7]
ATTEMPTS = 2


@pytest.fixture
def small_tasks(monkeypatch):
    tune(monkeypatch, task_sessions=2, backup_after_s=1.0)


def on_its_own(folder, source, expected, **how):
    """A cache whose runs go to a cluster of its own."""
    with cluster_in(folder / "cluster", points=True) as running:
        field = Field(folder / "cache", source.endpoint_url, running, expected)
        field.place.source |= how
        yield field


@pytest.fixture
def own(environment, source, expected, tmp_path, small_tasks):
    yield from on_its_own(tmp_path, source, expected)


@pytest.fixture(scope="module")
def troubled_source(environment):
    """A file is unreadable, one may not be read, one always fails, and one does every other time."""

    def faults(request):
        fails = request.key == key(FAILED) or (request.key == key(RETRIED) and request.nth % ATTEMPTS == 1)
        return INTERNAL_ERROR if fails else None

    with loopback.serve(market_objects(DAYS) | {key(REFUSED): b"no gzip at all"}, faults=faults) as running:
        running.forbidden.add(key(FORBIDDEN))
        yield running


@pytest.fixture
def troubled(environment, troubled_source, tmp_path, small_tasks):
    """A field that expects all troubles, by a run without a cluster before."""
    expected = Place(tmp_path / "expected", troubled_source.endpoint_url, source={"attempts": ATTEMPTS})
    ran = expected.run(*window(DAYS))
    told = {type(one): one.session for one in ran.events if isinstance(one, events.Quarantined | events.Forbidden)}
    assert told == {events.Quarantined: REFUSED, events.Forbidden: FORBIDDEN}
    assert {one.session for one in ran.of(events.Retrying)} == {FAILED, RETRIED}
    assert [one.session for one in ran.of(events.Failed)] == [FAILED]
    yield from on_its_own(tmp_path, troubled_source, expected, attempts=ATTEMPTS)


def kill_at(field, name):
    """Kill a run once it tells an event of this name; how often tasks of it had begun by then."""
    with field.start("--json") as run:
        for line in run.stdout:
            if json.loads(line)["kind"] == name:
                run.kill()
                break
        else:
            pytest.fail(f"no {name} came: {run.stderr.read()}")
        run.wait()
    return sum(field.times("begun").values())


def wait_for(field, begun):
    until(lambda: sum(field.times("answered").values()) >= begun, "a task of the killed run never ends")


@pytest.mark.parametrize("name", EACH)
def test_a_killed_coordinator_leaves_the_next_run_nothing_to_wait_for(own, name):
    own.cluster.order("fetch", "wait", session=DAYS[8], wait_s=3)
    begun = kill_at(own, name)
    assert own.locally.run(*window(DAYS)).finished.exit_code == 0
    wait_for(own, begun)
    own.check()


@pytest.mark.parametrize("name", ["retrying", "forbidden", "failed", "quarantined"])
def test_a_coordinator_killed_as_it_tells_a_trouble_leaves_it_to_the_next_run(troubled, name):
    troubled.cluster.order("fetch", "wait", session=DAYS[8], wait_s=3)
    begun = kill_at(troubled, name)
    assert troubled.locally.run(*window(DAYS)).finished.exit_code == 3
    wait_for(troubled, begun)
    troubled.check(each_time=[FORBIDDEN, *[FAILED] * ATTEMPTS])
