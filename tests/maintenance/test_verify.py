"""`ingest verify`: it finds each kind of damage, names it, and writes nothing."""

import gzip
import hashlib
import json
import shutil
import sqlite3
from contextlib import closing

import pytest
from pipeline_kit import assert_same, flat, key, market_day, window
from runs_kit import DAYS, ROWS, SPAN
from tuning_kit import tune

from ingest.cache.parts import note
from ingest.demo.files.market import pack
from ingest.files import durable
from ingest.maintenance.verify import BROKEN, cache, session, verify


def problems(place, deep=False):
    """(kind, what) of all problems."""
    return [(one.kind, one.what) for one in verify(place.settings(), deep).problems]


def spoil(path, at=-20):
    data = bytearray(path.read_bytes())
    data[at] ^= 0x55
    path.write_bytes(data)


def resealed(place, tier, change):
    """Change a part's text and its hash in the manifest, so that only a deep verify can see it."""
    import hashlib

    path = place.part(DAYS[2], tier)
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))
    sha256, size = hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size
    place.execute(f"UPDATE sessions SET {tier}_sha256 = '{sha256}' WHERE session = '{DAYS[2]}'")
    index = f'[[0,{size}],["AAPL"],false]'
    place.execute(
        f"UPDATE members SET member_index = CAST('{index}' AS BLOB) WHERE session = '{DAYS[2]}' AND tier = '{tier}'"
    )


@pytest.mark.parametrize("deep", [False, True])
def test_a_whole_cache_has_no_problem(place, deep):
    found = verify(place.settings(), deep)
    assert (found.problems, found.notes) == ((), ())
    assert (found.sessions, found.files, found.deep) == (len(DAYS), 2 * len(DAYS), deep)
    assert found.rows == sum(market_day(day).count(b"\n") - 1 for day in DAYS)
    assert found.csvs == len(list(place.tracked.glob("*.csv")))


PARTS = {"tracked": "data_cache/sessions", "archive": "massive_cache"}


@pytest.mark.parametrize("tier", PARTS)
def test_a_part_that_is_gone_or_is_another_file_is_named(place, tier):
    place.part(DAYS[1], tier).unlink()
    spoil(place.part(DAYS[2], tier))
    place.part(DAYS[3], tier).write_bytes(place.part(DAYS[3], tier).read_bytes() + b"\0")
    shutil.copy(place.part(DAYS[5], tier), place.part(DAYS[4], tier))
    kinds = ["missing", *["damaged"] * 3]
    names = [f"{PARTS[tier]}/{day}.csv.gz" for day in DAYS[1:5]]
    assert problems(place) == problems(place, deep=True) == list(zip(kinds, names, strict=True))


@pytest.mark.parametrize(
    ("tier", "change"),
    [
        ("tracked", lambda text: text.replace(b"AAPL,", b"AAPL,9")),
        ("archive", lambda text: text + text[-40:]),
        ("archive", lambda text: b"\n".join([*text.split(b"\n")[:-2], b""])),
    ],
    ids=["a value", "a row too many", "a row too few"],
)
def test_a_text_that_is_not_the_source_is_seen_by_a_deep_look(place, tier, change):
    resealed(place, tier, change)
    assert ("damaged", str(DAYS[2])) not in problems(place)
    assert ("damaged", str(DAYS[2])) in problems(place, deep=True)


@pytest.mark.parametrize(
    "change",
    [
        "source_rows = source_rows + 1",
        "tracked_rows = tracked_rows - 1, archive_rows = archive_rows + 1",
        "archive_kept = 0",
        "dropped_rows = 1, archive_rows = archive_rows - 1",
        "tracked_row_numbers = zeroblob(length(tracked_row_numbers))",
    ],
)
def test_a_manifest_that_contradicts_itself_is_named(place, change):
    place.execute(f"UPDATE sessions SET {change} WHERE session = '{DAYS[2]}'")
    assert ("damaged", "manifest") in problems(place)


@pytest.mark.parametrize(
    "change",
    [
        "projections SET ticker = x'00ff' WHERE ticker = 'AAPL'",
        "sessions SET tracked_rows = ''",
        "sessions SET dropped_rows = x'00'",
        "runs SET exit_code = 'none'",
    ],
)
def test_values_of_another_type_are_damage(place, change):
    place.execute(f"UPDATE {change}")
    assert set(problems(place)) == {("damaged", "manifest")}


