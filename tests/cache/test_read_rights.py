"""A manifest read without permission to write it, in whatever state its writer left it or has it."""

import itertools
import json
import os
import shutil
import sqlite3
import sys
import threading
import time
from contextlib import closing
from datetime import date

import pytest

from ingest.cache.manifest import Manifest
from ingest.cache.manifest.file import opening
from ingest.errors import CacheError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")

DATASET, DAY = "us_stocks_sip/day_aggs_v1", date(2025, 11, 11)
IMPORTS = """
import itertools, json, sys
from pathlib import Path
from ingest.errors import CacheError
from ingest.cache.manifest import Manifest
"""
READ = f"""
with Manifest.read(Path(sys.argv[1]), {DATASET!r}) as manifest:
    for _ in itertools.chain([None], sys.stdin):
        print(json.dumps([run["run"] for run in manifest.runs.newest(100)]), flush=True)
    assert manifest.database.flaws() == []
"""


def begin(path, count=1):
    with Manifest.open(path, DATASET) as manifest:
        for _ in range(count):
            manifest.runs.begin(DAY, DAY)


def beside(folder):
    return sorted(path.name for path in folder.iterdir())


STATES = {
    "closed": [""],
    "with an empty log": ["", "-wal"],
    "killed": ["", "-shm", "-wal"],
    "killed, without what is shared": ["", "-wal"],
}


def leave(state, path):
    """A manifest of two runs; the second one is only in the log, if there is one."""
    path.parent.mkdir()
    begin(path)
    with Manifest.open(path.with_name("writer.sqlite"), DATASET), closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        with Manifest.open(path, DATASET) as manifest:
            manifest.runs.begin(DAY, DAY)
            kept = path.parent / "kept"
            kept.mkdir()
            if state in ("closed", "with an empty log"):
                manifest.database._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            for end in STATES[state]:
                shutil.copy(f"{path}{end}", kept / f"{path.name}{end}")
    return kept / path.name


EACH = f"""
def runs_of(path):
    with Manifest.read(Path(path), {DATASET!r}) as manifest:
        assert manifest.database.flaws() == []
        return [run["run"] for run in manifest.runs.newest(100)]
print(json.dumps({{path: runs_of(path) for path in sys.argv[1:]}}))
"""


def test_a_reader_without_write_permission_sees_every_commit_and_leaves_nothing(reader, folder):
    paths = {state: leave(state, folder / state / "manifest.sqlite") for state in STATES}
    reader.close(folder)
    before = {path: path.read_bytes() for path in folder.rglob("manifest.sqlite*") if not path.name.endswith("-shm")}
    assert reader.said(IMPORTS, EACH, *paths.values()) == {str(path): [2, 1] for path in paths.values()}
    assert {path: path.read_bytes() for path in before} == before
    for state, path in paths.items():
        assert beside(path.parent) == [f"manifest.sqlite{end}" for end in STATES[state]]


