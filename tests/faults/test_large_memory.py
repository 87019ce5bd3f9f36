"""What four large objects of 200 MB take in memory while they come down together."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from large_kit import listed

from ingest.demo.servers import loopback

SIZE = 200_000_000
KEYS = [f"large {n}" for n in range(4)]
MOST = 80_000_000
"""Bytes that the process may grow by: four times four requests, each with a piece and what aiohttp reads ahead."""

CHILD = """
import sys
from datetime import date
from pathlib import Path
import anyio
from ingest.settings import SourceSettings
from ingest.sources import downloading as spooling
from ingest.sources.resilient import Line, ResilientSource
from ingest.sources.base import RemoteObject
from ingest.sources.liveness import Liveness
from ingest.sources.massive.client import connect

url, folder, size, etag, *keys = sys.argv[1:]
peaks = []

def peak():
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1])

async def one(source, key):
    await source.limit.acquire()
    item = RemoteObject(key, int(size), etag, "")
    body = await spooling.fetch_large(source, date(2025, 3, 4), item, Path(folder, key))
    assert body.size == int(size)

async def work():
    settings = SourceSettings(endpoint_url=url)
    async with connect(settings) as connected:
        source = ResilientSource(Line(connected, Liveness(settings)), settings, lambda event: None, anyio.Event())
        await connected.look_up(RemoteObject(keys[0], int(size), etag, ""))
        peaks.append(peak())
        async with source.watching(), anyio.create_task_group() as group:
            for key in keys:
                group.start_soon(one, source, key)
        peaks.append(peak())

anyio.run(work)
print(*peaks)
"""


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's own")
def test_four_objects_of_200_mb_come_down_together_in_little_memory(loopback_keys, tmp_path):
    data = random.Random(1).randbytes(SIZE)
    with loopback.serve(dict.fromkeys(KEYS, data)) as server:
        etag = listed(server, KEYS[0]).etag
        arguments = [server.endpoint_url, str(tmp_path), str(SIZE), etag, *KEYS]
        done = subprocess.run(
            [sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, timeout=110, check=False
        )
        assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    for name in KEYS:
        assert Path(tmp_path, name).read_bytes() == data
    assert (after - before) * 1024 < MOST