def test_an_index_with_missing_rows_is_damage(place):
    """The effect of a damaged page, which SQLite's quick check does not find."""
    with closing(sqlite3.connect(place.root / "manifest.sqlite")) as db:
        db.executescript(
            "CREATE INDEX more ON sessions (session); PRAGMA writable_schema = ON; "
            "UPDATE sqlite_schema SET sql = 'CREATE INDEX more ON sessions (etag)' WHERE name = 'more';"
        )
    assert problems(place) == [("damaged", "manifest")]


@pytest.mark.parametrize(
    "change",
    [
        "sessions SET text_sha256 = 'other'",
        "sessions SET size = size + 1",
        "sessions SET columns = replace(columns, 'open', 'opem')",
        "tracked_sets SET tickers = 'AAPL' || char(10) || 'MSFT'",
    ],
)
def test_what_the_part_says_otherwise_is_named(place, change):
    """The value is possible, but the note in the part contradicts it."""
    place.execute(f"UPDATE {change}")
    assert problems(place) == [("damaged", "manifest")] * len(DAYS)


def test_a_part_of_an_older_version_says_nothing_and_an_etag_may_be_forgotten(place):
    _, plain = note.take_note(place.part(DAYS[2]).read_bytes())
    place.part(DAYS[2]).write_bytes(plain)
    offsets, *rest = json.loads(place.query("SELECT member_index FROM members WHERE tier = 'tracked'")[0][0])
    index = json.dumps([[0, len(plain)], *rest])
    assert len(offsets) == 2
    sha256 = hashlib.sha256(plain).hexdigest()
    place.execute(f"UPDATE sessions SET tracked_sha256 = '{sha256}', size = 5 WHERE session = '{DAYS[2]}'")
    place.execute(
        f"UPDATE members SET member_index = CAST('{index}' AS BLOB) WHERE session = '{DAYS[2]}' AND tier = 'tracked'"
    )
    place.execute("UPDATE sessions SET etag = NULL")
    assert problems(place, deep=True) == []


@pytest.mark.parametrize("index", ['[[0,5],["A"],true]', "[]", "nonsense", '[[0,5,3,9],["A"],true]'])
def test_an_index_that_does_not_fit_is_named(place, index):
    place.execute(
        f"UPDATE members SET member_index = CAST('{index}' AS BLOB) WHERE session = '{DAYS[2]}' AND tier = 'archive'"
    )
    assert problems(place) == [("damaged", f"massive_cache/{DAYS[2]}.csv.gz")]


def test_members_that_begin_with_another_ticker_are_seen_by_a_deep_look(place):
    ((index,),) = place.query("SELECT member_index FROM members WHERE session = ? AND tier = 'archive'", str(DAYS[2]))
    offsets, firsts, ordered = json.loads(index)
    changed = json.dumps([offsets, ["ZZZ", *firsts[1:]], ordered])
    place.execute(
        f"UPDATE members SET member_index = CAST('{changed}' AS BLOB) WHERE session = '{DAYS[2]}' AND tier = 'archive'"
    )
    assert problems(place) == [("damaged", "manifest")]
    assert problems(place, deep=True) == [("damaged", "manifest"), ("damaged", str(DAYS[2]))]


def test_a_csv_that_is_gone_or_was_changed_is_named(place):
    (place.tracked / "AAPL_1d_data.csv").unlink()
    spoil(place.tracked / "TRUE_1d_data.csv")
    assert problems(place) == [("missing", "AAPL_1d_data.csv"), ("damaged", "TRUE_1d_data.csv")]


def test_a_csv_that_is_not_what_the_parts_say_is_seen_by_a_deep_look(place):

    path = place.tracked / "AAPL_1d_data.csv"
    path.write_bytes(path.read_bytes().replace(b"2025-03-04,", b"2025-03-04,9"))
    place.execute(
        f"UPDATE projections SET sha256 = '{hashlib.sha256(path.read_bytes()).hexdigest()}' WHERE ticker = 'AAPL'"
    )
    assert problems(place) == []
    assert problems(place, deep=True) == [("damaged", "AAPL_1d_data.csv")]


