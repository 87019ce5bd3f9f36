"""Signals to a running command, and two commands at once."""

import json
import os
import platform
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import date

import pytest
from pipeline_kit import Place, assert_same, key, packed_day, sampled, trading_days, window

from ingest.demo.servers import faults
from ingest.demo.servers.faults import Latency

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

DAYS = trading_days(date(2025, 3, 3), 30)
SPAN = window(DAYS)
PLACES = 4
NEVER = Latency(600)
SOON = {key(day) for day in DAYS[:8]}


def slow(request):
    """The first bytes arrive soon, also that which is asked of the newest; the rest takes some seconds in all, longer
    than even a loaded machine needs to send a signal."""
    if request.key == key(DAYS[-1]) and request.nth == 1:
        return None
    return Latency(0.1 if request.key in SOON else 0.8) if request.key else None


SLOW = faults.first_of(slow)


@pytest.fixture
def place(server, loopback_keys, tmp_path):
    settings = {"concurrency": PLACES, "attempts": 2}
    return Place(tmp_path / "cache", server.endpoint_url, source=settings)


class Command:
    """A run in a process of its own, whose events are read as they arrive."""

    def __init__(self, process):
        self.process = process
        self.events = []

    def until(self, name, count=1):
        """Read events until this one has come so many times."""
        while sum(event["kind"] == name for event in self.events) < count:
            line = self.process.stdout.readline()
            assert line, f"the run ended before its {name}: {self.process.stderr.read()}"
            self.events.append(json.loads(line))

    def end(self):
        """Read to the end; returns the exit code and stderr."""
        self.events += map(json.loads, self.process.stdout)
        return self.process.wait(30), self.process.stderr.read()

    def sessions(self, name):
        return sorted(event["session"] for event in self.events if event["kind"] == name)


