"""Slow, stuck, failing and throttled: one file's trouble fails only that file, and only silence ends a run."""

import signal
import subprocess
import sys
import time
from datetime import date

import pytest
from pipeline_kit import Place, key, market_objects, trading_days, window
from tuning_kit import tune

from ingest import events
from ingest.demo.servers import faults, loopback
from ingest.demo.servers.faults import Latency, ResetBefore, Silence, Status, Trickle, too_many_requests
from ingest.errors import SourceUnavailable

DAYS = trading_days(date(2025, 3, 3), 6)
MANY = trading_days(date(2025, 3, 3), 60)
FAILING = MANY[:22]
STUCK = key(DAYS[2])


@pytest.fixture(autouse=True)
def brief(loopback_keys, monkeypatch):
    tune(monkeypatch, shortest_wait_s=0.2, longest_wait_s=0.2, longest_retry_after_s=0.2, tick_s=0.05)


def place_of(server, tmp_path, **source):
    return Place(tmp_path / "cache", server.endpoint_url, source=source)


@pytest.mark.parametrize("size", ["small", "large"])
def test_a_line_that_is_slow_and_never_stops_is_waited_for(tmp_path, monkeypatch, size):
    """No file completes before the source would count as down, and none is written meanwhile."""
    if size == "large":
        tune(monkeypatch, large=1)
    objects = market_objects(DAYS)
    with loopback.serve(objects, bytes_per_s=sum(map(len, objects.values())) / 1.5) as server:
        ran = place_of(server, tmp_path, down_after_s=0.5).run(*window(DAYS))
    assert (ran.finished.exit_code, ran.finished.committed, ran.of(events.Retrying)) == (0, 6, [])


def test_a_file_that_trickles_fails_alone_and_the_next_datasets_are_reached(tmp_path):
    script = faults.strike({STUCK}, Trickle(piece=1, every_s=0.1), times=99)
    with loopback.serve(market_objects(DAYS), faults=script) as server:
        place = place_of(server, tmp_path, down_after_s=2, read_timeout_s=0.3, attempts=2)
        arguments = ("run", "-d", "stocks-day", "-d", "crypto-day", "--start", DAYS[0], "--end", DAYS[-1])
        done = place.here(*arguments, "--json")
        prefixes = [request.query.get("prefix", "") for request in server.requests if not request.key]
    assert done.code == 3
    assert place.state(DAYS[2]) == ("none", "failed")
    assert "too slow" in place.query("SELECT reason FROM sessions WHERE remote = 'failed'")[0][0]
    assert [place.state(day)[0] for day in DAYS if day != DAYS[2]] == ["committed"] * 5
    assert any("crypto" in prefix for prefix in prefixes)


@pytest.mark.parametrize("large", [False, True])
def test_one_file_that_trickles_beside_a_line_of_others_fails_alone(tmp_path, monkeypatch, large):
    if large:
        tune(monkeypatch, large=1)
    script = faults.strike({STUCK}, Trickle(piece=1, every_s=0.1), times=99)
    with loopback.serve(market_objects(DAYS), faults=script) as server:
        ran = place_of(server, tmp_path, read_timeout_s=0.4, attempts=2, down_after_s=5).run(*window(DAYS))
    assert (ran.finished.exit_code, ran.finished.committed, ran.finished.failed) == (3, 5, 1)
    assert [event.session for event in ran.of(events.Failed)] == [DAYS[2]]


def test_a_listing_that_trickles_is_ended_and_asked_for_again(tmp_path):
    script = faults.strike_listing(1, Trickle(piece=1, every_s=0.1))
    with loopback.serve(market_objects(DAYS), faults=script) as server:
        ran = place_of(server, tmp_path, read_timeout_s=0.3).run(*window(DAYS))
    assert (ran.finished.exit_code, ran.finished.committed) == (0, 6)
    assert [(event.session, "too slow" in event.cause) for event in ran.of(events.Retrying)] == [(None, True)]


def test_an_error_that_trickles_is_ended_too(tmp_path):
    def script(request):
        return Trickle(piece=1, every_s=0.1) if request.key == STUCK else None

    with loopback.serve(market_objects(DAYS), forbidden={STUCK}, faults=script) as server:
        ran = place_of(server, tmp_path, read_timeout_s=0.3, attempts=2).run(*window(DAYS))
    assert (ran.finished.exit_code, ran.finished.committed, ran.finished.failed) == (3, 5, 1)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Status(500, "InternalError"), id="500"),
        pytest.param(ResetBefore(), id="reset"),
        pytest.param(Status(503, "SlowDown"), id="503", marks=pytest.mark.long),
        pytest.param(too_many_requests(60), id="retry-after"),
        pytest.param(Silence(100), id="silence", marks=pytest.mark.long),
    ],
)
def test_files_that_always_fail_do_not_keep_the_others_from_being_fetched(tmp_path, fault):
    """All requests for the oldest fail: the others have slots and bytes while these wait."""
    script = faults.strike({key(day) for day in FAILING}, fault, times=99)
    with loopback.serve(market_objects(MANY), faults=script) as server:
        place = place_of(server, tmp_path, attempts=3, down_after_s=2, read_timeout_s=0.5, max_wait_s=30)
        ran = place.run(*window(MANY))
        assert (ran.finished.exit_code, ran.finished.committed, ran.finished.failed) == (3, 38, 22)
        last_try = next(at for at, day in enumerate(ran.gets) if day in FAILING and ran.gets[:at].count(day) == 2)
        assert len(set(ran.gets[:last_try]) - set(FAILING)) >= 3


