"""What a run makes of workers that are slow, late, twice, dead, unfit, or gone: scripted, with threads as workers."""

import os
import pickle
import socket
import tempfile
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import date

import anyio
import pytest
from engine_kit import Died, Scripted, elsewhere, ended_with, keys_everywhere, over
from pipeline_kit import Place, assert_same, key, market_objects, trading_days, window
from tuning_kit import tune

from ingest import events
from ingest.cache.parts.local import LocalParts
from ingest.demo.servers import loopback
from ingest.demo.servers.faults import SLOW_DOWN, Latency, strike_once
from ingest.engines import hand
from ingest.engines.engine import Engine
from ingest.errors import CacheError, EngineLost, SourceRefused, WorkerUnfit
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.windows import Window
from ingest.pipeline import run as runs
from ingest.planning.request import Request
from ingest.settings import EngineSettings

DAYS = trading_days(date(2025, 3, 3), 6)
SPAN = window(DAYS)
HERE = f"worker {socket.gethostname()}, process {os.getpid()}: "


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    with keys_everywhere(tmp_path_factory.mktemp("keys")):
        yield


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture(scope="module")
def source(keys):
    with loopback.serve(market_objects(DAYS)) as running:
        yield running


@pytest.fixture
def place(source, tmp_path, monkeypatch):
    """A cache whose runs give each session away alone, and look after it often."""
    tune(monkeypatch, task_sessions=1, engine_tick_s=0.02, backup_after_s=0.3)
    return Place(tmp_path / "cache", source.endpoint_url)


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    """What a local run leaves."""
    place = Place(tmp_path_factory.mktemp("whole") / "cache", source.endpoint_url)
    place.run(*SPAN)
    return place


def run(place, cluster, **arguments):
    with elsewhere(over(cluster)):
        return place.run(*SPAN, **arguments)


def assert_whole(place, whole):
    """All that a local run has, and nothing torn; what nobody published is left to the next run."""
    assert place.run(*SPAN).finished.fetched == 0
    assert_same(place, whole)


def held(place):
    return [
        date.fromisoformat(day)
        for (day,) in place.query("SELECT session FROM sessions WHERE held = 'committed' ORDER BY 1")
    ]


def test_a_task_that_never_ends_is_given_to_another_worker(place, whole, pool):
    never = Future()
    cluster = Scripted(pool, lambda order, before: never if before == 0 and DAYS[1] in days_of(order) else order)
    ran = run(place, cluster)
    assert (ran.finished.committed, ran.finished.exit_code) == (len(DAYS), 0)
    assert cluster.sessions.count([DAYS[1]]) == 2
    assert [one for one in cluster.beside if one] == [never]
    assert never.cancelled()
    assert len(ran.of(events.Fetched)) == len(DAYS)
    assert_whole(place, whole)


def days_of(order):
    return [job.session for job in order.task.jobs]


@pytest.mark.parametrize("twice", ["one after the other", "one for nothing"])
def test_a_task_that_runs_twice_is_committed_once(place, whole, pool, twice):
    """As a scheduler does after a worker that had the result has died."""

    def script(order, before):
        if twice == "one for nothing":
            hand.work(order)
            return order
        return pool.submit(lambda: (hand.work(order), hand.work(order))[1])

    ran = run(place, Scripted(pool, script))
    assert (ran.finished.committed, len(ran.of(events.Committed))) == (len(DAYS), len(DAYS))
    assert len(list(place.root.rglob("*.tmp"))) == 2 * len(DAYS)
    assert_whole(place, whole)


def test_an_answer_that_comes_late_within_the_run_is_discarded(place, whole, pool):
    """The first execution ends when the second has long been committed, and others are under way."""
    first, kept = Future(), []

    def script(order, before):
        if days_of(order) == [DAYS[0]] and before == 0:
            kept.append(order)
            return first
        if days_of(order) == [DAYS[-1]]:  # by now the other one is overdue, and answered
            answer = hand.work(kept[0])
            if first.set_running_or_notify_cancel():
                first.set_result(answer)
        return order

    ran = run(place, Scripted(pool, script))
    assert (ran.finished.committed, len(ran.of(events.Committed))) == (len(DAYS), len(DAYS))
    assert_whole(place, whole)


def test_a_zombie_that_ends_after_the_run_writes_what_nobody_publishes(place, whole, pool):
    cluster = Scripted(pool)
    run(place, cluster)
    before = place.tiers()
    for order in cluster.orders[:2]:
        hand.work(replace(order, terms=replace(order.terms, probes=())))
    hand.put_down()
    after = place.tiers()
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 4
    assert_whole(place, whole)


