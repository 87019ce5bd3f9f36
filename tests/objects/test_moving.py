"""Parts that are moved to an object store and back: real store, real runs, real kills."""

import errno
import hashlib
import json
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from moving_kit import MINUTES, PARTS, SESSIONS, STOCKS_DAY, Movable, copied, filled, run
from pipeline_kit import LONG, sampled, write_keys
from runs_kit import DAYS
from tuning_kit import tune

from ingest.cache.cache import Cache
from ingest.cache.manifest import Manifest
from ingest.cache.objects.bucket import Bucket
from ingest.cache.parts.store import explaining
from ingest.cache.steady import steadily
from ingest.errors import CacheError, OtherWriter, StoreUnavailable, UsageError
from ingest.files import opening
from ingest.maintenance import moving
from ingest.market.datasets import TIERS
from ingest.reading.history import scan

KILLED = Path(__file__).parents[1] / "kits" / "dying_move.py"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filled")
    with pytest.MonkeyPatch.context() as patch:
        write_keys(folder / "credentials")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
        with filled(folder) as place:
            yield place


@pytest.fixture(scope="module")
def before(template):
    """What the cache said before it was moved."""
    return template.seen()


@pytest.fixture
def local(template, tmp_path, loopback_keys) -> Movable:
    return copied(template, tmp_path)


@pytest.fixture
def there(local, store) -> Movable:
    """The same cache with settings that name the store."""
    return local.at(store)


def parts_in(store: Bucket) -> list[str]:
    return sorted(one.name for one in store.listing() if one.name.endswith(".csv.gz"))


def after_the_grace(place: Movable) -> None:
    """As if what was left had been left two days ago."""
    past = (datetime.now(UTC) - timedelta(days=2)).isoformat(timespec="seconds")
    place.execute(f"UPDATE departures SET at = '{past}'")


def test_parts_are_moved_there_and_back_and_nothing_else_changes(local, there, store, before):
    moved = there.move()
    assert (moved.is_done, moved.copied.parts, moved.copied.there, moved.unfit) == (True, PARTS, 0, ())
    assert (local.files(), there.seen()) == ([], before)
    there.store.put_over("clock.txt", b"", None)  # as a run leaves it that looked for garbage
    assert moved.copied.bytes == sum(one.size for one in store.listing() if one.name.endswith(".csv.gz"))
    again = there.move()
    assert (again.is_done, again.copied.of_parts, again.cleared) == (True, 0, ())

    assert local.move().is_done
    assert (local.seen(), len(parts_in(store))) == (before, PARTS)
    ran = run(local, STOCKS_DAY, SESSIONS[STOCKS_DAY])
    assert (ran.committed, len(parts_in(store))) == ([], PARTS), "the objects stay for a day"
    after_the_grace(local)
    run(local, STOCKS_DAY, SESSIONS[STOCKS_DAY])
    assert list(store.listing()) == []
    assert there.move().is_done, "the place is free, also for the cache that left it"
    assert there.seen() == before


@LONG
def test_a_cache_in_a_bucket_goes_on_there_and_runs_have_nothing_to_do(there):
    there.move()
    assert run(there, STOCKS_DAY, SESSIONS[STOCKS_DAY]).gets == []
    assert run(there, STOCKS_DAY, DAYS[:6]).committed == [DAYS[5]]
    with Manifest.read(there.root / "manifest.sqlite", MINUTES.name) as manifest:
        assert len(manifest.objects.all()) == 2 * len(SESSIONS[MINUTES])


@pytest.mark.parametrize("moved", [False, True])
def test_another_place_in_the_settings_is_refused_before_a_request_is_sent(local, there, server_of, moved):
    if moved:
        there.move()
    now, line = (local, f'set [cache] archive = "{there.store.url}"') if moved else (there, 'set [cache] archive = ""')
    for command in (("status",), ("show", "AAPL", "--no-fetch", "--no-plot"), ("run",), ("verify",), ("list",)):
        asked = len(server_of.requests)
        told = now.here(*command)
        assert (told.code, len(server_of.requests)) == (2, asked), command
        said = " ".join(told.err.split())
        assert "the parts of the cache" in said
        assert line in said
        assert "`ingest move`" in said
    assert now.where().url == (there.store.url if moved else "")


