"""Parts in a real object store: put once under names made from their bytes, read whole and by ranges, then listed."""

import pickle
from datetime import date

import pytest

from ingest.cache.layout import PartKey
from ingest.cache.objects import parts as module
from ingest.cache.objects.naming import ObjectName
from ingest.cache.objects.parts import ObjectParts
from ingest.cache.parts.local import LocalParts
from ingest.errors import CacheError

DAYS = (date(2025, 3, 3), date(2025, 3, 4))


@pytest.fixture
def parts(store, tmp_path):
    made = ObjectParts(store, "us_stocks_sip/day_aggs_v1", LocalParts(tmp_path / "t", tmp_path / "a"))
    made.create()
    return made


def put(parts, day, tier, data):
    (key,) = parts.sync_staged([parts.stage(day, tier, data)])
    parts.publish(key)
    return key


def test_each_version_stays_readable_and_the_newest_comes_first(parts):
    first, second = (put(parts, DAYS[0], "archive", data) for data in (b"one", b"other"))
    other = put(parts, DAYS[1], "archive", b"of the next day")
    committed = PartKey(DAYS[0], "archive", sha256=first.sha256)
    assert parts.read(committed) == b"one"
    assert parts.read_ranges(PartKey(DAYS[0], "archive", sha256=second.sha256), [(0, 2), (3, 9)]) == [b"ot", b"er"]
    assert parts.names("archive") == {parts.name(key) for key in (first, second, other)}
    assert {day: set(keys) for day, keys in parts.versions("archive").items()} == {
        DAYS[0]: {first, second},
        DAYS[1]: {other},
    }
    assert sorted(parts.sizes("archive")) == [3, 5, 15]
    assert parts.names("tracked") == frozenset()


def test_what_is_put_again_is_the_same_object_and_leaves_nothing_on_disk(parts, tmp_path):
    keys = [put(parts, DAYS[0], "tracked", b"one") for _ in range(2)]
    assert keys[0] == keys[1]
    assert keys[0].etag == keys[1].etag != ""
    assert parts.sync_staged(keys) == keys
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_archive_part_is_put_before_the_tracked_one(parts, monkeypatch):
    order = []
    real = type(parts.bucket).put_new

    def put_new(bucket, name, data, sha256):
        order.append(name.split("/")[0])
        return real(bucket, name, data, sha256)

    monkeypatch.setattr(type(parts.bucket), "put_new", put_new)
    staged = [parts.stage(day, tier, f"{day}{tier}".encode()) for day in DAYS for tier in ("tracked", "archive")]
    found = parts.sync_staged(staged)
    assert order == ["archive", "archive", "tracked", "tracked"]
    assert [(key.session, key.tier) for key in found] == [(key.session, key.tier) for key in staged]


def test_another_process_puts_from_a_folder_of_its_own(parts, tmp_path):
    elsewhere = pickle.loads(pickle.dumps(parts)).working_in(tmp_path / "elsewhere")
    key = put(elsewhere, DAYS[0], "tracked", b"put by a worker")
    assert parts.read(pickle.loads(pickle.dumps(key))) == b"put by a worker"
    assert ObjectName.parse(key.staged) == ObjectName.of(DAYS[0], key.sha256)


def test_a_large_part_is_opened_as_a_file(parts, monkeypatch):
    key = put(parts, DAYS[0], "archive", bytes(range(256)) * 40)
    monkeypatch.setattr(module, "_IN_MEMORY", 1000)
    monkeypatch.setattr(module, "_PIECE", 999)
    with parts.open(key) as file:
        assert file.read() == bytes(range(256)) * 40
        file.seek(-2, 2)
        assert file.read() == b"\xfe\xff"


def test_what_is_discarded_is_gone_only_before_it_is_put(parts):
    staged = parts.stage(DAYS[0], "archive", b"never wanted")
    parts.discard(staged)
    with pytest.raises(CacheError, match="it is gone"):
        parts.sync_staged([staged])
    key = put(parts, DAYS[0], "archive", b"perhaps wanted")
    parts.discard(key)
    assert parts.read(key) == b"perhaps wanted"
    parts.drop(DAYS[0], "archive")
    with pytest.raises(FileNotFoundError):
        parts.read(key)


def test_a_damaged_object_is_replaced_and_never_missing(parts, monkeypatch):
    first = put(parts, DAYS[0], "archive", b"as it was")
    name = f"archive/{parts.dataset}/{parts.name(first)}"
    parts.bucket.put_over(name, b"as it is ", parts.bucket.head(name).etag)
    with monkeypatch.context() as patched:
        patched.setattr(type(parts.bucket), "remove", None)
        again = put(parts, DAYS[0], "archive", b"as it was")
    assert again == first
    assert parts.read(again) == b"as it was"


def test_who_finds_a_damaged_object_replaced_by_another_takes_that(parts, monkeypatch):
    first = put(parts, DAYS[0], "archive", b"as it was")
    name = f"archive/{parts.dataset}/{parts.name(first)}"
    parts.bucket.put_over(name, b"as it is ", parts.bucket.head(name).etag)
    real = type(parts.bucket).head

    def head(bucket, asked):
        found = real(bucket, asked)
        if bucket.get(asked)[0] == b"as it is ":  # the other is faster
            bucket.put_over(asked, b"as it was", found.etag)
        return found

    monkeypatch.setattr(type(parts.bucket), "head", head)
    assert parts.read(put(parts, DAYS[0], "archive", b"as it was")) == b"as it was"
