"""A place in an object store whose requests fail: complete and equal all the same, or an error that says so."""

import hashlib
import os
import random
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from pipeline_kit import sampled
from store_faults import CONFLICT, FAILED, FAULTS, LOST, first_of_each, in_front_of, kind_of, one_in

from ingest.cache.objects.bucket import Bucket
from ingest.cache.objects.collecting.clock import time_of
from ingest.cache.objects.writing.records import Guard, found
from ingest.demo.servers.faults import (
    SLOW_DOWN,
    Foreign,
    Headers,
    ResetAfter,
    ResetMidway,
    ShortBody,
    ShortLength,
    Status,
    always,
)
from ingest.errors import CacheError, StoreRefused, StoreUnavailable, Superseded

BYTES = random.Random(7).randbytes(50_000)
RANGES = [(0, 10), (700, 900), (30_000, 49_000), (49_990, 50_100)]


def put(store: Bucket, name: str, data: bytes = BYTES):
    return store.put_new(name, data, hashlib.sha256(data).hexdigest())


@pytest.fixture
def front(store: Bucket):
    with in_front_of(store.endpoint) as front:
        yield front


@pytest.fixture
def faulty(store: Bucket, front) -> Bucket:
    return replace(store, endpoint=front.endpoint)


def test_without_faults_the_store_is_the_same(store, faulty, front):
    put(faulty, "a b/ü")
    assert faulty.get("a b/ü")[0] == store.get("a b/ü")[0] == BYTES
    assert list(faulty.listing()) == list(store.listing())
    assert faulty.head("a b/ü").size == len(BYTES)
    assert faulty.ranges("a b/ü", RANGES) == [BYTES[begin:end] for begin, end in RANGES]
    faulty.remove(["a b/ü"])
    kinds = {kind_of(one) for one in front.requests}
    assert kinds == {"put", "get", "list", "head", "range", "delete"}
    assert not front.struck


class TestOneFault:
    @pytest.mark.parametrize("fault", [*FAILED, *LOST, CONFLICT], ids=str)
    def test_of_a_put(self, store, faulty, front, fault):
        front.script = first_of_each("put", fault)
        etag = put(faulty, "a").etag
        first = faulty.put_over("b", b"1", None)
        assert faulty.put_over("c", b"1", None).etag == first.etag
        assert store.get("a")[0] == BYTES
        assert etag == store.head("a").etag
        assert len(front.struck) == 3

    @pytest.mark.parametrize("fault", [FAILED[0], *LOST, CONFLICT], ids=str)
    def test_of_a_replacement(self, store, faulty, front, fault):
        first = store.put_over("a", b"1", None)
        front.script = first_of_each("put", fault)
        second = faulty.put_over("a", b"2", first.etag)
        assert (store.get("a")[0], second.etag) == (b"2", store.head("a").etag)

    def test_of_bytes_on_the_way_to_the_store_is_found_there_and_they_are_sent_again(self, store, faulty, front):
        met = set()

        def flipped(request, body):
            if kind_of(request) != "put" or request.key in met:
                return body
            met.add(request.key)
            return body[:1] + bytes([body[1] ^ 0xFF]) + body[2:]

        front.bend = flipped
        etag = put(faulty, "a").etag
        faulty.put_over("b", b"12", None)
        assert (store.get("a")[0], store.get("b")[0]) == (BYTES, b"12")
        assert etag == store.head("a").etag
        assert [kind_of(one) for one in front.requests].count("put") == 4

    def test_does_not_hide_who_else_replaced_it(self, store, faulty, front):
        first = store.put_over("a", b"1", None)

        def rival(request):
            if kind_of(request) != "put" or request.nth > 1:
                return None
            store.put_over("a", b"rival", first.etag)
            return SLOW_DOWN

        front.script = rival
        with pytest.raises(Superseded):
            faulty.put_over("a", b"2", first.etag)
        assert store.get("a")[0] == b"rival"

    @pytest.mark.parametrize("fault", FAULTS["get"], ids=str)
    def test_of_a_read(self, store, faulty, front, fault):
        put(store, "a")
        front.script = first_of_each("get", fault)
        assert faulty.get("a")[0] == BYTES
        assert len(front.struck) == 1

    @pytest.mark.parametrize("fault", sampled(FAULTS["range"], every=2), ids=str)
    def test_of_ranges(self, store, faulty, front, fault):
        put(store, "a")
        front.script = first_of_each("range", fault)
        assert faulty.ranges("a", RANGES) == [BYTES[begin:end] for begin, end in RANGES]
        assert len(front.struck) == 1

    @pytest.mark.parametrize("fault", sampled(FAULTS["list"], every=2), ids=str)
    def test_of_a_listing(self, store, faulty, front, fault):
        put(store, "a/1")
        front.script = first_of_each("list", fault)
        assert list(faulty.listing()) == list(store.listing())
        assert len(front.struck) == 1

    @pytest.mark.parametrize("fault", sampled(FAULTS["delete"], every=2), ids=str)
    def test_of_a_removal(self, store, faulty, front, fault):
        put(store, "a")
        front.script = first_of_each("delete", fault)
        faulty.remove(["a"])
        assert list(store.listing()) == []

    @pytest.mark.parametrize("fault", sampled(FAULTS["part"], every=5), ids=str)
    def test_of_an_object_that_is_put_in_pieces(self, store, faulty, front, fault, tmp_path: Path):
        (tmp_path / "part").write_bytes(BYTES * 120)
        front.script = first_of_each("part", fault)
        tuned = replace(store.tuning, store_multipart=1, store_chunk=5 << 20)
        stored = replace(faulty, tuning=tuned).put_new("a", tmp_path / "part", hashlib.sha256(BYTES * 120).hexdigest())
        assert store.get("a")[0] == BYTES * 120
        assert stored.etag == store.head("a").etag