def test_a_worker_that_died_is_replaced_by_another(place, whole, pool):
    ran = run(place, Scripted(pool, lambda order, before: ended_with(Died()) if before == 0 else order))
    assert (ran.finished.committed, ran.finished.failed) == (len(DAYS), 0)
    assert_whole(place, whole)


@pytest.mark.parametrize("together", [1, 4])
def test_a_session_that_kills_workers_fails_and_no_other_does(place, whole, pool, monkeypatch, together):
    tune(monkeypatch, task_sessions=together)
    cluster = Scripted(pool, lambda order, before: ended_with(Died()) if DAYS[2] in days_of(order) else order)
    ran = run(place, cluster)
    assert (ran.finished.exit_code, ran.finished.failed, ran.finished.committed) == (3, 1, len(DAYS) - 1)
    (failed,) = ran.of(events.Failed)
    assert failed.session == DAYS[2]
    assert failed.reason == "the scripted workers: every worker that had it died, the last one with no other session"
    assert cluster.sessions.count([DAYS[2]]) == (4 if together == 1 else 1)
    assert place.run(*SPAN).finished.fetched == 1
    assert_whole(place, whole)


def test_a_cluster_that_cancels_what_it_had_is_asked_again(place, whole, pool):
    """As after a restart of its workers by somebody else."""

    def script(order, before):
        if before:
            return order
        gone = Future()
        gone.cancel()
        return gone

    assert run(place, Scripted(pool, script)).finished.committed == len(DAYS)
    assert_whole(place, whole)


@pytest.mark.parametrize("how", ["cancelled", "failed", "silent"])
def test_a_lost_scheduler_ends_the_run_with_4_and_what_was_done_is_committed(place, whole, pool, how):
    lost = []

    def script(order, before):
        if len(cluster.orders) < 4:
            return order
        cluster.why = "the scheduler is gone"
        call = Future()
        lost.append(call)
        if how == "cancelled":
            call.cancel()
        elif how == "failed":
            call.set_exception(CancelledError("lost"))
        return call

    cluster = Scripted(pool, script)
    ran = run(place, cluster, fails=EngineLost)
    text = "the scripted workers: the scheduler is gone; what was committed stays, run again to continue"
    assert (ran.error.message, ran.error.exit_code) == (text, 4)
    assert (ran.finished.exit_code, ran.finished.committed) == (4, len(ran.of(events.Committed)))
    assert 1 <= ran.finished.committed < len(DAYS)
    assert ran.of(events.Projected)
    assert place.run(*SPAN).finished.committed == len(DAYS)
    assert_whole(place, whole)


def test_a_run_without_workers_waits_so_long_and_then_ends_with_4(place, pool):
    cluster = Scripted(pool, places=0)
    with elsewhere(over(cluster, no_workers_after_s=0.3)):
        ran = place.run(*SPAN, fails=EngineLost)
    assert ran.error.message.startswith("the scripted workers: no worker for 0.3 s; what was committed stays")
    assert (cluster.orders, held(place)) == ([], [])


def test_a_run_waits_for_its_first_worker(place, whole, pool):
    class Slow(Scripted):
        looks = 0

        def places(self):
            self.looks += 1
            return 2 if self.looks > 10 else 0

    cluster = Slow(pool)
    assert run(place, cluster).finished.committed == len(DAYS)
    assert_whole(place, whole)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (pickle.PicklingError("no lambda"), "PicklingError: no lambda"),
        (ModuleNotFoundError("No module named 'ingest'"), "ModuleNotFoundError: No module named 'ingest'"),
        (ExceptionGroup("several", [ValueError("a bug")]), "ValueError: a bug"),
    ],
)
def test_what_no_worker_can_do_ends_the_run_with_4_and_one_line(place, pool, error, text):
    ran = run(place, Scripted(pool, lambda order, before: ended_with(error)), fails=EngineLost)
    assert ran.error.message.startswith(f"the scripted workers: a task cannot be done: {text}; what was committed")


def test_an_executor_that_is_shut_down_ends_the_run_with_4(place):
    closed = ThreadPoolExecutor(1)
    closed.shutdown()
    with elsewhere(Engine(EngineSettings(), closed)):
        ran = place.run(*SPAN, fails=EngineLost)
    assert ran.error.message.startswith("ThreadPoolExecutor: a task cannot be done: RuntimeError: cannot schedule new")


def other_terms(order, **changes):
    return replace(order, terms=replace(order.terms, run="another connection", **changes))


