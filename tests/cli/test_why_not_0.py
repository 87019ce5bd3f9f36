"""`ingest run --quiet`: each way to end with a code other than 0 says why on stderr, and 0 says nothing."""

import os
import signal
import sys
from datetime import date
from threading import Timer

import pytest
from pipeline_kit import Place, flat, key, packed_day
from runs_kit import DAYS, SPAN

from ingest.cli.commands.fetching import run as command
from ingest.demo.files.market import pack
from ingest.demo.servers import faults
from ingest.planning.request import Flags

QUIET = ("run", "--quiet", "--start", str(SPAN[0]), "--end", str(SPAN[1]))
SIGNALS = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture
def place(server, tmp_path):
    return Place(tmp_path / "cache", server.endpoint_url, source={"attempts": 1, "down_after_s": 1})


def why(told):
    assert told.out == ""
    return told.code, told.err.splitlines()[-1:]


def test_all_is_well(place):
    assert why(place.here(*QUIET)) == (0, [])


def test_files_refused_by_this_run_and_by_earlier_ones(place, server):
    server.put(key(DAYS[0]), b"nonsense")
    first = place.here(*QUIET)
    ends = (3, ["stocks-day: ended with 3: 1 session quarantined (see `ingest quarantine list`)"])
    assert (why(first), first.err.count(str(DAYS[0]))) == (
        ends,
        3,
    )  # the day, the path of its bytes, and how to see more
    assert why(place.here(*QUIET)) == ends
    place.here("quarantine", "dismiss", DAYS[0])
    assert why(place.here(*QUIET)) == (0, [])


def test_sessions_that_failed_and_that_are_damaged(place, server):
    place.run(*SPAN)
    place.part(DAYS[0]).unlink()
    server.put(key(DAYS[1]), pack(flat([("AAPL", "1"), ("MSFT", "2")])))
    failing = {key(day) for day in DAYS[:2]}
    server.faults = faults.first_of(lambda request: faults.Status(500) if request.key in failing else None)
    told = why(place.here(*QUIET))
    assert told == (3, ["stocks-day: ended with 3: 2 sessions failed (retried by the next run)"])
    server.faults = None
    del server.objects[key(DAYS[0])]
    server.put(key(DAYS[1]), packed_day(DAYS[1]))
    damaged = "stocks-day: ended with 3: 1 session stored but damaged (see `ingest verify`)"
    assert why(place.here(*QUIET)) == (3, [damaged])


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_source_without_files(place, server, more):
    server.objects.clear()
    told = place.here(*QUIET, *more)
    assert (told.code, "lists no file of stocks-day for any year" in told.err) == (3, True)


def test_one_dataset_of_two_that_is_skipped(place, server):
    crypto = faults.first_of(lambda request: faults.Status(500) if "crypto" in str(request.query) else None)
    server.faults = crypto
    told = place.here(*QUIET, "-d", "stocks-day", "-d", "crypto-day")
    assert (told.code, "crypto-day was skipped: " in told.err) == (4, True)


@pytest.mark.parametrize(
    ("code", "arguments", "environment"),
    [
        (2, ("-d", "no-such"), {}),
        (2, (), {"INGEST_SOURCE__CONCURRENCY": "x"}),
        (4, (), {"INGEST_SOURCE__ENDPOINT_URL": "http://127.0.0.1:9"}),
    ],
    ids=["a dataset", "a setting", "a source that is down"],
)
def test_errors(place, code, arguments, environment):
    done = place.here("run", "--quiet", *arguments, **environment)
    assert (done.code, done.out, done.err.startswith("error: ")) == (code, "", True)


def test_a_flag(place):
    done = place.cli("run", "--quiet", "--months", "0")
    assert (done.returncode, done.stdout, "--months" in done.stderr) == (2, "", True)


def test_a_cache_that_cannot_be_used(place):
    place.run(*SPAN)
    (place.root / "manifest.sqlite").write_bytes(b"x" * 5000)
    assert why(place.here(*QUIET))[1][0].startswith("error: the manifest ")


@SIGNALS
def test_an_interruption_that_finishes_what_is_in_flight(place, server):
    struck = []

    def script(request):
        if request.key == key(DAYS[0]) and not struck:
            struck.append(True)
            os.kill(os.getpid(), signal.SIGINT)
        return

    server.faults = script
    said = "stocks-day: Interrupted: what was in flight is committed. Run again to continue."
    assert why(place.here(*QUIET)) == (130, [said])


@SIGNALS
def test_an_interruption_that_ends_at_once(server, tmp_path):
    place = Place(tmp_path / "cache", server.endpoint_url)
    struck = []

    def script(request):
        if request.key != key(DAYS[0]):
            return None
        if not struck:
            struck.append(True)
            os.kill(os.getpid(), signal.SIGINT)
            Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        return faults.Latency(600)

    server.faults = script
    assert why(place.here(*QUIET)) == (130, ["interrupted: what was committed stays. Run again to continue"])


@SIGNALS
def test_an_interruption_while_a_run_waits_for_files(place, server, monkeypatch):
    monkeypatch.setattr("ingest.planning.waiting.today", lambda: date(2025, 6, 3))

    def script(request):
        os.kill(os.getpid(), signal.SIGINT)
        return faults.Latency(2)

    server.faults = script
    told = place.here("run", "--quiet", "--wait", "6h", "--start", "2025-05-01", "--end", "2025-06-03")
    assert why(told) == (130, ["interrupted: what was committed stays. Run again to continue"])


def test_an_interruption_of_a_dry_run(place, tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    for name, value in place.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "preview", interrupted)
    with pytest.raises(KeyboardInterrupt):
        command.run_command(Flags(), (), None, dry_run=True, json=False, quiet=True)
    assert capsys.readouterr() == ("", "interrupted: what was committed stays. Run again to continue\n")
