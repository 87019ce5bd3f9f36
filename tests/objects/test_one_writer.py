"""An object store has one writer: who comes second is refused by name, and a copy of its manifest is told apart."""

import json
import platform
import zlib
from contextlib import closing
from datetime import UTC, datetime
from sqlite3 import connect

import pytest
from kills import Killed
from manifest_kit import DATASET, DAY, LAST, NEXT, session_record
from memory_bucket_kit import MemoryBucket
from writers_kit import Machine

from ingest.cache.manifest import Manifest
from ingest.cache.objects.listing import Stored
from ingest.cache.objects.writing.guard import Guarding
from ingest.cache.objects.writing.records import Guard, encoded, found
from ingest.errors import CacheError, OtherWriter


@pytest.fixture
def bucket():
    return MemoryBucket()


@pytest.fixture
def here(tmp_path, bucket):
    return Machine(tmp_path / "manifest.sqlite", bucket)


@pytest.fixture
def there(tmp_path, bucket):
    (tmp_path / "there").mkdir()
    return Machine(tmp_path / "there" / "manifest.sqlite", bucket)


class HeedlessBucket(MemoryBucket):
    """One that ignores If-None-Match and If-Match, as some stores do."""

    def put_over(self, name, data, etag):
        self.before("put_over", name)
        return self._put("put_over", name, data)


def machines(folder, bucket):
    (folder / "there").mkdir()
    return Machine(folder / "manifest.sqlite", bucket), Machine(folder / "there" / "manifest.sqlite", bucket)


def snapshots(bucket):
    return sorted(name for name in bucket.objects if name.endswith(".z"))


def pointed(bucket):
    return json.loads(bucket.objects["manifest/latest.json"][0])


class TestTheGuard:
    def test_names_manifest_host_and_time(self, here, bucket):
        here.run(DAY)
        guard = json.loads(bucket.objects["ingest.json"][0])
        assert (guard["format"], guard["generation"], guard["host"]) == (1, 1, platform.node())
        with Manifest.read(here.path, DATASET) as manifest:
            assert guard["manifest"] == manifest.identity.known()
            assert manifest.identity.store(bucket.url).generation == 1

    def test_a_run_with_nothing_to_do_stores_nothing(self, here, bucket):
        here.run()
        assert bucket.objects == {}
        here.run(DAY)
        before = dict(bucket.objects)
        here.run()
        assert bucket.objects == before

    def test_another_manifest_is_refused_by_name_before_it_stores_anything(self, here, there, bucket):
        here.run(DAY)
        before, host = dict(bucket.objects), platform.node()
        with pytest.raises(
            OtherWriter, match=f"s3://bucket/prefix belongs to another cache: {host} has written to it since 2"
        ):
            there.run(NEXT)
        assert (bucket.objects, there.committed()) == (before, [])

    def test_of_two_that_begin_at_once_one_is_refused_before_it_stores_anything(self, here, there):
        with here.writing() as one, there.writing() as other:
            for writer in (one, other):
                writer.compare()
            one.claim()
            with pytest.raises(OtherWriter, match="belongs to another cache"):
                other.claim()

    def test_of_a_store_without_conditions_is_looked_at_before_it_is_written(self, tmp_path):
        one, other = machines(tmp_path, HeedlessBucket())
        with one.writing() as first, other.writing() as second:
            for writer in (first, second):
                writer.compare()
            first.claim()
            with pytest.raises(OtherWriter, match="belongs to another cache"):
                second.claim()
            first.compare()

    def test_of_a_store_without_conditions_is_read_back_so_of_two_claims_at_once_one_is_refused(self, tmp_path):
        one, other = machines(tmp_path, bucket := HeedlessBucket())
        with one.writing() as first, other.writing() as second:

            def rival(call, name):  # both have looked, and found none
                bucket.after = lambda *_: None
                bucket.put_over(name, encoded(Guard(second.manifest.identity.own(), 1, "there", "now")), None)

            bucket.after = rival
            with pytest.raises(OtherWriter, match="belongs to another cache"):
                first.claim()
            second.compare()

    def test_that_a_store_does_not_keep_is_an_error_before_anything_is_stored(self, here, bucket, monkeypatch):
        monkeypatch.setattr(
            bucket, "_put", lambda call, name, content: Stored(name, len(content), "e", datetime.now(UTC))
        )
        with pytest.raises(CacheError, match=r"s3://bucket/prefix/ingest\.json was stored, and is missing"):
            here.run(DAY)
        assert (bucket.objects, here.committed()) == ({}, [])

    def test_whose_answer_was_lost_is_ours(self, here, bucket):
        def lost(call, name):
            bucket.after = lambda *_: None
            raise Killed

        bucket.after = lost
        with pytest.raises(Killed):
            here.run(DAY)
        here.run(DAY)
        assert here.committed() == [DAY]

    def test_that_somebody_removed_is_made_again(self, here, bucket):
        here.run(DAY)
        del bucket.objects["ingest.json"]
        here.run(NEXT)
        assert json.loads(bucket.objects["ingest.json"][0])["generation"] == 1

    @pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b'{"format": 1}', b"[" * 100_000])
    def test_that_is_no_guard_is_an_error_that_names_it(self, here, bucket, data):
        bucket.put_over("ingest.json", data, None)
        with pytest.raises(CacheError, match=r"s3://bucket/prefix/ingest\.json is not what ingest wrote"):
            here.run(DAY)

    def test_of_a_newer_version_is_refused(self, here, bucket):
        bucket.put_over("ingest.json", b'{"format": 2}', None)
        with pytest.raises(CacheError, match="newer version"):
            here.run(DAY)

    def test_taken_over_refuses_the_former_one_by_name(self, here, there, bucket):
        here.run(DAY)
        with there.writing() as writer:
            seen = found(bucket, Guard)
            Guarding(bucket, writer.manifest.identity).take_over(seen)
        assert found(bucket, Guard)[0].generation == 2
        with pytest.raises(OtherWriter, match=f"was taken over by {platform.node()} at 2"):
            here.run(NEXT)

    def test_of_two_that_take_over_at_once_one_is_refused(self, here, there, tmp_path, bucket):
        here.run(DAY)
        third = Machine(tmp_path / "third.sqlite", bucket)
        seen = found(bucket, Guard)
        with there.writing() as one, third.writing() as other:
            Guarding(bucket, one.manifest.identity).take_over(seen)
            with pytest.raises(OtherWriter):
                Guarding(bucket, other.manifest.identity).take_over(seen)


