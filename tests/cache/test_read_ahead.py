"""Reads made ahead: in order, no more at once than allowed, and what fails fails at its place."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.cache.parts.ahead import read_ahead


@given(items=st.lists(st.integers(), max_size=20), ahead=st.integers(0, 6))
def test_what_is_read_comes_in_order(items, ahead):
    assert list(read_ahead(lambda item: item * 2, items, ahead)) == [item * 2 for item in items]


def test_reads_are_under_way_together_and_no_more_than_allowed():
    together, lock, most = threading.Barrier(3, timeout=10), threading.Lock(), []
    running = set()

    def read(item):
        with lock:
            running.add(item)
            most.append(len(running))
        together.wait()  # three have to meet
        with lock:
            running.discard(item)
        return item

    assert list(read_ahead(read, range(6), 3)) == list(range(6))
    assert max(most) <= 3


def test_an_error_comes_at_its_place_and_ends_the_reading():
    def read(item):
        if item == 2:
            raise OSError("gone")
        return item

    found = []
    with pytest.raises(OSError, match="gone"):
        found.extend(read_ahead(read, iter(range(9)), 4))
    taken = read_ahead(read, range(9), 4)
    assert [next(taken), next(taken)] == [0, 1]


def test_no_item_is_taken_before_it_is_needed():
    asked = []
    taken = read_ahead(lambda item: item, (asked.append(item) or item for item in range(100)), 4)
    next(taken)
    assert len(asked) == 4


@given(weights=st.lists(st.integers(0, 50), max_size=30), ahead=st.integers(2, 6))
def test_no_more_weight_is_under_way_than_allowed_and_one_read(weights, ahead):
    begun, taken = [], []
    items = (begun.append(weight) or weight for weight in weights)
    for item in read_ahead(lambda weight: weight, items, ahead, lambda weight: weight, 100):
        taken.append(item)
        held = begun[len(taken) - 1 :]
        assert sum(held[:-1]) < 100
    assert taken == begun == weights
