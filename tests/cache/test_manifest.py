"""The manifest's file: who may open it, how older ones are read, and what a transaction makes durable."""

import json
import os
import sqlite3
import stat
import sys
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from manifest_kit import DATASET, DAY, LAST, NEXT, correction, raw, session_record

from ingest.cache.manifest import Manifest
from ingest.cache.manifest.file.migrations import MIGRATIONS
from ingest.cache.manifest.integrity import codec
from ingest.cache.manifest.records import Projection
from ingest.errors import CacheError
from ingest.finding import Finding
from ingest.market.permission import Permission


class TestTheFile:
    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
    @pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
    def test_the_umask_decides_who_may_use_it(self, path: Path, umask: int, mode: int) -> None:
        before = os.umask(umask)
        try:
            with Manifest.open(path, DATASET) as manifest:
                manifest.runs.begin(DAY, DAY)
                modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        finally:
            os.umask(before)
        assert modes == {f"manifest.sqlite{end}": mode for end in ("", "-wal", "-shm")}

    def test_transactions_are_durable_before_they_return(self, manifest: Manifest) -> None:
        database = manifest.database._db
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("PRAGMA synchronous").fetchone() == (2,)

    def test_opening_it_again_changes_nothing(self, path: Path) -> None:
        for _ in range(2):
            with Manifest.open(path, DATASET) as manifest:
                manifest.sessions.answered([(DAY, "forbidden", None, "e1")], 1)
        assert raw(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
        assert raw(path, "SELECT count(*) FROM sessions") == [(1,)]

    @pytest.mark.parametrize("version", range(len(MIGRATIONS)))
    def test_an_older_one_is_read_as_it_is_and_migrated_when_opened_for_writing(self, path: Path, version: int) -> None:
        with closing(sqlite3.connect(path)) as database:
            database.executescript(
                f"PRAGMA journal_mode=WAL; {''.join(MIGRATIONS[:version])} PRAGMA user_version = {version};"
            )
        if version:
            raw(path, f"INSERT INTO sessions (dataset, session, remote) VALUES ('{DATASET}', '{DAY}', 'forbidden')")
        with Manifest.read(path, DATASET) as manifest:
            assert list(manifest.sessions.all()) == [DAY] * (version > 0)
            assert manifest.source.permission() == Permission()
        assert raw(path, "PRAGMA user_version") == [(version,)]
        with Manifest.open(path, DATASET) as manifest:
            assert list(manifest.sessions.all()) == [DAY] * (version > 0)
            manifest.source.permit(Permission(DAY, DAY))
        assert raw(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]

    def test_csvs_of_an_older_one_are_known_to_have_the_earlier_format(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as database:
            database.executescript(f"{''.join(MIGRATIONS[:4])} PRAGMA user_version = 4;")
        columns = "dataset, ticker, active, dirty, first, last, rows, sha256, size, mtime_ns, yahoo"
        spans = "'2024-01-02', '2024-01-03', 2, 'sha', 99, 123"
        for values in (f"'A', 1, 0, {spans}, 1", f"'B', 0, 1, {spans}, 0", "'C', 1, 1" + ", NULL" * 6 + ", 0"):
            raw(path, f"INSERT INTO projections ({columns}) VALUES ('{DATASET}', {values})")
        known = Projection("A", True, True, "2024-01-02", "2024-01-03", 2, "sha", 99, 123)
        rows = {"A": replace(known, yahoo=True), "B": replace(known, ticker="B", active=False)}
        rows["C"] = Projection("C")
        for way in (Manifest.read, Manifest.open, Manifest.read):
            with way(path, DATASET) as manifest:
                assert (manifest.csvs.states(), manifest.csvs.months(), manifest.csvs.outdated()) == (rows, {}, 1)

    def test_a_replacement_that_a_killed_older_run_began_is_completed(self, manifest: Manifest, path: Path) -> None:
        """Findings used to be texts, one per ticker, also in the record of an intent."""
        texts = ["identical repeat: A", "conflicting repeat: C: D", "identical repeat: B", "rows without a ticker: 7"]
        record = session_record(manifest)
        stored = [json.dumps({**json.loads(codec.to_json(record)), "findings": found}) for found in (texts, [])]
        with closing(sqlite3.connect(path.with_name("old.sqlite"))) as database, database:
            database.executescript(f"{''.join(MIGRATIONS[:3])} PRAGMA user_version = 3;")
            database.executemany(
                "INSERT INTO intents VALUES (?, ?, ?, NULL)",
                [(DATASET, DAY.isoformat(), stored[0]), (DATASET, NEXT.isoformat(), stored[1])],
            )
        with Manifest.open(path.with_name("old.sqlite"), DATASET) as old:
            intended = [one for one, _ in old.replacements.intents()]
        assert intended[0].findings == (
            Finding("conflicting repeat", 1, ("C: D",)),
            Finding("identical repeat", 2, ("A", "B")),
            Finding("rows without a ticker", 7),
        )
        assert intended == [replace(record, findings=intended[0].findings), replace(record, findings=())]

    def test_what_a_subscription_allows_is_stored_with_its_date(self, manifest: Manifest) -> None:
        assert (manifest.source.permission(), manifest.source.permission_asked_at()) == (Permission(), None)
        for permission in (Permission(DAY, DAY, below=DAY), Permission(above=DAY), Permission()):
            manifest.source.permit(permission)
            assert manifest.source.permission() == permission
        asked = manifest.source.permission_asked_at()
        assert asked is not None
        assert abs((datetime.now(UTC) - datetime.fromisoformat(asked)).total_seconds()) < 60

    @pytest.mark.parametrize("way", [Manifest.open, Manifest.read])
    def test_a_newer_one_is_refused_and_stays_as_it_is(self, way: object, path: Path) -> None:
        with Manifest.open(path, DATASET):
            pass
        raw(path, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        before = path.read_bytes()
        with pytest.raises(CacheError, match="newer version of ingest"), way(path, DATASET):  # type: ignore[operator]
            pass
        assert path.read_bytes() == before

    @pytest.mark.parametrize("way", [Manifest.open, Manifest.read])
    def test_a_file_that_is_not_a_manifest_is_an_error_that_names_it(self, way: object, path: Path) -> None:
        content = b"not a database, but as long as one" * 40
        path.write_bytes(content)
        with pytest.raises(CacheError, match=r"manifest\.sqlite"), way(path, DATASET) as manifest:  # type: ignore[operator]
            manifest.sessions.all()
        assert path.read_bytes() == content

    @pytest.mark.parametrize("way", [Manifest.open, Manifest.read])
    def test_one_that_is_damaged_further_in_is_an_error(self, way: object, path: Path) -> None:
        with Manifest.open(path, DATASET) as manifest:
            manifest.sessions.commit([session_record(manifest)], [], 1)
        data = bytearray(path.read_bytes())
        data[200:] = bytes(len(data) - 200)
        path.write_bytes(data)
        with pytest.raises(CacheError, match=r"manifest\.sqlite"), way(path, DATASET) as manifest:  # type: ignore[operator]
            manifest.sessions.all()

    @pytest.mark.parametrize("way", [Manifest.open, Manifest.read])
    def test_a_folder_in_its_place_is_an_error(self, way: object, path: Path) -> None:
        path.mkdir()
        with pytest.raises(CacheError, match=r"manifest\.sqlite"), way(path, DATASET):  # type: ignore[operator]
            pass

    @pytest.mark.parametrize("way", [Manifest.open, Manifest.read])
    @pytest.mark.parametrize("content", ["nonsense", "newer", "older", "current"])
    def test_no_connection_is_left_open(
        self, way: object, content: str, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Manifest.open(path, DATASET):
            pass
        if content == "nonsense":
            path.write_bytes(b"not a database" * 90)
        elif content == "older":
            path.write_bytes(b"")
            with closing(sqlite3.connect(path)) as database:
                database.executescript(f"{MIGRATIONS[0]} PRAGMA user_version = 1;")
        elif content == "newer":
            raw(path, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        opened: list[sqlite3.Connection] = []
        connect = sqlite3.connect

        def noted(*given: Any, **named: Any) -> sqlite3.Connection:
            opened.append(connect(*given, **named))
            return opened[-1]

        monkeypatch.setattr(sqlite3, "connect", noted)
        with suppress(CacheError), way(path, DATASET) as manifest:  # type: ignore[operator]
            manifest.sessions.all()
        assert opened
        for one in opened:
            with pytest.raises(sqlite3.ProgrammingError, match="closed"):
                one.execute("SELECT 1")

    def test_a_missing_one_reads_as_empty_and_is_not_created(self, path: Path) -> None:
        with Manifest.read(path, DATASET) as manifest:
            assert manifest.sessions.all() == {}
            assert (manifest.sessions.committed(), manifest.csvs.states(), manifest.runs.newest(5)) == ([], {}, [])
            assert manifest.sessions.totals().source_rows == 0
            assert not manifest.database.writable
        assert not path.exists()

    def test_one_whose_creator_was_killed_reads_as_empty(self, path: Path) -> None:
        path.touch()
        with Manifest.read(path, DATASET) as manifest:
            assert manifest.sessions.all() == {}

    def test_a_reader_writes_nothing_and_sees_what_is_committed_meanwhile(self, path: Path) -> None:
        with Manifest.open(path, DATASET) as writer, Manifest.read(path, DATASET) as reader:
            writer.sessions.commit([session_record(writer)], [], 1)
            assert reader.sessions.committed() == [DAY]
            with pytest.raises(CacheError, match="readonly"):
                reader.sessions.answered([(DAY, "absent", None, None)], 1)

    def test_a_transaction_that_fails_leaves_nothing_behind(self, manifest: Manifest) -> None:
        good, bad = session_record(manifest), replace(session_record(manifest, NEXT), cut="by hand")
        with pytest.raises(CacheError, match="CHECK"):
            manifest.sessions.commit([good, bad], [correction()], 1)
        assert (manifest.sessions.committed(), manifest.sessions.totals().corrections) == ([], 0)
        manifest.sessions.commit([good], [], 1)
        assert manifest.sessions.committed() == [DAY]

    def test_datasets_do_not_see_each_other(self, manifest: Manifest, path: Path) -> None:
        manifest.sessions.commit([session_record(manifest)], [correction()], 1)
        manifest.csvs.follow(["A"])
        with Manifest.open(path, "another") as other:
            assert (other.sessions.all(), other.csvs.states(), other.runs.newest(5)) == ({}, {}, [])
            assert other.sessions.totals().corrections == 0
            other.csvs.follow([])
            other.sessions.answered([(DAY, "absent", None, None)], 1)
        assert manifest.sessions.all()[DAY].held == "committed"
        assert manifest.csvs.states()["A"].active


class TestRuns:
    def test_one_that_was_killed_has_no_end(self, manifest: Manifest) -> None:
        second = manifest.runs.begin(NEXT, LAST)
        manifest.runs.finish(second, 3, {"failed": 1, "start": NEXT})
        newest, killed = manifest.runs.newest(5)
        assert (newest["run"], newest["exit_code"], newest["window_start"]) == (2, 3, "2024-01-03")
        assert newest["finished_at"] >= newest["started_at"]
        assert (killed["run"], killed["exit_code"], killed["finished_at"]) == (1, None, None)
        assert [run["run"] for run in manifest.runs.newest(1)] == [2]