def test_a_reader_without_write_permission_sees_what_a_writer_commits_meanwhile(reader, folder):
    """The reader has opened the file without a log; then writers come and go."""
    path = folder / "manifest.sqlite"
    begin(path)
    reader.close(folder)
    with reader.python(IMPORTS, READ, path) as process:

        def seen():
            process.stdin.write("\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        assert json.loads(process.stdout.readline()) == [1]
        folder.chmod(0o755)
        path.chmod(0o644)
        begin(path)  # one that has come and gone
        assert seen() == [2, 1]
        with Manifest.open(path, DATASET) as manifest:
            manifest.runs.begin(DAY, DAY)
            assert seen() == [3, 2, 1]
            manifest.runs.begin(DAY, DAY)
            assert seen() == [4, 3, 2, 1]
        begin(path)
        assert seen() == [5, 4, 3, 2, 1]
        process.stdin.close()
        assert process.wait(30) == 0, process.stderr.read()


REFUSED = f"""
def refused(how, path):
    try:
        with how(Path(path), {DATASET!r}) as manifest:
            return manifest.runs.newest(1)
    except CacheError as error:
        return str(error)
print(json.dumps([*(refused(Manifest.read, path) for path in sys.argv[1:]), refused(Manifest.open, sys.argv[-1])]))
"""


def test_the_missing_permission_is_named(reader, folder):
    """Who, which path and which bit: for a file, a folder on the way, and a folder closed to writing."""
    paths = [folder / name / "manifest.sqlite" for name in ("file", "folder", "open")]
    for path in paths:
        path.parent.mkdir()
        begin(path)
    reader.close(folder)
    closed = (paths[0], paths[1].parent)
    for one in closed:
        one.chmod(0o000)
    unread, unentered, read, unwritten = reader.said(IMPORTS, REFUSED, *paths)
    for one in closed:
        one.chmod(0o700)
    assert read[0]["run"] == 1
    who = "user nobody (uid 65534)" if reader.is_another else f"(uid {os.geteuid()})"
    for said, path, right, bits in (
        (unread, paths[0], f"may not read {closed[0]}, which is ", "----------"),
        (unentered, paths[1], f"may not enter {closed[1]}, which is ", "d---------"),
        (unwritten, paths[2], f"may not write {paths[2].parent}, which is ", "r-xr-x"),
    ):
        assert said.startswith(f"the manifest {path}: ")
        assert all(words in said for words in (who, right, bits)), said


@pytest.fixture
def unshared(monkeypatch):
    """Pretend that this process has no write permission, so that many states can be tried quickly."""
    monkeypatch.setattr(opening, "_is_shared", lambda path: False)


def test_a_file_read_in_place_that_changes_is_read_again(unshared, folder):
    path = folder / "manifest.sqlite"
    begin(path, 2)
    with Manifest.read(path, DATASET) as manifest:
        before = manifest.moment()
        assert len(manifest.runs.newest(9)) == 2
        assert manifest.moment() == before
        begin(path)
        assert manifest.moment() != before
        writes = iter([True])  # one, between two queries of one moment
        counts = manifest.at_once(
            lambda: [len(manifest.runs.newest(9)), *(begin(path) for _ in writes), len(manifest.runs.newest(9))]
        )
        assert counts == [4, 4]


def test_rows_read_one_by_one_are_never_torn(unshared, folder):
    path = folder / "manifest.sqlite"
    begin(path, 3)
    with Manifest.read(path, DATASET) as manifest:
        rows = manifest.database.each("SELECT run FROM runs WHERE dataset = ? ORDER BY run")
        assert next(rows) == (1,)
        begin(path)
        with pytest.raises(CacheError, match="changes faster than it can be read: try again"):
            next(rows)


def test_readers_without_locks_beside_writers_never_see_half_of_anything(unshared, folder):
    """Each transaction adds a run and an answer: every read sees as many of both, and never fewer than before."""
    path = folder / "manifest.sqlite"
    begin(path)
    ended, seen = threading.Event(), []
    written = itertools.count()

    def write():
        try:
            while (n := next(written)) < 60 or (len(set(seen)) < 5 and n < 3000):
                with Manifest.open(path, DATASET) as manifest, manifest.database.transaction() as db:
                    db.execute("INSERT INTO patterns VALUES (?, ?)", (DATASET, f"{n:0400}"))
                    db.execute("INSERT INTO tracked_sets (tickers) VALUES (?)", (f"{n:0400}",))
                time.sleep(0.005)  # a hundred commits a second, more than any run makes
        finally:
            ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    query = "SELECT (SELECT count(*) FROM patterns), (SELECT count(*) FROM tracked_sets) WHERE ? <> ''"
    while not ended.is_set():
        with Manifest.read(path, DATASET) as manifest:
            seen += [manifest.database.rows(query)[0] for _ in range(3)]
    writer.join()
    with Manifest.read(path, DATASET) as manifest:
        assert manifest.database.rows(query) == [(next(written) - 1,) * 2]
    assert all(patterns == sets for patterns, sets in seen)
    assert seen == sorted(seen)
    assert len(set(seen)) > 3
