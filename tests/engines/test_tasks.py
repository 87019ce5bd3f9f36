"""How sessions become tasks, and what becomes of tasks that are slow or deadly: no clock, no process, no network."""

import pickle
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.cache.manifest import Held
from ingest.cache.parts.local import LocalParts
from ingest.engines.tasks import Board, grouped
from ingest.market.catalogue import STOCKS_DAY
from ingest.pipeline.task import Job
from ingest.planning.plan import Decision
from ingest.settings.tuning import Tuning
from ingest.sources.base import RemoteObject

TUNING = Tuning()
PARTS = LocalParts(Path("/tracked"), Path("/archive"))


def job(number, size=1000, tracked=frozenset({"AAPL"})):
    day = date(2025, 1, 1) + timedelta(days=number)
    item = RemoteObject(f"{day}.csv.gz", size, "e", "")
    decision = Decision(day, "fetch", "new", "listed", item, Held(), tracked)
    large = Path("/spool") / f"{day}" if size >= TUNING.large else None
    return Job(decision, 1, STOCKS_DAY, PARTS, 1 << 30, spool=large, tuning=TUNING)


def board(count=3, **changes):
    return Board([job(number) for number in range(count)], replace(TUNING, task_sessions=1, **changes))


def begun(some, now=0.0):
    """The next task, begun."""
    task = some.next()
    some.begun(task, now)
    return task


@given(st.lists(st.integers(0, 40 << 20), max_size=100))
def test_every_job_is_in_one_group_of_enough_bytes_or_sessions_and_large_ones_are_alone(sizes):
    jobs = [job(number, size) for number, size in enumerate(sizes)]
    groups = list(grouped(jobs, TUNING))
    assert sorted(one.session for group in groups for one in group) == [one.session for one in jobs]
    small = [group for group in groups if not group[0].spool]
    assert all(len(group) == 1 for group in groups if group[0].spool)
    assert all(len(group) <= TUNING.task_sessions for group in small)
    assert all(sum(one.item.size for one in group[:-1]) < TUNING.task_bytes for group in small)
    for group in small[:-1]:
        assert len(group) == TUNING.task_sessions or sum(one.item.size for one in group) >= TUNING.task_bytes


def test_a_ticker_list_is_pickled_once_for_all_sessions_of_a_task():
    names = [f"O:SPY{number:09}" for number in range(10_000)]
    jobs = [job(number, tracked=frozenset(names)) for number in range(TUNING.task_sessions)]
    (group,) = grouped(jobs, TUNING)
    assert group == tuple(jobs)
    assert len(pickle.dumps(group)) < 1.2 * len(pickle.dumps(frozenset(names)))
    assert len(pickle.dumps(jobs)) > 5 * len(pickle.dumps(group))


def test_the_first_answer_counts():
    some = board()
    task = begun(some)
    some.begun(task, 1.0)
    assert some.answered(task, 2.0)
    assert not some.answered(task, 3.0)


def test_another_worker_gets_what_takes_three_times_as_long_as_usual_but_not_too_soon():
    some = board(5, backup_after_s=30)
    quick, slow = begun(some), begun(some)
    assert some.overdue(1e6) == []  # nothing has ended yet: perhaps it all takes that long
    some.answered(quick, 20.0)
    assert some.overdue(59.0) == []
    assert some.overdue(61.0) == [slow]
    assert (some.stuck(59.0), some.stuck(61.0)) == (0, 1)
    some.begun(slow, 61.0)
    assert some.overdue(61.0 + 119.0) == []  # the second has twice as long
    assert some.overdue(61.0 + 121.0) == [slow]


def test_what_is_quick_is_not_overdue_before_half_a_minute():
    some = board(5, backup_after_s=30)
    quick, slow = begun(some), begun(some)
    some.answered(quick, 0.1)
    assert some.overdue(29.0) == []
    assert some.overdue(31.0) == [slow]


def test_a_large_file_may_take_as_long_as_its_size():
    jobs = [job(0, 1 << 20), job(1, 100 << 20), job(2, 200 << 20)]
    some = Board(jobs, TUNING)
    large, larger, small = begun(some), begun(some), begun(some)
    assert (large.bytes, larger.bytes, small.bytes) == (100 << 20, 200 << 20, 1 << 20)
    some.answered(large, 100.0)
    assert some.overdue(599.0) == [small]
    assert some.overdue(601.0) == [small, larger] or some.overdue(601.0) == [larger, small]


def test_a_task_that_a_worker_died_of_begins_again_and_after_three_deaths_alone_and_last():
    some = Board([job(number) for number in range(4)], replace(TUNING, task_sessions=2))
    deadly, other = some.next(), some.next()
    for _ in range(2):
        some.begun(deadly, 0.0)
        assert some.died(deadly, 1) == ()
        assert some.next() is deadly
    some.begun(deadly, 0.0)
    some.begun(other, 0.0)
    assert some.died(deadly, 1) == ()
    assert some.next() is None  # not while the other is under way
    some.answered(other, 1.0)
    first = begun(some)
    assert (first.is_last_try, len(first.jobs)) == (True, 1)
    assert some.next() is None
    assert some.died(first, 1) == (first.jobs[0].session,)
    second = begun(some)
    assert some.answered(second, 5.0)
    assert some.is_done
    assert {first.jobs[0].session, second.jobs[0].session} == {one.session for one in deadly.jobs}


def test_a_task_is_not_begun_again_while_a_second_execution_of_it_lives():
    some = board(1)
    task = begun(some)
    some.begun(task, 1.0)
    assert some.died(task, 1) == ()
    assert (some.next(), some.is_done) == (None, False)
    assert some.is_open(task)
    assert some.answered(task, 2.0)
    assert some.died(task, 1) == ()  # too late to matter
    assert some.is_done


def test_a_second_execution_of_a_task_that_kills_workers_is_not_waited_for():
    some = board(1)
    task = begun(some)
    some.begun(task, 1.0)
    assert some.died(task, 4) == ()
    assert not some.is_open(task)
    assert begun(some).is_last_try
    assert some.died(task, 4) == ()  # it ended before it could be taken back
    assert some.under_way == 1


def test_no_second_worker_gets_a_task_that_workers_have_died_of():
    some = Board([job(number) for number in range(3)], replace(TUNING, task_sessions=2, backup_after_s=30))
    deadly, other = begun(some), begun(some)
    some.died(deadly, 3)
    some.answered(other, 1.0)
    assert begun(some).is_last_try
    assert some.overdue(1e6) == []
    assert some.stuck(1e6) == 0


@pytest.mark.parametrize("deaths", [3, 4])
def test_an_engine_that_counts_deaths_itself_gets_no_more_tries(deaths):
    some = board(1)
    assert some.died(begun(some), deaths) == ()
    assert begun(some).is_last_try


def test_nothing_else_begins_once_it_is_to_stop():
    some = board(3)
    task, other = begun(some), begun(some)
    some.stop()
    assert some.next() is None
    some.recalled(other)
    assert (some.under_way, some.is_done) == (1, False)
    assert some.died(task, 1) == ()
    assert (some.next(), some.is_done) == (None, True)