def test_a_check_says_where_the_parts_are_and_finds_no_fault_with_the_keys(local, there):
    there.move()
    told = local.here("check", "--json", INGEST_STORE__ENDPOINT=there.store.endpoint)
    checks = {one["name"]: one for one in map(json.loads, told.out.splitlines()) if one["kind"] == "check"}
    assert "the parts of the cache" in checks["cache"]["found"]
    assert "[store] endpoint" not in checks["cache"]["found"], "it is right already"
    assert (checks["keys"]["passed"], checks["plan"]["passed"], checks["download"]["passed"]) == (True, True, True)


@pytest.fixture
def server_of(template):
    return template.server


@LONG
def test_a_cache_without_sessions_takes_the_place_of_its_settings(local, there, tmp_path):
    new = replace(there, root=tmp_path / "new")
    run(replace(local, root=new.root), STOCKS_DAY, DAYS[:1], fails=None, max_files=0)
    assert run(new, STOCKS_DAY, DAYS[:1]).committed == [DAYS[0]]
    assert (new.where().url, new.files()) == (there.store.url, [])


@LONG
def test_only_the_archive_may_move(local, store, before):
    archive, both = local.at(store, "archive"), local.at(store)
    assert archive.move().copied.parts == PARTS / 2
    assert {name.partition("/")[0] for name in parts_in(store)} == {"archive"}
    assert (archive.seen(), len(local.files())) == (before, PARTS / 2)
    assert both.move().copied.parts == PARTS / 2
    assert (both.seen(), local.files()) == (before, [])
    assert archive.move().is_done
    after_the_grace(archive)
    run(archive, STOCKS_DAY, SESSIONS[STOCKS_DAY])
    assert {name.partition("/")[0] for name in parts_in(store)} == {"archive"}
    assert "ingest.json" in {one.name for one in store.listing()}, "the archive is there"
    assert archive.seen() == before


@LONG
def test_from_one_store_to_another(local, there, store, before):
    there.move()
    other = local.at(replace(store, url=f"{store.url}/other"))
    assert other.move().is_done
    after_the_grace(other)
    cleared = other.move().cleared
    assert sum(one.removed for one in cleared) == PARTS
    assert {name.removeprefix("other/") for name in parts_in(store)} == set(parts_in(other.store))
    assert other.seen() == before


@LONG
def test_a_place_that_has_only_another_name_loses_nothing(local, there, store, before):
    there.move()
    renamed = local.at(replace(store, endpoint=store.endpoint.replace("127.0.0.1", "localhost")))
    assert renamed.here("status").code == 2
    assert renamed.move().copied.parts == PARTS
    after_the_grace(renamed)
    assert {one.why != "" for one in renamed.move().cleared} == {True}
    assert renamed.seen() == before


@LONG
def test_a_store_that_answers_only_to_another_name_is_read_there(local, there, store, before, monkeypatch):
    tune(monkeypatch, store_waited_s=1.0)
    alias = replace(store, endpoint=store.endpoint.replace("127.0.0.1", "localhost"))
    there.move()
    with closing(sqlite3.connect(local.root / "manifest.sqlite")) as db, db:
        db.execute("UPDATE place SET endpoint = 'http://127.0.0.1:9'")
    renamed = local.at(alias)
    assert renamed.here("status").code == 2
    assert renamed.here("move", "-n").code == 0
    done = renamed.move()
    assert (done.is_done, done.copied.parts, done.cleared) == (True, PARTS, ())
    assert len(parts_in(store)) == PARTS
    assert renamed.seen() == before


