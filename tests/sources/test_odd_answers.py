"""Answers that are odd but alive are read for what they are, or named; what foreign libraries raise is ours."""

import gzip
import re
import socketserver
import threading
from contextlib import contextmanager
from datetime import date
from unittest.mock import patch
from urllib.parse import quote

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pipeline_kit import Place, key, market_objects, trading_days, window

from ingest.demo.servers import answering, faults, loopback
from ingest.demo.servers.faults import Foreign, Headers
from ingest.errors import Disrupted, SourceError
from ingest.sources.base import RemoteObject
from ingest.sources.massive.client import connect
from ingest.sources.spool import ByteRange

DAYS = trading_days(date(2025, 3, 3), 5)


pytestmark = pytest.mark.usefixtures("loopback_keys", "short_backoff")


@pytest.fixture
def server():
    with loopback.serve(market_objects(DAYS), page_size=2) as server:
        yield server


@pytest.fixture
def place(server, tmp_path):
    return Place(tmp_path / "cache", server.endpoint_url, source={"attempts": 2})


@contextmanager
def pages(change):
    """Pages of listings go through `change`, a function of their text that gives text or bytes."""
    ordinary = loopback.Server._listing

    def changed(server, query):
        page = change(ordinary(server, query).body.decode())
        body = page if isinstance(page, bytes) else page.encode()
        return answering.Answer(200, body, {"Content-Type": "application/xml"})

    with patch.object(loopback.Server, "_listing", changed):
        yield


def each_key(change):
    return lambda page: re.sub("<Key>(.*?)</Key>", lambda found: f"<Key>{change(found[1])}</Key>", page)


READ = {
    "packed": lambda page: gzip.compress(page.encode()),
    "without IsTruncated": lambda page: re.sub("<IsTruncated>.*?</IsTruncated>", "", page),
    "without anything but its objects": lambda page: re.sub(
        "<(Name|Prefix|KeyCount|MaxKeys)>.*?</[a-zA-Z]*>", "", page
    ),
    "keys encoded and not said to be": lambda page: each_key(lambda name: quote(name, safe=""))(
        page.replace("<EncodingType>url</EncodingType>", "")
    ),
    "keys encoded and said to be": each_key(lambda name: quote(name, safe="")),
    "without times": lambda page: re.sub("<LastModified>.*?</LastModified>", "", page),
    "another name space": lambda page: page.replace("http://s3.amazonaws.com/doc/2006-03-01/", "urn:other"),
    "no name space": lambda page: re.sub(' xmlns="[^"]*"', "", page),
    "UTF-16": lambda page: page.replace("UTF-8", "UTF-16").encode("utf-16"),
}


@pytest.mark.parametrize("change", READ.values(), ids=READ)
def test_an_odd_listing_is_read(place, server, change):
    with pages(change):
        ran = place.run(*window(DAYS))
    assert (ran.committed, ran.finished.exit_code) == (DAYS, 0)


NAMED = {
    "packed, cut short": (lambda page: gzip.compress(page.encode())[:-9], "the gzip answer is incomplete"),
    "packed, damaged": (lambda page: gzip.compress(page.encode())[:10] + b"\xff" * 99, "the gzip answer is damaged"),
    "a page of the web": (lambda page: "<html><title>Sign in</title></html>", '"Sign in"'),
    "JSON": (lambda page: '{"objects": []}', "the answer is not a listing"),
    "nothing": (lambda page: "", "the answer is not a listing"),
    "cut short": (lambda page: page[:-40], "the answer is not a listing"),
    "another document": (lambda page: page.replace("ListBucketResult", "ListAllMyBucketsResult"), "not a listing"),
    "emptied": (lambda page: re.sub("<Contents>.*</Contents>", "", page), "2 keys are announced, but none are listed"),
}


@pytest.mark.parametrize(("change", "words"), NAMED.values(), ids=NAMED)
def test_what_cannot_be_read_is_named_for_what_it_is(place, change, words):
    with pages(change):
        ran = place.run(*window(DAYS), fails=Disrupted)
    assert words in str(ran.error)
    assert "500" not in str(ran.error)


ODD_HEADERS = {
    "a year beyond all": ("Last-Modified", "Thu, 01 Jan 99999 00:00:00 GMT"),
    "a year beyond machines": ("Last-Modified", f"Thu, 01 Jan {10**30} 00:00:00 GMT"),
    "a zone beyond all": ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 +9999999999"),
    "no number": ("x-amz-missing-meta", ""),
    "no count": ("x-amz-mp-parts-count", "many"),
    "no tags": ("x-amz-tagging-count", "-"),
    "no truth": ("x-amz-delete-marker", "perhaps"),
    "an expiry": ("Expires", "in a while"),
    "an age": ("x-amz-object-lock-retain-until-date", "0"),
    "a checksum": ("x-amz-checksum-crc32", "AAAA"),
    "a date": ("Date", "Fri, 99 Foo 99999 99:99:99 GMT"),
    "a packing": ("Content-Encoding", "zstd, gzip, x"),
    "a range": ("Content-Range", "bytes */*"),
    "a kind": ("Content-Type", "\x7f;;=charset"),
    "a cookie": ("Set-Cookie", "a=b; expires=never; domain=.; \x7f"),
}


@pytest.mark.parametrize("header", ODD_HEADERS.values(), ids=ODD_HEADERS)
def test_an_odd_header_never_ends_a_run_in_a_traceback(place, server, header):
    server.faults = faults.strike({key(DAYS[1])}, Headers((header,)), times=99)
    ran = place.run(*window(DAYS))
    assert set(DAYS) - set(ran.committed) <= {DAYS[1]}
    assert ran.finished.exit_code == (0 if DAYS[1] in ran.committed else 3)
    server.faults = faults.strike_listing(1, Headers((header,)))
    assert place.run(*window(DAYS)).finished.exit_code in (0, 3)


