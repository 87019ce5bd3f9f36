"""A large object comes down in ranges, whatever happens on the way, and goes on from where it stopped."""

import json
import os
import random

import pytest
from large_kit import PIECE, RANGE, asked_for, download, fetch, listed, note_of, noted, shrink, tag_of, whole_ranges

from ingest import events
from ingest.demo import faults, loopback
from ingest.demo.faults import (
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
from ingest.errors import Disrupted, Forbidden, NotFound, Throttled

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


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_that_passes_leaves_no_trace(server, path, fault):
    server.faults = lambda request: fault if request.nth in (1, 2, 5) and request.conditions else None
    got = download(server, KEY, path)
    assert_got(got, path)
    assert got.body.etag_is_md5


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (SLOW_DOWN, Throttled),
        (ResetMidway(0), Disrupted),
        (ShortLength(10_000), Disrupted),
        (LongBody(), Disrupted),
        (Shifted(), Disrupted),
        (Status(412, "PreconditionFailed"), Disrupted),
    ],
    ids=repr,
)
def test_a_fault_that_stays_fails_it_and_what_came_before_is_not_asked_for_again(server, path, fault, error):
    server.faults = lambda request: fault if request.nth > 3 and request.conditions else None
    got = download(server, KEY, path, attempts=2, concurrency=1)
    assert type(got.error) is error
    server.faults, before, there = None, server.sent[KEY], noted(path)
    again = download(server, KEY, path)
    assert_got(again, path)
    assert again.of(events.Fetched)[0].resumed == there
    assert server.sent[KEY] - before == SIZE - there
    if fault != Status(412, "PreconditionFailed"):  # which says that it is another object
        assert there >= THREE


@pytest.mark.parametrize("after", [0, 1, PIECE - 1, PIECE, PIECE + 1, 500, RANGE - 1])
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
@pytest.mark.parametrize("other", [OTHER, OTHER[:100], DATA[:-1], b""], ids=["longer", "short", "cut", "empty"])
def test_an_object_that_is_replaced_between_its_ranges_is_never_mixed(server, path, heedless, other):
    def replace(request):
        if request.nth == 3:
            server.put(KEY, other)
        return Heedless(heedless)

    server.faults = replace
    got = download(server, KEY, path)
    assert_got(got, path, other)
    assert got.body.etag == tag_of(other).strip('"')


def test_an_object_that_is_replaced_all_the_time_is_given_up(server, path):
    def replace(request):
        if request.nth % 2 == 0:
            server.put(KEY, OTHER[: 5000 + request.nth])

    server.faults = replace
    assert type(download(server, KEY, path, attempts=3).error) is Disrupted


def test_an_object_that_has_grown_beyond_measure_is_not_fetched(server, path, monkeypatch):
    monkeypatch.setattr("ingest.sources.massive._MAX_GROWN", 5000)
    item = listed(server, KEY)
    server.put(KEY, OTHER * 20)
    got = fetch(server.endpoint_url, item, path, attempts=2)
    assert type(got.error) is Disrupted
    assert "not what was listed" in str(got.error)


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


LIES = {
    "all of it is there": lambda etag, size, there: [etag, size, [[0, size]]],
    "more than all": lambda etag, size, there: [etag, size, [[0, size + 1]]],
    "more than the file has": lambda etag, size, there: [etag, size, [[0, there[-1][1] + 1]]],
    "backwards": lambda etag, size, there: [etag, size, [[10, 5]]],
    "below nothing": lambda etag, size, there: [etag, size, [[-5, 5]]],
    "one over the other": lambda etag, size, there: [etag, size, [[0, 10], [5, 20]]],
    "three numbers": lambda etag, size, there: [etag, size, [[0, 10, 20]]],
    "no numbers": lambda etag, size, there: [etag, size, [["0", "10"]]],
    "truths": lambda etag, size, there: [etag, size, [[False, True]]],
    "fractions": lambda etag, size, there: [etag, size, [[0.0, 10.5]]],
    "another ETag": lambda etag, size, there: ["x", size, there],
    "another size": lambda etag, size, there: [etag, size - 1, there],
    "another shape": lambda etag, size, there: {"etag": etag},
    "nothing": lambda etag, size, there: None,
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_note_that_lies_costs_a_download_and_nothing_else(server, path, lie):
    half_done(server, path)
    note_of(path).write_text(json.dumps(lie(*json.loads(note_of(path).read_bytes()))))
    assert_got(download(server, KEY, path), path)


@pytest.mark.parametrize("spoil", ["cut", "gone", "zeros", "torn note", "no note", "longer"])
def test_a_file_that_a_crash_has_torn_is_fetched_anew(server, path, spoil):
    half_done(server, path)
    match spoil:
        case "cut":
            os.truncate(path, 10)
        case "gone":
            path.unlink()
        case "zeros":
            path.write_bytes(bytes(path.stat().st_size))
        case "torn note":
            note_of(path).write_bytes(note_of(path).read_bytes()[:-3])
        case "no note":
            note_of(path).unlink()
        case "longer":
            path.write_bytes(path.read_bytes() + bytes(SIZE))
    assert_got(download(server, KEY, path), path)


@pytest.mark.parametrize(("concurrency", "at_once"), [(2, 2), (64, 4)])
def test_a_few_ranges_are_under_way_at_once_as_the_limit_on_downloads_allows(server, path, concurrency, at_once):
    server.faults = faults.always(faults.Latency(0.02))
    assert_got(download(server, KEY, path, concurrency=concurrency), path)
    assert server.most_at_once == at_once