@LONG
def test_a_moved_cache_is_restored_elsewhere_even_if_the_store_has_another_name_there(local, there, store, before):
    there.move()
    renamed = local.at(replace(store, endpoint=store.endpoint.replace("127.0.0.1", "localhost")))
    new = replace(renamed, root=local.root.with_name("new"))
    told = new.here("restore", "--yes")
    assert told.code == 0, told.err
    assert new.seen() == before


@LONG
def test_large_parts_are_moved_in_chunks(local, there, store, before, monkeypatch):
    """There, from there to another place through a file, and back bit by bit."""
    tune(monkeypatch, store_multipart=2_000)
    sizes = [path.stat().st_size for path in local.files()]
    assert min(sizes) < 2_000 < max(sizes)
    other = local.at(replace(store, url=f"{store.url}/other"))
    for place in (there, other, local):
        assert place.move().copied.there == 0
        assert place.seen() == before
    assert not [path for path in local.root.rglob("*.tmp") if path.is_file()]
    assert other.move().is_done, "objects that are there already are found, by their bytes where the ETag is no md5"
    assert other.seen() == before


@LONG
def test_a_reader_from_whom_the_parts_are_moved_away_is_told_so(local, there):
    """One that has not begun, and one that is in the middle."""
    rows = scan(local.settings(), STOCKS_DAY, None, None, ("massive",))

    def read(parts):
        with explaining(cache.parts, parts[0].key("archive")):
            cache.parts.read(parts[0].key("archive"))

    with Cache.read(local.settings(), STOCKS_DAY) as cache:
        there.move()
        with pytest.raises(CacheError, match=f"the parts were moved to {there.store.url} at"):
            steadily(cache, DAYS[:2], read)
    with pytest.raises(UsageError, match=r"the parts of the cache .* Call ingest\.move\(\) to move the parts"):
        rows.collect()


# Damage and faults


def test_a_damaged_part_keeps_all_where_they_are_until_it_is_whole_or_left(local, there, before):
    bad = local.root / "massive_cache" / f"{DAYS[2]}.csv.gz"
    good, gone = bad.read_bytes(), local.root / "data_cache" / "sessions" / f"{DAYS[3]}.csv.gz"
    bad.write_bytes(good[:-9] + bytes(1) + good[-8:])
    kept = gone.read_bytes()
    gone.unlink()
    moved = there.move()
    assert sorted((one.where, one.reason) for one in moved.unfit) == [(str(gone), "missing"), (str(bad), "damaged")]
    assert (moved.is_done, local.where().url, len(local.files())) == (False, "", PARTS - 1)
    told = there.here("move", "--yes")
    assert (told.code, "damaged" in told.out, "--leave-damaged" in told.out) == (3, True, True)

    gone.write_bytes(kept)
    moved = there.move(leave_damaged=True)
    assert (moved.is_done, moved.copied.there) == (True, PARTS - 2)
    assert local.files() == sorted([bad, gone.with_name(f"{DAYS[2]}.csv.gz")]), "what may be the only copy stays"
    assert run(there, STOCKS_DAY, SESSIONS[STOCKS_DAY]).committed == [DAYS[2]]
    assert there.parts() == before["stocks-day parts"]


@LONG
def test_a_full_disk_on_the_way_back_leaves_the_cache_where_it_is(local, there, before, monkeypatch):
    there.move()
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5))
        with pytest.raises(CacheError, match="free, and the parts take"):
            local.move()
    write, left = opening.write_all, [5]

    def full(descriptor, data):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(descriptor, data)

    with monkeypatch.context() as patch:
        patch.setattr(opening, "write_all", full)
        with pytest.raises(CacheError, match="No space left"):
            local.move()
    assert there.seen() == before
    assert local.move().copied.there > 0
    assert local.seen() == before


@LONG
def test_a_store_that_fails_in_the_middle_leaves_the_cache_where_it_is(local, there, before, monkeypatch):
    put, left = Bucket.put_new, [6]

    def down(*given):
        left[0] -= 1
        if left[0] < 0:
            raise StoreUnavailable("the store does not answer")
        return put(*given)

    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "put_new", down)
        with pytest.raises(StoreUnavailable):
            there.move()
    assert local.seen() == before
    assert there.move().copied.there == 6
    assert there.seen() == before


