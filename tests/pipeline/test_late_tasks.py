"""A session's task is a value: it may run in another process, twice, and too late. Committed sessions stay whole.

Its result is a value, too: the holder of the lock commits it, wherever it was prepared.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import date
from multiprocessing import get_context

import pytest
from pipeline_kit import TRACKED, Place, market_day, pack, trading_days, window

from ingest.cache.commit import commit, discard_staged, for_run, recover
from ingest.cache.manifest import Held
from ingest.errors import CacheError
from ingest.maintenance.verify import verify
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.windows import Window
from ingest.pipeline.task import Job
from ingest.pipeline.worker import prepare
from ingest.planning.plan import Decision
from ingest.settings.tuning import Tuning
from ingest.sources.base import Body

DAY, OTHER = trading_days(date(2025, 3, 3), 2)
BODIES = [Body(pack(market_day(day)), f"e{day.day}", "2025-03-05T15:00:00+00:00") for day in (DAY, OTHER)]
TUNINGS = (Tuning(), Tuning(at_once=0, chunk=2000, piece=700))
each_way = pytest.mark.parametrize("tuning", TUNINGS, ids=["at once", "in chunks"])


@pytest.fixture(scope="module")
def elsewhere():
    """One process that executes its tasks one after the other."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield lambda job, body: pool.submit(prepare, job, body).result()


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "cache", "http://127.0.0.1:1")


@pytest.fixture
def cache(place):
    with for_run(place.settings(), STOCKS_DAY, Window(*window([DAY]))) as opened:
        yield opened


def job(cache, tuning):
    """The task of the day's file: download it, or replace what is stored with it."""
    held = cache.manifest.sessions.all().get(DAY, Held())
    replaced = cache.manifest.replacements.held([DAY]).get(DAY)
    decision = Decision(DAY, "fetch", "new", "listed", None, held, TRACKED, keep_rest=True)
    number = cache.manifest.tracked_sets.number(TRACKED)
    return Job(decision, number, cache.dataset, cache.parts, 1 << 30, replaced=replaced, accept=True, tuning=tuning)


def leftovers(place):
    return list(place.root.rglob("*.tmp"))


def assert_holds(place, text):
    assert place.reassembled(DAY) == text
    assert verify(place.settings(), True, STOCKS_DAY).problems == ()


@each_way
def test_a_task_that_runs_twice_and_late_tears_no_part(place, cache, elsewhere, tuning):
    task = job(cache, tuning)
    mine, theirs = prepare(task, BODIES[0]), elsewhere(task, BODIES[1])
    assert (mine.record.etag, theirs.record.etag) == (BODIES[0].etag, BODIES[1].etag)
    commit(cache, [mine])
    again = elsewhere(task, BODIES[1])
    assert (again.record, again.correction) == (theirs.record, theirs.correction)
    assert place.reassembled(DAY) == market_day(DAY)
    assert len(leftovers(place)) == 4
    recover(cache)
    assert leftovers(place) == []
    assert_holds(place, market_day(DAY))


@each_way
@pytest.mark.parametrize("first", [0, 1])
def test_of_a_task_that_ran_twice_in_another_process_either_result_is_committed(place, cache, elsewhere, tuning, first):
    """The same process runs the task again: it writes other files than before, under other names."""
    results = [elsewhere(job(cache, tuning), body) for body in BODIES]
    commit(cache, [results[first]])
    assert len(leftovers(place)) == 2
    discard_staged(cache, results[1 - first])
    assert leftovers(place) == []
    assert_holds(place, market_day((DAY, OTHER)[first]))


@each_way
def test_a_replacement_that_was_prepared_in_another_process_is_committed_with_its_difference(
    place, cache, elsewhere, tuning
):
    commit(cache, [elsewhere(job(cache, tuning), BODIES[0])])
    changed = replace(BODIES[0], data=pack(market_day(DAY).replace(b"\nAAPL,", b"\nAAPL,9")), etag="changed")
    result = elsewhere(job(cache, tuning), changed)
    assert [part.tier for part in result.staged] == ["tracked"]
    commit(cache, [result])
    ((_, removed, added),) = place.corrections()
    assert (len(removed), len(added)) == (1, 1)
    assert leftovers(place) == []
    assert_holds(place, market_day(DAY).replace(b"\nAAPL,", b"\nAAPL,9"))


@each_way
@pytest.mark.parametrize("is_held", [False, True])
def test_a_result_whose_parts_were_swept_is_refused_and_nothing_is_torn(place, cache, elsewhere, tuning, is_held):
    if is_held:
        commit(cache, [prepare(job(cache, tuning), BODIES[0])])
    late = elsewhere(job(cache, tuning), BODIES[1])
    recover(cache)  # as the next run does
    with pytest.raises(CacheError, match=r"cannot (sync|replace)"):
        commit(cache, [late])
    recover(cache)
    if is_held:  # found before the intent, so what is stored stays
        assert place.query("SELECT etag FROM sessions") == [(BODIES[0].etag,)]
        assert place.reassembled(DAY) == market_day(DAY)
    else:
        assert cache.manifest.sessions.committed() == []
    commit(cache, [elsewhere(job(cache, tuning), BODIES[1])])
    assert_holds(place, market_day(OTHER))


@each_way
def test_a_result_that_comes_twice_is_refused_the_second_time(place, cache, elsewhere, tuning):
    result = elsewhere(job(cache, tuning), BODIES[0])
    commit(cache, [result])
    with pytest.raises(CacheError, match=r"cannot (sync|replace)"):
        commit(cache, [result])
    assert_holds(place, market_day(DAY))
