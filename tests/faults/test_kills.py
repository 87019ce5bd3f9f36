"""Runs killed by SIGKILL: whatever the instant, the next run ends where an undisturbed one would have.

The runs that die are forked by `nursery.py`; the source is the loopback server in this process.
"""

import random
import sys
from collections import Counter

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork are POSIX's own")


def kill_at_every_step(nursery, story, apart=1):
    """Kill a run at its first step, and then each so many steps on, until it survives; the names of all its steps."""
    fatal = []
    while True:
        place = story.fresh_copy()
        answer = nursery.run(place, story.days, story.tracked, at_step=apart * len(fatal) + 1)
        if answer["status"] == 0:
            story.check_finished(place)
            return answer["steps"]
        fatal.append(answer["steps"][-1])
        try:
            story.check_interrupted(place)
            story.finish(place)
            story.check_finished(place)
        except AssertionError as error:
            error.add_note(f"killed at step {apart * (len(fatal) - 1) + 1}, the last of {fatal}")
            raise


def check_eventful(nursery, eventful, apart):
    steps = Counter(kill_at_every_step(nursery, eventful, apart))
    # Two sessions of two parts each, three CSVs of which one is removed.
    assert (steps["stage"], steps["publish"]) == (6, 6)
    assert steps["begin"] == steps["commit"] >= 8
    assert steps["sync"] >= 7
    assert len(eventful.after.corrections()) == 1
    assert eventful.after.csv("GONE") is None


def test_a_run_killed_at_any_other_of_its_steps_is_finished_by_the_next(nursery, eventful):
    check_eventful(nursery, eventful, apart=2)


@pytest.mark.long
def test_a_run_killed_between_any_two_durable_steps_is_finished_by_the_next(nursery, eventful):
    check_eventful(nursery, eventful, apart=1)


@pytest.mark.parametrize("apart", [3, pytest.param(1, marks=pytest.mark.long)])
def test_a_run_with_a_lake_killed_at_its_steps_is_finished_by_the_next(nursery, laked, apart):
    steps = Counter(kill_at_every_step(nursery, laked, apart))
    assert steps["staged"] == 2
    assert len(laked.after.query("SELECT * FROM lake")) == 2


def check_monthly(nursery, monthly, apart):
    steps = Counter(kill_at_every_step(nursery, monthly, apart))
    # Two sessions of two parts each; of the CSVs one of a ticker and two of a new one, while one is removed.
    assert (steps["stage"], steps["publish"]) == (7, 7)
    assert len(monthly.after.corrections()) == 1
    assert {name: list(monthly.after.months(name)) for name in ("AAPL", "GONE", "MSFT")} == {
        "AAPL": ["2025-10", "2025-11"],
        "GONE": ["2025-10"],
        "MSFT": ["2025-10", "2025-11"],
    }


def test_a_run_of_minutes_killed_at_any_of_its_steps_is_finished_by_the_next(nursery, monthly):
    check_monthly(nursery, monthly, apart=5)


@pytest.mark.long
def test_a_run_of_minutes_killed_between_any_two_steps_is_finished_by_the_next(nursery, monthly):
    check_monthly(nursery, monthly, apart=1)


def test_a_run_that_builds_its_manifest_anew_may_be_killed(nursery, orphaned):
    steps = Counter(kill_at_every_step(nursery, orphaned, apart=3))
    assert (steps["stage"], steps["publish"]) == (4, 4)  # a session of two parts, two CSVs: the others are there
    assert orphaned.after.query("SELECT count(*) FROM sessions WHERE held = 'committed'") == [(3,)]


def kill_at_event(nursery, story, name, nth, concurrency=1):
    """Kill a run as it reports an event for the n-th time, and finish; returns how it ended."""
    place = story.fresh_copy()
    status = nursery.run(place, story.days, story.tracked, concurrency=concurrency, at_event=[name, nth])["status"]
    try:
        story.check_interrupted(place)
        story.finish(place)
        story.check_finished(place)
    except AssertionError as error:
        error.add_note(f"killed at {name} {nth}")
        raise
    return status