def test_a_place_of_another_cache_is_refused(local, there, tmp_path):
    theirs = replace(there, root=tmp_path / "theirs")
    run(theirs, STOCKS_DAY, DAYS[:1])
    with pytest.raises(OtherWriter, match="belongs to another cache"):
        there.move()
    assert (local.where().url, len(local.files())) == ("", PARTS)


@LONG
def test_parts_that_somebody_removes_meanwhile_are_missed_before_the_commit(local, there, before, monkeypatch):
    look = moving.Mover._look

    def removed(mover, *given):
        there.store.remove(parts_in(there.store)[:3])
        look(mover, *given)

    with monkeypatch.context() as patch:
        patch.setattr(moving.Mover, "_look", removed)
        with pytest.raises(CacheError, match="3 parts that were copied are not at"):
            there.move()
    assert local.seen() == before
    assert there.move().copied.there == PARTS - 3


@LONG
def test_a_move_that_is_stopped_goes_on_later(local, there, before):
    moved = there.move(stop=lambda: True)
    assert (moved.interrupted, moved.is_done, local.where().url) == (True, False, "")
    assert there.move().is_done
    assert there.seen() == before


POINTS = [
    ("ingest.cache.places.targets:ToBucket.settle", 1),
    ("ingest.cache.objects.bucket:Bucket.put_new", 7),
    ("ingest.cache.manifest.stores.places:KnownPlaces.move", 1),
    ("ingest.cache.objects.writing.writer:Writer.snapshot", 1),
    ("ingest.cache.parts.local:LocalParts.drop", 4),
    ("ingest.cache.manifest.stores.places:KnownPlaces.depart", 1),
]
BACK = [
    ("ingest.cache.parts.local:LocalParts.publish", 5),
    ("ingest.cache.places.targets:ToFolders.settle", 1),
    ("ingest.cache.manifest.stores.places:KnownPlaces.move", 1),
    ("ingest.cache.places.departures:clear", 1),
]


def killed(place: Movable, point: str, call: int) -> None:
    done = place.ended([sys.executable, "-W", "error", str(KILLED), point, str(call), "SIGKILL"])
    assert done.returncode == -signal.SIGKILL, done.stderr


def readable(place: Movable, other: Movable) -> Movable:
    """The cache with the settings of where its parts are."""
    return place if place.where().url == (place.store.url if place.store else "") else other


@pytest.mark.parametrize("point", sampled(POINTS, every=6))
def test_a_kill_on_the_way_there_loses_nothing_and_the_next_move_ends_it(local, there, before, point):
    killed(there, *point)
    assert readable(local, there).seen() == before
    assert there.move().is_done
    assert (there.seen(), local.files()) == (before, [])


@LONG
@pytest.mark.parametrize("point", BACK)
def test_a_kill_on_the_way_back_loses_nothing_and_the_next_move_ends_it(local, there, before, point):
    there.move()
    killed(local, *point)
    assert readable(local, there).seen() == before
    assert local.move().is_done
    assert (local.seen(), len(local.files())) == (before, PARTS)


@pytest.mark.parametrize("sent", sampled(["SIGINT", "SIGTERM"], every=2))
def test_ctrl_c_ends_a_move_and_the_parts_stay_where_they_are(local, there, before, sent):
    """It comes with the first part; what is under way is put, and remembered."""
    point = "ingest.cache.objects.bucket:Bucket.put_new"
    done = there.ended([sys.executable, "-W", "error", str(KILLED), point, "1", sent])
    assert done.returncode == 130, done.stderr
    assert (local.where().url, len(local.files())) == ("", PARTS)
    moved = there.move()
    assert (moved.is_done, moved.copied.there) == (True, PARTS)
    assert there.seen() == before


# The command


