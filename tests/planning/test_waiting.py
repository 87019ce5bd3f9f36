"""`ingest run --wait`: the run begins once the newest sessions that are due are listed."""

import json
import signal
import subprocess
import sys
from datetime import date

import pytest
from pipeline_kit import Place, key, packed_day, trading_days
from tuning_kit import tune

import ingest
from ingest import events
from ingest.cache import lock
from ingest.demo.servers import faults
from ingest.market.catalogue import STOCKS_DAY, named
from ingest.planning.waiting import newest_due
from ingest.settings.tuning import Tuning
from ingest.settings.values import parse_duration

DAYS = trading_days(date(2025, 3, 3), 5)
DUE = DAYS[-1]
SPAN = ("--start", DAYS[0], "--end", date(2025, 3, 8))
WAITING = ("run", "--json", "--wait", "6h", *SPAN)
SLOW_DOWN = faults.Status(503, "SlowDown")


@pytest.fixture
def place(server, loopback_keys, tmp_path, monkeypatch):
    """A Saturday, whose Friday's file is not there yet; pauses are short."""
    monkeypatch.setattr("ingest.planning.waiting.today", lambda: date(2025, 3, 8))
    tune(monkeypatch, poll_first_s=0.01, poll_longest_s=0.02, longest_wait_s=0.01)
    server.objects.pop(key(DUE))
    return Place(tmp_path / "cache", server.endpoint_url, source={"attempts": 1})


def looks(server, day=DUE, dataset=STOCKS_DAY):
    return sum(not one.key and one.query.get("prefix") == dataset.key(day) for one in server.requests)


def told(done, kind):
    events = [json.loads(line) for line in done.out.splitlines()]
    return [event for event in events if event["kind"] == kind]


def appearing(server, at, before=None):
    """The file appears with the `at`th look; `before` is the fault of those that come earlier."""

    def script(request):
        if request.key or request.query.get("prefix") != key(DUE):
            return None
        if looks(server) >= at:
            server.put(key(DUE), packed_day(DUE))
            return None
        return before

    return script


def test_the_run_begins_once_the_file_is_listed(place, server):
    server.faults = appearing(server, 3)
    done = place.here(*WAITING)
    assert (done.code, done.err) == (0, "")
    waits = told(done, "awaiting")
    assert [(one["dataset"], one["session"], one["cause"]) for one in waits] == [(STOCKS_DAY.name, str(DUE), "")] * 2
    assert all(one["since"] <= one["next"] <= one["until"] for one in waits)
    assert looks(server) == 3
    assert len(told(done, "finished")) == 1
    assert place.state(DUE) == ("committed", "listed")


def test_a_run_from_python_waits_too(place, server):
    server.faults = appearing(server, 3)
    seen = []
    done = ingest.run(start=DAYS[0], end=DUE, wait="6h", config=place.config(), on_event=seen.append)
    assert (done.exit_code, sum(isinstance(one, events.Awaiting) for one in seen), looks(server)) == (0, 2, 3)
    assert place.state(DUE) == ("committed", "listed")


def test_nothing_is_waited_for_that_is_listed_or_stored(place, server):
    server.put(key(DUE), packed_day(DUE))
    done = place.here(*WAITING)
    assert (done.code, looks(server), told(done, "awaiting")) == (0, 1, [])
    again = place.here(*WAITING)
    assert (again.code, looks(server), told(again, "awaiting")) == (0, 1, [])


def test_nothing_is_waited_for_if_the_window_ends_before(place, server):
    done = place.here("run", "--json", "--wait", "6h", "--start", DAYS[0], "--end", DAYS[-2])
    assert (done.code, looks(server), told(done, "awaiting")) == (0, 0, [])


def test_a_dry_run_does_not_wait(place, server):
    assert (place.here(*WAITING, "--dry-run").code, looks(server)) == (0, 0)


