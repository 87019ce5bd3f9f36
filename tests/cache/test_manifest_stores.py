"""What the manifest knows of object stores: the parts that it put there, and who it is to them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from manifest_kit import DATASET, DAY, LAST, NEXT, quarantine, raw, session_record

from ingest.cache import salvage
from ingest.cache.manifest import Manifest
from ingest.cache.manifest.stores.identity import KnownStore
from ingest.cache.manifest.stores.objects import KnownObject
from ingest.errors import ManifestDamaged
from ingest.settings import Settings

URL = "s3://bucket/prefix"
ONE, OTHER = KnownObject("tracked/a.csv.gz", 9, '"e1"'), KnownObject("archive/a.csv.gz", 90, '"e2"')


class TestObjects:
    def test_are_remembered_looked_up_and_forgotten(self, manifest: Manifest) -> None:
        manifest.objects.remember([ONE, OTHER])
        assert manifest.objects.all() == {OTHER.name: OTHER, ONE.name: ONE}
        assert manifest.objects.known([ONE.name, "tracked/b.csv.gz", "\0"]) == {ONE.name: ONE}
        manifest.objects.forget([ONE.name, "tracked/b.csv.gz"])
        assert manifest.objects.all() == {OTHER.name: OTHER}

    def test_put_again_has_what_the_store_said_last(self, manifest: Manifest) -> None:
        manifest.objects.remember([ONE])
        manifest.objects.remember([replace(ONE, etag='"e3"')])
        assert manifest.objects.all() == {ONE.name: replace(ONE, etag='"e3"')}

    def test_are_those_of_one_dataset(self, manifest: Manifest, path: Path) -> None:
        manifest.objects.remember([ONE])
        with Manifest.read(path, "another/dataset") as other:
            assert (other.objects.all(), other.objects.known([ONE.name])) == ({}, {})

    def test_join_the_transaction_that_commits_their_session(self, manifest: Manifest) -> None:
        def killed() -> None:
            with manifest.database.transaction():
                manifest.objects.remember([ONE])
                raise ValueError("killed")

        with pytest.raises(ValueError, match="killed"):
            killed()
        assert manifest.objects.all() == {}


SINCE = datetime(2025, 3, 3, 2, 0, 5, tzinfo=UTC)


class TestUnwantedObjects:
    def test_are_known_with_the_time_until_they_are_put_again_wanted_or_forgotten(self, manifest: Manifest) -> None:
        names = ["put again", "wanted", "removed", "stays"]
        manifest.objects.want_no_more(dict.fromkeys(names, SINCE.astimezone(timezone(timedelta(hours=-5)))))
        assert manifest.objects.unwanted() == dict.fromkeys(names, SINCE)
        manifest.objects.remember([KnownObject("put again", 9, "e")])
        manifest.objects.want(["wanted", "never was unwanted"])
        manifest.objects.forget(["removed"])
        assert manifest.objects.unwanted() == {"stays": SINCE}

    def test_are_those_of_one_dataset(self, manifest: Manifest, path: Path) -> None:
        manifest.objects.want_no_more({"a": SINCE})
        with Manifest.open(path, "another/dataset") as other:
            other.objects.forget(["a"])
            other.objects.want(["a"])
            assert other.objects.unwanted() == {}
        assert manifest.objects.unwanted() == {"a": SINCE}

    def test_need_a_time_with_a_zone(self, manifest: Manifest) -> None:
        with pytest.raises(ValueError, match="2025-03-03 02:00:05 has no zone"):
            manifest.objects.want_no_more({"a": SINCE.replace(tzinfo=None)})
        assert manifest.objects.unwanted() == {}


def test_wanted_are_the_parts_of_sessions_and_of_replacements_under_way(manifest: Manifest) -> None:
    whole, bare = session_record(manifest), session_record(manifest, NEXT, kept=False)
    manifest.sessions.commit([whole, bare], [], 1)
    manifest.replacements.intend([(session_record(manifest, DAY, "e2"), None)])
    quarantine(manifest, LAST, "e3")
    assert {(one.session, one.tier, one.sha256) for one in manifest.objects.wanted()} == {
        (DAY, "tracked", "tracked e1"),
        (DAY, "archive", "archive e1"),
        (DAY, "tracked", "tracked e2"),
        (DAY, "archive", "archive e2"),
        (NEXT, "tracked", "tracked e1"),
    }


class TestIdentity:
    def test_is_made_when_first_needed_and_stays(self, path: Path) -> None:
        with Manifest.open(path, DATASET) as manifest:
            assert manifest.identity.known() is None
            made = manifest.identity.own()
        with Manifest.open(path, "another/dataset") as manifest:
            assert (manifest.identity.own(), manifest.identity.known()) == (made, made)

    def test_of_two_manifests_differs(self, tmp_path: Path) -> None:
        ids = set()
        for name in ("a.sqlite", "b.sqlite"):
            with Manifest.open(tmp_path / name, DATASET) as manifest:
                ids.add(manifest.identity.own())
        assert len(ids) == 2

    def test_renewed_knows_no_store(self, manifest: Manifest) -> None:
        before = manifest.identity.own()
        manifest.identity.note(KnownStore(URL, 1))
        assert manifest.identity.renew() != before
        assert manifest.identity.store(URL) is None

    def test_notes_what_is_written_to_each_store(self, manifest: Manifest) -> None:
        store = KnownStore(URL, 2, "t1", '"e1"', "t2", "1 session")
        assert manifest.identity.store(URL) is None
        manifest.identity.note(KnownStore(URL, 1))
        manifest.identity.note(store)
        assert (manifest.identity.store(URL), manifest.identity.store("s3://other")) == (store, None)

    def test_that_was_altered_is_damage(self, manifest: Manifest, path: Path) -> None:
        manifest.identity.own()
        raw(path, "UPDATE identity SET manifest = x'00'")
        with pytest.raises(ManifestDamaged, match=r"identity\.manifest"):
            manifest.identity.known()


def test_a_repaired_manifest_is_still_the_writer_and_knows_its_objects(tmp_path: Path) -> None:
    settings = Settings.model_validate({"cache": {"root": tmp_path}})
    with Manifest.open(settings.manifest_path, DATASET) as manifest:
        manifest.sessions.commit([session_record(manifest)], [], 1)
        manifest.objects.remember([ONE])
        own = manifest.identity.own()
        manifest.identity.note(KnownStore(URL, 1, "t1"))
    raw(settings.manifest_path, "UPDATE sessions SET size = 'x'")
    salvage.renew(settings, lambda _: None)
    with Manifest.read(settings.manifest_path, DATASET) as manifest:
        assert (manifest.sessions.committed(DAY), manifest.objects.all()) == ([], {ONE.name: ONE})
        assert (manifest.identity.known(), manifest.identity.store(URL)) == (own, KnownStore(URL, 1, "t1"))
