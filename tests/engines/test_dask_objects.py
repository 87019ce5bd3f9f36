"""Parts in a bucket, put by workers that are killed or stopped at named points: all is whole and equal."""

import pytest
from cluster import state_of, until
from dask_kit import DAYS, BucketField
from pipeline_kit import write_keys
from store_kit import keys_in_environment
from tuning_kit import tune

from ingest import events

pytest.importorskip("distributed")
pytest.importorskip("obstore")
pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]

POINTS = ["fetch", "split", "one part", "one put", "all put", "answered"]


@pytest.fixture(scope="module")
def environment(seaweed, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        keys = tmp_path_factory.mktemp("keys") / "credentials"
        write_keys(keys)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
        patch.setenv("AWS_CONFIG_FILE", str(keys.with_name("none")))
        keys_in_environment(patch, seaweed.writer)
        yield


@pytest.fixture
def bucket_field(cluster, source, expected, seaweed, tmp_path):
    cluster.afresh()
    return BucketField(tmp_path / "cache", source.endpoint_url, cluster, expected, seaweed.endpoint_url)


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch):
    tune(monkeypatch, task_sessions=2, backup_after_s=1.0)


def session_at(point):
    return DAYS[4] if point in ("all put", "answered") else DAYS[5]


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_that_is_killed(bucket_field, point):
    bucket_field.cluster.order(point, "kill", session=session_at(point))
    ran = bucket_field.run()
    assert bucket_field.cluster.open_orders == []
    assert ran.committed == DAYS
    bucket_field.check()


@pytest.mark.parametrize("point", POINTS)
def test_a_zombie_that_ends_after_the_run_changes_nothing(bucket_field, point):
    bucket_field.cluster.order(point, "stop", session=session_at(point))
    ran = bucket_field.run()
    assert ran.committed == DAYS
    assert [event.session for event in ran.of(events.Committed)].count(session_at(point)) == 1
    (zombie,) = (one for one in bucket_field.cluster.workers if state_of(one.pid) == "T")
    zombie.signal("continue")
    log = bucket_field.cluster.folder / f"reached-{zombie.pid}"
    until(lambda: log.read_text().count("answered"), "it never ends")
    bucket_field.check()
