"""`ingest verify --repair`, and runs in a cache without a manifest: all is as before, with few downloads."""

import hashlib
import json
import shutil

import pytest
from pipeline_kit import Place, Wire, assert_same, key, market_day, packed_day, window
from runs_kit import DAYS, SPAN
from test_verify import spoil

from ingest.cache import rebuild
from ingest.cache.cache import Cache, Layout
from ingest.cache.lock import hold
from ingest.cache.manifest import Manifest
from ingest.cache.manifest.file.migrations import MIGRATIONS
from ingest.cache.parts import note
from ingest.demo.files.market import pack
from ingest.errors import CacheLocked
from ingest.finding import FAR_COUNT
from ingest.maintenance.repair import repair
from ingest.maintenance.verify import verify
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.windows import Window
from ingest.planning.request import Request


def repaired(place, *more):
    """(exit code, actions, sessions downloaded)."""
    wire = Wire()
    with wire.watching():
        told = place.here("verify", "--repair", "--json", *more)
    return told.code, json.loads(told.out.splitlines()[-1])["deeds"], sorted(wire.gets)


@pytest.fixture
def whole(place, tmp_path):
    """The cache before any damage."""
    shutil.copytree(place.root, tmp_path / "whole")
    return Place(tmp_path / "whole", place.endpoint_url)


def assert_mended(place, whole):
    assert verify(place.settings(), deep=True).problems == ()
    assert_same(place, whole)
    assert place.run(*SPAN).gets == []


def aside(place):
    return sorted(path.name for path in place.root.glob("manifest.sqlite.damaged-*"))


@pytest.mark.parametrize("tier", ["tracked", "archive"])
def test_parts_that_are_lost_are_fetched_again_and_nothing_else(place, whole, tier):
    place.part(DAYS[1], tier).unlink()
    spoil(place.part(DAYS[2], tier))
    code, deeds, gets = repaired(place)
    assert (code, gets) == (0, DAYS[1:3])
    assert deeds[:2] == [f"{day}: will be downloaded again" for day in DAYS[1:3]]
    assert deeds[2:] == ["2 sessions downloaded again: all succeeded"]
    assert_mended(place, whole)


def test_csvs_are_rebuilt_from_the_parts_without_the_source(place, whole, offline):
    (place.tracked / "AAPL_1d_data.csv").unlink()
    path = place.tracked / "TRUE_1d_data.csv"
    spoil(path)
    path2 = place.tracked / "BRK.B_1d_data.csv"
    path2.write_bytes(path2.read_bytes().replace(b"2025-03-04,", b"2025-03-04,9"))
    digest = hashlib.sha256(path2.read_bytes()).hexdigest()
    place.execute(f"UPDATE projections SET sha256 = '{digest}' WHERE ticker = 'BRK.B'")
    told = offline.here("verify", "--repair", "--deep")
    assert (told.code, told.err) == (0, "")
    for ticker in ("AAPL", "TRUE", "BRK.B"):
        assert f"{ticker}: its CSV is rebuilt from the parts" in told.out
    assert_mended(place, whole)


def test_a_manifest_that_contradicts_its_parts_is_corrected_by_them(place, whole, offline):
    place.execute(f"UPDATE sessions SET source_rows = 1 WHERE session = '{DAYS[1]}'")
    place.execute(f"UPDATE sessions SET tracked_sha256 = 'no' WHERE session = '{DAYS[2]}'")
    place.execute(f"DELETE FROM members WHERE session = '{DAYS[3]}' AND tier = 'archive'")
    told = offline.here("verify", "--repair")
    assert (told.code, told.err) == (0, "")
    for day in DAYS[1:4]:
        assert f"{day}: restored from its parts" in told.out
    assert verify(place.settings(), deep=True).problems == ()
    assert place.run(*SPAN).gets == []
    assert place.tiers() == whole.tiers()


