"""Downloads of large objects that are killed: the next one goes on with what is missing, and with nothing else."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from large_kit import RANGE, download, listed, noted, shrink

from ingest.demo.servers import loopback
from ingest.demo.servers.faults import Latency, Silence

KEY = "large"
DATA = random.Random(1).randbytes(40 * RANGE + 17)
SIZE = len(DATA)
MOST_AT_ONCE = 4

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

CHILD = """
import sys
from pathlib import Path
import pytest
from large_kit import RemoteObject, fetch, shrink
shrink(pytest.MonkeyPatch())
key, size, etag, url, path = sys.argv[1:]
got = fetch(url, RemoteObject(key, int(size), etag, ""), Path(path), read_timeout_s=30)
sys.exit(0 if got.body else str(got.error))
"""


@pytest.fixture(autouse=True)
def small(loopback_keys, monkeypatch):
    shrink(monkeypatch)


@pytest.fixture
def server():
    with loopback.serve({KEY: DATA}) as running:
        yield running


def started(server, path):
    """A process that downloads the object."""
    item = listed(server, KEY)
    arguments = [KEY, str(item.size), item.etag, server.endpoint_url, str(path)]
    return subprocess.Popen([sys.executable, "-c", CHILD, *arguments], cwd=Path(__file__).parents[1] / "kits")


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_download_that_was_killed_is_gone_on_with_and_no_byte_that_was_there_comes_again(server, tmp_path):
    path = tmp_path / "x.part"
    server.faults = lambda request: Silence(RANGE // 2) if request.nth > 9 else None
    process = started(server, path)
    while noted(path) < 9 * RANGE + MOST_AT_ONCE * RANGE // 2:
        assert process.poll() is None
        time.sleep(0.01)
    kill(process)
    server.faults, before, there = None, server.sent[KEY], noted(path)
    got = download(server, KEY, path)
    assert path.read_bytes() == DATA
    assert got.body
    assert server.sent[KEY] - before == SIZE - there < 30 * RANGE


@pytest.mark.long
def test_a_download_that_is_killed_at_any_time_again_and_again_ends_and_wastes_little(server, tmp_path):
    path, dice, kills = tmp_path / "x.part", random.Random(3), 0
    server.faults = lambda request: Latency(0.02)
    while True:
        process, asked = started(server, path), len(server.requests)
        while len(server.requests) == asked and process.poll() is None:
            time.sleep(0.005)
        try:
            assert process.wait(dice.uniform(0, 0.15)) == 0
        except subprocess.TimeoutExpired:
            kill(process)
            kills += 1
        else:
            break
    assert path.read_bytes() == DATA
    assert kills >= 3
    assert server.sent[KEY] <= SIZE + kills * MOST_AT_ONCE * RANGE
