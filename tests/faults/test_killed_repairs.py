"""A repair of a damaged manifest, killed at any step: what only the manifest knows stays, and the next one ends it."""

import shutil
import sqlite3
import sys
from collections import Counter
from contextlib import closing

import pytest
from damage_kit import DATASETS, DAYS, LISTED, cache, copied, objects, told
from killing import nursery_of

from ingest.demo.servers import loopback
from ingest.maintenance.verify import verify

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork are POSIX's own")

DAMAGE = (
    f"UPDATE sessions SET columns = x'00' WHERE session = '{DAYS[3]}'",
    f"UPDATE sessions SET source_rows = 'many' WHERE session = '{DAYS[2]}'",
    "UPDATE runs SET window_start = 'x' WHERE run = 1",
)


@pytest.fixture(scope="module")
def killed(environment, tmp_path_factory):
    """A nursery, and a cache whose manifest is damaged; half of what it knows is in the log that a killed run left."""
    top = tmp_path_factory.mktemp("repairs")
    with loopback.serve(objects()) as server, nursery_of(server.endpoint_url, environment) as nursery:
        place = cache(server, top / "damaged")
        manifest, log = place.root / "manifest.sqlite", place.root / "manifest.sqlite-wal"
        whole = told(place)
        with closing(sqlite3.connect(manifest, isolation_level=None)) as db:
            held = db.execute("SELECT * FROM corrections").fetchall()
            db.execute("DELETE FROM corrections")
        with closing(sqlite3.connect(manifest, isolation_level=None)) as db:
            db.executescript("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;")
            db.executemany(f"INSERT INTO corrections VALUES ({', '.join('?' * len(held[0]))})", held)
            for statement in DAMAGE:
                db.execute(statement)
            kept = {path: path.read_bytes() for path in (manifest, log)}
        for path, data in kept.items():
            path.write_bytes(data)
        yield nursery, place, whole


def repaired(nursery, place, **death):
    return nursery.run(place, DAYS, LISTED, deed="repair", **death)


@pytest.fixture(scope="module")
def undisturbed(killed, tmp_path_factory):
    """The same cache after a repair, and the steps of that."""
    nursery, damaged, whole = killed
    place = copied(damaged, tmp_path_factory.mktemp("undisturbed") / "cache")
    steps = repaired(nursery, place)["steps"]
    assert Counter(steps)["link"] == 2  # the manifest and its log
    assert told(place) == whole
    for dataset in DATASETS:
        assert verify(place.settings(), True, dataset).broken == ()
    return place, steps


def kill_at(killed, undisturbed, folder, numbers):
    (nursery, damaged, whole), (after, steps) = killed, undisturbed
    everything = told(after, ("sessions", "members", "projections", "tracked_sets"))
    for number in numbers:
        place = copied(damaged, folder / "killed")
        assert repaired(nursery, place, at_step=number)["status"] == -9
        assert repaired(nursery, place)["status"] == 0
        try:
            assert told(place) == whole
            assert told(place, tuple(everything)) == everything
            check_kept(place, damaged)
        except AssertionError as error:
            error.add_note(f"killed at step {number} of {steps}")
            raise
        shutil.rmtree(place.root)


def test_a_repair_killed_as_the_new_manifest_takes_the_place_loses_nothing(killed, undisturbed, tmp_path):
    steps = undisturbed[1]
    first, last = steps.index("fsync") + 1, steps.index("replace", steps.index("link")) + 3
    kill_at(killed, undisturbed, tmp_path, (1, first // 2, *range(first, last + 1)))


@pytest.mark.long
def test_a_repair_killed_at_any_step_loses_nothing(killed, undisturbed, tmp_path):
    kill_at(killed, undisturbed, tmp_path, range(1, len(undisturbed[1]) + 1))


def check_kept(place, damaged):
    """The damaged manifest stays beside the new one, once, byte for byte, with its log; nothing else does."""
    names = sorted(path.name for path in place.root.glob("manifest.sqlite?*"))
    assert len(names) == 2, names
    for name, end in zip(names, ("", "-wal"), strict=True):
        assert name.endswith(f"Z{end}")
        assert (place.root / name).read_bytes() == (damaged.root / f"manifest.sqlite{end}").read_bytes()


def test_a_run_ends_what_a_killed_repair_began(killed, undisturbed, tmp_path):
    """Nothing that the run commits may go into the manifest that is about to be replaced."""
    nursery, damaged, whole = killed
    publishing = undisturbed[1].index("replace") + 1
    place = copied(damaged, tmp_path / "killed")
    assert repaired(nursery, place, at_step=publishing + 2)["status"] == -9
    assert (place.root / "manifest.sqlite.repaired").exists()
    assert place.run(DAYS[0], DAYS[-1], tracked=LISTED).gets == []
    only_known_here = ("corrections", "quarantine", "yahoo_rows", "actions", "patterns")
    assert told(place, only_known_here) == {table: whole[table] for table in only_known_here}
    assert not (place.root / "manifest.sqlite.repaired").exists()
    assert verify(place.settings()).broken == ()
