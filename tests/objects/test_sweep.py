"""What a run removes from an object store at its start, what it says of that, and what a store that fails changes."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from bucket_kit import DAYS, SPAN, BucketPlace
from memory_bucket_kit import MemoryBucket
from pipeline_kit import flat
from store_kit import keys_in_environment

from ingest.cache.layout import PartKey
from ingest.cache.manifest import Manifest
from ingest.cache.manifest.stores.objects import KnownObject
from ingest.cache.objects.collecting.clock import NAME, time_of
from ingest.cache.objects.collecting.sweep import Sweep
from ingest.cache.objects.parts import ObjectParts
from ingest.cache.objects.tiered import ArchiveInBucket
from ingest.cache.parts.local import LocalParts
from ingest.cache.parts.memory import MemoryParts
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.errors import OtherWriter, StoreRefused, StoreUnavailable
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.datasets import TIERS

KEEP = timedelta(hours=24)
PREFIX = f"archive/{STOCKS_DAY.name}"


class Writer:
    """What `Sweep` asks of a writer."""

    def __init__(self):
        self.asked = []

    def claim(self):
        self.asked.append("claim")

    def compare(self):
        self.asked.append("compare")


@pytest.fixture
def here(tmp_path):
    """A bucket with two parts that nobody refers to, and the time by its clock."""
    clock = SimpleNamespace(now=datetime(2025, 6, 1, tzinfo=UTC))
    bucket = MemoryBucket(clock=lambda: clock.now)
    parts = ObjectParts(bucket, STOCKS_DAY.name, LocalParts(tmp_path / "t", tmp_path / "a"))
    parts.create()
    parts.sync_staged([parts.stage(DAYS[0], tier, b"a part of nobody") for tier in TIERS])
    with Manifest.open(tmp_path / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        yield SimpleNamespace(clock=clock, bucket=bucket, parts=parts, manifest=manifest, writer=Writer())


def swept(here, parts=None, keep=KEEP, spared=()):
    store = parts or here.parts
    names = {tier: store.names(tier) for tier in TIERS}
    here.bucket.calls.clear()
    return Sweep.of(here.manifest, store, here.writer).run(names, keep, spared)


def parts_in(here):
    return [name for name in here.bucket.objects if name != NAME]


def test_parts_that_nobody_refers_to_go_after_their_time(here):
    assert (swept(here).objects, len(parts_in(here))) == (0, 2)
    here.clock.now += KEEP - timedelta(hours=1)
    assert (swept(here).objects, here.writer.asked) == (0, ["claim", "claim"])
    here.clock.now += timedelta(hours=1)
    done = swept(here)
    assert (done.objects, done.bytes, done.failure, parts_in(here)) == (2, 32, None, [])
    assert here.writer.asked[2:] == ["claim", "compare"]
    (told,) = done.said("s3://bucket/prefix")
    assert told.message == "removed 2 parts (0.0 MB) from s3://bucket/prefix: replaced, or never committed"
    assert (told.level, here.manifest.objects.unwanted()) == ("info", {})


def test_nothing_unwanted_costs_no_request(here):
    here.parts.drop(DAYS[0], "tracked")
    here.parts.drop(DAYS[0], "archive")
    assert list(swept(here).said("here")) == []
    assert (here.bucket.calls, here.writer.asked) == ([], [])


def test_only_the_tiers_in_the_bucket_are_looked_at(here, tmp_path):
    local = LocalParts(tmp_path / "sessions", tmp_path / "unused")
    local.create()
    local.publish(local.stage(DAYS[0], "tracked", b"a file of nobody"))
    tiered = ArchiveInBucket(local, here.parts)
    swept(here, tiered)
    here.clock.now += KEEP
    assert swept(here, tiered).objects == 1
    assert [name.partition("/")[0] for name in parts_in(here)] == ["tracked"]
    assert local.read(PartKey(DAYS[0], "tracked")) == b"a file of nobody"


def test_other_stores_are_left_alone(here):
    memory = MemoryParts()
    memory.publish(memory.stage(DAYS[0], "archive", b"a file of nobody"))
    assert swept(here, memory).objects == 0
    assert here.writer.asked == []


@pytest.mark.parametrize("error", [StoreUnavailable("it is down"), StoreRefused("it may not remove")])
@pytest.mark.parametrize("call", ["put_over", "remove"])
def test_a_store_that_fails_is_a_warning_and_it_is_tried_again(here, error, call):
    swept(here)
    here.clock.now += KEEP

    def failing(asked, name):
        if asked == call:
            raise error

    here.bucket.before = failing
    done = swept(here)
    (told,) = done.said("s3://bucket/prefix")
    assert told.message == f"parts that are no longer needed stay until the next run: {error.message}"
    assert (done.objects, told.level) == (0, "warning")
    here.bucket.before = lambda *_: None
    assert (swept(here).objects, parts_in(here)) == (2, [])


def test_a_machine_that_is_no_longer_the_writer_removes_nothing(here):
    swept(here)
    here.clock.now += KEEP

    def refused():
        raise OtherWriter("another machine writes")

    here.writer.compare = refused
    with pytest.raises(OtherWriter):
        swept(here)
    assert len(parts_in(here)) == 2


def test_what_is_gone_is_known_no_more(here):
    swept(here)
    here.manifest.objects.remember([KnownObject(f"{PREFIX}/stays", 1, "e")])
    here.parts.drop(DAYS[0], "archive")
    swept(here)
    assert {name.partition("/")[0] for name in here.manifest.objects.unwanted()} == {"tracked"}
    assert len(here.manifest.objects.all()) == 1


def test_the_clock_is_that_of_the_store(store):
    before = time_of(store)
    assert abs(before - datetime.now(UTC)) < timedelta(minutes=1)
    assert time_of(store) >= before
    assert [one.name for one in store.listing()] == [NAME]


ROWS = [("AAPL", "1.5"), ("B", "2"), ("TRUE", "3")]


def test_a_run_keeps_a_replaced_version_for_a_while_and_removes_it_then(store, seaweed, monkeypatch, tmp_path):
    keys_in_environment(monkeypatch, seaweed.writer)
    days = DAYS[:2]
    files = {STOCKS_DAY.key(day): pack(flat(ROWS)) for day in days}
    with loopback.serve(files) as server:
        place = BucketPlace(tmp_path / "cache", server.endpoint_url, archive=store.url, store=store.endpoint)
        place.run(*SPAN)
        first = {one.name: one for one in store.listing("tracked")} | {
            one.name: one for one in store.listing("archive")
        }
        server.put(STOCKS_DAY.key(days[0]), pack(flat([*ROWS, ("C", "4")])))
        place.run(*SPAN)
        names = {one.name for tier in TIERS for one in store.listing(tier)}
        assert names > first.keys()
        with Manifest.read(place.root / "manifest.sqlite", STOCKS_DAY.name) as manifest:
            known = manifest.objects.all()
            assert {name: (one.size, one.etag) for name, one in known.items() if name in first} == {
                name: (one.size, one.etag) for name, one in first.items()
            }
        assert [one for one in place.run(*SPAN).notices if "removed" in one] == []
        monkeypatch.setattr("ingest.pipeline.dataset_run.timedelta", lambda hours: timedelta(0))
        (told,) = [one for one in place.run(*SPAN).notices if "removed" in one]
        assert told.startswith("removed ")
        left = {one.name for tier in TIERS for one in store.listing(tier)}
        with Manifest.read(place.root / "manifest.sqlite", STOCKS_DAY.name) as manifest:
            assert len(left) == 4
            assert (set(manifest.objects.all()), manifest.objects.unwanted()) == (left, {})
        assert not any("removed" in one for one in place.run(*SPAN).notices)
