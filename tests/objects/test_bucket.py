"""A place in an object store: what it promises, against a real server."""

import hashlib
import multiprocessing
import pickle
import random
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from proxy_kit import server_tls
from store_kit import keys_in_environment, place

from ingest.cache.objects.bucket import Bucket
from ingest.cache.objects.client import MISSING
from ingest.demo.servers import loopback
from ingest.demo.servers.seaweed import identity
from ingest.errors import StoreConflict, StoreRefused, StoreUnavailable, Superseded, UsageError
from ingest.settings import CacheSettings, Settings
from ingest.settings.sections.store import Store

BYTES = random.Random(5).randbytes(300_000)

# Where writers meet, SeaweedFS lets them wait for seconds.
RACES = pytest.mark.parametrize("races", [1, pytest.param(20, marks=pytest.mark.long)])


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def put(store: Bucket, name: str, data: bytes = BYTES) -> str:
    return store.put_new(name, data, sha256(data)).etag


class TestNew:
    def test_is_there_with_its_size_and_etag(self, store: Bucket) -> None:
        stored = store.put_new("a/part.gz", BYTES, sha256(BYTES))
        assert (stored.name, stored.size) == ("a/part.gz", len(BYTES))
        assert stored.etag == hashlib.md5(BYTES).hexdigest()
        data, found = store.get("a/part.gz")
        assert data == BYTES
        assert (found.size, found.etag) == (stored.size, stored.etag)
        assert abs(found.modified - datetime.now(UTC)) < timedelta(minutes=1)
        assert store.head("a/part.gz") == found == next(store.listing())

    def test_again_is_found_to_be_there(self, store: Bucket) -> None:
        assert put(store, "a") == put(store, "a")

    def test_other_bytes_do_not_take_the_name(self, store: Bucket) -> None:
        put(store, "a")
        for other in (BYTES[:-1], BYTES[:-1] + b"x"):
            with pytest.raises(StoreConflict, match=r"s3://flatfiles/place-\d+/a is not what its name says"):
                put(store, "a", other)
        assert store.get("a")[0] == BYTES

    def test_what_was_put_in_pieces_is_known_by_its_hash(self, store: Bucket, tmp_path: Path) -> None:
        file = tmp_path / "part"
        file.write_bytes(BYTES * 40)
        large = replace(store, tuning=replace(store.tuning, store_multipart=1, store_chunk=5 << 20))
        stored = large.put_new("a", file, sha256(BYTES * 40))
        assert stored.etag.endswith("-3")
        assert large.put_new("a", file, sha256(BYTES * 40)).etag == stored.etag
        assert put(store, "a", BYTES * 40) == stored.etag
        with pytest.raises(StoreConflict):
            large.put_new("a", BYTES, sha256(BYTES))
        assert store.get("a")[0] == BYTES * 40

    def test_a_file_is_put_like_its_bytes(self, store: Bucket, tmp_path: Path) -> None:
        (tmp_path / "part").write_bytes(BYTES)
        store.put_new("a", tmp_path / "part", sha256(BYTES))
        assert store.get("a")[0] == BYTES

    @RACES
    def test_one_of_eight_creates_it(self, store: Bucket, races: int) -> None:
        texts = [b"%d" % number for number in range(8)]
        for name in map(str, range(races)):
            won = race(lambda text, name=name: store.put_over(name, text, None).etag, texts)
            assert [hashlib.md5(store.get(name)[0]).hexdigest()] == won


class TestOver:
    def test_the_right_version_is_replaced(self, store: Bucket) -> None:
        first = store.put_over("a", b"1", None)
        second = store.put_over("a", b"2", first.etag)
        assert store.get("a")[0] == b"2"
        assert store.put_over("a", b"3", second.etag).etag == store.head("a").etag

    def test_no_other_is(self, store: Bucket) -> None:
        first = store.put_over("a", b"1", None)
        store.put_over("a", b"2", first.etag)
        for name, etag in (("a", first.etag), ("a", None), ("missing", first.etag)):
            with pytest.raises(Superseded, match="has been written by somebody else"):
                store.put_over(name, b"3", etag)
        assert store.get("a")[0] == b"2"

    def test_the_same_bytes_of_somebody_else_are_no_success(self, store: Bucket) -> None:
        store.put_over("a", b"1", None)
        with pytest.raises(Superseded):
            store.put_over("a", b"1", None)

    @RACES
    def test_one_of_eight_replaces_it(self, store: Bucket, races: int) -> None:
        etag = store.put_over("a", b"start", None).etag
        for turn in range(races):
            texts = [b"%d %d" % (turn, number) for number in range(8)]
            (etag,) = race(lambda text, old=etag: store.put_over("a", text, old).etag, texts)
            assert store.head("a").etag == etag


