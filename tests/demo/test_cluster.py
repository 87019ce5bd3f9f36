"""The Dask cluster of the demo and of the tests: real processes that end with whoever started them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cluster import cluster_in, is_gone, until

pytest.importorskip("distributed")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

HOLD = """
import os, sys, time
from pathlib import Path
from ingest.demo.servers import cluster
with cluster.serve(Path(sys.argv[1]), 1) as running:
    print(running.scheduler.pid, running.workers[0].pid, running.engine, flush=True)
    time.sleep(60)
"""


def test_no_process_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    environment = os.environ | {"DASK_DISTRIBUTED__COMM__DEFAULT_SCHEME": "tls"}  # a user's own, of other clusters
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", HOLD, tmp_path], env=environment, stdout=subprocess.PIPE, text=True
    ) as parent:
        scheduler, worker, engine = parent.stdout.readline().split()
        assert engine.startswith("dask://127.0.0.1:")
        os.kill(parent.pid, signal.SIGKILL)
    for pid in (int(scheduler), int(worker)):
        until(lambda pid=pid: is_gone(pid), f"{pid} is still there")


@pytest.mark.long
def test_a_nanny_starts_another_worker_for_one_that_was_killed(tmp_path: Path) -> None:
    with cluster_in(tmp_path / "cluster", 1, nanny=True) as cluster:
        (worker,) = cluster.workers
        nanny, first = worker.pids
        worker.signal("kill")
        until(lambda: worker.pids[1:] not in ([], [first]), "no other worker has come")
        assert worker.process.pid == nanny
        pids = worker.pids
    assert all(map(is_gone, pids))
