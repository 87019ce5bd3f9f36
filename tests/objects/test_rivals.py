"""Whole runs of several machines that share a place in a real object store: one of them may write."""

import hashlib
import json
import platform
from concurrent.futures import ThreadPoolExecutor

import pytest
from machines_kit import GUARD, POINTER, Machine
from pipeline_kit import window
from runs_kit import DAYS, dates
from tuning_kit import tune

from ingest import events
from ingest.cache.manifest import sessions
from ingest.cache.objects.writing.snapshots import Snapshots, snapshot_names
from ingest.errors import CacheError, OtherWriter

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
    assert f"belongs to another cache: {platform.node()} has written to it since {since}" in told.err
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


@pytest.mark.parametrize("words", [("prune", "--before", DAYS[2], "--yes"), ("verify", "--repair")])
def test_a_copy_changes_nothing_by_any_other_command(here, words):
    here.run(*window(DAYS[:3]))
    copy = here.copied("copy")
    here.run(*window(DAYS[:4]))
    before = here.objects()
    told = copy.here(*words)
    assert (told.code, "wrote to s3://" in told.err) == (6, True)
    assert (copy.stored(), here.objects()) == (dates(DAYS[:3]), before)
    assert here.here("verify").code == 0


def test_a_run_that_fails_says_why_whatever_becomes_of_its_snapshot(here, monkeypatch):
    here.run(*window(DAYS[:3]))

    def failed(why):
        def fail(*_):
            raise CacheError(why)

        return fail

    monkeypatch.setattr(Snapshots, "store", failed("the store is down"))
    monkeypatch.setattr(sessions.KnownSessions, "commit", failed("the disk is full"))
    here.execute(f"INSERT INTO findings VALUES ('{here.dataset.name}', '{DAYS[0]}', 'odd', 1, '[]')")
    assert str(here.run(*window(DAYS[:4]), fails=CacheError).error) == "the disk is full"


@pytest.mark.long
@pytest.mark.parametrize("_", range(5))
def test_of_two_processes_that_begin_at_once_one_is_refused(here, _):
    there = here.another("there")
    words = ("run", "--start", str(DAYS[0]), "--end", str(DAYS[-1]))
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda one: one.cli(*words), (here, there)))
    assert sorted(one.returncode for one in done) == [0, 6]
    winner, loser = sorted((here, there), key=lambda one: done[(here, there).index(one)].returncode)
    assert (winner.stored(), loser.stored()) == (dates(DAYS), [])


def test_files_of_the_user_beside_the_snapshots_are_no_snapshots_and_stay(here):
    here.run(*window(DAYS[:2]))
    first = here.snapshots()[-1]
    own = [f"manifest/kept-{number}.sqlite.z" for number in range(15)] + [f"manifest/old/{first.rpartition('/')[2]}"]
    for name in own:
        here.store.put_new(name, b"mine", hashlib.sha256(b"mine").hexdigest())
    here.run(*window(DAYS[:3]))
    assert {first, *own} <= here.objects().keys()
    assert here.told(POINTER)["snapshot"] == snapshot_names(here.store)[0]


def test_a_machine_whose_store_another_one_writes_to_tells_of_a_failed_run(here, tmp_path):
    """Unlike a run that finds the lock held, by a run that tells how it ends."""
    here.run(*window(DAYS[:2]))
    copy = here.copied("copy")
    here.run(*window(DAYS[:3]))
    program = json.dumps(["sh", "-c", f"echo $INGEST_EXIT_CODE > {tmp_path / 'told'}"])
    told = copy.here("run", "--start", DAYS[0], "--end", DAYS[3], INGEST_NOTIFY__ON_FAILURE=program)
    assert (told.code, (tmp_path / "told").read_text()) == (6, "6\n")
    shown = copy.here("show", "AAPL")
    assert "with a copy of this manifest" in shown.err
    assert "another run is in progress" not in shown.err