def test_what_failed_before_is_asked_for_last(tmp_path):
    with loopback.serve(
        market_objects(DAYS), faults=faults.strike({STUCK}, Status(500, "InternalError"), 99)
    ) as server:
        place = place_of(server, tmp_path, attempts=1, concurrency=1)
        place.run(DAYS[0], DAYS[3])
        assert place.run(*window(DAYS)).gets == [DAYS[4], DAYS[5], DAYS[2]]


def test_a_file_that_is_always_reset_and_asked_for_alone_is_that_file_s_trouble(tmp_path):
    """Nothing else would show that the source is alive, so a run asks it."""
    with loopback.serve(market_objects(DAYS), faults=faults.strike({STUCK}, ResetBefore(), times=99)) as server:
        place = place_of(server, tmp_path, attempts=2, down_after_s=1)
        assert place.run(*window(DAYS)).finished.failed == 1
        again = place.run(*window(DAYS))
    assert (again.finished.exit_code, again.finished.failed, set(again.gets)) == (3, 1, {DAYS[2]})


def test_an_outage_longer_than_all_attempts_fails_no_file(tmp_path):
    """Nothing answers: no file is to blame, and all are requested again when the source is back."""
    with loopback.serve(market_objects(DAYS)) as server:
        resets = []

        def script(request):
            if request.key or resets:
                resets.append(request)
            return ResetBefore() if 0 < len(resets) < 30 else None

        server.faults = script
        ran = place_of(server, tmp_path, attempts=2, down_after_s=20).run(*window(DAYS))
    assert (ran.finished.exit_code, ran.finished.committed, ran.finished.failed) == (0, 6, 0)


def test_a_source_that_resets_everything_is_down_and_no_file_is_called_failed(tmp_path):
    with loopback.serve(market_objects(DAYS), faults=lambda request: ResetBefore() if request.key else None) as server:
        listed = []

        def script(request):
            listed.append(request)
            return None if len(listed) == 1 else ResetBefore()

        server.faults = script
        ran = place_of(server, tmp_path, attempts=2, down_after_s=1).run(*window(DAYS), fails=SourceUnavailable)
    assert (ran.finished.exit_code, ran.finished.failed) == (4, 0)
    assert "has not answered for 1 s" in str(ran.error)


def test_a_source_that_asks_for_patience_alone_ends_the_run_in_the_end(tmp_path, monkeypatch):
    tune(monkeypatch, grace_s=0.1)
    script = faults.first_of(lambda request: too_many_requests(60) if request.key else None)
    with loopback.serve(market_objects(DAYS), faults=script) as server:
        place = place_of(server, tmp_path, max_wait_s=0.5)
        ran = place.run(*window(DAYS), fails=SourceUnavailable)
    assert (ran.finished.exit_code, ran.finished.committed) == (4, 0)
    assert "only with errors or requests to slow down" in str(ran.error)
    assert "TooManyRequests" in str(ran.error)


def test_a_dataset_that_cannot_be_listed_does_not_keep_the_others_from_being_fetched(tmp_path):
    def script(request):
        return Status(500, "InternalError") if "crypto" in request.query.get("prefix", "") else None

    with loopback.serve(market_objects(DAYS), faults=script) as server:
        place = place_of(server, tmp_path, attempts=2)
        done = place.here("run", "-d", "crypto-day", "-d", "stocks-day", "--start", DAYS[0], "--end", DAYS[-1])
    assert done.code == 4
    assert [place.state(day)[0] for day in DAYS] == ["committed"] * 6
    assert "crypto-day was skipped" in done.out + done.err


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_process_that_was_stopped_goes_on(tmp_path):
    """As on a suspended laptop or in a paused virtual machine: the process itself was silent."""
    asked = []

    def script(request):
        asked.append(request)
        return Latency(1.5) if request.key == key(DAYS[0]) else None

    with loopback.serve(market_objects(DAYS[:1]), faults=script) as server:
        place = place_of(server, tmp_path, down_after_s=1.2)
        command = place.command("run", "--start", DAYS[0], "--end", DAYS[0])
        with subprocess.Popen(command, env=place.environment(), stderr=subprocess.PIPE, text=True) as process:
            while not any(request.key for request in asked):
                time.sleep(0.02)
            process.send_signal(signal.SIGSTOP)
            time.sleep(1.3)
            process.send_signal(signal.SIGCONT)
            said = process.communicate(timeout=30)[1]
    assert (process.returncode, place.state(DAYS[0])) == (0, ("committed", "listed")), said
