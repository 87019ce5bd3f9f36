"""A large object comes down in ranges, whatever happens on the way, and goes on from where it stopped."""

import json
import os
import random
from collections import Counter

import anyio
import pytest
from large_kit import (
    DAY,
    PIECE,
    RANGE,
    asked_for,
    download,
    fetch,
    listed,
    note_of,
    noted,
    shrink,
    tag_of,
    whole_ranges,
)
from pipeline_kit import LONG
from tuning_kit import tune

from ingest import events
from ingest.demo.servers import faults, loopback
from ingest.demo.servers.faults import (
    INTERNAL_ERROR,
    SLOW_DOWN,
    FlipByte,
    Heedless,
    LongBody,
    ResetBefore,
    ResetMidway,
    Shifted,
    ShortBody,
    ShortLength,
    Silence,
    Status,
    XmlError200,
)
from ingest.errors import Disrupted, Forbidden, NotFound, Stopped, Throttled
from ingest.settings import SourceSettings, tuning
from ingest.sources import downloading
from ingest.sources.base import RemoteObject
from ingest.sources.liveness import Liveness
from ingest.sources.massive.client import connect
from ingest.sources.resilient import Line, ResilientSource

KEY = "large"
DATA = random.Random(1).randbytes(5300)
OTHER = random.Random(2).randbytes(5700)
SIZE = len(DATA)
THREE = 2 * RANGE + SIZE % RANGE
"""Bytes of three ranges, the shorter last one among them."""

FAULTS = {
    "SlowDown": SLOW_DOWN,
    "internal error": INTERNAL_ERROR,
    "reset before": ResetBefore(),
    "reset midway": ResetMidway(after_bytes=300),
    "reset at once": ResetMidway(after_bytes=0),
    "short body": ShortBody(by=400),
    "short body by a byte": ShortBody(by=1),
    "short length": ShortLength(by=400),
    "nothing at all": ShortLength(by=10_000),
    "a byte too many": LongBody(by=1),
    "far too many bytes": LongBody(by=10_000),
    "another part": Shifted(by=1),
    "flipped": FlipByte(at=100),
    "error under status 200": XmlError200(),
    "silence midway": Silence(after_bytes=300),
    "no such range": Status(416, "InvalidRange"),
    "precondition failed": Status(412, "PreconditionFailed"),
    "all of it": Heedless(("range",)),
}


RARELY = {"SlowDown", "internal error", "reset at once", "short body by a byte", "nothing at all", "far too many bytes"}
"""Those that take another way than the others in few places: tried by the long run."""