def race(call, texts) -> list[str]:
    """What those calls return that do not lose, all begun at once."""
    start = threading.Barrier(len(texts))

    def one(text):
        start.wait()
        try:
            return call(text)
        except Superseded:
            return None

    with ThreadPoolExecutor(len(texts)) as pool:
        return [won for won in pool.map(one, texts) if won]


class TestRanges:
    @pytest.mark.parametrize("gap", [0, 1 << 20])
    def test_are_the_bytes_asked_for(self, store: Bucket, gap: int) -> None:
        put(store, "a")
        dice = random.Random(1)
        begins = [dice.randrange(len(BYTES)) for _ in range(30)]
        ranges = [(begin, begin + dice.randrange(9000)) for begin in begins] + [(7, 7), (0, len(BYTES))]
        asked = replace(store, tuning=replace(store.tuning, store_gap=gap))
        assert asked.ranges("a", ranges) == [BYTES[begin:end] for begin, end in ranges]

    def test_end_with_the_object(self, store: Bucket) -> None:
        put(store, "a", b"0123456789")
        near = replace(store, tuning=replace(store.tuning, store_gap=0))
        for ranges in ([(2, 4), (8, 20)], [(10, 12)], [(90, 99), (0, 3)], [(5, 5)], [], [(3, 9), (4, 99), (50, 60)]):
            for one in (store, near):
                assert one.ranges("a", ranges) == [b"0123456789"[begin:end] for begin, end in ranges]


class TestListing:
    def test_is_of_a_folder(self, store: Bucket) -> None:
        names = ["many-more/y", "many/a/1", "many/b"]
        for name in names:
            put(store, name, name.encode())
        assert [(one.name, one.size) for one in store.listing("many")] == [(name, len(name)) for name in names[1:]]
        assert sorted(one.name for one in store.listing()) == names
        store.remove([*names[1:], "missing"])
        assert [one.name for one in store.listing()] == names[:1]

    def test_of_nothing(self, store: Bucket) -> None:
        assert list(store.listing("none")) == []


class TestMissing:
    def test_objects_are_not_found_by_reads(self, store: Bucket) -> None:
        for call in (store.get, store.head, lambda name: store.ranges(name, [(0, 5)])):
            with pytest.raises(FileNotFoundError) as error:
                call("a/none")
            assert (error.value.filename, error.value.strerror) == (
                store.described("a/none"),
                "no such object",
            )

    def test_nothing_is_removed(self, store: Bucket) -> None:
        store.remove(["a/none"])
        store.remove([])