def test_strangers_are_orphans_and_break_nothing(place, server):
    day = DAYS[0].replace(year=2020)
    place.part(day).write_bytes(b"what")
    (place.tracked / "NOONE_1d_data.csv").write_text("Date\n")
    durable.temporary(place.part(DAYS[1])).write_bytes(b"half")
    (place.tracked / "my notes.txt").write_text("mine")
    found = verify(place.settings())
    assert {(one.kind, one.what) for one in found.problems} == {
        ("orphan", f"sessions/{day}.csv.gz"),
        ("orphan", "data_cache/NOONE_1d_data.csv"),
        ("orphan", f"sessions/{durable.temporary(place.part(DAYS[1])).name}"),
    }
    assert found.broken == ()
    assert place.here("verify").code == 0


def test_sessions_between_that_are_not_stored_are_gaps(place, server, tmp_path):
    for day in DAYS[3:5]:
        del server.objects[key(day)]
    other = type(place)(tmp_path / "other", server.endpoint_url)
    other.run(*SPAN)
    found = verify(other.settings())
    assert [(one.kind, one.what, one.session) for one in found.problems] == [
        ("gap", f"{DAYS[3]} to {DAYS[4]}", DAYS[3])
    ]
    assert "absent" in found.problems[0].reason
    assert found.broken == ()


def test_a_gap_names_the_sessions_that_are_in_quarantine(place, server, tmp_path):
    server.put(key(DAYS[2]), b"nonsense")
    del server.objects[key(DAYS[3])]
    other = type(place)(tmp_path / "other", server.endpoint_url)
    other.run(*SPAN)
    (gap,) = verify(other.settings()).problems
    assert (gap.kind, gap.what) == ("gap", f"{DAYS[2]} to {DAYS[3]}")
    assert gap.reason == f"2 sessions not stored; in quarantine: {DAYS[2]}"


def test_a_file_in_quarantine_that_is_gone_is_named(place, server):
    server.put(key(DAYS[2]), b"nonsense")
    place.run(*SPAN)
    assert problems(place) == []
    (place.root / "quarantine" / f"{DAYS[2]}.csv.gz").write_bytes(b"non")
    assert problems(place) == [("damaged", f"quarantine/{DAYS[2]}.csv.gz")]
    (place.root / "quarantine" / f"{DAYS[2]}.csv.gz").unlink()
    assert problems(place) == [("missing", f"quarantine/{DAYS[2]}.csv.gz")]


def test_without_the_rest_and_with_texts_that_polars_cut_a_deep_look_finds_nothing(place, server, tmp_path):
    odd = flat([('"AAPL"', "1"), ("MSFT", "2")], header="ticker,volume,open,close,high,low,window_start,note")
    server.put(key(DAYS[1]), pack(odd.replace(b",1,1\n", b',1,"two\nlines"\n')))
    server.put(key(DAYS[2]), pack(flat(ROWS)[:-1]))
    server.put(key(DAYS[3]), pack(flat(ROWS).replace(b"\n", b"\r\n")))
    server.put(key(DAYS[4]), pack(flat([])))
    server.put(key(DAYS[5]), pack(flat([*ROWS[::-1], ("", "2")])))
    for name, save in (("all", True), ("tracked", False)):
        other = type(place)(tmp_path / name, server.endpoint_url)
        assert other.run(*SPAN, save_others=save).finished.committed == len(DAYS)
        assert problems(other, deep=True) == []


def test_fields_that_are_odd_and_whole_are_no_damage(place, server, tmp_path):
    """A first ticker with a lone CR, and a text cut by polars with a field longer than the csv module reads."""
    server.put(key(DAYS[1]), pack(flat([("A\rB", "1"), ("AAPL", "2"), ("MSFT", "3")])))
    header = "ticker,volume,open,close,high,low,window_start,note"
    long = f',1,"two\n{"x" * 200_000}"\n'.encode()
    server.put(key(DAYS[2]), pack(flat([("AAPL", "1"), ("MSFT", "2")], header).replace(b",1,1\n", long)))
    other = type(place)(tmp_path / "odd", server.endpoint_url)
    assert other.run(*SPAN).finished.committed == len(DAYS)
    assert problems(other, deep=True) == []


