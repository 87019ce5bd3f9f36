"""Runs with their parts in a bucket, killed by SIGKILL at their steps: the next run makes it equal to never killed."""

import json
import os
import sys
from datetime import date
from itertools import count

import pytest
from bucket_kit import BucketPlace, csvs_of, parts_of
from killing import nursery_of
from pipeline_kit import flat, key, trading_days, window
from store_kit import keys_in_environment
from stored_lake_kit import StoredLake

from ingest.cache.objects.bucket import Bucket
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.maintenance.verify import verify
from ingest.market.catalogue import STOCKS_DAY
from ingest.reading.history import scan

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork are POSIX's own")

DAYS = trading_days(date(2025, 3, 3), 4)
SPAN = window(DAYS)
TRACKED = frozenset({"AAPL"})
_ROWS = [("AAPL", "100.5"), *((f"T{n:02}", f"{n + 1}") for n in range(30))]
_NUMBERS = count(1)


def source(changed):
    text = flat([("AAPL", "99"), *_ROWS[1:-1], ("T29", "7")]) if changed else flat(_ROWS)
    return {key(day): pack(flat(_ROWS) if day == DAYS[0] else text) for day in DAYS}


@pytest.fixture(scope="module")
def server():
    with loopback.serve() as running:
        yield running


@pytest.fixture(scope="module")
def patch(seaweed):
    with pytest.MonkeyPatch.context() as patched:
        keys_in_environment(patched, seaweed.writer)
        patched.setenv("MASSIVE_S3_ACCESS_KEY", "KEY")
        patched.setenv("MASSIVE_S3_SECRET_KEY", "secret-of-the-loopback")
        yield patched


@pytest.fixture(scope="module")
def nursery(server, patch):
    with nursery_of(server.endpoint_url, dict(os.environ)) as running:
        yield running


@pytest.fixture
def made(server, seaweed, patch, tmp_path):
    """Makes a cache in a place of its own: empty, or with a first version of each session."""

    def make(tiers, is_replacement, kind=BucketPlace, **how):
        server.objects.clear()
        server.objects.update(source(changed=False))
        number = next(_NUMBERS)
        (tmp_path / f"{number}").mkdir()
        place = kind(
            tmp_path / f"{number}" / "cache",
            server.endpoint_url,
            archive=f"s3://flatfiles/killed-{number}",
            store=seaweed.endpoint_url,
            tiers=tiers,
            **how,
        )
        if is_replacement:
            place.run(*SPAN, tracked=TRACKED)
        server.objects.update(source(changed=is_replacement))
        return place

    return make


def kill(nursery, place, step):
    store = {"endpoint": place.store, "region": "us-east-1", "tiers": place.tiers}
    where = {"lake_place": getattr(place, "where", "local")}
    return nursery.run(place, DAYS, TRACKED, bucket=place.archive, store=store, at_step=step, **where)


def points(steps):
    """The first and the last step of each name, by number."""
    found = {}
    for at, name in enumerate(steps, 1):
        found.setdefault(name, [at, at])[1] = at
    return sorted({at for both in found.values() for at in both})


def check(place, whole):
    """What a run after a kill leaves."""
    assert place.logical_manifest() == whole.logical_manifest()
    assert (parts_of(place), csvs_of(place)) == (parts_of(whole), csvs_of(whole))
    assert not list(place.root.rglob("*.tmp"))
    assert not [path for path in place.root.glob("staged/**/*") if path.is_file()]
    for deep in (False, True):
        found = verify(place.settings(), deep)
        assert (found.problems, found.sessions) == ((), len(DAYS))


def committed_parts_are_there(place):
    """At any instant: a committed session has both its parts."""
    if (place.root / "manifest.sqlite").exists() and place.query("SELECT 1 FROM sqlite_master WHERE name = 'intents'"):
        parts_of(place)


def check_kills(made, nursery, tiers, is_replacement, chosen):
    """Kill a run at each of some steps, and run again."""
    whole = made(tiers, is_replacement)
    steps = kill(nursery, whole, None)["steps"]
    assert {"stage", "put-archive", "begin", "commit", "swap"} <= set(steps)
    assert ("put-tracked" in steps) is (tiers == "both")
    for step in chosen(steps):
        place = made(tiers, is_replacement)
        answer = kill(nursery, place, step)
        try:
            committed_parts_are_there(place)
            place.run(*SPAN, tracked=TRACKED, accept=True)
            check(place, whole)
        except AssertionError as error:
            error.add_note(f"killed at step {step}: {answer['steps'][-3:]}")
            raise


def in_the_middle(steps):
    """Where half of the objects are put."""
    puts = [at for at, name in enumerate(steps, 1) if name.startswith("put-")]
    return [puts[len(puts) // 2]]


def test_a_run_killed_while_it_puts_is_made_good_by_the_next(made, nursery):
    check_kills(made, nursery, "both", True, in_the_middle)


@pytest.mark.long
@pytest.mark.parametrize("is_replacement", [False, True], ids=["first", "replaced"])
@pytest.mark.parametrize("tiers", ["both", "archive"])
def test_a_run_killed_at_the_first_or_last_step_of_a_kind_is_made_good_by_the_next(
    tiers, is_replacement, made, nursery
):
    check_kills(made, nursery, tiers, is_replacement, points)


def test_what_a_killed_run_has_put_is_no_problem_and_used_by_the_next(made, nursery):
    place = made("both", False)
    steps = kill(nursery, made("both", False), None)["steps"]
    last = len(steps) - steps[::-1].index("put-tracked")
    kill(nursery, place, last)
    there = {one.name for one in Bucket.of(place.settings()).listing("archive")}
    assert there
    place.run(*SPAN, tracked=TRACKED)
    (told,) = map(json.loads, place.here("verify", "-d", "stocks-day", "--json").out.splitlines())
    assert (told["ok"], told["notes"]) == (True, [])
    after = {one.name for one in Bucket.of(place.settings()).listing("archive")}
    assert (there <= after, len(after)) == (True, len(DAYS))


def lake_of(place):
    return {one.name: one.size for one in Bucket.of(place.settings()).listing("lake")}


def check_killed_lakes(made, nursery, chosen):
    """Kill a run that writes a lake in the store at some steps: readers are right at once, the next run ends it."""

    def make():
        return made("both", True, StoredLake, lake=True)

    whole = make()
    steps = kill(nursery, whole, None)["steps"]
    rows = scan(whole.settings(), STOCKS_DAY, None, None).collect().sort("date", "ticker")
    for step in chosen(steps):
        place = make()
        kill(nursery, place, step)
        if step > steps.index("put-lake"):  # all sessions are committed
            assert scan(place.settings(), STOCKS_DAY, None, None).collect().sort("date", "ticker").equals(rows), step
        place.run(*SPAN, tracked=TRACKED, accept=True)
        check(place, whole)
        assert lake_of(place) == lake_of(whole), step


def around_the_lake(steps):
    """Before the file is put, and between that and the manifest's row."""
    put = steps.index("put-lake") + 1
    return [put, put + 1, put + 2]


def test_a_lake_killed_while_it_is_put_is_made_good_by_the_next(made, nursery):
    check_killed_lakes(made, nursery, around_the_lake)


@pytest.mark.long
def test_a_lake_killed_at_any_step_of_its_own_is_made_good_by_the_next(made, nursery):
    check_killed_lakes(made, nursery, lambda steps: range(steps.index("put-lake") - 8, len(steps) + 1))