DAMAGE = {
    "deleted": lambda path: path.unlink(),
    "emptied": lambda path: path.write_bytes(b""),
    "nonsense": lambda path: path.write_bytes(b"nonsense" * 1000),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "a page overwritten": lambda path: path.write_bytes(
        path.read_bytes()[:4096] + b"\xff" * 4096 + path.read_bytes()[8192:]
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_manifest_that_is_gone_or_damaged_is_rebuilt_from_the_parts(place, whole, damage):
    damage(place.root / "manifest.sqlite")
    broken = verify(place.settings()).broken
    assert [one.what for one in broken] == ["manifest"]
    code, deeds, gets = repaired(place)
    assert (code, gets) == (0, [])
    whole_again = ("the manifest was empty: 8 sessions were", "8 sessions were", "the manifest was damaged: a new one")
    assert any(one.startswith(whole_again) for one in deeds)
    assert bool(aside(place)) == ((place.root / "manifest.sqlite").exists() and broken[0].kind == "damaged")
    assert place.run(*SPAN).gets == []
    assert verify(place.settings(), deep=True).problems == ()
    assert place.tiers() == whole.tiers()
    for table in ("members", "projections", "findings"):
        assert place.logical_manifest()[table] == whole.logical_manifest()[table]


def test_a_run_takes_up_the_parts_when_the_manifest_was_deleted(place, whole):
    (place.root / "manifest.sqlite").unlink()
    spoil(place.part(DAYS[3], "archive"))
    ran = place.run(*SPAN)
    assert (ran.gets, ran.reasons) == ([DAYS[3]], {"fetch: new": 1, "skip: committed": len(DAYS) - 1})
    assert any("7 sessions were restored from their parts; 1 will be" in words for words in ran.notices)
    assert verify(place.settings(), deep=True).problems == ()
    assert place.tiers() == whole.tiers()
    assert place.run(*SPAN).notices == []


def test_what_was_published_again_meanwhile_is_fetched(place, server):
    (place.root / "manifest.sqlite").unlink()
    text = market_day(DAYS[4]).replace(b"\nAAPL,", b"\nAAPL,9")
    server.put(key(DAYS[4]), pack(text))
    ran = place.run(*SPAN)
    assert (ran.gets, ran.finished.corrections) == ([DAYS[4]], 1)
    assert place.reassembled(DAYS[4]) == text


def test_a_manifest_of_a_newer_version_is_refused_and_stays_untouched(place, snapshot):
    place.execute("PRAGMA user_version = 99")
    before = snapshot(place.root)
    for arguments in (["verify"], ["verify", "--repair"]):
        told = place.here(*arguments)
        assert told.code == 5
        assert "newer version" in told.err
    assert {name: seen[1] for name, seen in snapshot(place.root).items() if "lock" not in name} == {
        name: seen[1] for name, seen in before.items() if "lock" not in name
    }


def test_parts_that_no_manifest_knows_are_taken_up_or_fetched(place, whole):
    days = [str(day) for day in DAYS[2:5]]
    for table in ("sessions", "members", "findings"):
        place.execute(f"DELETE FROM {table} WHERE session IN {tuple(days)}")
    spoil(place.part(DAYS[4], "archive"))
    code, deeds, gets = repaired(place)
    assert (code, gets) == (0, [DAYS[4]])
    assert deeds[:2] == [f"{day}: restored from its parts" for day in DAYS[2:4]]
    assert_mended(place, whole)


def test_files_that_say_nothing_of_themselves_stay(place):
    (place.tracked / "NOONE_1d_data.csv").write_text("Date\n")
    place.part(DAYS[0].replace(year=2020)).write_bytes(b"mine")
    code, _, gets = repaired(place)
    assert (code, gets) == (0, [])
    assert (place.tracked / "NOONE_1d_data.csv").exists()
    assert place.part(DAYS[0].replace(year=2020)).read_bytes() == b"mine"


def test_a_refused_file_that_is_damaged_is_kept_aside_and_is_no_orphan(place, server):
    server.put(key(DAYS[2]), b"nonsense")
    place.run(*SPAN)
    server.put(key(DAYS[2]), packed_day(DAYS[2]))
    (place.root / "quarantine" / f"{DAYS[2]}.csv.gz").write_bytes(b"another")
    code, deeds, _ = repaired(place)
    (aside,) = (place.root / "quarantine").iterdir()
    assert aside.read_bytes() == b"another"
    told = f"its file in quarantine is damaged, and its bytes are kept as {aside.name}; it will be downloaded again"
    assert (code, deeds[0]) == (0, f"{DAYS[2]}: {told}")
    assert verify(place.settings(), deep=True).problems == ()
    assert place.here("prune", "--quarantine", "--yes").code == 0
    assert not aside.exists()


def test_a_refused_file_that_is_gone_is_fetched_again(place, server, whole):
    server.put(key(DAYS[2]), b"nonsense")
    place.run(*SPAN)
    server.put(key(DAYS[2]), packed_day(DAYS[2]))
    (place.root / "quarantine" / f"{DAYS[2]}.csv.gz").unlink()
    code, deeds, _ = repaired(place)
    assert (code, deeds[0]) == (0, f"{DAYS[2]}: its file in quarantine is gone; it will be downloaded again")
    assert verify(place.settings(), deep=True).problems == ()
    assert place.query("SELECT * FROM quarantine") == []
    assert {name: data for name, data in place.tiers().items() if "sessions" not in name} == {
        name: data for name, data in whole.tiers().items() if "sessions" not in name
    }


def test_sessions_that_cannot_be_downloaded_again_are_reported(place, server):
    spoil(place.part(DAYS[2]))
    del server.objects[key(DAYS[2])]
    told = place.here("verify", "--repair")
    assert told.code == 3
    assert "could not be repaired" in told.out
    assert f"{DAYS[2]}.csv.gz" in told.out


def test_without_the_source_what_can_be_mended_is_mended(place, offline):
    spoil(place.part(DAYS[2]))
    (place.tracked / "AAPL_1d_data.csv").unlink()
    told = offline.here("verify", "--repair")
    assert told.code == 4
    assert f"{DAYS[2]}: will be downloaded again" in told.out
    assert repaired(place)[0] == 0
    assert verify(place.settings(), deep=True).problems == ()


def test_a_repair_waits_for_no_other_run(place):
    with hold(place.root), pytest.raises(CacheLocked):
        repair(place.settings(), Request(Window(*SPAN), frozenset()), False, print)


def test_a_log_that_stayed_behind_is_not_played_into_the_new_manifest(place, whole):
    manifest = place.root / "manifest.sqlite"
    manifest.write_bytes(b"nonsense" * 600)
    log = manifest.with_name("manifest.sqlite-wal")
    log.write_bytes(b"\x37\x7f\x06\x82" + b"\0" * 60)
    assert repaired(place)[0] == 0
    assert len(aside(place)) == 2
    assert place.run(*SPAN).gets == []
    assert place.tiers() == whole.tiers()


def test_a_repair_of_a_whole_cache_does_nothing(place, whole):
    assert repaired(place) == (0, [], [])
    assert_mended(place, whole)


def test_parts_of_another_dataset_or_day_are_not_believed(place, tmp_path):
    shutil.copy(place.part(DAYS[0]), place.part(DAYS[1]))
    shutil.copy(place.part(DAYS[0], "archive"), place.part(DAYS[1], "archive"))
    layout = Layout.of(place.settings(), STOCKS_DAY)
    with Manifest.open(tmp_path / "new.sqlite", STOCKS_DAY.name) as manifest:
        run = manifest.runs.begin(*window(DAYS))
        taken = rebuild.take_up(Cache.through(manifest, layout, run), DAYS)
    assert taken == (DAYS[0], *DAYS[2:])


def test_where_no_part_says_anything_all_are_fetched(place, whole):
    """Parts of an older version have no note, and the manifest is gone."""
    for day in DAYS:
        _, plain = note.take_note(place.part(day).read_bytes())
        place.part(day).write_bytes(plain)
    (place.root / "manifest.sqlite").unlink()
    code, deeds, gets = repaired(place)
    assert (code, gets) == (0, DAYS)
    assert deeds[-1] == f"{len(DAYS)} sessions downloaded again: all succeeded"
    assert_mended(place, whole)


def test_what_is_odd_beside_its_neighbours_is_found_again(place, server, tmp_path):
    server.put(key(DAYS[3]), pack(b"\n".join([*market_day(DAYS[3]).split(b"\n")[:120], b""])))
    odd = Place(tmp_path / "odd", server.endpoint_url)
    odd.run(*SPAN)
    shutil.copytree(odd.root, tmp_path / "whole")
    assert (str(DAYS[3]), FAR_COUNT) in odd.query("SELECT session, kind FROM findings")
    (odd.root / "manifest.sqlite").unlink()
    assert repaired(odd)[::2] == (0, [])
    assert_mended(odd, Place(tmp_path / "whole", server.endpoint_url))


@pytest.mark.parametrize(
    "change", ["tracked_sets SET tickers = 'MSFT'", "sessions SET text_sha256 = 'x'", "sessions SET columns = '[]'"]
)
def test_values_that_could_be_are_taken_from_the_parts(place, whole, change):
    place.execute(f"UPDATE {change}")
    code, deeds, gets = repaired(place)
    assert (code, gets) == (0, [])
    assert deeds == [f"{day}: restored from its parts" for day in DAYS]
    assert_mended(place, whole)


@pytest.mark.parametrize(
    ("offset", "flip"),
    [(18, 0x80), (47, 0x01), (60, 0x80), (63, 1 << (len(MIGRATIONS).bit_length() - 1))],
    ids=["read only", "format", "negative", "old"],
)
def test_a_header_with_a_flipped_bit_is_damage_that_is_mended(place, whole, offset, flip):
    manifest = place.root / "manifest.sqlite"
    data = bytearray(manifest.read_bytes())
    data[offset] ^= flip
    manifest.write_bytes(data)
    assert [(one.kind, one.what) for one in verify(place.settings()).problems] == [("damaged", "manifest")]
    code, _, gets = repaired(place)
    assert (code, gets) == (0, [])
    assert_mended(place, whole)


def test_what_only_a_damaged_manifest_knows_is_read_from_it(place, server):
    """Corrections are stored nowhere else, and a part of an older version does not describe itself."""
    text = market_day(DAYS[4]).replace(b"\nAAPL,", b"\nAAPL,9")
    server.put(key(DAYS[4]), pack(text))
    place.run(*SPAN)
    corrections = place.query("SELECT session, removed, added, at FROM corrections")
    plain = note.take_note(place.part(DAYS[1]).read_bytes())[1]
    place.part(DAYS[1]).write_bytes(plain)
    ((index,),) = place.query("SELECT member_index FROM members WHERE session = ? AND tier = 'tracked'", str(DAYS[1]))
    index = json.loads(index)
    place.execute(
        f"UPDATE sessions SET tracked_sha256 = '{hashlib.sha256(plain).hexdigest()}' WHERE session = '{DAYS[1]}'"
    )
    shorter = [[0, *(one - index[0][-1] + len(plain) for one in index[0][1:])], *index[1:]]
    blob = f"CAST('{json.dumps(shorter)}' AS BLOB)"
    place.execute(f"UPDATE members SET member_index = {blob} WHERE session = '{DAYS[1]}' AND tier = 'tracked'")
    assert verify(place.settings(), deep=True).problems == ()
    place.execute("UPDATE permission_windows SET first = x'ff'")
    place.execute(f"UPDATE sessions SET columns = x'00' WHERE session = '{DAYS[2]}'")
    code, deeds, gets = repaired(place)
    assert (code, gets) == (0, [])
    assert deeds[1:] == [
        "1 rows of its table sessions were altered, and were left out",
        "1 rows of its table permission_windows were altered, and were left out",
        "1 sessions were restored from their parts",
    ]
    assert place.query("SELECT session, removed, added, at FROM corrections") == corrections
    assert verify(place.settings(), deep=True).problems == ()
    assert place.run(*SPAN).gets == []


@pytest.mark.parametrize("gone", [True, False], ids=["without a manifest", "with CSVs to update"])
def test_folders_in_the_place_of_files_that_no_look_reaches_are_moved_out_of_the_way(place, whole, gone):
    """Files of sessions that are not in the manifest, and of CSVs that will be rebuilt anyway."""
    if gone:
        (place.root / "manifest.sqlite").unlink()
    else:
        place.execute("UPDATE projections SET dirty = 1")
    names = [place.part(DAYS[1]), place.part(DAYS[2], "archive"), place.tracked / "AAPL_1d_data.csv"]
    for path in names:
        path.unlink()
        path.mkdir()
    code, deeds, gets = repaired(place)
    assert (code, gets) == (0, DAYS[1:3])
    assert [sum(one.startswith(f"{path}: it is not a file") for one in deeds) for path in names] == [1, 1, 1]
    assert verify(place.settings(), deep=True).broken == ()
    assert all(place.tiers()[name] == data for name, data in whole.tiers().items())
    assert place.run(*SPAN).gets == []
