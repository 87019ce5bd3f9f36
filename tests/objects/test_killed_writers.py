"""A run that is killed (SIGKILL) while it writes to the bucket: the next one goes on, and is not its own rival."""

import sys

import pytest
from machines_kit import GUARD, POINTER, Machine
from pipeline_kit import window
from runs_kit import DAYS, dates

from ingest.errors import OtherWriter

pytestmark = pytest.mark.usefixtures("loopback_keys")

DYING = """
import os, signal, sys
from ingest.cache.objects.bucket import Bucket
call, end, when, *sys.argv[1:] = sys.argv[1:]
original = getattr(Bucket, call)

def dying(bucket, name, *given):
    if not name.endswith(end):
        return original(bucket, name, *given)
    if when == "after":
        original(bucket, name, *given)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(Bucket, call, dying)
from ingest.__main__ import main
main()
"""
POINTS = [
    ("put_over", POINTER, "after"),
    *(
        pytest.param(*point, marks=pytest.mark.long)
        for point in (
            ("put_over", GUARD, "before"),
            ("put_over", GUARD, "after"),
            ("put_new", ".csv.gz", "before"),
            ("put_new", ".csv.gz", "after"),
            ("put_new", ".sqlite.z", "before"),
            ("put_new", ".sqlite.z", "after"),
            ("put_over", POINTER, "before"),
        )
    ),
]


@pytest.fixture
def here(server, store, tmp_path):
    return Machine(tmp_path / "here", server.endpoint_url, store=store)


def die(machine, point, *arguments):
    done = machine.ended([sys.executable, "-W", "error", "-c", DYING, *point, *map(str, arguments)])
    assert done.returncode == -9, done.stderr


@pytest.mark.long
@pytest.mark.parametrize(("call", "name", "when"), POINTS)
def test_in_its_first_run(here, call, name, when):
    die(here, (call, name, when), "run", "--start", DAYS[0], "--end", DAYS[3])
    here.run(*window(DAYS[:4]))
    assert here.stored() == dates(DAYS[:4])
    assert here.told(POINTER)["snapshot"] == here.snapshots()[-1]
    here.another("there").run(*window(DAYS[:4]), fails=OtherWriter)


@pytest.mark.parametrize(("call", "name", "when"), [point for point in POINTS if GUARD not in str(point)])
def test_in_a_later_run_and_its_cache_can_be_restored(here, call, name, when):
    here.run(*window(DAYS[:2]))
    die(here, (call, name, when), "run", "--start", DAYS[0], "--end", DAYS[3])
    new = here.another("new")
    assert new.here("restore", "--yes").code == 0
    new.run(*window(DAYS[:4]))
    assert new.stored() == dates(DAYS[:4])
    here.run(*window(DAYS[:4]), fails=OtherWriter)


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("call", "name"), [("put_over", GUARD), ("put_over", POINTER), ("put_new", ".sqlite.z")])
def test_while_it_restores(here, call, name, when):
    here.run(*window(DAYS[:4]))
    new = here.another("new")
    die(new, (call, name, when), "restore", "--yes")
    if not new.is_held():
        assert new.here("restore", "--yes").code == 0
    new.run(*window(DAYS[:4]))
    assert new.stored() == dates(DAYS[:4])
    here.run(*window(DAYS[:4]), fails=OtherWriter)
