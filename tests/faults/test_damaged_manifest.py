"""A manifest that is damaged, or a newer version's: said in one line with the way back, and never a traceback."""

import random
import sqlite3
from contextlib import closing

import pytest

from ingest.errors import CacheError, ManifestDamaged, UsageError
from ingest.hints import call
from ingest.maintenance.verify import verify

WAY_BACK = call("verify", "to move it aside and rebuild it from the stored parts", repair=True)


def manifest_of(place):
    return place.root / "manifest.sqlite"


def outcome(attempt):
    """What an attempt ended in: None, a CacheError, or the word that the name of the source is another one."""
    try:
        attempt()
    except CacheError as error:
        return error
    except UsageError as error:
        return error
    return None


def flipped(data, rng):
    """One bit of one byte that is used."""
    changed = bytearray(data)
    changed[rng.choice([at for at, byte in enumerate(data) if byte])] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncated(data, rng):
    return data[: rng.randrange(1, len(data))]


def garbage(data, rng):
    return rng.randbytes(rng.randrange(1, 3 * 4096))


def zeroed(data, rng):
    """A page that the disk lost."""
    at = rng.randrange(len(data) // 4096) * 4096
    return data[:at] + bytes(4096) + data[at + 4096 :]


DAMAGES = (flipped, flipped, flipped, truncated, garbage, zeroed)


def meet(story, seed):
    """Damage a manifest, then look at it and run; the errors of both. Anything but a CacheError is a fault."""
    rng = random.Random(seed)
    place = story.fresh_copy()
    damaged = rng.choice(DAMAGES)(manifest_of(place).read_bytes(), rng)
    manifest_of(place).write_bytes(damaged)
    try:
        seen = outcome(place.status)
        assert manifest_of(place).read_bytes() == damaged, "to look changes nothing"
        return seen, outcome(lambda: story.finish(place))
    except Exception as error:
        error.add_note(f"seed {seed}")
        raise


def all_of(story, seeds):
    errors = [error for seed in seeds for error in meet(story, seed) if error]
    damaged = [error for error in errors if isinstance(error, ManifestDamaged)]
    others = [error for error in errors if isinstance(error, UsageError)]
    assert all("holds files of" in str(error) for error in others)
    assert all(error.exit_code == 5 for error in errors if error not in others)
    assert all(error.hints == (WAY_BACK,) and "manifest.sqlite" in str(error) for error in damaged)
    # The rest are constraints that changed under the rows, and a letter in the name of the source.
    assert len(damaged) > 0.9 * len(errors) > 0.3 * len(seeds)


def test_damage_of_any_kind_is_said_with_the_way_back(eventful):
    all_of(eventful, range(30))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_damage_of_any_kind_is_said_with_the_way_back_for_thousands_of_seeds(eventful):
    all_of(eventful, range(1000, 4000))


def test_one_of_a_newer_version_is_refused_and_left_as_it_is(eventful):
    place = eventful.fresh_copy()
    with closing(sqlite3.connect(manifest_of(place))) as db:
        db.execute("PRAGMA user_version = 9999")
    before = files_of(place)
    for attempt in (place.status, lambda: eventful.finish(place)):
        error = outcome(attempt)
        assert type(error) is CacheError
        assert "written by a newer version of ingest (format 9999" in str(error)
    assert files_of(place) == before


def files_of(place):
    """All files but SQLite's own beside the manifest, which are empty or of this process alone."""
    files = [path for path in place.root.rglob("*") if path.is_file()]
    return {path: path.read_bytes() for path in files if not path.name.endswith(("-wal", "-shm"))}


def test_one_whose_log_is_missing_is_damage_or_an_older_state_from_which_a_run_goes_on(first):
    """As after a copy of the cache that forgot the log: what is not in the manifest is taken from the parts."""
    place = first.fresh_copy()
    states = []

    def keep(event):
        states.append(manifest_of(place).read_bytes())

    first.finish(place, sink=keep)
    for number, state in enumerate(dict.fromkeys(states)):
        manifest_of(place).write_bytes(state)
        error = outcome(lambda: first.finish(place))
        assert error is None or isinstance(error, ManifestDamaged), number
        if error is None:
            assert place.tiers() == first.after.tiers()
            assert verify(place.settings(), deep=True).problems == ()


@pytest.mark.parametrize("error", ["database or disk is full", "attempt to write a readonly database"])
def test_what_is_no_damage_is_not_called_so(eventful, error, monkeypatch):
    from ingest.cache.manifest.database import Database

    def broken(database):
        raise_in = sqlite3.OperationalError(error)
        raise_in.sqlite_errorcode = sqlite3.SQLITE_FULL if "full" in error else sqlite3.SQLITE_READONLY
        raise raise_in

    place = eventful.fresh_copy()
    with closing(sqlite3.connect(manifest_of(place))) as db:
        database = Database(db, manifest_of(place), "any", writable=True)
        with pytest.raises(CacheError, match=error) as caught, database.transaction():
            broken(database)
    assert type(caught.value) is CacheError
    assert WAY_BACK not in caught.value.hints
