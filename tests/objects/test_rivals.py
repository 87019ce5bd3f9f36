"""Whole runs of several machines that share a place in a real object store: one of them may write."""

import platform
from concurrent.futures import ThreadPoolExecutor

import pytest
from machines_kit import GUARD, POINTER, Machine
from pipeline_kit import window
from runs_kit import DAYS, dates
from tuning_kit import tune

from ingest import events
from ingest.errors import OtherWriter

pytestmark = pytest.mark.usefixtures("loopback_keys")


@pytest.fixture
def here(server, store, tmp_path):
    return Machine(tmp_path / "cache", server.endpoint_url, store=store)


def test_a_run_that_changed_something_leaves_a_guard_and_a_snapshot(here):
    here.run(*window(DAYS[:3]))
    assert here.told(GUARD)["generation"] == 1
    assert here.told(POINTER)["snapshot"] == here.snapshots()[-1]
    before = here.objects()
    here.run(*window(DAYS[:3]))
    assert here.objects() == before
    here.run(*window(DAYS[:4]))
    assert len(here.snapshots()) == 2


def test_another_cache_is_refused_and_told_who_writes_and_since_when(here):
    here.run(*window(DAYS[:3]))
    before, there = here.objects(), here.another("there")
    told = there.here("run", "--start", DAYS[0], "--end", DAYS[3])
    assert told.code == 6
    since = here.told(GUARD)["since"]
    assert f"belongs to another cache: {platform.node()} writes to it since {since}" in told.err
    assert "`ingest restore`" in told.err
    assert (there.stored(), here.objects()) == ([], before)


def test_a_copy_is_refused_once_the_other_has_written(here):
    here.run(*window(DAYS[:3]))
    copy = here.copied("copy")
    here.run(*window(DAYS[:4]))
    ran = copy.run(*window(DAYS[:5]), fails=OtherWriter)
    assert ran.error.exit_code == 6
    assert here.told(POINTER)["at"] in str(ran.error)
    assert (copy.stored(), ran.gets) == (dates(DAYS[:3]), [])


def test_of_two_copies_that_run_at_once_the_one_that_comes_late_stops_and_commits_nothing_more(here, monkeypatch):
    """The other stores its snapshot while this one downloads; this one notices at its next snapshot."""
    tune(monkeypatch, snapshot_every_s=0.0, max_batch=1, gather_s=0.0)
    here.run(*window(DAYS[:2]))
    copy = here.copied("copy")

    def meanwhile(event):
        if isinstance(event, events.Planned):
            with ThreadPoolExecutor(1) as pool:
                pool.submit(here.run, *window(DAYS[:3])).result()

    ran = copy.run(*window(DAYS), sink=meanwhile, fails=OtherWriter)
    assert "two machines must not write to one prefix" in str(ran.error)
    assert len(copy.stored()) == 3
    pointer = here.told(POINTER)
    assert pointer["snapshot"] == here.snapshots()[-1]
    here.run(*window(DAYS[:4]))
    copy.run(*window(DAYS), fails=OtherWriter)