def test_keys_that_the_source_refuses_at_one_worker_end_the_run_and_name_it(source, tmp_path, pool, monkeypatch):
    tune(monkeypatch, task_sessions=1)
    file = tmp_path / "credentials"
    file.write_text("".join(f"[{name}]\naws_access_key_id = {name}\naws_secret_access_key = s\n" for name in "AB"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    with loopback.serve(market_objects(DAYS), access_keys={"A"}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url, source={"profile": "A"})

        def script(order, before):
            return other_terms(order, source=order.terms.source.model_copy(update={"profile": "B"}), probes=())

        ran = run(place, Scripted(pool, script), fails=SourceRefused)
    assert ran.error.message.startswith(HERE)
    assert "InvalidAccessKeyId" in ran.error.message
    assert ran.finished.exit_code == 4


def test_a_worker_without_keys_ends_the_run_and_is_named(place, pool):
    def script(order, before):
        return other_terms(order, source=order.terms.source.model_copy(update={"profile": "nobody"}), probes=())

    ran = run(place, Scripted(pool, script), fails=SourceRefused)
    assert ran.error.message.startswith(HERE)
    assert "nobody" in ran.error.message


@pytest.mark.parametrize("times", [1, 100])
def test_a_worker_with_another_version_is_left_out_or_ends_the_run(place, whole, pool, times):
    def script(order, before):
        return other_terms(order, versions={"polars": "1.0"}, probes=()) if before < times else order

    if times == 1:
        assert run(place, Scripted(pool, script)).finished.committed == len(DAYS)
        assert_whole(place, whole)
    else:
        ran = run(place, Scripted(pool, script), fails=WorkerUnfit)
        assert ran.error.message.startswith(f"{HERE}it has polars ")
        assert ran.error.message.endswith(", and the run has 1.0")


def test_a_worker_that_does_not_share_the_folders_is_unfit(place, pool, tmp_path):
    def script(order, before):
        return other_terms(order, parts=LocalParts(tmp_path / "t", tmp_path / "a"))

    ran = run(place, Scripted(pool, script), fails=WorkerUnfit)
    for tier in "ta":
        assert f"it has no access to {tmp_path / tier}, which the run writes to" in ran.error.message


def test_a_worker_that_cannot_write_temporary_files_is_unfit(place, pool, tmp_path, monkeypatch):
    def script(order, before):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
        return order

    ran = run(place, Scripted(pool, script), fails=WorkerUnfit)
    assert ran.error.message.startswith(f"{HERE}it has no folder for temporary files (")
    assert ran.error.message.endswith("set TMPDIR there")


@pytest.mark.parametrize("retryable", [False, True])
def test_a_store_that_is_down_fails_sessions_and_a_broken_disk_ends_the_run(place, pool, monkeypatch, retryable):
    class StoreDown(CacheError):
        pass

    StoreDown.retryable = retryable

    def broken(*_):
        raise StoreDown("no answer")

    monkeypatch.setattr(hand, "_durable", broken)
    ran = run(place, Scripted(pool), fails=None if retryable else StoreDown)
    if retryable:
        assert (ran.finished.exit_code, ran.finished.failed) == (3, len(DAYS))
        assert {one.reason for one in ran.of(events.Failed)} == {f"{HERE}no answer"}
    else:
        assert (ran.error.message, ran.finished.exit_code) == (f"{HERE}no answer", 5)


def test_downloads_are_shared_out_and_what_a_limit_adapted_to_goes_on(keys, tmp_path, pool, monkeypatch):
    tune(monkeypatch, task_sessions=1)
    slow = strike_once({key(DAYS[0])}, SLOW_DOWN)
    with loopback.serve(market_objects(DAYS), faults=slow) as server:
        place = Place(tmp_path / "cache", server.endpoint_url, source={"concurrency": 17})
        cluster = Scripted(pool, places=2)
        ran = run(place, cluster)
    assert ran.finished.committed == len(DAYS)
    assert {order.downloads for order in cluster.orders} == {8}
    adapted = [order.adapted for order in cluster.orders]
    assert adapted[0] is None
    assert adapted[-1] is not None
    assert 4 <= adapted[-1] <= 8
    assert ran.of(events.Retrying)
    assert ran.of(events.ConcurrencyChanged)


def test_no_more_tasks_than_downloads_are_under_way(keys, tmp_path, pool, monkeypatch):
    tune(monkeypatch, task_sessions=1)
    with loopback.serve(market_objects(DAYS), faults=lambda request: Latency(0.05)) as server:
        place = Place(tmp_path / "cache", server.endpoint_url, source={"concurrency": 2})
        assert run(place, Scripted(pool, places=50)).finished.committed == len(DAYS)
        assert server.most_at_once <= 2


def test_an_interruption_finishes_what_workers_have_and_begins_nothing_else(place, whole, source, pool):
    async def work(cluster):
        stop, told = anyio.Event(), []

        def script(order, before):
            if len(cluster.orders) > 2:
                return Future()  # nobody has begun it
            return order

        def note(event):
            told.append(event)
            if isinstance(event, events.Committed) and len(cluster.orders) > 2:
                stop.set()

        cluster.script = script
        request = Request(Window(*SPAN), frozenset({"AAPL", "BRK.B", "BACpL", "TRUE"}), dataset=STOCKS_DAY)
        done = await runs.run(place.settings(), [request], note, stop, executor_for=over(cluster))
        return done, told

    cluster = Scripted(pool)
    done, told = anyio.run(work, cluster)
    assert (done.exit_code, done.finished[0].interrupted) == (130, True)
    assert [one for one in told if isinstance(one, events.Stopping)]
    assert len(cluster.orders) < len(DAYS)
    assert held(place) == sorted(one.session for one in told if isinstance(one, events.Committed))
    assert place.run(*SPAN).finished.committed == len(DAYS)
    assert_whole(place, whole)


@pytest.mark.timeout(20)
def test_a_second_interruption_waits_for_nobody(place, pool):
    """The task group is cancelled while calls are under way that never end."""
    never = [Future() for _ in DAYS]
    cluster = Scripted(pool, lambda order, before: never[len(cluster.orders) - 1])

    async def work():
        request = Request(Window(*SPAN), frozenset({"AAPL"}), dataset=STOCKS_DAY)
        with anyio.CancelScope() as scope:

            def note(event):
                if len(cluster.orders) == 2:
                    scope.cancel()

            await runs.run(place.settings(), [request], note, anyio.Event(), executor_for=over(cluster))
        return scope.cancelled_caught

    assert anyio.run(work)
    assert all(one.cancelled() for one in never[:2])


def test_a_commit_that_fails_ends_the_workers_tasks(place, pool, monkeypatch):
    def broken(*_):
        raise CacheError("the disk is full")

    monkeypatch.setattr("ingest.pipeline.committer._record", broken)
    ran = run(place, Scripted(pool), fails=CacheError)
    assert ran.error.message == "the disk is full"


def test_no_key_travels_in_a_task_or_comes_back(place, pool):
    cluster = Scripted(pool)
    run(place, cluster)
    for order in cluster.orders:
        assert b"secret-of-the-loopback" not in pickle.dumps(order)
        assert b"credentials" not in pickle.dumps(order)


def test_what_comes_back_is_small_and_without_what_the_coordinator_knows(place, pool):
    """A list of many tickers goes to a worker once a task, and does not come back with each session."""
    tracked = frozenset(f"O:SPY{number:09}" for number in range(5_000))
    answers = []

    def script(order, before):
        answers.append((len(pickle.dumps(order)), len(pickle.dumps(answer := hand.work(order)))))
        call = Future()
        call.set_result(answer)
        return call

    run(place, Scripted(pool, script), tracked=tracked)
    assert all(sent < 2 * len(pickle.dumps(tracked)) and came < 20_000 for sent, came in answers)


@pytest.mark.parametrize("what", ["nothing", "a text", "no session", "another session"])
def test_what_is_not_the_answer_to_a_task_ends_the_run_with_4_and_nothing_counts_as_done(place, whole, pool, what):
    """As an executor of the caller's own may do that swallows results, or mixes them up."""

    def script(order, before):
        if days_of(order) != [DAYS[1]]:
            return order
        answer, call = hand.work(order), Future()
        other = replace(answer.outcomes[0], session=DAYS[2])
        lies = {"nothing": None, "a text": "done", "no session": replace(answer, outcomes=())}
        call.set_result(lies.get(what, replace(answer, outcomes=(other,))))
        return call

    ran = run(place, Scripted(pool, script), fails=EngineLost)
    assert (ran.error.exit_code, "not the answer" in ran.error.message) == (4, True)
    assert DAYS[1] not in held(place)
    assert place.run(*SPAN).error is None
    assert_whole(place, whole)


@pytest.mark.parametrize("executions", [1, 2])
def test_a_refused_file_that_is_answered_twice_is_kept_once(keys, tmp_path, pool, monkeypatch, executions):
    """It came by way of the parts; an executor that remembers its tasks gives the very same answer to both calls."""
    tune(monkeypatch, task_sessions=1, engine_tick_s=0.02, backup_after_s=0.3, large=2000, carried_body=1000)
    first, answers = Future(), []

    def script(order, before):
        if days_of(order) != [DAYS[1]]:
            return order
        answers.append(hand.work(order) if before < executions else answers[0])
        if before == 0:
            return first
        first.set_result(answers[0])
        second = Future()
        second.set_result(answers[1])
        return second

    with loopback.serve({**market_objects(DAYS), key(DAYS[1]): market_objects(DAYS)[key(DAYS[1])][:-9]}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        ran = run(place, Scripted(pool, script))
        assert (ran.finished.committed, ran.finished.quarantined) == (len(DAYS) - 1, 1)
    assert len(list((place.root / "quarantine").glob("*"))) == 1
    assert not list((place.root / "spool").rglob("*.part*"))
