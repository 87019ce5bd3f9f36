"""`ingest quarantine dismiss`: an old refused file no longer makes each night end with 3."""

import json
import shutil
from contextlib import closing
from sqlite3 import connect

import pytest
from pipeline_kit import Place, flat, key
from runs_kit import DAYS, SPAN

from ingest import events
from ingest.cache.manifest.database import Database
from ingest.cache.manifest.file.migrations import _DISMISSED, MIGRATIONS
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.maintenance import quarantine as ours
from ingest.maintenance.verify import verify

DAY, OTHER = DAYS[2], DAYS[4]
ROWS = [*((f"T{n:02}", f"{n + 1}") for n in range(38)), ("AAPL", "100.5"), ("TRUE", "7")]
SPANNING = ("--start", str(SPAN[0]), "--end", str(SPAN[1]))


@pytest.fixture
def server(loopback_keys):
    with loopback.serve({key(day): pack(flat(ROWS)) for day in DAYS}) as running:
        yield running


@pytest.fixture
def place(server, tmp_path):
    """A cache whose run refused two files: a new session's, and the replacement of a stored one."""
    server.put(key(OTHER), b"nonsense")
    filled = Place(tmp_path / "cache", server.endpoint_url)
    filled.run(*SPAN)
    server.put(key(DAY), pack(flat(ROWS[5:])))
    assert filled.run(*SPAN).finished.exit_code == 3
    return filled


def listed(place):
    return {one["session"]: one for one in map(json.loads, place.here("quarantine", "list", "--json").out.splitlines())}


def dismissed(place):
    return [day for day, one in listed(place).items() if one["dismissed"]]


def ends(ran):
    return ran.finished.exit_code, ran.finished.quarantined, ran.finished.dismissed


def test_runs_end_with_3_until_all_of_it_is_dismissed(place):
    assert ends(place.run(*SPAN)) == (3, 2, 0)
    told = place.here("quarantine", "dismiss", OTHER)
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith(f"{OTHER}: dismissed.")
    assert ends(place.run(*SPAN)) == (3, 1, 1)
    assert place.here("quarantine", "dismiss", DAY, OTHER).code == 0
    again = place.run(*SPAN)
    assert (ends(again), again.gets) == ((0, 0, 2), [])
    assert place.here("quarantine", "dismiss", "--undo", DAY).out.startswith(f"{DAY}: no longer dismissed.")
    assert ends(place.run(*SPAN)) == (3, 1, 1)


def test_it_stays_kept_and_listed_and_everything_says_so(place):
    place.here("quarantine", "dismiss", OTHER)
    assert dismissed(place) == [str(OTHER)]
    assert (place.root / "quarantine" / f"{OTHER}.csv.gz").read_bytes() == b"nonsense"
    words = " ".join(place.here("quarantine", "list").out.split())
    assert "2 files in quarantine, 1 of them dismissed." in words
    status = place.here("status").out
    assert "2 files in quarantine, 1 of them dismissed: `ingest quarantine list` says why." in status
    found = json.loads(place.here("status", "--json").out)
    assert (found["quarantined"], found["dismissed"], len(found["quarantine"])) == (1, 1, 2)
    checked = verify(place.settings())
    assert (checked.broken, checked.notes) == ((), ("refused files in quarantine: 2; dismissed of them: 1",))
    assert [one.reason for one in checked.problems if one.kind == "gap"] == [
        f"1 session not stored; in quarantine: {OTHER} (dismissed)"
    ]
    assert "dismissed (UTC): no" in place.here("quarantine", "show", DAY).out
    assert "dismissed (UTC): 20" in place.here("quarantine", "show", OTHER).out
    assert "quarantined and dismissed: 1 session" in place.here("run", *SPANNING).out


def test_a_run_of_what_was_dismissed_says_that_not_all_of_it_is_stored(place):
    place.here("quarantine", "dismiss", DAY, OTHER)
    told = place.here("run", *SPANNING)
    assert (told.code, "everything available is stored or dismissed." in told.out) == (0, True)


@pytest.mark.parametrize("again", [b"other nonsense", pack(flat(ROWS[6:]))], ids=["unreadable", "removes rows"])
def test_another_version_that_is_refused_is_new(place, server, again):
    place.here("quarantine", "dismiss", DAY, OTHER)
    server.put(key(DAY), again)
    ran = place.run(*SPAN)
    assert (ends(ran), ran.of(events.Quarantined)[0].dismissed) == ((3, 1, 1), False)
    assert dismissed(place) == [str(OTHER)]
    assert ends(place.run(*SPAN)) == (3, 1, 1)