def test_the_run_goes_on_with_what_there_is_when_the_time_is_over(place, server, monkeypatch):
    monkeypatch.setattr("ingest.settings.arguments.parse_duration", lambda text: 0.5)
    done = place.here("run", "--wait", "6h", *SPAN)
    assert done.code == 0
    assert done.out.count("waiting for the file of 2025-03-07 (stocks-day) since ") >= 1
    said = (
        "the file of 2025-03-07 (stocks-day) is not there yet; the time is over, so the run goes on with what there is"
    )
    assert done.out.count(said) == 1
    assert place.state(DAYS[-2]) == ("committed", "listed")
    quiet = place.here("run", "--wait", "6h", "--quiet", *SPAN)
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_each_dataset_of_the_run_is_waited_for(place, server):
    crypto = named("crypto-day")
    server.faults = appearing(server, 2)
    server.put(crypto.key(date(2025, 3, 7)), packed_day(DUE))
    done = place.here(*WAITING, "-d", "stocks-day", "-d", "crypto-day", "--dry-run")
    assert done.code == 0
    done = place.here(*WAITING, "-d", "stocks-day", "-d", "crypto-day")
    assert [one["dataset"] for one in told(done, "awaiting")] == [STOCKS_DAY.name]
    assert (looks(server), looks(server, DUE, crypto)) == (2, 1)


def test_faults_that_pass_are_waited_out(place, server):
    server.faults = appearing(server, 3, before=SLOW_DOWN)
    done = place.here(*WAITING)
    assert (done.code, len(told(done, "awaiting"))) == (0, 2)
    assert all("SlowDown" in one["cause"] for one in told(done, "awaiting"))
    assert place.state(DUE) == ("committed", "listed")


def test_refused_keys_end_the_wait_as_they_end_a_run(place, server):
    server.faults = faults.always(faults.Status(403, "InvalidAccessKeyId"))
    done, plain = place.here(*WAITING), place.here("run", "--json", *SPAN)
    assert (done.code, done.err) == (plain.code, plain.err) == (4, done.err)
    assert told(done, "awaiting") == []


def test_the_lock_is_free_while_it_waits(place, server):
    free = []

    def script(request):
        if not request.key and looks(server) < 3:
            with lock.hold(place.root, 0):
                free.append(True)
        return appearing(server, 3)(request)

    server.faults = script
    assert place.here(*WAITING).code == 0
    assert free == [True, True]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_at_once(place, number):
    command = place.command("run", "--json", "--wait", "1d")
    with subprocess.Popen(
        command,
        env=place.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=place.root.parent,
    ) as process:
        try:
            assert json.loads(process.stdout.readline())["kind"] == "awaiting"
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, err) == (130, "")
    assert [json.loads(line)["kind"] for line in out.splitlines()] == ["warning"]


@pytest.mark.parametrize("text", ["", "6", "6 parsecs", "-1h", "0m", "1.5h", "31d", "99999d", "\u0666h"])
def test_a_bad_duration_is_an_error_that_names_the_flag(place, server, text):
    done = place.here("run", f"--wait={text}", *SPAN)
    assert (done.code, len(server.requests)) == (2, 0)
    assert f"--wait {text!r}: must be a duration" in done.err


def test_durations():
    assert [parse_duration(text) for text in ("90m", "6h", "1d", "30d")] == [5400, 21_600, 86_400, 2_592_000]


def test_pauses_grow_to_a_cap_and_ask_a_handful_of_times_an_hour():
    tuning, asked, at, pause = Tuning(), [], 0.0, Tuning().poll_first_s
    while at < 6 * 3600:
        asked.append(at)
        at, pause = at + pause, min(pause * tuning.poll_base, tuning.poll_longest_s)
    assert [sum(3600 * hour <= one < 3600 * (hour + 1) for one in asked) for hour in range(6)] == [5, 4, 4, 4, 4, 4]


def test_the_newest_session_due_is_over_in_new_york():
    assert newest_due(STOCKS_DAY, date(2025, 3, 10)) == date(2025, 3, 7)
    assert newest_due(STOCKS_DAY, date(2025, 3, 8)) == date(2025, 3, 7)
    assert newest_due(STOCKS_DAY, date(2025, 3, 7)) == date(2025, 3, 6)
    assert newest_due(named("crypto-day"), date(2025, 3, 10)) == date(2025, 3, 9)
