"""Links and pipes under the names of a cache's files: nothing outside is written, and no command waits for one."""

import os
from datetime import date

import pytest
from pipeline_kit import Place, market_objects, sampled, trading_days, write_keys

from ingest.demo.servers import loopback
from ingest.errors import CacheError
from ingest.maintenance.verify import verify

DAYS = trading_days(date(2025, 3, 3), 3)
pytestmark = pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")


@pytest.fixture
def place(tmp_path, monkeypatch):
    write_keys(tmp_path / "credentials")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with loopback.serve(market_objects(DAYS)) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.run(DAYS[0], DAYS[1])
        yield place


NAMES = {
    "an earlier version's temporary part": f"massive_cache/.{DAYS[2]}.csv.gz.tmp",
    "a part to come": f"massive_cache/{DAYS[2]}.csv.gz",
    "a tracked part to come": f"data_cache/sessions/{DAYS[2]}.csv.gz",
    "a CSV": "data_cache/AAPL_1d_data.csv",
    "the lock's note": "ingest.lock.json",
    "a spool's note": f"spool/{DAYS[2]}.csv.gz.part.json",
    "a spool": f"spool/{DAYS[2]}.csv.gz.part",
    "a refused file": f"quarantine/{DAYS[2]}.csv.gz",
}


def plant(path, outside, kind):
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(outside if kind == "link" else outside.with_name("made by following it"))


def check_outside(outside):
    assert outside.read_bytes() == b"mine"
    assert not outside.with_name("made by following it").exists()


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", sampled(["link", "dangling link", "pipe"], 2))
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_run_and_verify_go_on_over_what_is_planted(place, tmp_path, name, kind):
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    plant(place.root / name, outside, kind)
    verify(place.settings(), deep=True)
    assert place.run(DAYS[0], DAYS[2]).finished.exit_code == 0
    check_outside(outside)
    assert all(place.reassembled(day) for day in DAYS)
    assert [one for one in verify(place.settings()).problems if one.kind in ("damaged", "missing")] == []


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe"])
@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-journal"])
def test_what_is_planted_for_sqlite_is_refused_or_passed_over(place, tmp_path, end, kind):
    outside, manifest = tmp_path / "outside", place.root / "manifest.sqlite"
    outside.write_bytes(b"mine")
    plant(manifest.with_name(f"{manifest.name}{end}"), outside, kind)
    try:
        place.run(DAYS[0], DAYS[2])
    except CacheError as error:
        assert str(manifest) in str(error)  # noqa: PT017 - some are passed over
    check_outside(outside)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_held_part_that_is_none_any_more_is_damage_and_fetched_again(place, tmp_path, kind):
    part = place.part(DAYS[0], "archive")
    outside = tmp_path / "outside"
    outside.write_bytes(part.read_bytes())
    whole = outside.read_bytes()
    plant(part, outside, kind)
    (wrong,) = [one for one in verify(place.settings()).problems if one.kind == "damaged"]
    assert f"it is a {kind}, not a file" in wrong.reason
    place.run(DAYS[0], DAYS[0], refresh=True)
    assert (part.is_symlink(), part.read_bytes(), outside.read_bytes()) == (False, whole, whole)


def test_a_folder_that_is_a_link_is_the_users_own(place, tmp_path):
    elsewhere = tmp_path / "big"
    (place.root / "massive_cache").rename(elsewhere)
    (place.root / "massive_cache").symlink_to(elsewhere)
    assert place.run(DAYS[0], DAYS[2]).finished.exit_code == 0
    assert (elsewhere / f"{DAYS[2]}.csv.gz").is_file()
    assert verify(place.settings(), deep=True).problems == ()


def test_other_programs_temporary_files_stay(place):
    names = [".syncthing.AAPL_1d_data.csv.tmp", ".notes.tmp", ".rsync.csv.ingest-1.tmp"]
    for folder in ("data_cache", "data_cache/sessions", "massive_cache"):
        for name in names:
            (place.root / folder / name).write_text("mine")
    place.run(DAYS[0], DAYS[2])
    for folder in ("data_cache", "data_cache/sessions", "massive_cache"):
        assert all((place.root / folder / name).read_text() == "mine" for name in names)
    assert verify(place.settings()).problems == ()