def test_a_good_version_ends_it(place, server):
    place.here("quarantine", "dismiss", DAY, OTHER)
    server.put(key(OTHER), pack(flat(ROWS)))
    assert ends(place.run(*SPAN)) == (0, 0, 1)
    assert list(listed(place)) == [str(DAY)]


def test_the_same_version_stays_dismissed_although_all_is_downloaded_again(place):
    place.here("quarantine", "dismiss", DAY, OTHER)
    ran = place.run(*SPAN, refresh=True)
    assert ({DAY, OTHER} <= set(ran.gets), ends(ran), len(dismissed(place))) == (True, (0, 0, 2), 2)
    assert [one.dismissed for one in ran.of(events.Quarantined)] == [True, True]


def test_retry_of_a_dismissed_file_counts_it_again(place):
    place.here("quarantine", "dismiss", DAY, OTHER)
    everything = place.here("quarantine", "retry")
    assert (everything.code, everything.out) == (
        0,
        "All files in quarantine are dismissed: name the sessions to download them again.\n",
    )
    assert place.here("quarantine", "retry", OTHER).code == 3
    assert dismissed(place) == [str(DAY)]


def test_a_run_that_accepts_leaves_what_was_dismissed(place):
    place.here("quarantine", "dismiss", DAY)
    assert place.run(*SPAN, accept=True).gets == []
    assert place.here("quarantine", "accept", DAY).code == 0
    assert place.reassembled(DAY) == flat(ROWS[5:])


def test_all_or_none_are_dismissed(place):
    told = place.here("quarantine", "dismiss", DAY, DAYS[0])
    assert (told.code, f"{DAYS[0]} is not in quarantine" in told.err, dismissed(place)) == (2, True, [])


def test_json_is_a_line_for_each_file(place):
    told = place.here("quarantine", "dismiss", DAY, OTHER, "--json")
    lines = [json.loads(line) for line in told.out.splitlines()]
    assert [(one["session"], one["dismissed"][:2]) for one in lines] == [(str(DAY), "20"), (str(OTHER), "20")]
    undone = place.here("quarantine", "dismiss", "--undo", DAY, "--json")
    assert json.loads(undone.out)["dismissed"] is None


def test_dismissing_again_keeps_the_first_time(place):
    place.execute(f"UPDATE quarantine SET dismissed = '2025-01-01T00:00:00+00:00' WHERE session = '{DAY}'")
    place.here("quarantine", "dismiss", DAY)
    assert listed(place)[str(DAY)]["dismissed"] == "2025-01-01T00:00:00+00:00"


def test_a_kill_dismisses_all_or_none(place, tmp_path, monkeypatch):
    for number in range(1, 10):
        killed = Place(shutil.copytree(place.root, tmp_path / f"{number}"), place.endpoint_url)
        database, seen = Database.transaction, []

        def dying(self, original=database, seen=seen, fatal=number):
            seen.append(self)
            if len(seen) == fatal:
                raise KeyboardInterrupt
            return original(self)

        with monkeypatch.context() as patched:
            patched.setattr(Database, "transaction", dying)
            try:
                ours.dismiss(killed.settings(), [DAY, OTHER])
            except KeyboardInterrupt:
                assert dismissed(killed) == []
            else:
                assert len(dismissed(killed)) == 2
                break
    assert number > 1


def as_before(path):
    """Write the manifest again as the version before wrote it."""
    before = MIGRATIONS[: MIGRATIONS.index(_DISMISSED)]
    old = path.with_name("old.sqlite")
    with closing(connect(old)) as db:
        db.executescript(f"{''.join(before)} PRAGMA user_version = {len(before)}; ATTACH '{path}' AS now;")
        for (table,) in db.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'").fetchall():
            names = ", ".join(row[1] for row in db.execute(f"PRAGMA main.table_info({table})"))
            db.execute(f"INSERT INTO main.{table} SELECT {names} FROM now.{table}")
        db.commit()
    old.replace(path)


def test_a_manifest_from_before_has_nothing_dismissed(place):
    as_before(place.root / "manifest.sqlite")
    assert list(listed(place)) == [str(DAY), str(OTHER)]
    assert place.here("quarantine", "dismiss", DAY).code == 0
    assert dismissed(place) == [str(DAY)]


def test_a_repair_keeps_what_was_dismissed(place):
    place.here("quarantine", "dismiss", DAY)
    place.execute("UPDATE runs SET pid = 'x'")
    place.here("verify", "--repair")
    assert dismissed(place) == [str(DAY)]
