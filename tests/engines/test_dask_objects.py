"""Parts in a bucket, put by workers that are killed or stopped, or whose store fails: all is whole and equal."""

import gzip
from dataclasses import replace

import pytest
from bucket_kit import csvs_of, parts_of
from cluster import state_of, until
from dask_kit import DAYS, BucketField
from pipeline_kit import Place, key, pack, window, write_keys
from store_faults import in_front_of, kind_of, one_in
from store_kit import keys_in_environment
from tuning_kit import tune

from ingest import events
from ingest.maintenance.verify import verify

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


@pytest.mark.parametrize("seed", range(1, 5))
def test_with_a_fault_of_the_store_in_one_request_of_three_all_is_complete_and_equal(
    bucket_field, source, tmp_path, monkeypatch, seed
):
    tune(monkeypatch, store_waited_s=5.0, store_wait_first_s=0.01, store_wait_longest_s=0.05, backup_after_s=30.0)
    (tmp_path / "near").mkdir()
    near, far = Place(tmp_path / "near" / "cache", source.endpoint_url), bucket_field.place
    whole = source.objects[key(DAYS[3])]
    text = gzip.decompress(whole)
    more = text + b"ZZZZZ," + text.splitlines(keepends=True)[-1].partition(b",")[2]
    with in_front_of(far.store) as front:
        front.script = one_in(3, seed)
        far = replace(far, store=front.endpoint)
        bucket_field.cluster.order("one put", "kill", session=DAYS[5])
        try:
            for body in (whole, pack(more)):
                source.put(key(DAYS[3]), body)
                theirs, ours = (one.run(*window(DAYS)) for one in (near, far))
                assert (ours.committed, ours.reasons) == (theirs.committed, theirs.reasons)
        finally:
            source.put(key(DAYS[3]), whole)
        assert bucket_field.cluster.open_orders == []
        assert verify(far.settings(), deep=True).problems == ()
        front.script = None
        assert near.logical_manifest() == far.logical_manifest()
        assert (parts_of(near), csvs_of(near)) == (parts_of(far), csvs_of(far))
    puts = [request for request in front.requests if kind_of(request) == "put"]
    assert len(puts) > 2 * len(DAYS)
    assert len(front.struck) * 5 > len(front.requests)
