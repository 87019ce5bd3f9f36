"""Processes of this computer as workers: killed, stopped, interrupted; and what of all this a local run imports."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import date

import pytest
from anyio import BrokenWorkerProcess
from deadly import DEADLY, die, pid, wait_for, work_or_die
from engine_kit import elsewhere, keys_everywhere, over
from pipeline_kit import LONG, Place, assert_same, key, market_objects, trading_days, window
from tuning_kit import tune

from ingest import events
from ingest.demo.servers import loopback
from ingest.demo.servers.faults import Latency
from ingest.engines.processes import Processes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

DAYS = trading_days(date(2025, 3, 3), 8)
SPAN = window(DAYS)


@pytest.fixture(scope="module", autouse=True)
def keys(tmp_path_factory):
    with keys_everywhere(tmp_path_factory.mktemp("keys")):
        yield


@pytest.fixture(scope="module")
def processes(keys):
    running = Processes(2)
    yield running
    running.close()


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "waiting"
    path.mkdir()
    return path


def waiting(folder, count):
    """The processes that wait there, once there are so many."""
    while len(found := list(folder.iterdir())) < count:
        time.sleep(0.01)
    return [int(one.name) for one in found]


def let_go(folder):
    for one in folder.iterdir():
        one.unlink()
    folder.rmdir()


def test_a_process_that_is_killed_ends_its_own_call_and_no_other(processes, folder):
    other = processes.submit(wait_for, str(folder))
    (alive,) = waiting(folder, 1)
    with pytest.raises(BrokenWorkerProcess) as caught:
        processes.submit(die, 0).result(20)
    assert processes.deaths(caught.value) == 1
    assert processes.deaths(OSError()) == 0
    assert processes.submit(pid, 0).result(20) != alive
    let_go(folder)
    assert other.result(20) == alive


def test_a_call_that_is_cancelled_kills_its_process_even_if_that_is_stopped(processes, folder):
    call = processes.submit(wait_for, str(folder))
    (number,) = waiting(folder, 1)
    os.kill(number, signal.SIGSTOP)
    assert call.cancel()
    while True:
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            break
        time.sleep(0.01)
    assert processes.submit(pid, 0).result(20) != number


def test_only_a_call_that_has_not_begun_is_recalled(processes, folder):
    calls = [processes.submit(wait_for, str(folder)) for _ in range(2)]
    waiting(folder, 2)
    third = processes.submit(pid, 0)
    assert [processes.recall(one) for one in calls] == [False, False]
    assert processes.recall(third)
    let_go(folder)
    assert len({one.result(20) for one in calls}) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_interrupts_a_run_does_not_interrupt_its_workers(processes, folder, number):
    call = processes.submit(wait_for, str(folder))
    (worker,) = waiting(folder, 1)
    os.kill(worker, number)
    let_go(folder)
    assert call.result(20) == worker


class Deadly(Processes):
    def submit(self, work, task, beside=None):
        return super().submit(work_or_die, task, beside)


@LONG
def test_a_session_that_kills_its_process_fails_and_all_others_are_committed(tmp_path, monkeypatch):
    tune(monkeypatch, task_sessions=2)
    with loopback.serve(market_objects(DAYS)) as server:
        place, whole = (Place(tmp_path / name, server.endpoint_url) for name in ("there", "whole"))
        cluster = Deadly(2)
        try:
            with elsewhere(over(cluster)):
                ran = place.run(*SPAN)
        finally:
            cluster.close()
        assert [str(one.session) for one in ran.of(events.Failed)] == [DEADLY]
        assert (ran.finished.exit_code, ran.finished.committed) == (3, len(DAYS) - 1)
        assert place.run(*SPAN).finished.fetched == 1
        whole.run(*SPAN)
    assert_same(place, whole)


def started(place, **environment):
    command = place.command("run", "--json", "--engine", "processes", "--start", SPAN[0], "--end", SPAN[1])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        command, env=place.environment(**environment), cwd=place.root.parent, start_new_session=True, **pipes
    )


def test_ctrl_c_reaches_all_processes_and_ends_the_run_with_what_they_had(tmp_path, folder):
    """A terminal sends the signal to the whole group. No temporary file is left, though the processes are killed."""
    with loopback.serve(market_objects(DAYS), faults=lambda one: Latency(0.5) if one.key else None) as server:
        place = Place(tmp_path / "there", server.endpoint_url, source={"concurrency": 1})
        with started(place, TMPDIR=str(folder)) as run:
            while not server.sent[key(DAYS[0])] > 1:  # the first byte is the probe's
                time.sleep(0.02)
            os.killpg(run.pid, signal.SIGINT)
            told = [json.loads(line) for line in run.stdout]
            assert (run.wait(30), run.stderr.read()) == (130, "")
        assert list(folder.iterdir()) == []
        assert told[-1]["interrupted"] is True
        assert told[-1]["committed"] == len(DAYS)  # one task had them all
        server.faults = None
        whole = Place(tmp_path / "whole", server.endpoint_url)
        whole.run(*SPAN)
    assert_same(place, whole)


@LONG
def test_killed_processes_cost_nothing_but_time(tmp_path):
    """The command's own workers are killed one after the other while it runs."""
    with loopback.serve(market_objects(DAYS), faults=lambda one: Latency(0.3) if one.key else None) as server:
        place, whole = (Place(tmp_path / name, server.endpoint_url) for name in ("there", "whole"))
        with started(place) as run:
            killed = 0
            while killed < 2 and run.poll() is None:
                for child in children(run.pid):
                    os.kill(child, signal.SIGKILL)
                    killed += 1
                time.sleep(1.5)
            told = [json.loads(line) for line in run.stdout]
            assert (run.wait(60), killed) == (0, 2)
        assert told[-1]["committed"] == len(DAYS)
        server.faults = None
        whole.run(*SPAN)
        assert place.run(*SPAN).finished.fetched == 0
    assert_same(place, whole)


def children(parent):
    found = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True).stdout
    return [int(one) for one in found.split()][:1]


_IMPORTED = """
import sys
from ingest.__main__ import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
sys.stderr.write(" ".join(sorted(sys.modules)))
"""


def test_a_local_run_imports_nothing_of_engines(tmp_path):
    with loopback.serve(market_objects(DAYS[:1])) as server:
        place = Place(tmp_path / "here", server.endpoint_url)
        day = str(DAYS[0])
        done = place.ended([sys.executable, "-c", _IMPORTED, "run", "--start", day, "--end", day])
    assert done.returncode == 0, done.stderr
    of_engines = ("ingest.engines", "distributed", "dask", "obstore", "concurrent.futures.process")
    assert [name for name in done.stderr.split() if name.startswith(of_engines)] == []
    assert place.state(DAYS[0]) == ("committed", "listed")


@LONG
def test_a_script_that_begins_a_run_without_a_guard_is_told_so(tmp_path):
    """Each process imports the script, as those of `multiprocessing` do: it would begin a run of its own."""
    with loopback.serve(market_objects(DAYS[:1])) as server:
        place = Place(tmp_path / "here", server.endpoint_url)
        script = tmp_path / "unguarded.py"
        day = f"{DAYS[0]}"
        script.write_text(
            f"import ingest\ningest.run(start={day!r}, end={day!r}, engine='processes', progress=False)\n"
        )
        done = place.ended([sys.executable, str(script)])
    assert done.returncode == 1
    assert "processes of this computer: one cannot be started: " in done.stderr
    assert 'below `if __name__ == "__main__":`' in done.stderr