class TestRefused:
    def test_wrong_keys(self, store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
        stranger = identity("stranger")
        keys_in_environment(monkeypatch, stranger)
        other = place(store.endpoint, "other")
        calls = (
            lambda: other.get("a"),
            lambda: put(other, "a"),
            lambda: other.put_over("a", b"", "0" * 32),
            lambda: list(other.listing()),
            lambda: other.remove(["a"]),
            lambda: other.ranges("a", [(0, 4)]),
        )
        for call in calls:
            with pytest.raises(
                StoreRefused, match=r"refuses the keys for s3://flatfiles/other, or its bucket: HTTP 403"
            ) as e:
                call()
            assert stranger.access_key not in str(e.value)
            assert e.value.__cause__ is None

    def test_keys_that_only_read(self, seaweed, store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
        put(store, "a")
        keys_in_environment(monkeypatch, seaweed.reader())
        reader = replace(store, tuning=replace(store.tuning, store_waited_s=5))
        assert reader.get("a")[0] == BYTES
        for call in (lambda: put(reader, "b"), lambda: reader.remove(["a"])):
            with pytest.raises(StoreRefused, match="AccessDenied"):
                call()

    def test_a_bucket_that_does_not_exist(self, store: Bucket) -> None:
        elsewhere = replace(store, url="s3://nowhere/a")
        for call in (lambda: list(elsewhere.listing()), lambda: elsewhere.get("a")):
            with pytest.raises(StoreRefused, match="no bucket for s3://nowhere/a"):
                call()

    def test_no_keys_at_all(self, store: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
            monkeypatch.setenv(name, str(tmp_path / "none"))
        with pytest.raises(StoreRefused, match="there are no keys for s3://flatfiles/none"):
            place(store.endpoint, "none").head("a")
        with pytest.raises(StoreRefused, match=r"the profile mine that \[store\] names is neither"):
            replace(place(store.endpoint, "none"), profile="mine").head("a")

    def test_a_profile_has_keys(self, seaweed, store: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        keys = f"aws_access_key_id = {seaweed.writer.access_key}\naws_secret_access_key = {seaweed.writer.secret_key}\n"
        (tmp_path / "keys").write_text(f"[mine]\n{keys}")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
        keys_in_environment(monkeypatch, identity("stranger"))
        put(replace(store, profile="mine"), "a")


class TestUnavailable:
    def test_no_server(self, store: Bucket) -> None:
        down = place("http://127.0.0.1:9", "a", store_waited_s=0.2)
        for call in (lambda: down.get("a"), lambda: put(down, "a"), lambda: list(down.listing())):
            with pytest.raises(StoreUnavailable, match="Connection refused") as error:
                call()
            assert error.value.exit_code == 5

    def test_no_such_host(self, store: Bucket) -> None:
        lost = place("http://no-such-host.invalid", "a", store_waited_s=0.1)
        with pytest.raises(StoreUnavailable, match=r"failed to lookup|no connection"):
            lost.get("a")

    def test_a_certificate_that_is_not_trusted_is_refused_at_once(self, store: Bucket) -> None:
        authority = trustme.CA()
        unknown = pytest.raises(StoreRefused, match=r"certificate .* is not valid: UnknownIssuer")
        with loopback.serve({}, tls=server_tls(authority, "127.0.0.1")) as server, unknown:
            place(server.endpoint_url, "a").get("a")

    def test_no_proxy_is_used_on_this_machine(self, store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        put(place(store.endpoint, f"{store.url.rpartition('/')[2]}/proxy"), "a")


def _reads(store: Bucket, found) -> None:
    try:
        found.put(store.get("a")[0])
    except StoreRefused as error:
        found.put(error)


class TestProcesses:
    @pytest.mark.parametrize("how", ["fork", pytest.param("spawn", marks=pytest.mark.long)])
    def test_a_spawned_one_reads_and_a_fork_says_why_it_cannot(self, store: Bucket, how: str) -> None:
        if how not in multiprocessing.get_all_start_methods():
            pytest.skip("there is no fork here")
        put(store, "a")
        context = multiprocessing.get_context(how)
        found = context.Queue()
        child = context.Process(target=_reads, args=(store, found))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads, which is the point
            child.start()
        got = found.get(timeout=30)
        child.join()
        assert got == BYTES if how == "spawn" else "by spawn, not by fork" in str(got)


class TestValue:
    def test_travels_without_keys(self, seaweed, store: Bucket) -> None:
        put(store, "a")
        packed = pickle.dumps(store)
        assert seaweed.writer.secret_key.encode() not in packed
        assert seaweed.writer.secret_key not in repr(store)
        assert pickle.loads(packed).get("a")[0] == BYTES

    def test_is_what_the_settings_say(self) -> None:
        chosen = Settings(
            cache=CacheSettings(archive="s3://bucket/a/b/"),
            store=Store(endpoint="http://store:9000", region="eu-1", profile="mine"),
        )
        made = Bucket.of(chosen)
        assert made == Bucket("s3://bucket/a/b", "http://store:9000", "eu-1", "mine")
        assert made.described("c") == "s3://bucket/a/b/c"

    def test_needs_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ingest.cache.objects.client.find_spec", lambda name: None)
        with pytest.raises(UsageError, match=r"pip install 'ingest\[objects\]'") as error:
            Bucket.of(Settings(cache=CacheSettings(archive="s3://bucket")))
        assert str(error.value) == MISSING

    def test_has_settings_of_its_own_kind_of_store(self) -> None:
        with pytest.raises(UsageError, match=r"\[store\] region is not for gs://"):
            Bucket.of(Settings(cache=CacheSettings(archive="gs://bucket"), store=Store(region="eu")))