class TestSnapshots:
    def test_a_store_that_did_not_find_the_pointer_once_is_ours_when_it_does_again(self, here, bucket):
        here.run(DAY)
        kept = dict(bucket.objects)
        bucket.objects.clear()  # as where a web server in front of the store says 404 while that starts again
        assert here.is_writer()
        bucket.objects.update(kept)
        here.run(NEXT)
        assert (here.committed(), len(snapshots(bucket))) == ([DAY, NEXT], 2)

    def test_hold_the_manifest_as_it_was_after_the_run(self, here, bucket, tmp_path):
        here.run(DAY)
        (name,) = snapshots(bucket)
        assert pointed(bucket)["snapshot"] == name
        copy = tmp_path / "copy.sqlite"
        copy.write_bytes(zlib.decompress(bucket.objects[name][0]))
        assert Machine(copy, bucket).committed() == [DAY]
        assert [path.name for path in here.path.parent.iterdir() if "snapshot" in path.name] == []

    def test_only_the_last_fourteen_are_kept(self, here, bucket):
        for number in range(16):
            with here.writing() as writer:
                writer.compare()
                writer.manifest.sessions.commit([session_record(writer.manifest, DAY, f"e{number}")], [], 1)
                writer.snapshot(1)
        assert len(snapshots(bucket)) == 14
        assert pointed(bucket)["snapshot"] == snapshots(bucket)[-1]

    def test_are_stored_during_a_long_run_once_they_are_due(self, here, bucket):
        for every_s, expected in ((600, 0), (0, 1)):
            with here.writing(every_s) as writer:
                writer.compare()
                writer.manifest.sessions.commit([session_record(writer.manifest)], [], 1)
                writer.snapshot_if_due(1)
            assert len(snapshots(bucket)) == expected

    def test_a_copy_is_refused_once_the_other_has_written(self, here, tmp_path, bucket):
        here.run(DAY)
        copy = here.copied(tmp_path / "copy")
        copy.run()
        here.run(NEXT)
        with pytest.raises(OtherWriter, match=f"{platform.node()} wrote to s3://bucket/prefix at 2.*a copy of this"):
            copy.run(LAST)
        assert copy.committed() == [DAY]

    def test_of_two_copies_that_write_at_once_the_second_stops_and_leaves_no_snapshot(self, here, tmp_path, bucket):
        here.run(DAY)
        copy = here.copied(tmp_path / "copy")
        with here.writing() as one, copy.writing() as other:
            for writer in (one, other):
                writer.compare()
                writer.manifest.sessions.commit([session_record(writer.manifest, NEXT)], [], 1)
            one.snapshot(1)
            before = dict(bucket.objects)
            with pytest.raises(OtherWriter, match="two machines must not write to one prefix"):
                other.snapshot(1)
        assert bucket.objects == before

    def test_of_two_copies_that_never_stored_one_the_second_stops(self, here, tmp_path, bucket):
        with here.writing() as writer:
            writer.claim()
        copy = here.copied(tmp_path / "copy")
        here.run(DAY)
        with pytest.raises(OtherWriter, match="a copy of this manifest"):
            copy.run(DAY)

    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("call", ["put_new", "put_over"])
    def test_a_run_killed_at_one_is_not_its_own_rival(self, here, bucket, call, when):
        here.run(DAY)

        def killed(one, name):
            if one == call:
                raise Killed

        setattr(bucket, when, killed)
        with pytest.raises(Killed):
            here.run(NEXT)
        bucket.before = bucket.after = lambda *_: None
        here.run(LAST)
        assert here.committed() == [DAY, NEXT, LAST]
        here.run()
        with here.writing() as writer:
            assert not writer.snapshots.is_due()

    def test_a_pointer_whose_answer_is_lost_is_ours(self, here, bucket):
        """The store has it, and a client that asks again is told that it came too late."""
        here.run(DAY)
        put_over = bucket.put_over

        def twice(name, data, etag):
            put_over(name, data, etag)
            return put_over(name, data, etag)

        bucket.put_over = twice
        here.run(NEXT)
        here.run(LAST)
        assert pointed(bucket)["snapshot"] == snapshots(bucket)[-1]

    def test_a_pointer_that_arrives_after_its_writer_was_killed_is_ours(self, here, bucket):
        here.run(DAY)
        late = []

        def kept_back(call, name):
            if call == "put_over":
                late.append(name)
                raise Killed

        bucket.before = kept_back
        put_over = bucket.put_over
        sent = []

        def sending(name, data, etag):
            sent.append((name, data, etag))
            return put_over(name, data, etag)

        bucket.put_over = sending
        with pytest.raises(Killed):
            here.run(NEXT)
        bucket.before = lambda *_: None
        with here.writing() as writer:
            writer.compare()
            put_over(*sent[0])
            writer.manifest.sessions.commit([session_record(writer.manifest, LAST)], [], 1)
            writer.snapshot(1)
        here.run()

    def test_a_pointer_that_somebody_removed_is_made_again(self, here, bucket):
        here.run(DAY)
        del bucket.objects["manifest/latest.json"]
        here.run()
        assert pointed(bucket)["snapshot"] == snapshots(bucket)[-1]

    def test_a_bucket_whose_guard_was_removed_still_refuses_a_rival(self, here, there, bucket):
        here.run(DAY)
        del bucket.objects["ingest.json"]
        with pytest.raises(OtherWriter, match=f"{platform.node()} wrote to s3://bucket/prefix"):
            there.run(DAY)

    def test_a_repaired_manifest_that_lost_its_notes_is_still_the_writer(self, here, bucket):
        here.run(DAY)
        with closing(connect(here.path)) as db, db:
            db.execute("DELETE FROM stores")
        here.run(NEXT)
        assert len(snapshots(bucket)) == 2

    def test_what_is_in_the_way_is_named(self, here, bucket):
        with here.writing() as writer:
            writer.manifest.sessions.commit([session_record(writer.manifest)], [], 1)
            (here.path.parent / "manifest.sqlite.snapshot.z").mkdir()
            with pytest.raises(CacheError, match=r"manifest\.sqlite\.snapshot\.z"):
                writer.snapshot(1)