@pytest.mark.parametrize("count", ["many", "", "9" * 5000])
def test_what_botocore_stumbles_over_is_said(place, server, count):
    server.faults = faults.strike({key(DAYS[1])}, Headers((("x-amz-missing-meta", count),)), times=99)
    ran = place.run(*window(DAYS))
    ((reason,),) = place.query("SELECT reason FROM sessions WHERE remote = 'failed'")
    assert "the answer cannot be understood (ValueError" in reason
    assert ran.finished.failed == 1


async def _each_call(source, item):
    """Every call of a source, once; what each raises is an error of ours."""

    async def write(at, data):
        pass

    calls = (
        lambda: source.listing("us_stocks_sip"),
        lambda: source.clock_skew("us_stocks_sip"),
        lambda: source.probe(item),
        lambda: source.fetch(item),
        lambda: source.look_up(item),
        lambda: source.fetch_stretch(item, ByteRange(0, 10), write, alone=False),
        lambda: source.fetch_stretch(item, ByteRange(3, 10), write, alone=True),
    )
    said = []
    for call in calls:
        try:
            await call()
        except SourceError as error:
            said.append(str(error))
    assert [words for words in said if not words.isprintable() or len(words) > 2000] == []


NAMES = [name for name, _ in ODD_HEADERS.values()]
NAMES += ["ETag", "Content-Length-X", "Accept-Ranges", "x-amz-version-id", "x-amz-meta-a", "x-amz-restore", "Location"]
NAMES += ["Retry-After", "x-amz-storage-class", "x-amz-request-id", "Server", "x-amz-bucket-region", "Cache-Control"]
TEXTS = st.one_of(
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40),
    st.sampled_from(
        ["", "-1", "9" * 400, "true", "W/", '"', "bytes 0-0/1", "bytes 9-0/1", "Thu, 01 Jan 1 00:00:00 -9999"]
    ),
)
HEADERS = st.dictionaries(st.sampled_from(NAMES), TEXTS, max_size=4)
BODIES = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [
            b"<Error><Code>AccessDenied</Code></Error>",
            b"<Error><Code>\xc3\xa9</Code><Message/></Error>",
            b"<ListBucketResult><Contents/></ListBucketResult>",
            b"<ListBucketResult><KeyCount>x</KeyCount></ListBucketResult>",
            b"<ListBucketResult><Contents><Key>us%2Fa</Key><Size>1</Size><ETag/></Contents></ListBucketResult>",
            b"<!DOCTYPE a [<!ENTITY b 'c'>]><Error><Code>&b;</Code></Error>",
            b"<a" * 500,
            b"\x1f\x8b" + b"\x00" * 20,
            b'{"Code": 1}',
        ]
    ),
)
STATUSES = st.sampled_from(
    [200, 206, 207, 226, 300, 301, 307, 400, 403, 404, 405, 408, 412, 416, 418, 429, 499, 500, 503, 599]
)


def _fuzzed(examples):
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


def meet(place, server, answers):
    """All calls of one source meet each of the answers."""
    item = RemoteObject(key(DAYS[0]), len(server.objects[key(DAYS[0])]), "x", "2025-03-03T16:00:00.000Z")

    async def work():
        async with connect(place.settings().source) as source:
            for answer in answers:
                server.faults = faults.always(answer)
                await _each_call(source, item)

    anyio.run(work)


SPOILT = HEADERS.map(lambda headers: Headers(tuple(headers.items())))
IN_PLACE = st.builds(Foreign, STATUSES, BODIES, HEADERS.map(lambda headers: tuple(headers.items())))
ANSWERS = st.lists(st.one_of(SPOILT, IN_PLACE), min_size=8, max_size=8)


@_fuzzed(6)
@given(ANSWERS)
def test_any_answer(place, server, answers):
    meet(place, server, answers)


@pytest.mark.long
@pytest.mark.timeout(1800)
@_fuzzed(400)
@given(ANSWERS)
def test_any_answer_at_length(place, server, answers):
    meet(place, server, answers)


RAW = {
    "a status line of its own": b"HELLO\r\n\r\n",
    "a status of words": b"HTTP/1.1 two hundred\r\n\r\n",
    "a header in Latin-1": b'HTTP/1.1 200 OK\r\nServer: \xe9\r\nETag: "x"\r\nContent-Length: 1\r\n\r\nx',
    "a header without end": b"HTTP/1.1 200 OK\r\nServer: " + b"x" * 100_000,
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "a chunk of no size": b'HTTP/1.1 200 OK\r\nETag: "x"\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n',
    "a chunk that breaks off": b'HTTP/1.1 200 OK\r\nETag: "x"\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nx',
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00",
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    "a cookie that is none": b"HTTP/1.1 200 OK\r\nSet-Cookie: \x01=;;=\r\nETag: x\r\nContent-Length: 0\r\n\r\n",
    "nothing": b"",
}


@contextmanager
def answering_with(answer):
    """A server on loopback that answers everything with these bytes, and hangs up."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(65536)
            self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


# aiohttp leaves a connection to the garbage collector whose answer it could not read.
@pytest.mark.filterwarnings("ignore:Exception ignored in.*Connection.__del__:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("answer", RAW.values(), ids=RAW)
def test_what_is_hardly_http_is_an_error_of_ours(tmp_path, answer):
    item = RemoteObject(key(DAYS[0]), 1, "x", "")

    async def work(settings):
        async with connect(settings) as source:
            await _each_call(source, item)

    with answering_with(answer) as url:
        anyio.run(work, Place(tmp_path, url).settings(read_timeout_s=2).source)