@pytest.mark.parametrize("columns", ['["ticket"]', "[]", '["ticker", "ticker"]'])
def test_columns_that_are_others_are_seen_by_a_deep_look(place, columns):
    place.execute(f"UPDATE sessions SET columns = '{columns}' WHERE session = '{DAYS[2]}'")
    assert ("damaged", str(DAYS[2])) in problems(place, deep=True)


def test_a_look_writes_nothing(place, snapshot, server):
    place.part(DAYS[1]).unlink()
    spoil(place.part(DAYS[2], "archive"))
    (place.tracked / "AAPL_1d_data.csv").unlink()
    before = snapshot(place.root)
    asked = len(server.requests)
    for arguments in (["verify"], ["verify", "--deep"], ["verify", "--json"], ["verify", "--deep", "--json"]):
        assert place.here(*arguments).code == 3
        assert snapshot(place.root) == before
    assert len(server.requests) == asked


def test_a_cache_that_is_not_there_stays_away(place, tmp_path):
    nothing = type(place)(tmp_path / "nothing", place.endpoint_url)
    assert problems(nothing) == []
    assert not nothing.root.exists()


def test_a_missing_folder_of_parts_is_reported_part_by_part(place):
    shutil.rmtree(place.archive)
    found = verify(place.settings())
    assert {one.kind for one in found.problems} == {"missing"}
    assert len(found.problems) == len(DAYS)


def test_json_has_all_that_was_found(place):
    place.part(DAYS[1]).unlink()
    told = place.here("verify", "--json")
    found = json.loads(told.out)
    (problem,) = found["problems"]
    assert (told.code, found["ok"], found["sessions"], found["deep"]) == (3, False, len(DAYS), False)
    assert problem == {
        "problem": "missing",
        "about": "session",
        "what": f"data_cache/sessions/{DAYS[1]}.csv.gz",
        "reason": "the file is gone",
        "session": str(DAYS[1]),
        "ticker": None,
        "period": None,
    }
    assert {"missing", "damaged"} == set(BROKEN)


def test_a_dataset_that_cannot_be_checked_does_not_stop_the_others(place):
    (place.root / "massive_cache" / "global_crypto").write_text("in the place of a folder")
    place.part(DAYS[0]).unlink()
    told = place.here("verify", "-d", "crypto-day", "-d", "stocks-day")
    assert told.code == 5
    assert "error: crypto-day: cannot look into " in told.err
    assert f"{DAYS[0]}.csv.gz" in told.out


def test_many_problems_are_counted_for_people(place):
    for number in range(30):
        (place.tracked / f"X{number}_1d_data.csv").write_text("")
    told = place.here("verify")
    assert "and 10 more of kind orphan (--json lists them)" in told.out


def test_unfinished_work_of_a_killed_run_is_a_note(place):
    place.execute("UPDATE projections SET dirty = 1 WHERE ticker = 'AAPL'")
    assert verify(place.settings()).notes == ("1 CSVs are out of date: the next run updates them",)


def test_a_fresh_cache_like_it_is_the_same(place, server, tmp_path):
    other = type(place)(tmp_path / "other", server.endpoint_url)
    other.run(*window(DAYS))
    verify(other.settings(), deep=True)
    assert_same(place, other)


def test_a_run_that_ends_during_a_check_breaks_nothing(place, server, monkeypatch):
    """Records are read before the run, parts after it; its note is gone by the end of the check."""
    looks, original = [], session.check_session

    def slow(record, *arguments, **named):
        looks.append(record.session)
        if len(looks) == 1:
            server.put(key(DAYS[4]), pack(market_day(DAYS[4]).replace(b"\nAAPL,", b"\nAAPL,9")))
            assert place.run(*SPAN).finished.corrections == 1
        return original(record, *arguments, **named)

    monkeypatch.setattr(session, "check_session", slow)
    monkeypatch.setattr(cache, "_AHEAD", 1)
    monkeypatch.setattr(cache.os, "cpu_count", lambda: 1)  # one after the other
    tune(monkeypatch, look_again_s=0)
    found = verify(place.settings())
    assert found.problems == ()
    assert len(looks) == 2 * len(DAYS)
