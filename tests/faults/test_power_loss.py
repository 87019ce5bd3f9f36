"""The power fails in the middle of a run: whatever the disk then holds, the next run ends as an undisturbed one.

Every legal state after a crash at any moment of three small runs is enumerated by `disk.py`, made as a real cache,
looked at and recovered from: by default some 40 of each, with `-m long` all. The power may fail again while the next
run recovers, and it may fail when a run goes on after one that was killed, whose changes are not durable either.
"""

import random
import sqlite3
from collections import Counter
from contextlib import closing, contextmanager

import pytest
from disk import Recorder, all_states
from kills import Killed

from ingest.files import batches


def recorded(story, place, run):
    """The operations of a run upon a place that has a folder of its own."""
    place.root.parent.mkdir(exist_ok=True)
    recorder = Recorder(place.root.parent)
    with recorder.watching():
        run(place)
    story.check_finished(place)
    return recorder


@pytest.fixture(scope="module")
def states(eventful, first, monthly):
    """The recorded run of each story, and all states that it may leave."""
    found = {}
    for story in (eventful, first, monthly):
        recorder = recorded(story, story.fresh_copy("recorded/cache"), story.finish)
        found[story] = (recorder, all_states(recorder))
    return found


def built(story, state, name):
    place = story.empty(f"{name}/cache")
    place.root.parent.mkdir(exist_ok=True)
    state.build(place.root)
    assert place.root.exists() or not state.decided, "a transaction had returned, and there is no cache"
    story.check_interrupted(place)
    return place


def recover(story, state):
    """Make a state, look at it, and let the next run finish."""
    with explained(state):
        place = built(story, state, "lost")
        story.finish(place)
        story.check_finished(place)


def recover_twice(story, state, rng):
    """The power fails again while a run recovers; returns how many states are looked at, one of them is recovered."""
    with explained(state):
        again = all_states(recorded(story, built(story, state, "recovering"), story.finish))
    return look_at(story, again, rng, limit=60)


def recover_after_kill(story, fatal, rng):
    """A run is killed, and the power fails at some moment of the next one."""
    place = story.fresh_copy("recorded/cache")
    place.root.parent.mkdir(exist_ok=True)
    recorder = Recorder(place.root.parent, fatal=fatal)
    with recorder.watching():
        with killed():
            story.finish(place)
        recorder.fatal = None
        story.finish(place)
    story.check_finished(place)
    return look_at(story, all_states(recorder, since=fatal), rng)


@contextmanager
def killed():
    """What the run is told to die of, as it comes out of any number of task groups."""
    try:
        yield
    except Killed:
        pass
    except BaseExceptionGroup as group:
        if group.split(Killed)[1]:
            raise


def look_at(story, states, rng, limit=1000):
    """Look at states, and recover from one of them."""
    for state in rng.sample(states, min(len(states), limit)):
        with explained(state):
            built(story, state, "lost")
    recover(story, rng.choice(states))
    return min(len(states), limit)


def has_intents(state):
    with closing(sqlite3.connect(":memory:")) as manifest:
        # In memory there is no log beside the file: its header is to say so (file format, bytes 18 and 19).
        manifest.deserialize(state.manifest[:18] + b"\1\1" + state.manifest[20:])
        return bool(manifest.execute("SELECT 1 FROM intents").fetchall())


@contextmanager
def explained(state):
    try:
        yield
    except BaseException as error:
        held = sorted((path, "folder" if data is None else len(data)) for path, data, _ in state.tree)
        error.add_note(f"the power failed after operation {state.after}; the disk then held {held}")
        raise


def test_the_recorded_runs_have_every_kind_of_operation(states, eventful, first):
    recorder, found = states[eventful]
    kinds = Counter(op.kind for op in recorder.ops)
    # Two sessions of two parts each, and three CSVs of which one is removed.
    assert (kinds["create"], kinds["rename"], kinds["sync"], kinds["unlink"]) == (6, 6, 6, 1)
    assert kinds["commit"] >= 8
    assert len(found) > 100
    recorder, found = states[first]
    kinds = Counter(op.kind for op in recorder.ops)
    assert (kinds["mkdir"], kinds["create manifest"]) == (4, 1)
    assert any(state.tree == frozenset() for state in found)


def test_states_that_an_eventful_run_may_leave_are_recovered_from(states, eventful):
    found = states[eventful][1]
    for state in found[:: max(3, len(found) // 40)]:
        recover(eventful, state)


def test_states_that_a_first_run_may_leave_are_recovered_from(states, first):
    rng = random.Random(0)
    look_at(first, states[first][1], rng, limit=100)
    for state in rng.sample(states[first][1], 10):
        recover(first, state)


def test_states_that_a_run_of_minutes_may_leave_are_recovered_from(states, monthly):
    rng = random.Random(5)
    _, found = states[monthly]
    assert len({path.rpartition("/")[0] for path, *_ in found[-1].tree if path.endswith("2025-11.csv")}) == 2
    look_at(monthly, found, rng, limit=60)
    for state in rng.sample(found, 8):
        recover(monthly, state)


def test_states_of_runs_that_sync_their_file_system_as_a_whole_are_recovered_from(eventful, monthly, monkeypatch):
    monkeypatch.setattr(batches, "_FEW", 0)
    rng = random.Random(6)
    for story in (eventful, monthly):
        recorder = recorded(story, story.fresh_copy("recorded/cache"), story.finish)
        found = all_states(recorder)
        assert sum(op.kind == "sync" for op in recorder.ops) > 20
        look_at(story, found, rng, limit=60)
        for state in rng.sample(found, 6):
            recover(story, state)


@pytest.mark.long
def test_the_power_may_fail_again_while_the_next_run_recovers(states, eventful):
    rng = random.Random(1)
    intended = [state for state in states[eventful][1] if has_intents(state)]
    chosen = [*rng.sample(states[eventful][1], 3), *rng.sample(intended, min(3, len(intended)))]
    assert intended
    assert sum(recover_twice(eventful, state, rng) for state in chosen) > 100


@pytest.mark.long
def test_the_power_may_fail_after_a_run_was_killed(states, eventful):
    rng = random.Random(3)
    recorder, _ = states[eventful]
    renames = [number for number, op in enumerate(recorder.ops, 1) if op.kind == "rename"]
    assert sum(recover_after_kill(eventful, fatal, rng) for fatal in rng.sample(renames, 2)) > 20


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_state_that_a_run_may_leave_is_recovered_from(states):
    for story, (_, found) in states.items():
        for state in found:
            recover(story, state)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_power_may_fail_again_and_again(states):
    rng = random.Random(2)
    for story, (_, found) in states.items():
        for _ in range(100):
            recover_twice(story, rng.choice(found), rng)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_power_may_fail_after_a_run_was_killed_at_any_operation(states, eventful):
    rng = random.Random(4)
    recorder, _ = states[eventful]
    for fatal in range(1, len(recorder.ops)):
        recover_after_kill(eventful, fatal, rng)