def test_the_command_asks_says_what_it_did_and_what_to_set(local, there, store):
    url = store.url
    shown = there.here("move", "-n")
    assert (shown.code, f"Would be moved to {url}" in " ".join(shown.out.split())) == (0, True)
    refused = there.here("move")
    assert (refused.code, local.where().url, "--yes" in refused.err) == (2, "", True)
    done = there.here("move", "--yes", "--json")
    (last,) = [json.loads(line) for line in done.out.splitlines() if '"moved"' in line]
    assert (done.code, last["parts"], last["target"], last["done"]) == (0, PARTS, url, True)
    back = there.here("move", "--to", "local", "--yes")
    said = " ".join(back.out.split())
    assert (back.code, 'archive = ""' in said, said.count("stay until")) == (0, True, 1)
    assert there.here("move", "--to", "nowhere").code == 2


@LONG
def test_what_is_kept_is_not_removed_and_not_copied_again(local, there, store):
    there.move(keep=True)
    assert len(local.files()) == PARTS
    assert local.move(keep=True).copied.there == PARTS
    assert there.move(keep=True).is_done
    assert (len(local.files()), len(parts_in(store))) == (PARTS, PARTS)


def test_the_stored_parts_are_listed_for_other_programs_wherever_they_are(local, there, tmp_path):
    """In a bucket a correction leaves two versions of a part: only the stored one is listed."""

    def listed(place):
        told = place.here("list", "--parts", "--json", "--start", DAYS[0], "--end", DAYS[2])
        assert told.code == 0, told.err
        return [json.loads(line) for line in told.out.splitlines()]

    first = listed(local)
    for one in first:
        data = Path(one["path"]).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (one["sha256"], one["bytes"])
    assert len(first) == 2 * (3 + 2)
    there.move()
    second = listed(there)
    assert [{**one, "path": "", "time": ""} for one in first] == [{**one, "path": "", "time": ""} for one in second]
    for one in second:
        stored = there.store.head(one["path"].removeprefix(f"{there.store.url}/"))
        assert stored.size == one["bytes"]
    plain = there.here("list", "--parts", "-d", "stocks-day", "--end", DAYS[0]).out.splitlines()
    assert [line.split()[:3] for line in plain] == [["stocks-day", str(DAYS[0]), tier] for tier in TIERS]
    assert there.here("list", "--parts", "--all-permitted").code == 2


def test_no_other_error_is_taken_for_another_place(local):
    with pytest.raises(UsageError, match="neither"):
        moving.target_of(local.settings(), "ftp://x/y")


def test_a_plan_refuses_what_a_move_would(local, there, tmp_path):
    run(replace(there, root=tmp_path / "theirs"), STOCKS_DAY, DAYS[:1])
    for flag in ("--dry-run", "--yes"):
        told = there.here("move", flag)
        assert (told.code, told.out) == (6, "")
        assert "Choose another prefix. Run `ingest restore`" in told.err
        told = local.here("move", flag, "--to", there.store.url, INGEST_STORE__ENDPOINT=there.store.endpoint)
        assert (told.code, told.out) == (6, "")
        assert told.err.endswith("Choose another prefix\n")
        assert "archive" not in told.err, "that is where the parts are, and stays"
        assert "restore" not in told.err
        told = there.here("move", flag, INGEST_CACHE__ARCHIVE="s3://nowhere/a")
        assert (told.code, told.out) == (5, "")
        assert "no bucket for s3://nowhere/a: create it, or name another one" in told.err
    assert len(local.files()) == PARTS


def test_a_place_that_is_given_free_keeps_the_files_of_the_user(local, there):
    there.move()
    own = ["manifest/mine.txt", "manifest/kept.sqlite.z", "mine.json"]
    for name in own:
        there.store.put_new(name, b"mine", hashlib.sha256(b"mine").hexdigest())
    local.move()
    after_the_grace(local)
    run(local, STOCKS_DAY, SESSIONS[STOCKS_DAY])
    assert sorted(one.name for one in there.store.listing()) == sorted(own)