@contextmanager
def started(place, *arguments):
    """A command under way: a run of all days, unless another one is named."""
    command = place.command(*(arguments or ("run", "--json", "--start", SPAN[0], "--end", SPAN[1])))
    with subprocess.Popen(
        command,
        env=place.environment(),
        cwd=place.root.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Command(process)
        finally:
            process.kill()


def held(place):
    return sorted(day for (day,) in place.query("SELECT session FROM sessions WHERE held = 'committed'"))


def finish_and_compare(place, server, tmp_path):
    """A second run completes the first; together they leave what one run leaves."""
    server.faults = None
    before = held(place)
    ran = place.run(*SPAN)
    assert (ran.finished.exit_code, ran.finished.committed) == (0, len(DAYS))
    assert sorted(map(str, ran.gets)) == sorted({str(day) for day in DAYS} - set(before))
    whole = Place(tmp_path / "whole", server.endpoint_url)
    whole.run(*SPAN)
    assert_same(place, whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_finishes_what_is_in_flight_and_exits_130(place, server, tmp_path, number):
    server.faults = SLOW
    with started(place) as run:
        run.until("committed", 2)
        run.process.send_signal(number)
        code, said = run.end()
    assert (code, said) == (130, "")
    begun, done = run.sessions("fetch_started"), run.sessions("committed")
    assert done == begun == held(place)
    assert 2 < len(done) < len(DAYS)
    (stopping,) = [event for event in run.events if event["kind"] == "stopping"]
    assert stopping["in_flight"] <= PLACES
    last = run.events[-1]
    assert (last["kind"], last["interrupted"], last["exit_code"]) == ("finished", True, 130)
    assert (last["committed"], last["not_attempted"]) == (len(done), len(DAYS) - len(done))
    assert list(place.csv("AAPL")) == done
    assert place.status().runs[0]["exit_code"] == 130
    finish_and_compare(place, server, tmp_path)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("number", sampled([signal.SIGINT, signal.SIGTERM]))
def test_a_second_signal_ends_at_once_and_leaves_nothing_inconsistent(place, server, tmp_path, number):
    # The newest is the first to be probed with a byte; it is never downloaded.
    held_back = {key(day) for day in DAYS[5:-1]}
    server.faults = faults.first_of(lambda request: NEVER if request.key in held_back else None)
    place.source["read_timeout_s"] = 600
    with started(place) as run:
        run.until("committed", 5)
        run.process.send_signal(number)
        run.until("stopping")  # reported at once, though downloads that do not end take all slots
        run.process.send_signal(number)
        code, said = run.end()
    assert (code, said) == (130, "")
    assert held(place) == [str(day) for day in DAYS[:5]]
    finish_and_compare(place, server, tmp_path)


@pytest.mark.parametrize("number", sampled([signal.SIGINT, signal.SIGTERM]))
def test_a_signal_while_waiting_for_another_attempt_does_not_wait_for_it(place, server, tmp_path, number):
    server.faults = faults.first_of(
        lambda request: faults.too_many_requests(60) if request.key == key(DAYS[1]) else None
    )
    with started(place) as run:
        run.until("retrying")
        run.process.send_signal(number)
        code, said = run.end()
    assert (code, said) == (130, "")
    assert run.sessions("failed") == [str(DAYS[1])]
    assert run.sessions("committed") == held(place)
    assert run.events[-1]["interrupted"] is True
    finish_and_compare(place, server, tmp_path)


@pytest.mark.parametrize("seed", sampled([1, 2]))
def test_a_signal_during_faults_finishes_what_it_can(place, server, tmp_path, seed):
    kinds = [faults.SLOW_DOWN, faults.INTERNAL_ERROR, faults.ResetMidway(2000), faults.ShortBody(), faults.FlipByte(50)]
    server.faults = faults.first_of(faults.some_of(kinds, seed, share=0.4, max_strikes=3), SLOW)
    place.source["attempts"] = 6
    with started(place) as run:
        run.until("retrying", 3)
        run.until("committed")
        run.process.send_signal(signal.SIGINT)
        code, said = run.end()
    assert (code, said) == (130, "")
    begun = sorted(set(run.sessions("fetch_started")))  # twice where the same byte was flipped twice
    assert sorted(run.sessions("committed") + run.sessions("failed")) == begun
    assert run.sessions("committed") == held(place)
    assert len(begun) < len(DAYS)
    finish_and_compare(place, server, tmp_path)


@pytest.mark.timeout(30)
def test_two_signals_during_faults_leave_nothing_inconsistent(place, server, tmp_path):
    held_back = {key(day) for day in DAYS[3:-1]}
    server.faults = faults.first_of(
        lambda request: faults.ResetMidway(2000) if request.key in held_back and request.nth == 1 else None,
        lambda request: NEVER if request.key in held_back else None,
        # Others go on while these wait: of the newest only the probe's byte arrives.
        lambda request: NEVER if request.key == key(DAYS[-1]) and request.nth > 1 else None,
    )
    place.source["read_timeout_s"] = 600
    with started(place) as run:
        run.until("committed", 3)
        run.until("retrying")
        asked_again(server, held_back)
        run.process.send_signal(signal.SIGINT)
        run.until("stopping")
        run.process.send_signal(signal.SIGINT)
        code, said = run.end()
    assert (code, said) == (130, "")
    assert held(place) == [str(day) for day in DAYS[:3]]
    finish_and_compare(place, server, tmp_path)


def asked_again(server, keys):
    """Wait until one of the keys is requested a second time."""
    until(lambda: any(request.key in keys and request.nth == 2 for request in server.requests))


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


HANGING = {
    "a listing": faults.first_of(lambda request: None if request.key else NEVER),
    "a byte asked for": faults.first_of(lambda request: NEVER if request.key == key(DAYS[-1]) else None),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("number", sampled([signal.SIGINT, signal.SIGTERM]))
@pytest.mark.parametrize("script", HANGING.values(), ids=HANGING)
def test_a_signal_while_the_source_is_only_queried_ends_the_run_at_once(place, server, tmp_path, script, number):
    place.run(SPAN[0], DAYS[3])  # what is stored is intact afterwards
    before = place.tiers()
    server.faults, place.source["read_timeout_s"] = script, 600
    seen = len(server.requests)
    with started(place) as run:
        until(lambda: any(script(request) for request in server.requests[seen:]))
        run.process.send_signal(number)
        code, said = run.end()
    assert (code, said) == (130, "")
    last = run.events[-1]
    assert (last["kind"], last["interrupted"], last["exit_code"], last["fetched"]) == ("finished", True, 130, 0)
    assert place.status().runs[0]["exit_code"] == 130
    assert place.tiers() == before
    assert not (place.root / "ingest.lock.json").exists()
    finish_and_compare(place, server, tmp_path)


def test_a_signal_while_a_listing_waits_for_another_attempt_is_no_error_of_the_source(place, server, tmp_path):
    server.faults = faults.first_of(lambda request: None if request.key else faults.too_many_requests(60))
    with started(place) as run:
        run.until("retrying")
        run.process.send_signal(signal.SIGINT)
        code, said = run.end()
    assert (code, said, run.events[-1]["exit_code"]) == (130, "", 130)
    assert [event["kind"] for event in run.events] == ["run_started", "retrying", "finished"]
    finish_and_compare(place, server, tmp_path)


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--dry-run", "--start", SPAN[0], "--end", SPAN[1]),
        ("list", "--start", SPAN[0], "--end", SPAN[1]),
        ("check",),
        ("show", "AAPL", "--start", SPAN[0], "--end", SPAN[1]),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_ctrl_c_ends_a_command_that_waits_for_the_source(place, server, tmp_path, arguments):
    server.faults, place.source["read_timeout_s"] = HANGING["a listing"], 600
    with started(place, *arguments) as command:
        until(lambda: server.requests)
        command.process.send_signal(signal.SIGINT)
        _, said = command.process.communicate(timeout=20)
    assert (command.process.returncode, said) == (130, "")


@pytest.mark.timeout(30)
def test_ctrl_c_during_a_download_of_show_leaves_nothing_inconsistent(place, server, tmp_path):
    held_back = {key(day) for day in DAYS[5:-1]}
    server.faults = faults.first_of(lambda request: NEVER if request.key in held_back else None)
    place.source["read_timeout_s"] = 600
    with started(place, "show", "AAPL", "--start", SPAN[0], "--end", SPAN[1]) as show:
        # Parts exist only after the tables of a new manifest.
        until(lambda: len(list(place.archive.glob("*.csv.gz"))) == 5 == len(held(place)))
        show.process.send_signal(signal.SIGINT)
        _, said = show.process.communicate(timeout=20)
    assert (show.process.returncode, said) == (130, "")
    finish_and_compare(place, server, tmp_path)


IN_A_CALL = """
import importlib, os, signal, sys
module, owner, name, nth = sys.argv.pop(1).split()
owner = getattr(importlib.import_module(module), owner)
calls, original = [], getattr(owner, name)

def struck(*arguments, **named):
    calls.append(True)
    if len(calls) == int(nth):
        os.kill(os.getpid(), signal.SIGINT)
    return original(*arguments, **named)

setattr(owner, name, struck)
from ingest.__main__ import main
main()
"""


def strike(place, call, *arguments):
    """A command that is interrupted at the nth call of a function."""
    return subprocess.run(
        [sys.executable, "-c", IN_A_CALL, call, *map(str, arguments)],
        env=place.environment(),
        cwd=place.root.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("call", "count"), [("ingest.files.batches Batch put 2", 0), ("ingest.reading.export.files durable publish 3", 2)]
)
def test_ctrl_c_during_an_export_leaves_whole_files(place, server, tmp_path, call, count):
    place.run(*SPAN)
    command = ("export", "AAPL", "BRK.B", "TRUE", "--out")
    done = strike(place, call, *command, tmp_path / "out")
    assert (done.returncode, done.stderr) == (130, "")
    assert place.cli(*command, tmp_path / "whole").returncode == 0
    written = sorted((tmp_path / "out").iterdir())
    assert len(written) == count
    assert [(tmp_path / "whole" / path.name).read_bytes() for path in written] == [
        path.read_bytes() for path in written
    ]


def test_ctrl_c_during_an_adoption_keeps_whole_days(place, server, tmp_path):
    theirs = tmp_path / "theirs" / "massive_cache"
    theirs.mkdir(parents=True)
    for day in DAYS[:6]:
        (theirs / f"{day}.csv.gz").write_bytes(packed_day(day))
    done = strike(place, "ingest.cache.commit durable publish 7", "adopt", theirs.parent)
    assert (done.returncode, done.stderr) == (130, "")
    assert len(held(place)) == 3
    assert not (place.root / "ingest.lock.json").exists()
    finish_and_compare(place, server, tmp_path)


IN_AN_IMPORT = """
import os, signal, sys

class Striking:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Striking())
from ingest.__main__ import main
main()
"""


def test_ctrl_c_before_a_command_has_begun_is_no_traceback(place, tmp_path):
    command = [sys.executable, "-c", IN_AN_IMPORT, "status"]
    done = subprocess.run(command, env=place.environment(), cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


IN_A_QUERY = """
import os, signal
from ingest.__main__ import main
from ingest.sources.resilient import ResilientSource

fetch, struck = ResilientSource.fetch, []

async def fetching(source, session, item, *held):  # by now a run has imported all that it needs, and not before
    if not struck:
        struck.append(True)
        from ingest.splitting import parsing
        import polars as pl

        read_rows = parsing.read_rows

        def strike(series):
            os.kill(os.getpid(), signal.SIGINT)
            return series

        def reading(*arguments):
            if len(struck) == 1:
                struck.append(True)
                one = pl.LazyFrame({"a": list(range(10_000))})
                one.select(pl.col("a").map_batches(strike, return_dtype=pl.Int64)).sort("a").collect()
            return read_rows(*arguments)

        parsing.read_rows = reading
    return await fetch(source, session, item, *held)

ResilientSource.fetch = fetching
main()
"""


def test_ctrl_c_in_the_middle_of_a_query_lets_the_query_end(place, server, tmp_path):
    """When polars is imported it sets its own handler, which aborts the query: ours has to be in place."""
    command = [sys.executable, "-c", IN_A_QUERY, "run", "--json", "--start", SPAN[0], "--end", SPAN[1]]
    done = subprocess.run(
        list(map(str, command)), env=place.environment(), cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (130, "")
    assert (events[-1]["kind"], events[-1]["interrupted"]) == ("finished", True)
    assert len(held(place)) == events[-1]["committed"] >= 1
    finish_and_compare(place, server, tmp_path)


def test_a_second_run_fails_and_names_the_holder_of_the_cache(place, server):
    server.faults, place.source["read_timeout_s"] = HANGING["a listing"], 600
    with started(place) as first:
        first.until("run_started")
        second = place.cli("run", "--start", SPAN[0], "--end", SPAN[1])
        assert (second.returncode, second.stdout) == (6, "")
        assert f"pid {first.process.pid} on {platform.node()}" in second.stderr
        assert place.here("status", "--json").code == 0
        first.process.send_signal(signal.SIGINT)
        assert first.end()[0] == 130
    assert not (place.root / "ingest.lock.json").exists()


def test_the_lock_of_a_killed_run_does_not_block(place, server, tmp_path):
    server.faults = SLOW
    with started(place) as run:
        run.until("committed", 2)
        run.process.kill()
        assert run.end()[0] == -signal.SIGKILL
    note = json.loads((place.root / "ingest.lock.json").read_text())
    assert note["pid"] == run.process.pid != os.getpid()
    finish_and_compare(place, server, tmp_path)
    assert not (place.root / "ingest.lock.json").exists()


SILENT = DAYS[5:7]
"""Their bodies break off in silence; all others go on."""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", sampled([signal.SIGINT, signal.SIGTERM]))
def test_a_download_that_went_silent_is_given_up_and_the_others_are_finished(place, server, tmp_path, number):
    silent = {key(day): faults.Silence(after_bytes=500, seconds=600) for day in SILENT}
    server.faults = faults.first_of(lambda request: silent.get(request.key), SLOW)
    place.source["read_timeout_s"] = 600
    with started(place) as run:
        run.until("committed", 7)
        run.process.send_signal(number)
        run.until("stopping")
        run.until("draining")
        code, said = run.end()
    assert (code, said) == (130, "")
    waited_for = [one for event in run.events if event["kind"] == "draining" for one in event["downloads"]]
    assert {one["session"] for one in waited_for} >= set(map(str, SILENT))
    sizes = {str(day): len(packed_day(day)) for day in SILENT}
    for one in waited_for:
        assert one["session"] not in sizes or (one["bytes"], one["of"]) == (500, sizes[one["session"]])
    begun, done = run.sessions("fetch_started"), run.sessions("committed")
    assert done == held(place) == sorted(set(begun) - set(map(str, SILENT)))
    assert run.sessions("failed") == []
    assert (run.events[-1]["interrupted"], run.events[-1]["failed"]) == (True, 0)
    finish_and_compare(place, server, tmp_path)
