"""`ingest demo --engine dask`: a real scheduler and workers, and no process is left of them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cluster import is_gone, until

pytest.importorskip("distributed")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

DEMO = [sys.executable, "-W", "error", "-m", "ingest", "demo", "--months", "1", "--engine", "dask"]
WITHOUT_DASK = """
from ingest.demo.servers import cluster
cluster.available = lambda: False
from ingest.__main__ import main
main()
"""


def dask_of(parent: int) -> list[int]:
    """Processes of Dask with this parent."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            family = (entry / "stat").read_text().rpartition(")")[2].split()[1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b"distributed.cli.dask_" in command and int(family) == parent:
            found.append(int(entry.name))
    return found


def test_without_dask_it_says_what_to_install_before_it_makes_a_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_DASK, *DEMO[5:]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "pip install 'ingest[dask]'" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
@pytest.mark.parametrize("parts", [[], ["--objects"]])
def test_it_runs_on_two_workers_and_leaves_none(tmp_path: Path, parts: list[str]) -> None:
    with subprocess.Popen(
        [*DEMO, *parts], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        found = set[int]()
        while demo.poll() is None:
            found.update(dask_of(demo.pid))
            time.sleep(0.05)
        out, err = demo.communicate()
    assert (demo.returncode, err) == (0, "")
    assert "2 workers" in out
    assert "--engine dask://127.0.0.1:" in out
    assert "Nothing to download" in out
    assert len(found) == 3
    assert all(map(is_gone, found))
    assert (tmp_path / "cache" / "demo" / "data_cache" / "AAPL_1d_data.csv").exists()


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_it_leaves_no_process_behind(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "out.txt"
    with log.open("w") as out:
        demo = subprocess.Popen(DEMO, cwd=tmp_path, stdout=out, stderr=out)
        until(lambda: len(dask_of(demo.pid)) == 3 or demo.poll() is not None, "no cluster was started")
        found = dask_of(demo.pid)
        os.kill(demo.pid, number)
        code = demo.wait(timeout=60)
    assert len(found) == 3
    assert code in (130, 128 + number, -number), log.read_text()
    until(lambda: all(map(is_gone, found)), "a process is left")
