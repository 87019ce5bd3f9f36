"""The power fails in the middle of a run: whatever the disk then holds, the next run ends as an undisturbed one.

Every legal state after a crash at any moment of two small runs is enumerated by `disk.py`, made as a real cache, looked
at and recovered from: by default all of the eventful run and some of a cache's first, with `-m long` all of both. The
power may fail again while the next run recovers: some of those states are tried, too.
"""

import random
from collections import Counter
from contextlib import contextmanager

import pytest
from disk import Recorder, all_states


def recorded(story, place, run):
    """The operations of a run upon a place that has a folder of its own."""
    place.root.parent.mkdir(exist_ok=True)
    recorder = Recorder(place.root.parent)
    with recorder.watching():
        run(place)
    story.check_finished(place)
    return recorder


@pytest.fixture(scope="module")
def states(eventful, first):
    """The recorded run of each story, and all states that it may leave."""
    found = {}
    for story in (eventful, first):
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
    """The power fails again at some moment of the run that recovers; returns how many states that may leave."""
    with explained(state):
        again = all_states(recorded(story, built(story, state, "recovering"), story.finish))
    recover(story, rng.choice(again))
    return len(again)


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


def test_every_state_that_an_eventful_run_may_leave_is_recovered_from(states, eventful):
    for state in states[eventful][1]:
        recover(eventful, state)


def test_states_that_a_first_run_may_leave_are_recovered_from(states, first):
    for state in random.Random(0).sample(states[first][1], 50):
        recover(first, state)


def test_the_power_may_fail_again_while_the_next_run_recovers(states, eventful):
    rng = random.Random(1)
    assert sum(recover_twice(eventful, state, rng) for state in rng.sample(states[eventful][1], 15)) > 500


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_state_that_a_first_run_may_leave_is_recovered_from(states, first):
    for state in states[first][1]:
        recover(first, state)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_power_may_fail_again_and_again(states):
    rng = random.Random(2)
    for story, (_, found) in states.items():
        for _ in range(150):
            recover_twice(story, rng.choice(found), rng)