def often(cases, rarely):
    """The cases by their names, those that are tried rarely with the mark of the long run."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else [case]), id=name, marks=[LONG] if name in rarely else [])
        for name, case in cases.items()
    ]


@pytest.fixture(autouse=True)
def small(loopback_keys, monkeypatch):
    shrink(monkeypatch)


@pytest.fixture
def server():
    with loopback.serve({KEY: DATA}) as running:
        yield running


@pytest.fixture
def path(tmp_path):
    return tmp_path / "spool" / "2025-03-04.csv.gz.part"


def assert_got(got, path, data=DATA):
    assert got.error is None
    assert path.read_bytes() == data
    assert (got.body.path, got.body.size, got.body.data) == (path, len(data), b"")


def test_its_ranges_are_asked_for_once_each_on_condition_that_it_is_the_same_object(server, path):
    got = download(server, KEY, path)
    assert_got(got, path)
    assert (got.body.etag, got.body.etag_is_md5) == (tag_of(DATA).strip('"'), True)
    assert asked_for(server, KEY) == whole_ranges(SIZE)
    asked = [request.conditions for request in server.requests]
    assert {(one["if-match"], one["if-range"]) for one in asked} == {(tag_of(DATA), tag_of(DATA))}


def test_progress_is_told_and_never_goes_back(server, path):
    told = download(server, KEY, path).of(events.Downloading)
    assert [event.bytes for event in told] == sorted(event.bytes for event in told)
    assert (told[-1].bytes, {(event.of, event.resumed) for event in told}) == (SIZE, {(SIZE, 0)})


@pytest.mark.parametrize("fault", often(FAULTS, RARELY))
def test_a_fault_that_passes_leaves_no_trace(server, path, fault):
    server.faults = lambda request: fault if request.nth in (1, 2, 5) and request.conditions else None
    got = download(server, KEY, path, read_timeout_s=0.3 if isinstance(fault, Silence) else 30)
    assert_got(got, path)
    assert got.body.etag_is_md5


LASTING = {
    "throttled": (SLOW_DOWN, Throttled),
    "reset": (ResetMidway(0), Disrupted),
    "nothing": (ShortLength(10_000), Disrupted),
    "too much": (LongBody(), Disrupted),
    "elsewhere": (Shifted(), Disrupted),
    "never the same": (Status(412, "PreconditionFailed"), Disrupted),
}


@pytest.mark.parametrize(("fault", "error"), often(LASTING, {"throttled", "nothing", "elsewhere"}))
def test_a_fault_that_stays_fails_it_and_what_came_before_is_not_asked_for_again(server, path, fault, error):
    server.faults = lambda request: fault if request.nth > 3 and request.conditions else None
    got = download(server, KEY, path, attempts=2, concurrency=1)
    assert type(got.error) is error
    server.faults, before, there = None, Counter(asked_for(server, KEY)), noted(path)
    again = download(server, KEY, path)
    assert_got(again, path)
    assert again.of(events.Fetched)[0].resumed == there
    # Counted by what was asked for; a question that the first one gave up may come to the server only now.
    asked = Counter(asked_for(server, KEY)) - before
    assert sum(last - first + 1 for first, last in asked.elements()) - (SIZE - there) in (0, RANGE)
    if fault != Status(412, "PreconditionFailed"):  # which says that it is another object
        assert there >= THREE


@pytest.mark.parametrize(
    "after",
    [0, 1, PIECE, RANGE - 1, *(pytest.param(one, marks=pytest.mark.long) for one in range(2, RANGE, 61))],
)
def test_a_range_goes_on_from_the_byte_where_it_broke_off(server, path, after):
    """Each part breaks off, and most of the rests again, in good order, so that all that is sent comes."""
    broken = set()

    def script(request):
        first, last = map(int, request.conditions["range"].removeprefix("bytes=").split("-"))
        if (first, last) in broken or last - first < after or len(broken) > 40:
            return None
        broken.add((first, last))
        return ShortBody(by=last - first + 1 - after)

    server.faults = script
    assert_got(download(server, KEY, path, attempts=20), path)
    assert len(broken) >= 5
    assert server.sent[KEY] == SIZE


@pytest.mark.parametrize(
    "heedless",
    [(), ("if-match",), ("if-range",), ("if-match", "if-range")],
    ids=lambda of: "without " + ", ".join(of) if of else "heeds all",
)
@pytest.mark.parametrize(
    "other",
    [OTHER, b"", *(pytest.param(one, marks=pytest.mark.long) for one in (OTHER[:100], DATA[:-1]))],
    ids=["longer", "empty", "short", "cut"],
)
def test_an_object_that_is_replaced_between_its_ranges_is_never_mixed(server, path, heedless, other):
    def replace(request):
        if request.nth == 3:
            server.put(KEY, other)
        return Heedless(heedless)

    server.faults = replace
    got = download(server, KEY, path)
    assert_got(got, path, other)
    assert got.body.etag == tag_of(other).strip('"')


@pytest.mark.parametrize("size", [SIZE + 1, SIZE - 1, SIZE + 4 * RANGE], ids=["longer", "shorter", "by whole ranges"])
def test_another_total_under_the_same_etag_is_another_object_and_never_mixed(server, path, size):
    """An ETag that is no md5 may stay, and a session fails: the next listing has the new size."""
    other = random.Random(3).randbytes(size)
    server.put(KEY, DATA, etag="0123-2")

    def replace(request):
        if request.nth == 3:
            server.put(KEY, other, etag="0123-2")

    server.faults = replace
    got = download(server, KEY, path, concurrency=1, attempts=2)
    assert type(got.error) is Disrupted
    assert f"{size:,} bytes" in str(got.error)
    assert_got(download(server, KEY, path), path, other)


def test_an_object_that_is_replaced_all_the_time_is_given_up(server, path):
    def replace(request):
        if request.nth % 2 == 0:
            server.put(KEY, OTHER[: 5000 + request.nth])

    server.faults = replace
    assert type(download(server, KEY, path, attempts=3).error) is Disrupted


def test_an_object_that_has_grown_beyond_measure_is_not_fetched(server, path, monkeypatch):
    tune(monkeypatch, most_grown=5000)
    item = listed(server, KEY)
    server.put(KEY, OTHER * 20)
    got = fetch(server.endpoint_url, item, path, attempts=2)
    assert type(got.error) is Disrupted
    assert "not what was listed" in str(got.error)


def test_a_source_that_sends_less_at_once_than_is_asked_for_is_asked_on(server, path):
    server.faults = faults.always(faults.Capped(70))
    got = download(server, KEY, path, attempts=1)
    assert_got(got, path)
    assert (got.of(events.Retrying), server.sent[KEY]) == ([], SIZE)


def test_a_source_that_ignores_ranges_is_read_whole(server, path):
    server.faults = faults.always(Heedless(("range",)))
    assert_got(download(server, KEY, path), path)


def test_a_source_that_ignores_ranges_and_breaks_off_is_read_on_from_there(server, path, monkeypatch):
    """The bytes before are sent again, and passed over."""
    heeded = loopback._heeded
    monkeypatch.setattr(loopback, "_heeded", lambda request, fault: heeded(request, Heedless(("range",))))
    server.faults = lambda request: ShortBody(by=4000 - 500 * request.nth) if request.nth < 8 else None
    got = download(server, KEY, path, attempts=10)
    assert_got(got, path)
    there = [event.bytes for event in got.of(events.Downloading)]
    assert there == sorted(set(there))


@pytest.mark.parametrize("etag", ["0123-2", "W/x", "", "a b"])
def test_a_source_that_misunderstands_if_match_is_asked_without(server, path, etag):
    server.put(KEY, DATA, etag=etag)
    server.faults = lambda request: Status(412, "PreconditionFailed") if "if-match" in request.conditions else None
    assert_got(download(server, KEY, path), path)


def test_bytes_that_are_the_same_twice_over_are_believed_over_an_etag_like_an_md5(server, path):
    server.put(KEY, DATA, etag="d41d8cd98f00b204e9800998ecf8427e")
    got = download(server, KEY, path)
    assert_got(got, path)
    assert not got.body.etag_is_md5
    assert server.sent[KEY] == 2 * SIZE


@pytest.mark.parametrize("error", [Forbidden, NotFound])
def test_one_that_is_refused_or_gone_on_its_way_is_not_asked_for_again(server, path, error):
    def refuse(request):
        if request.nth == 3:
            server.forbidden.update({KEY} if error is Forbidden else ())
            server.objects.pop(KEY) if error is NotFound else None

    server.faults = refuse
    got = download(server, KEY, path)
    assert type(got.error) is error
    assert got.of(events.Retrying) == []


def half_done(server, path):
    """A download that is given up half-way."""
    server.faults = lambda request: INTERNAL_ERROR if request.nth > 3 else None
    assert download(server, KEY, path, attempts=1, concurrency=1).error
    server.faults = None
    assert noted(path) >= THREE


@pytest.mark.parametrize("spoil", ["zeros", "said to be whole", "longer"])
def test_what_is_not_what_the_note_says_costs_a_download_and_nothing_else(server, path, spoil):
    half_done(server, path)
    match spoil:
        case "zeros":  # as a crash of the machine may leave it
            path.write_bytes(bytes(path.stat().st_size))
        case "said to be whole":
            os.truncate(path, SIZE)
            etag, size, _ = json.loads(note_of(path).read_bytes())
            note_of(path).write_text(json.dumps([etag, size, [[0, size]]]))
        case "longer":
            path.write_bytes(path.read_bytes() + bytes(SIZE))
    assert_got(download(server, KEY, path), path)


def test_what_is_there_whole_is_not_asked_for_at_all(server, path):
    download(server, KEY, path)
    asked = len(server.requests)
    got = download(server, KEY, path)
    assert_got(got, path)
    assert len(server.requests) == asked
    assert got.of(events.Fetched)[0].resumed == SIZE


def test_a_source_that_is_slow_and_never_silent_is_not_down(path):
    """Each piece is a sign of life, not only the end of a range."""

    class Slow:
        requests = 0

        async def fetch_stretch(self, item, stretch, write, alone):
            for at in range(stretch.start, stretch.stop, 200):
                await anyio.sleep(0.15)
                await write(at, DATA[at : min(at + 200, stretch.stop)])

    async def work():
        settings = SourceSettings(down_after_s=0.3, concurrency=1)
        source = ResilientSource(Line(Slow(), Liveness(settings)), settings, lambda event: None, anyio.Event())
        async with source.watching():
            await source.limit.acquire()
            return await downloading.fetch_large(source, DAY, RemoteObject(KEY, RANGE, "0-2", ""), path)

    assert anyio.run(work).size == RANGE
    assert path.read_bytes() == DATA[:RANGE]


@pytest.mark.parametrize(("concurrency", "at_once"), [(2, 2), (64, 4)])
def test_a_few_ranges_are_under_way_at_once_as_the_limit_on_downloads_allows(server, path, concurrency, at_once):
    server.faults = faults.always(faults.Latency(0.02))
    assert_got(download(server, KEY, path, concurrency=concurrency), path)
    assert server.most_at_once == at_once


def test_a_stopped_download_waits_for_its_ranges_except_for_the_silent_one(server, path, monkeypatch):
    tune(monkeypatch, tick_s=0.01, silent_when_stopping_s=0.3)
    second = f"bytes={RANGE}-{2 * RANGE - 1}"
    server.faults = lambda request: Silence(100, 600) if request.conditions.get("range") == second else None
    source, seen, item = SourceSettings(endpoint_url=server.endpoint_url), [], listed(server, KEY)

    async def work():
        async with connect(source, tuning.DEFAULT) as connected:
            line, stop = Line(connected, Liveness(source, tuning.DEFAULT), tuning.DEFAULT), anyio.Event()
            resilient = ResilientSource(line, source, seen.append, stop)
            async with resilient.watching(), anyio.create_task_group() as group:
                group.start_soon(stopped, resilient, path)
                await resilient.limit.acquire()
                with pytest.raises(Stopped):
                    await downloading.fetch_large(resilient, DAY, item, path)
                assert resilient.pending() == ()

    anyio.run(work)
    assert noted(path) == SIZE - RANGE + 100
    server.faults, sent = None, len(server.requests)
    assert_got(download(server, KEY, path), path)
    assert [request.conditions["range"] for request in server.requests[sent:]] == [
        f"bytes={RANGE + 100}-{2 * RANGE - 1}"
    ]


async def stopped(source, path):
    """Stop once only the silent range is left."""
    while noted(path) < SIZE - RANGE or source.pending()[0].bytes < SIZE - RANGE:  # which is told a moment later
        await anyio.sleep(0.01)
    (pending,) = source.pending()
    assert (pending.session, pending.bytes, pending.of) == (DAY, SIZE - RANGE, SIZE)
    source.stop.set()
    source.hurry()
