"""Sessions that are prepared together end as they would alone, each with its own result."""

from contextlib import suppress
from dataclasses import replace
from datetime import date
from threading import Event

import anyio
import pytest
from pipeline_kit import TRACKED, market_day, pack, trading_days

from ingest.cache.manifest import Held
from ingest.cache.parts.memory import MemoryParts
from ingest.errors import CacheError, UnreadableFile
from ingest.market.catalogue import STOCKS_DAY
from ingest.pipeline import executor
from ingest.pipeline.executor import Workers
from ingest.pipeline.session.body import Costly
from ingest.pipeline.task import Job
from ingest.pipeline.worker import prepare, prepare_together
from ingest.planning.plan import Decision
from ingest.settings.tuning import DEFAULT, Tuning
from ingest.sources.base import Body

DAYS = trading_days(date(2025, 3, 3), 6)
GOOD = [market_day(day) for day in DAYS]
ODD = {
    "quoted": b'"A"' + GOOD[1][1:],
    "damaged": b"",
    "no header": b"a,b\n1,2\n",
    "long": GOOD[2] + b"A,1\n" * 50_000,
    "plain": GOOD[1],
}


def task(day, store, tuning=DEFAULT, tracked=TRACKED):
    decision = Decision(day, "fetch", "new", "listed", None, Held(), tracked, keep_rest=True)
    return Job(decision, 1, STOCKS_DAY, store, 1 << 30, tuning=tuning)


def body(text):
    return Body(pack(text)[: None if text else 7], "e", "2025-03-05T15:00:00+00:00")


def ended(call):
    """A result to compare: the record and the bytes that are staged, or the error."""
    try:
        return call()
    except (UnreadableFile, Costly) as error:
        return error


def compared(store, result):
    if isinstance(result, Exception):
        return type(result), str(result)
    return result.record, [store.read(key) for key in result.staged]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("tuning", [DEFAULT, Tuning(together=1)], ids=["in one query", "one by one"])
def test_each_ends_as_alone(odd, tuning):
    store, granted = MemoryParts(), tuning.ordinary
    texts = [GOOD[0], ODD[odd], *GOOD[2:]]
    tracked = [TRACKED, TRACKED, TRACKED, TRACKED, frozenset({"AAPL"}), TRACKED]
    work = [
        (task(day, store, tuning, names), body(text)) for day, text, names in zip(DAYS, texts, tracked, strict=True)
    ]
    found = prepare_together(work, granted)
    alone = [ended(lambda one=one: prepare(*one, granted)) for one in work]
    assert [compared(store, one) for one in found] == [compared(store, one) for one in alone]


def test_a_store_that_fails_for_one_fails_for_no_other():
    class Failing(MemoryParts):
        def stage(self, session, tier, data):
            if session == DAYS[1]:
                raise CacheError("the disk is full")
            return super().stage(session, tier, data)

    found = prepare_together([(task(day, Failing()), body(market_day(day))) for day in DAYS[:3]], DEFAULT.ordinary)
    assert [str(one) if isinstance(one, Exception) else one.record.session for one in found] == [
        DAYS[0],
        "the disk is full",
        DAYS[2],
    ]


class Panic(BaseException):
    """As polars raises: not an Exception."""


def run_workers(monkeypatch, count, together, sessions, fails=frozenset(), error=RuntimeError):
    """Prepare sessions while the first batch is held up; returns the batches and the results by day."""
    batches, results, go_on = [], {}, Event()

    def prepared(work, granted):
        days = [job.session for job, _ in work]
        batches.append(days)
        assert go_on.wait(5)
        if fails & {*days}:
            raise error("can't start new thread")
        return prepare_together(work, granted)

    monkeypatch.setattr(executor, "prepare_together", prepared)
    tuning, store = replace(DEFAULT, most_together=together), MemoryParts()

    async def one(day, pool):
        try:
            results[day] = (await pool.prepare(task(day, store, tuning), body(market_day(day)))).record.session
        except (RuntimeError, Panic) as raised:
            results[day] = str(raised)

    async def work():
        pool = Workers(count, tuning)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                for day in sessions:
                    group.start_soon(one, day, pool)
                await anyio.wait_all_tasks_blocked()
                go_on.set()

    anyio.run(work)
    return batches, results


def test_a_worker_takes_what_is_waiting_up_to_a_limit(monkeypatch):
    batches, results = run_workers(monkeypatch, count=1, together=3, sessions=DAYS)
    assert batches == [DAYS[:1], DAYS[1:4], DAYS[4:]]
    assert results == {day: day for day in DAYS}


def test_idle_workers_begin_at_once(monkeypatch):
    batches, results = run_workers(monkeypatch, count=2, together=8, sessions=DAYS)
    assert sorted(batches) == [DAYS[:1], DAYS[1:2], DAYS[2:]]
    assert results == {day: day for day in DAYS}


@pytest.mark.parametrize("error", [RuntimeError, Panic])
def test_what_a_thread_raises_reaches_all_whom_it_served_and_nobody_waits_forever(monkeypatch, error):
    _, results = run_workers(monkeypatch, count=1, together=3, sessions=DAYS, fails={DAYS[2]}, error=error)
    assert [results[day] == day for day in DAYS] == [True, False, False, False, True, True]


def test_a_cancelled_session_is_prepared_with_the_others(monkeypatch):
    came, go_on = [], Event()

    def prepared(work, granted):
        assert go_on.wait(5)
        return prepare_together(work, granted)

    monkeypatch.setattr(executor, "prepare_together", prepared)

    async def one(day, pool, store):
        came.append((await pool.prepare(task(day, store), body(market_day(day)))).record.session)

    async def work():
        pool, store = Workers(1, DEFAULT), MemoryParts()
        with anyio.fail_after(20), suppress(TimeoutError):
            async with anyio.create_task_group() as group:
                for day in DAYS[:3]:
                    group.start_soon(one, day, pool, store)
                await anyio.wait_all_tasks_blocked()
                group.cancel_scope.cancel()
                go_on.set()

    anyio.run(work)
    assert sorted(came) == DAYS[:3]