class TestEveryRequest:
    def test_that_fails_ends_with_the_reason(self, store, faulty, front):
        put(store, "a")
        impatient = replace(faulty, tuning=replace(store.tuning, store_waited_s=0.3))
        said = {
            SLOW_DOWN: "HTTP 503 SlowDown",
            ResetAfter(): "connection lost|Connection reset",
            ShortLength(7): "damaged on the way",
            ShortBody(7): "connection lost|cut",
        }
        for fault, words in said.items():
            front.script = always(fault)
            with pytest.raises(StoreUnavailable, match=words):
                impatient.get("a")
        front.script = always(ResetMidway(20))
        for call in (impatient.listing, lambda: impatient.ranges("a", RANGES)):
            with pytest.raises(StoreUnavailable):
                list(call())

    def test_has_an_etag_that_is_no_md5_is_believed(self, store, faulty, front):
        put(store, "a")
        front.script = always(Headers((("ETag", '"0123456789abcdef0123456789abcdef"'),)))
        for _ in range(3):
            assert faulty.get("a")[0] == BYTES
        assert [kind_of(one) for one in front.requests] == ["get", "get", "get", "head", "get", "get"]

    def test_that_is_refused_with_what_it_said_tells_no_key(self, faulty, front):
        secret = os.environ["AWS_SECRET_ACCESS_KEY"]
        said = f"<Error><Code>{os.environ['AWS_ACCESS_KEY_ID']}</Code><Message>{secret}</Message></Error>".encode()
        for status in (400, 401, 403, 404, 412, 500, 503):
            front.script = always(Foreign(status, said))
            impatient = replace(faulty, tuning=replace(faulty.tuning, store_waited_s=0.05))
            for call in (impatient.get, impatient.head, lambda name, to=impatient: put(to, name)):
                with pytest.raises((CacheError, FileNotFoundError)) as error:
                    call("a")
                text = "".join(traceback.format_exception(error.value))
                assert secret not in text
                assert os.environ["AWS_ACCESS_KEY_ID"] not in text

    @pytest.mark.parametrize("said", ["<Error><Code>{}</Code></Error>", "denied for {}"])
    def test_that_says_a_key_of_letters_alone_tells_no_key(self, faulty, front, said):
        letters = "AKIAABCDEFGHIJKLMNOP"
        for status in (200, 400, 403, 503):
            front.script = always(Foreign(status, said.format(letters).encode(), (("ETag", "x"),)))
            impatient = replace(faulty, tuning=replace(faulty.tuning, store_waited_s=0.05))
            with pytest.raises(CacheError) as error:
                found(impatient, Guard)
            assert letters not in "".join(traceback.format_exception(error.value))

    def test_is_not_found_refuses_what_is_put_and_is_no_missing_file(self, faulty, front, tmp_path):
        front.script = always(Status(404, "NoSuchKey"))
        (tmp_path / "part").write_bytes(BYTES)
        in_pieces = replace(faulty, tuning=replace(faulty.tuning, store_multipart=1))
        for call in (
            lambda: put(faulty, "a"),
            lambda: faulty.put_over("a", b"1", None),
            lambda: in_pieces.put_new("a", tmp_path / "part", hashlib.sha256(BYTES).hexdigest()),
        ):
            with pytest.raises(StoreRefused, match=f"no bucket for {faulty.url}"):
                call()
        with pytest.raises(Superseded):  # as AWS answers where the object of an If-Match is missing
            faulty.put_over("a", b"1", "0" * 32)

    def test_finds_nothing_leaves_the_time_untold(self, faulty, front):
        front.script = lambda request: Status(404, "NoSuchKey") if kind_of(request) == "head" else None
        with pytest.raises(StoreUnavailable, match=r"clock\.txt was stored, and is missing"):
            time_of(faulty)

    def test_of_a_wrong_clock_is_refused_at_once(self, faulty, front):
        front.script = always(Status(403, "RequestTimeTooSkewed"))
        with pytest.raises(StoreRefused, match="set the clock"):
            faulty.get("a")
        assert len(front.requests) == 1

    def test_of_another_region_is_refused_at_once(self, faulty, front):
        front.script = always(Status(301, "PermanentRedirect"))
        with pytest.raises(StoreRefused, match=r"\[store\] region"):
            faulty.get("a")
        assert len(front.requests) == 1

    def test_that_is_not_answered_ends_in_time(self, store, front):
        front.latency_s = 5
        tuned = replace(store.tuning, store_silent_s=0.2, store_waited_s=0.5)
        with pytest.raises(StoreUnavailable, match="no answer in time"):
            replace(store, endpoint=front.endpoint, tuning=tuned).get("a")


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 20))])
def test_with_a_fault_in_one_request_of_three_all_is_complete_and_equal(store, faulty, front, seed):
    front.script = one_in(3, seed)
    names = [f"tracked/stocks-day/{number:03}" for number in range(60)]
    bodies = {name: BYTES[: 5000 + number * 700] for number, name in enumerate(names)}
    with ThreadPoolExecutor(16) as pool:
        stored = dict(zip(names, pool.map(lambda name: put(faulty, name, bodies[name]), names), strict=True))
        read = dict(zip(names, pool.map(faulty.get, names), strict=True))
        cut = list(pool.map(lambda name: faulty.ranges(name, RANGES), names))
    assert {name: body for name, (body, _) in read.items()} == bodies
    assert {name: one.etag for name, one in stored.items()} == {one.name: one.etag for one in store.listing()}
    assert cut == [[bodies[name][begin:end] for begin, end in RANGES] for name in names]
    assert [one.name for one in faulty.listing("tracked")] == names
    etag: str | None = None
    for turn in range(10):
        etag = faulty.put_over("manifest/latest.json", b"%d" % turn, etag).etag
    assert store.get("manifest/latest.json")[0] == b"9"
    faulty.remove(names)
    assert [one.name for one in store.listing()] == ["manifest/latest.json"]
    struck = {kind_of(request) for request, _ in front.struck}
    assert {"put", "get", "range"} <= struck
    assert len(front.struck) * 4 > len(front.requests)


def test_a_listing_of_several_pages_has_each_name_once_and_goes_on_where_it_was_broken(store, faulty, front):
    names = [f"many/{number:04}" for number in range(1200)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: store.put_over(name, b"", None), names))
    assert [one.name for one in store.listing("many")] == names
    pages = iter(range(100))
    front.script = lambda request: ShortLength(60) if kind_of(request) == "list" and next(pages) in {0, 2, 3} else None
    assert [one.name for one in faulty.listing()] == names
    assert len(front.struck) == 3
    assert front.requests[-1].query["start-after"].endswith("many/0999")
    store.remove(names)
    assert list(store.listing()) == []
