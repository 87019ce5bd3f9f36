"""`ingest lake` and `ingest verify` with tables of Iceberg."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from iceberg_kit import correct, data_files, in_lake, place, read, snapshots, table_folder, table_of
from lake_kit import DAYS
from minutes_kit import minutes_text, some_minutes
from pipeline_kit import Place, pack, window
from polars.testing import assert_frame_equal

from ingest.lake.state import lake_snapshots
from ingest.maintenance.pruning import Selection, remove_from
from ingest.maintenance.verify import verify
from ingest.market.catalogue import STOCKS_DAY, STOCKS_MINUTE

__all__ = ["place"]


@pytest.fixture
def corrected(place, server):
    """The place after a run that corrects a session."""
    correct(server)
    place.run(*window(DAYS))
    return place


def told(place, *arguments):
    found = place.here(*arguments)
    assert found.code == 0, found.err
    return found.out


def problems(place):
    return [(one.kind, one.about, one.what.rpartition("/")[2]) for one in verify(place.settings()).problems]


def test_the_status_names_the_table_and_its_newest_snapshot(corrected):
    table = table_of(corrected)
    newest = table.current_snapshot().snapshot_id
    text = told(corrected, "lake", "status")
    assert f"table ingest.stocks_day of the catalog ingest: 2 snapshots, the newest is {newest}" in text
    (record,) = map(json.loads, told(corrected, "lake", "status", "--json").splitlines())
    assert (record["table"], record["snapshot"], record["snapshots"]) == ("ingest.stocks_day", str(newest), 2)
    assert record["metadata"] == table.metadata_location


def test_snapshots_are_listed_with_the_sessions_that_they_changed(corrected):
    lines = told(corrected, "lake", "snapshots").splitlines()
    first, second = table_of(corrected).metadata.snapshots
    assert lines[0] == "stocks-day: 2 snapshots of ingest.stocks_day"
    assert lines[1].split()[0] == str(first.snapshot_id)
    assert f"4 sessions changed ({DAYS[0]} to {DAYS[3]})" in lines[1]
    assert lines[2].split()[0] == str(second.snapshot_id)
    assert f"1 session changed ({DAYS[1]})" in lines[2]
    assert lines[2].endswith("the newest")
    one, two = map(json.loads, told(corrected, "lake", "snapshots", "--json").splitlines())
    assert (one["kind"], one["snapshot"], one["newest"]) == ("lake_snapshot", str(first.snapshot_id), False)
    assert (two["sessions"], two["first"], two["rows"]) == (1, str(DAYS[1]), in_lake(corrected).height)
    assert abs(datetime.now(UTC) - lake_snapshots(corrected.settings(), STOCKS_DAY)[1].made) < timedelta(minutes=5)


def test_without_a_table_there_is_none(server, tmp_path):
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True)
    place.run(*window(DAYS))
    off = "[lake] iceberg is false: no run makes a snapshot."
    assert told(place, "lake", "snapshots").splitlines() == ["stocks-day: 0 snapshots", off]
    assert not (place.root / "lake" / "iceberg").exists()
    (record,) = map(json.loads, told(place, "lake", "status", "--json").splitlines())
    assert (record["table"], record["snapshots"]) == ("", 0)


def test_build_makes_the_table_of_a_lake_that_is_there(server, tmp_path):
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True)
    place.run(*window(DAYS))
    text = place.here("lake", "build", INGEST_LAKE__ICEBERG="true").out
    assert "the table ingest.stocks_day: snapshot " in text
    assert_frame_equal(read(table_of(place), place), in_lake(place))
    assert told(place, "lake", "build") == "stocks-day: up to date.\n"


def test_drop_removes_the_table_and_its_snapshots(corrected):
    told(corrected, "lake", "drop", "--yes")
    assert not (corrected.root / "lake").exists()
    first = "  `ingest lake build` makes the first."
    assert told(corrected, "lake", "snapshots").splitlines() == ["stocks-day: 0 snapshots", first]
    told(corrected, "lake", "build")
    assert snapshots(corrected) == 1


def test_verify_finds_a_file_that_is_missing_or_changed_and_repair_puts_it_back(place):
    assert problems(place) == []
    assert verify(place.settings()).notes == ()
    gone, changed = data_files(place)
    gone.unlink()
    data = changed.read_bytes()
    changed.unlink()
    changed.write_bytes(data[:100] + bytes(8) + data[108:])
    assert problems(place) == [("missing", "lake", gone.name), ("damaged", "lake", changed.name)]
    assert place.here("verify", "--repair").code == 0
    assert problems(place) == []
    assert snapshots(place) == 1
    assert_frame_equal(read(table_of(place), place), in_lake(place))


def test_repair_drops_a_snapshot_whose_file_nothing_can_bring_back(corrected):
    before = {url.rpartition("/")[2] for url in table_of(corrected).inspect.files()["file_path"].to_pylist()}
    (old,) = [path for path in data_files(corrected) if path.name not in before]
    old.write_bytes(b"PAR1")
    assert problems(corrected) == [("damaged", "lake", old.name)]
    assert corrected.here("verify", "--repair").code == 0
    assert problems(corrected) == []
    assert snapshots(corrected) == 1
    assert_frame_equal(read(table_of(corrected), corrected), in_lake(corrected))


def test_verify_finds_metadata_that_cannot_be_read(place):
    newest = sorted((table_folder(place) / "metadata").glob("*.metadata.json"))[-1]
    newest.write_bytes(b"{")
    assert problems(place) == [("damaged", "lake", "ingest.stocks_day")]
    assert place.here("verify", "--repair").code == 0
    assert problems(place) == []


def test_verify_says_that_a_table_is_out_of_date(server, tmp_path):
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True)
    place.run(*window(DAYS))
    with_table = Place(place.root, place.endpoint_url, lake=True, iceberg=True)
    assert any("the table of stocks-day is out of date" in note for note in verify(with_table.settings()).notes)


def lose_list(place, snapshot):
    path = Path(snapshot.manifest_list.removeprefix("file://"))
    path.unlink()
    return path


def damage_data(place, snapshot):
    (path,) = [one for one in data_files(place) if one.name not in names_of(place)]
    path.write_bytes(path.read_bytes()[:-8])
    return path


def names_of(place):
    return {url.rpartition("/")[2] for url in table_of(place).inspect.files()["file_path"].to_pylist()}


@pytest.mark.parametrize("deed", [lose_list, damage_data])
def test_of_what_a_tag_keeps_verify_promises_no_repair_and_a_repair_removes_nothing(deed, corrected):
    old = table_of(corrected).metadata.snapshots[0]
    table_of(corrected).manage_snapshots().create_tag(old.snapshot_id, "mine").commit()
    lost = deed(corrected, old)
    was_there = lost.exists()
    (problem,) = verify(corrected.settings()).problems
    assert "nothing brings it back, and the tag mine keeps the snapshot" in problem.reason
    done = corrected.here("verify", "--repair")
    assert done.code == 3
    assert "dropped" not in done.out
    assert (lost.exists(), snapshots(corrected)) == (was_there, 2)
    table_of(corrected).manage_snapshots().remove_tag("mine").commit()
    assert corrected.here("verify", "--repair").code == 0
    assert (problems(corrected), snapshots(corrected)) == ([], 1)
    assert_frame_equal(read(table_of(corrected), corrected), in_lake(corrected))


def test_a_lost_list_hides_no_damaged_file(corrected):
    damaged = damage_data(corrected, None)
    lose_list(corrected, table_of(corrected).metadata.snapshots[-1])
    newest = table_of(corrected).current_snapshot().snapshot_id
    assert [one.what.rpartition("/")[2] for one in verify(corrected.settings()).problems] == [
        f"ingest.stocks_day, snapshot {newest}",
        damaged.name,
    ]


@pytest.fixture
def pruned(server, tmp_path):
    """Minutes whose sessions are all pruned: the files of the lake are left, or only the table is."""
    for day in DAYS:
        server.put(STOCKS_MINUTE.key(day), pack(minutes_text({"AAPL": some_minutes(day)})))
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True, iceberg=True, dataset=STOCKS_MINUTE)
    place.run(*window(DAYS))

    def prune(lake):
        settings = replace(place, lake=lake).settings()
        remove_from(settings, STOCKS_MINUTE, [], Selection(before=date(2026, 1, 1)), lambda _: None)
        return replace(place, lake=lake)

    return prune


def test_a_table_without_a_stored_session_is_told_and_dropped(pruned):
    place = pruned(lake=True)
    newest = table_of(place).current_snapshot().snapshot_id
    status = told(place, "lake", "status")
    assert "stocks-minute: no file of a stored session." in status
    assert f"table ingest.stocks_minute of the catalog ingest: 2 snapshots, the newest is {newest}" in status
    assert "stocks-minute: 2 snapshots of ingest.stocks_minute" in told(place, "lake", "snapshots")
    assert "Nothing was removed" in place.here("lake", "drop").err
    told(place, "lake", "drop", "--yes")
    assert not (place.root / "lake").exists()


def test_files_without_a_stored_session_are_told_and_go(pruned):
    place = pruned(lake=False)
    assert "Left: 4 files of sessions that are not stored any more." in told(place, "lake", "status")
    assert "0 files written, 0 rows, 4 files removed" in told(place, "lake", "build")
    assert read(table_of(place), place).height == 0
    assert snapshots(place) == 2


@pytest.mark.parametrize("deed", ["nothing", "lose the files"])
def test_snapshots_are_not_dropped_without_a_word_while_iceberg_is_off(deed, corrected):
    if deed == "lose the files":
        shutil.rmtree(corrected.root / "lake" / "stocks-day")
    dropped = corrected.here("lake", "drop", INGEST_LAKE__ICEBERG="false")
    assert (dropped.code, snapshots(corrected)) == (2, 2)
    assert "Nothing was removed" in dropped.err