def points(nursery, story, concurrency=1):
    """The named kill points of a run: each event with its number among those of its name."""
    events = nursery.run(story.fresh_copy(), story.days, story.tracked, concurrency=concurrency)["events"]
    return [(name, events[: at + 1].count(name)) for at, name in enumerate(events)]


def test_a_run_killed_at_each_named_point_is_finished_by_the_next(nursery, eventful):
    named = points(nursery, eventful)
    counts = Counter(name for name, _ in named)
    assert [counts[name] for name in ("fetch_started", "fetched", "committed", "projected")] == [2, 2, 2, 1]
    assert (named[0], named[-1]) == (("run_started", 1), ("finished", 1))
    for name, nth in named:
        assert kill_at_event(nursery, eventful, name, nth) == -9, (name, nth)


def kill_at_two_points(nursery, story, named, seed):
    """Kill a run and then the run that follows it, each at a random named point, and finish."""
    rng = random.Random(seed)
    place, chosen = story.fresh_copy(), [rng.choice(named), rng.choice(named)]
    killed = [
        nursery.run(place, story.days, story.tracked, concurrency=rng.choice([1, 4]), at_event=list(point))["status"]
        for point in chosen
    ]
    try:
        story.check_interrupted(place)
        story.finish(place)
        story.check_finished(place)
    except AssertionError as error:
        error.add_note(f"seed {seed}: killed at {chosen}: {killed}")
        raise
    return killed


def kill_twice(nursery, story, seed):
    """Kill a run and then the run that follows it, each at a random step, and finish."""
    rng = random.Random(seed)
    place = story.fresh_copy()
    steps = [rng.randint(1, 40), rng.randint(1, 40)]
    killed = [nursery.run(place, story.days, story.tracked, concurrency=4, at_step=n)["status"] for n in steps]
    story.finish(place)
    try:
        story.check_finished(place)
    except AssertionError as error:
        error.add_note(f"seed {seed}: killed at steps {steps}: {killed}")
        raise
    return killed


def kill_at_some_time(nursery, story, seed, usual_s):
    """Kill a run after a random part of the time that it takes, and finish."""
    after_s = random.Random(seed).uniform(0, usual_s)
    place = story.fresh_copy()
    status = nursery.run(place, story.days, story.tracked, concurrency=4, after_s=after_s)["status"]
    try:
        story.check_interrupted(place)
        story.finish(place)
        story.check_finished(place)
    except AssertionError as error:
        error.add_note(f"seed {seed}: killed after {after_s} s")
        raise
    return status


def usual_time(nursery, story):
    return nursery.run(story.fresh_copy(), story.days, story.tracked, concurrency=4)["seconds"]


def test_a_first_run_killed_at_any_of_8_random_times_is_finished_by_the_next(nursery, first):
    usual_s = usual_time(nursery, first)
    statuses = [kill_at_some_time(nursery, first, seed, usual_s) for seed in range(8)]
    assert statuses.count(-9) >= 2


def test_a_run_that_recovers_may_be_killed_itself(nursery, eventful):
    killed = [kill_twice(nursery, eventful, seed) for seed in range(4)]
    assert [-9, -9] in killed


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_hundreds_of_kills_change_nothing_in_the_end(nursery, eventful, first):
    usual_s = {story: usual_time(nursery, story) for story in (eventful, first)}
    killed = 0
    for seed in range(1000, 1150):
        for story in (eventful, first):
            killed += kill_twice(nursery, story, seed).count(-9)
            killed += kill_at_some_time(nursery, story, seed, usual_s[story]) == -9
    assert killed > 400


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_hundreds_of_kills_at_random_named_points_change_nothing_in_the_end(nursery, eventful, first):
    killed = 0
    for story in (eventful, first):
        named = points(nursery, story)
        for seed in range(2000, 2150):
            killed += kill_at_two_points(nursery, story, named, seed).count(-9)
    # The run that follows a kill has less to do, and may not come to the second point.
    assert killed > 300
