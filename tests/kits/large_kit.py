"""Large files for tests: small ones that count as large, in ranges of 1,000 bytes and pieces of 128."""

import hashlib
import json
from dataclasses import dataclass
from datetime import date

import anyio
from tuning_kit import tune

from ingest.errors import IngestError
from ingest.settings import SourceSettings, tuning
from ingest.sources import downloading, spool
from ingest.sources.base import Body, RemoteObject
from ingest.sources.liveness import Liveness
from ingest.sources.massive.client import connect
from ingest.sources.resilient import Line, ResilientSource

RANGE = 1000
PIECE = 128
DAY = date(2025, 3, 4)


def shrink(monkeypatch):
    """Let every file be large, and waits be short."""
    tune(monkeypatch, longest_wait_s=0.01, large=1, range_bytes=RANGE, written_bytes=PIECE, tell_every_s=0.0)


@dataclass(frozen=True)
class Got:
    """How a download ended."""

    body: Body | None
    error: IngestError | None
    events: list

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


def listed(server, key):
    """An object as listed."""
    body = server.objects[key]
    etag = server._etag(key, body).strip('"')
    return RemoteObject(key, len(body), etag, "2025-03-05T04:00:00.000Z")


def download(server, key, path, **settings):
    """Download one large object into a file, as a run does."""
    return fetch(server.endpoint_url, listed(server, key), path, **settings)


def fetch(endpoint_url, item, path, **settings):
    """Like `download`, for an object with this listing."""
    chosen = {"endpoint_url": endpoint_url, "down_after_s": 20} | settings
    source, seen = SourceSettings(**chosen), []

    async def work():
        async with connect(source, tuning.DEFAULT) as connected:
            line = Line(connected, Liveness(source), tuning.DEFAULT)
            resilient = ResilientSource(line, source, seen.append, anyio.Event())
            async with resilient.watching():
                await resilient.limit.acquire()
                return await downloading.fetch_large(resilient, DAY, item, path)

    try:
        return Got(anyio.run(work), None, seen)
    except IngestError as error:
        return Got(None, error, seen)


def note_of(path):
    return path.with_name(f"{path.name}.json")


def noted(path):
    """Number of bytes recorded as downloaded."""
    if not note_of(path).exists():
        return 0
    _, _, there = json.loads(note_of(path).read_bytes())
    return sum(stop - start for start, stop in there)


def spool_of(place, day):
    return spool.spool_path(place.root / "spool", day)


def asked_for(server, key):
    """First and last byte of each requested part of an object, in order of the parts."""
    asked = [request.conditions.get("range") for request in server.requests if request.key == key]
    return sorted(tuple(map(int, one.removeprefix("bytes=").split("-"))) for one in asked if one)


def whole_ranges(size):
    return [(at, min(at + RANGE, size) - 1) for at in range(0, size, RANGE)]


def tag_of(data):
    return f'"{hashlib.md5(data).hexdigest()}"'
