"""One committer takes the results of any executor: from another process, twice, late, or before it gives up."""

from concurrent.futures import ProcessPoolExecutor
from datetime import date
from functools import partial
from multiprocessing import get_context

import anyio
import pytest
from pipeline_kit import TRACKED, Place, market_day, pack, trading_days, window

from ingest import events
from ingest.cache.commit import for_run
from ingest.cache.manifest import Held
from ingest.errors import CacheError, SourceUnavailable
from ingest.maintenance.verify import verify
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.windows import Window
from ingest.pipeline.committer import Committer, Ended
from ingest.pipeline.task import Failed, Job, Refused, Staged
from ingest.pipeline.worker import prepare
from ingest.planning.plan import Decision
from ingest.settings.tuning import Tuning
from ingest.sources.base import Body

DAYS = trading_days(date(2025, 3, 3), 4)
TUNING = Tuning(gather_s=0, max_batch=3)


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as running:
        yield running


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "cache", "http://127.0.0.1:1")


@pytest.fixture
def cache(place):
    with for_run(place.settings(), STOCKS_DAY, Window(*window(DAYS))) as opened:
        yield opened


def body(day):
    return Body(pack(market_day(day)), f"e{day.day}", "2025-03-10T15:00:00+00:00")


def jobs(cache):
    number = cache.manifest.tracked_sets.number(TRACKED)
    decisions = [Decision(day, "fetch", "new", "listed", None, Held(), TRACKED, keep_rest=True) for day in DAYS]
    return [Job(one, number, cache.dataset, cache.parts, 1 << 30) for one in decisions]


class Executor:
    """Sends these results for each task, in rounds: all tasks once, then all of them again."""

    def __init__(self, *rounds, end=None):
        self.rounds, self.end, self.recorded = rounds, end, []

    async def run(self, tasks, results):
        for made in self.rounds:
            for job in tasks:
                result = await anyio.to_thread.run_sync(made, job)
                await results.send(Ended(result, partial(self.recorded.append, job.session)))
        if self.end:
            raise self.end

    async def idle(self):
        """Never says that other tasks are under way."""


def run(cache, executor, tasks=None):
    """The events of a run."""
    told = []
    anyio.run(Committer(cache, told.append, TUNING).run, executor, jobs(cache) if tasks is None else tasks)
    return told


def prepared(pool, job):
    return Staged(job, pool.submit(prepare, job, body(job.session)).result())


def assert_whole(place, days=DAYS):
    assert [day for (day,) in place.query("SELECT session FROM sessions WHERE held = 'committed'")] == list(
        map(str, days)
    )
    assert all(place.reassembled(day) == market_day(day) for day in days)
    assert list(place.root.rglob("*.tmp")) == []
    assert verify(place.settings(), True, STOCKS_DAY).problems == ()


def test_what_another_process_prepared_twice_is_committed_once(place, cache, pool):
    executor = Executor(partial(prepared, pool), partial(prepared, pool))
    told = run(cache, executor)
    assert [(type(one), one.session) for one in told] == [(events.Committed, day) for day in DAYS]
    assert sorted(executor.recorded) == sorted(DAYS * 2)
    assert_whole(place)


def test_results_of_one_task_that_come_in_one_batch_are_one(place, cache, pool):
    def twice(tasks):
        return [job for job in tasks for _ in range(2)]

    told = run(cache, Executor(partial(prepared, pool)), twice(jobs(cache)))
    assert [one.session for one in told] == DAYS
    assert_whole(place)


@pytest.mark.parametrize("late", ["failed", "refused"])
def test_a_late_result_takes_nothing_back(place, cache, pool, late):
    def worse(job):
        return Failed(job, "too late") if late == "failed" else Refused(job, body(job.session), "odd", True)

    told = run(cache, Executor(partial(prepared, pool), worse))
    assert {type(one) for one in told} == {events.Committed}
    assert place.query("SELECT DISTINCT remote, reason FROM sessions") == [("listed", None)]
    assert not (place.root / "quarantine").exists()
    assert_whole(place)


def test_results_sent_before_an_executor_is_lost_are_committed(place, cache, pool):
    executor = Executor(partial(prepared, pool), end=SourceUnavailable("the workers are gone"))
    with pytest.raises(SourceUnavailable, match="the workers are gone"):
        run(cache, executor)
    assert sorted(executor.recorded) == DAYS
    assert_whole(place)


def test_a_commit_that_fails_ends_the_executor(place, cache, pool):
    def swept(job):
        result = prepared(pool, job)
        cache.parts.sweep()
        return result

    executor = Executor(swept, swept)
    with pytest.raises(CacheError, match=r"cannot (sync|replace)"):
        run(cache, executor)
    assert executor.recorded == []
    assert_whole(place, [])
