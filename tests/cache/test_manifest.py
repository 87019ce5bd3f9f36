"""The manifest: what a transaction makes done, and what is never lost by the next one."""

import json
import os
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.cache.layout import MemberIndex
from ingest.cache.manifest import Held, Manifest, SessionRecord, codec
from ingest.cache.manifest.records import FORMAT, Projection, QuarantinedFile
from ingest.cache.manifest.schema import MIGRATIONS
from ingest.errors import CacheError
from ingest.finding import Finding
from ingest.market.permission import Permission
from ingest.splitting.diff import Correction

DATASET = "us_stocks_sip/day_aggs_v1"
DAY, NEXT, LAST = date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4)
INDEX = MemberIndex((0, 10, 25), ("A", "B"), ordered=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "manifest.sqlite"


@pytest.fixture
def manifest(path: Path) -> Iterator[Manifest]:
    with Manifest.open(path, DATASET) as opened:
        opened.runs.begin(DAY, LAST)
        yield opened


def _record(manifest: Manifest, day: date = DAY, etag: str = "e1", *tracked: str, kept: bool = True) -> SessionRecord:
    return SessionRecord(
        session=day,
        etag=etag,
        size=100,
        last_modified="2024-01-03T05:00:00+00:00",
        source_rows=10,
        tracked_rows=2,
        archive_rows=8 if kept else 0,
        dropped_rows=0 if kept else 8,
        text_sha256=f"text {etag}",
        tracked_sha256=f"tracked {etag}",
        archive_sha256=f"archive {etag}" if kept else None,
        tracked_row_numbers=b"\0\0\0\0\5\0\0\0",
        tracked_set=manifest.tracked_sets.number(frozenset(tracked)),
        archive_kept=kept,
        cut="lines",
        columns=("ticker", "close"),
        findings=(),
        tracked_index=INDEX.encode(),
        archive_index=INDEX.encode() if kept else None,
    )


def _correction(day: date = DAY) -> Correction:
    return Correction(day, "e1", "e2", ("ticker", "close"), ("A,1",), ("A,2", "B,1"))


def _quarantine(manifest: Manifest, day: date, etag: str) -> None:
    manifest.replacements.quarantine(QuarantinedFile(day, etag, 100, None, "short", acceptable=False), 1)


def _raw(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(query).fetchall()
        connection.commit()
        return rows


class TestTheFile:
    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
    @pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
    def test_the_umask_says_whose_it_is(self, path: Path, umask: int, mode: int) -> None:
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
        assert _raw(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
        assert _raw(path, "SELECT count(*) FROM sessions") == [(1,)]

    @pytest.mark.parametrize("version", range(len(MIGRATIONS)))
    def test_an_older_one_is_read_as_it_is_and_brought_up_to_date_by_who_opens_it(
        self, path: Path, version: int
    ) -> None:
        with closing(sqlite3.connect(path)) as database:
            database.executescript(
                f"PRAGMA journal_mode=WAL; {''.join(MIGRATIONS[:version])} PRAGMA user_version = {version};"
            )
        if version:
            _raw(path, f"INSERT INTO sessions (dataset, session, remote) VALUES ('{DATASET}', '{DAY}', 'forbidden')")
        with Manifest.read(path, DATASET) as manifest:
            assert list(manifest.sessions.all()) == [DAY] * (version > 0)
            assert manifest.source.permission() == Permission()
        assert _raw(path, "PRAGMA user_version") == [(version,)]
        with Manifest.open(path, DATASET) as manifest:
            assert list(manifest.sessions.all()) == [DAY] * (version > 0)
            manifest.source.permit(Permission(DAY, DAY))
        assert _raw(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]

    def test_csvs_of_an_older_one_are_known_to_be_of_the_former_format(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as database:
            database.executescript(f"{''.join(MIGRATIONS[:4])} PRAGMA user_version = 4;")
        columns = "dataset, ticker, active, dirty, first, last, rows, sha256, size, mtime_ns, yahoo"
        spans = "'2024-01-02', '2024-01-03', 2, 'sha', 99, 123"
        for values in (f"'A', 1, 0, {spans}, 1", f"'B', 0, 1, {spans}, 0", "'C', 1, 1" + ", NULL" * 6 + ", 0"):
            _raw(path, f"INSERT INTO projections ({columns}) VALUES ('{DATASET}', {values})")
        known = Projection("A", True, True, "2024-01-02", "2024-01-03", 2, "sha", 99, 123)
        rows = {"A": replace(known, yahoo=True), "B": replace(known, ticker="B", active=False)}
        rows["C"] = Projection("C")
        for way in (Manifest.read, Manifest.open, Manifest.read):
            with way(path, DATASET) as manifest:
                assert (manifest.csvs.states(), manifest.csvs.months(), manifest.csvs.outdated()) == (rows, {}, 1)

    def test_what_an_older_run_was_killed_amid_is_carried_through(self, manifest: Manifest, path: Path) -> None:
        """Findings were texts, one a ticker; in the record of an intent they were, too."""
        texts = ["identical repeat: A", "conflicting repeat: C: D", "identical repeat: B", "rows without a ticker: 7"]
        record = _record(manifest)
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

    def test_what_a_plan_allows_is_kept_with_its_date(self, manifest: Manifest) -> None:
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
        _raw(path, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        before = path.read_bytes()
        with pytest.raises(CacheError, match="newer version of ingest"), way(path, DATASET):  # type: ignore[operator]
            pass
        assert path.read_bytes() == before

    @pytest.mark.parametrize("way", [Manifest.open, Manifest.read])
    def test_a_file_that_is_no_manifest_is_an_error_that_names_it(self, way: object, path: Path) -> None:
        content = b"not a database, but as long as one" * 40
        path.write_bytes(content)
        with pytest.raises(CacheError, match=r"manifest\.sqlite"), way(path, DATASET) as manifest:  # type: ignore[operator]
            manifest.sessions.all()
        assert path.read_bytes() == content

    @pytest.mark.parametrize("way", [Manifest.open, Manifest.read])
    def test_one_that_is_damaged_further_in_is_an_error(self, way: object, path: Path) -> None:
        with Manifest.open(path, DATASET) as manifest:
            manifest.sessions.commit([_record(manifest)], [], 1)
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
            _raw(path, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
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

    def test_a_missing_one_reads_as_empty_and_is_not_made(self, path: Path) -> None:
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
            writer.sessions.commit([_record(writer)], [], 1)
            assert reader.sessions.committed() == [DAY]
            with pytest.raises(CacheError, match="readonly"):
                reader.sessions.answered([(DAY, "absent", None, None)], 1)

    def test_a_transaction_that_fails_leaves_nothing_behind(self, manifest: Manifest) -> None:
        good, bad = _record(manifest), replace(_record(manifest, NEXT), cut="by hand")
        with pytest.raises(CacheError, match="CHECK"):
            manifest.sessions.commit([good, bad], [_correction()], 1)
        assert (manifest.sessions.committed(), manifest.sessions.totals().corrections) == ([], 0)
        manifest.sessions.commit([good], [], 1)
        assert manifest.sessions.committed() == [DAY]

    def test_datasets_do_not_see_each_other(self, manifest: Manifest, path: Path) -> None:
        manifest.sessions.commit([_record(manifest)], [_correction()], 1)
        manifest.csvs.follow(["A"])
        with Manifest.open(path, "another") as other:
            assert (other.sessions.all(), other.csvs.states(), other.runs.newest(5)) == ({}, {}, [])
            assert other.sessions.totals().corrections == 0
            other.csvs.follow([])
            other.sessions.answered([(DAY, "absent", None, None)], 1)
        assert manifest.sessions.all()[DAY].held == "committed"
        assert manifest.csvs.states()["A"].active


class TestCommit:
    def test_it_makes_a_session_done(self, manifest: Manifest) -> None:
        manifest.sessions.commit([_record(manifest, DAY, "e1", "B", "A")], [], 1)
        assert manifest.sessions.all() == {
            DAY: Held("committed", "listed", etag="e1", tracked=frozenset("AB"), archive_kept=True)
        }
        assert manifest.sessions.pending() == {DAY}
        assert manifest.sessions.totals().source_rows == 10

    def test_all_that_it_says_is_stored(self, manifest: Manifest, path: Path) -> None:
        finding = Finding("identical repeat", 1, ("A",))
        record = replace(_record(manifest), findings=(finding,))
        manifest.sessions.commit([record], [], 1)
        elsewhere = ("tracked_index", "archive_index", "findings")
        names = [field.name for field in fields(record) if field.name not in elsewhere]
        (row,) = _raw(path, f"SELECT {', '.join(names)}, run, committed_at FROM sessions")
        stored = dict(zip([*names, "run", "committed_at"], row, strict=True))
        assert stored.pop("committed_at")
        assert stored.pop("run") == 1
        assert json.loads(str(stored.pop("columns"))) == ["ticker", "close"]
        assert list(manifest.findings.between()) == [(DAY, finding)]
        assert stored == {name: getattr(record, name) for name in stored} | {"session": "2024-01-02"}

    def test_it_says_how_the_parts_are_read(self, manifest: Manifest) -> None:
        manifest.sessions.commit([_record(manifest, NEXT, "e1", "A"), _record(manifest, DAY, kept=False)], [], 1)
        second, first = manifest.sessions.parts([NEXT, LAST, DAY])
        assert (first.session, first.tracked, first.cut, first.columns) == (
            *(NEXT, frozenset("A"), "lines"),
            ("ticker", "close"),
        )
        assert first.index == {"tracked": INDEX, "archive": INDEX}
        assert (second.session, second.index) == (DAY, {"tracked": INDEX})

    def test_a_replacement_without_an_archive_forgets_the_old_ones_index(self, manifest: Manifest) -> None:
        manifest.sessions.commit([_record(manifest)], [], 1)
        manifest.sessions.commit([_record(manifest, DAY, "e2", kept=False)], [], 1)
        (parts,) = manifest.sessions.parts([DAY])
        assert set(parts.index) == {"tracked"}

    def test_it_clears_what_the_source_refused_before(self, manifest: Manifest) -> None:
        _quarantine(manifest, DAY, "e0")
        manifest.sessions.answered([(NEXT, "failed", "reset", "e1")], 1)
        manifest.sessions.commit([_record(manifest), _record(manifest, NEXT)], [], 1)
        expected = Held("committed", "listed", etag="e1", archive_kept=True)
        assert list(manifest.sessions.all().values()) == [expected, expected]

    def test_it_keeps_corrections_and_drops_the_intent(self, manifest: Manifest, path: Path) -> None:
        manifest.replacements.intend([(_record(manifest), _correction()), (_record(manifest, NEXT), None)])
        manifest.sessions.commit([_record(manifest, DAY, "e2")], [_correction()], 1)
        assert [record.session for record, _ in manifest.replacements.intents()] == [NEXT]
        assert manifest.sessions.totals().corrections == 1
        stored = _raw(path, "SELECT session, old_etag, new_etag, columns, removed, added, run FROM corrections")
        assert stored == [("2024-01-02", "e1", "e2", '["ticker", "close"]', '["A,1"]', '["A,2", "B,1"]', 1)]

    def test_sessions_come_in_the_order_of_their_dates(self, manifest: Manifest) -> None:
        manifest.sessions.commit([_record(manifest, day) for day in (LAST, DAY, NEXT)], [], 1)
        assert manifest.sessions.committed() == list(manifest.sessions.all()) == [DAY, NEXT, LAST]


class TestAnswers:
    def test_they_are_kept_apart_from_what_is_held(self, manifest: Manifest) -> None:
        manifest.sessions.commit([_record(manifest, DAY, "e1", "A")], [], 1)
        manifest.sessions.answered([(DAY, "forbidden", "not in the plan", "e2"), (NEXT, "failed", "reset", "e9")], 1)
        assert manifest.sessions.all() == {
            DAY: Held("committed", "forbidden", "not in the plan", "e2", "e1", frozenset("A"), archive_kept=True),
            NEXT: Held("none", "failed", "reset", "e9"),
        }

    def test_one_without_an_etag_keeps_what_the_last_was_about(self, manifest: Manifest) -> None:
        manifest.sessions.answered([(DAY, "forbidden", None, "e1")], 1)
        manifest.sessions.answered([(DAY, "absent", None, None)], 1)
        assert manifest.sessions.all()[DAY] == Held("none", "absent", None, "e1")

    def test_none_at_all_is_no_transaction(self, path: Path) -> None:
        with Manifest.open(path, DATASET):
            pass
        with Manifest.read(path, DATASET) as reader:
            reader.sessions.answered([], 1)

    def test_a_state_that_does_not_exist_is_refused(self, manifest: Manifest) -> None:
        with pytest.raises(CacheError, match="CHECK"):
            manifest.sessions.answered([(DAY, "perhaps", None, None)], 1)  # type: ignore[list-item]

    def test_an_unreadable_file_is_quarantined(self, manifest: Manifest) -> None:
        _quarantine(manifest, DAY, "e1")
        assert manifest.sessions.all() == {DAY: Held("quarantined", "listed", "short", "e1", quarantined="e1")}
        assert manifest.sessions.committed() == []

    def test_an_unreadable_replacement_leaves_what_is_held(self, manifest: Manifest) -> None:
        manifest.sessions.commit([_record(manifest)], [], 1)
        _quarantine(manifest, DAY, "e2")
        assert manifest.sessions.all()[DAY] == Held(
            "committed", "listed", "short", "e2", "e1", archive_kept=True, quarantined="e2"
        )
        assert manifest.sessions.committed() == [DAY]

    def test_a_session_that_failed_before_is_quarantined_all_the_same(self, manifest: Manifest) -> None:
        manifest.sessions.answered([(DAY, "failed", "reset", "e1")], 1)
        _quarantine(manifest, DAY, "e1")
        assert manifest.sessions.all()[DAY] == Held("quarantined", "listed", "short", "e1", quarantined="e1")

    def test_a_damaged_session_stays_committed_without_an_etag(self, manifest: Manifest) -> None:
        manifest.sessions.commit([_record(manifest), _record(manifest, NEXT)], [], 1)
        manifest.replacements.intend([(_record(manifest, DAY, "e2"), None)])
        manifest.replacements.distrust([DAY])
        assert [state.etag for state in manifest.sessions.all().values()] == [None, "e1"]
        assert manifest.sessions.committed() == [DAY, NEXT]
        assert manifest.replacements.intents() == []

    def test_they_are_counted_by_state_and_reason(self, manifest: Manifest) -> None:
        manifest.sessions.answered([(day, "forbidden", None, "e1") for day in (DAY, NEXT)], 1)
        _quarantine(manifest, LAST, "e1")
        found = [(c.held, c.remote, c.reason, c.count, c.first, c.last) for c in manifest.sessions.counts()]
        assert found == [
            ("none", "forbidden", None, 2, DAY, NEXT),
            ("quarantined", "listed", "short", 1, LAST, LAST),
        ]


texts = st.text(max_size=20)
lines = st.lists(texts, max_size=4).map(tuple)
counts = st.integers(0)
records = st.builds(
    SessionRecord,
    session=st.dates(),
    etag=texts,
    **dict.fromkeys(("size", "source_rows", "tracked_rows", "archive_rows", "dropped_rows"), counts),
    cut=st.sampled_from(["lines", "polars"]),
    columns=lines,
    findings=st.lists(st.builds(Finding, texts, st.integers(1), lines), max_size=3).map(tuple),
    tracked_row_numbers=st.binary(max_size=20),
    tracked_index=st.binary(max_size=20),
    archive_index=st.none() | st.binary(max_size=20),
    archive_sha256=st.none() | texts,
    archive_kept=st.booleans(),
)
kinds = st.sampled_from(["new etag", "same etag", "equal rows"])
corrections = st.builds(Correction, st.dates(), texts, texts, lines, lines, lines, kinds, lines)


class TestIntents:
    @given(records)
    def test_a_record_survives_as_json(self, record: SessionRecord) -> None:
        assert codec.session_record(codec.to_json(record)) == record

    @given(corrections)
    def test_a_correction_survives_as_json(self, correction: Correction) -> None:
        assert codec.decode_correction(codec.to_json(correction)) == correction

    def test_they_survive_the_run_that_wrote_them(self, path: Path) -> None:
        with Manifest.open(path, DATASET) as manifest:
            intents = [(_record(manifest, DAY, "e2"), _correction()), (_record(manifest, NEXT, kept=False), None)]
            manifest.replacements.intend(intents)
        with Manifest.open(path, DATASET) as manifest:
            assert manifest.replacements.intents() == intents
            assert manifest.sessions.committed() == []

    def test_a_later_one_takes_the_place_of_an_earlier(self, manifest: Manifest) -> None:
        manifest.replacements.intend([(_record(manifest, DAY, "e2"), _correction())])
        manifest.replacements.intend([(_record(manifest, DAY, "e3"), None)])
        assert manifest.replacements.intents() == [(_record(manifest, DAY, "e3"), None)]


class TestTrackedSets:
    @given(st.lists(st.frozensets(st.sampled_from(["A", "BRK.A", "BCpC", "BCPC", "NA"])), min_size=1, max_size=5))
    def test_a_set_has_one_number_and_a_number_one_set(self, sets: list[frozenset[str]]) -> None:
        with Manifest.read(Path("there is none"), DATASET) as manifest:  # in memory, and writable
            numbers = {tickers: manifest.tracked_sets.number(tickers) for tickers in sets}
            assert len(set(numbers.values())) == len(set(sets))
            assert all(manifest.tracked_sets.tickers(number) == tickers for tickers, number in numbers.items())
            assert {tickers: manifest.tracked_sets.number(tickers) for tickers in sets} == numbers


class TestProjections:
    def _made(self, ticker: str = "A") -> Projection:
        return Projection(ticker, True, False, "2024-01-02", "2024-01-03", 2, "sha", 99, 123, format=FORMAT)

    def test_those_followed_are_active_and_new_ones_dirty(self, manifest: Manifest) -> None:
        manifest.csvs.follow(["B", "A"])
        assert manifest.csvs.states() == {"A": Projection("A"), "B": Projection("B")}

    def test_one_that_was_made_is_clean_until_the_next_commit(self, manifest: Manifest) -> None:
        manifest.csvs.follow(["A", "B"])
        manifest.sessions.commit([_record(manifest)], [], 1)
        manifest.csvs.projected([self._made()], [DAY])
        assert manifest.csvs.states() == {"A": self._made(), "B": Projection("B")}
        assert manifest.sessions.pending() == frozenset()
        manifest.sessions.commit([_record(manifest, NEXT)], [], 1)
        assert manifest.csvs.states()["A"] == replace(self._made(), dirty=True)
        assert manifest.sessions.pending() == {NEXT}

    def test_following_the_same_again_changes_nothing(self, manifest: Manifest) -> None:
        manifest.csvs.follow(["A"])
        manifest.csvs.projected([self._made()], [])
        manifest.csvs.follow(["A"])
        assert manifest.csvs.states() == {"A": self._made()}

    def test_one_that_leaves_is_kept_and_one_that_comes_back_is_made_anew(self, manifest: Manifest) -> None:
        manifest.csvs.follow(["A"])
        manifest.csvs.projected([self._made()], [])
        manifest.csvs.follow(["B"])
        assert manifest.csvs.states()["A"] == replace(self._made(), active=False)
        manifest.sessions.commit([_record(manifest)], [], 1)
        manifest.csvs.follow(["A"])
        assert manifest.csvs.states() == {"A": Projection("A"), "B": Projection("B", active=False)}

    def _month(self, period: str, ticker: str = "A") -> Projection:
        first, last = f"{period}-02 09:30:00-05:00", f"{period}-03 16:00:00-05:00"
        return Projection(ticker, True, False, first, last, 780, f"sha {period}", 99, 123, period=period, format=FORMAT)

    def test_months_of_a_ticker_stand_beside_it(self, manifest: Manifest) -> None:
        manifest.csvs.follow(["A", "B"])
        months = [self._month("2024-01"), self._month("2024-02"), self._month("2024-01", "B")]
        manifest.csvs.projected([*months, replace(self._made(), rows=1560)], [DAY])
        assert manifest.csvs.months() == {(row.ticker, row.period): row for row in months}
        assert manifest.csvs.states() == {"A": replace(self._made(), rows=1560), "B": Projection("B")}
        changed = replace(months[0], sha256="new", rows=790)
        manifest.csvs.projected([changed], [])
        assert manifest.csvs.months()["A", "2024-01"] == changed
        assert manifest.csvs.months()["A", "2024-02"] == months[1]

    def test_a_commit_makes_the_month_of_its_session_dirty_and_no_other(self, manifest: Manifest) -> None:
        manifest.csvs.follow(["A"])
        manifest.csvs.projected([self._month("2024-01"), self._month("2024-02"), self._made()], [])
        manifest.sessions.commit([_record(manifest, DAY)], [], 1)
        assert {period: row.dirty for (_, period), row in manifest.csvs.months().items()} == {
            "2024-01": True,
            "2024-02": False,
        }
        assert manifest.csvs.states()["A"].dirty

    def test_one_that_leaves_takes_its_months_along_and_has_them_made_anew_when_back(self, manifest: Manifest) -> None:
        manifest.csvs.follow(["A", "B"])
        months = [self._month("2024-01"), self._month("2024-02"), self._month("2024-01", "B")]
        manifest.csvs.projected(months, [])
        manifest.csvs.follow(["B"])
        manifest.sessions.commit([_record(manifest, DAY)], [], 1)
        gone = [replace(row, active=False) for row in months[:2]]
        assert list(manifest.csvs.months().values()) == [*gone, replace(months[2], dirty=True)]
        manifest.csvs.follow(["A", "B"])
        assert list(manifest.csvs.months().values()) == [replace(row, dirty=True) for row in months]

    def test_one_month_is_forgotten_alone(self, manifest: Manifest) -> None:
        manifest.csvs.follow(["A"])
        manifest.csvs.projected([self._month("2024-01"), self._month("2024-02"), self._made()], [])
        manifest.csvs.forget([("A", "2024-02")])
        assert manifest.csvs.months() == {
            ("A", "2024-01"): self._month("2024-01"),
            ("A", "2024-02"): Projection("A", period="2024-02"),
        }
        assert manifest.csvs.states() == {"A": self._made()}
        manifest.csvs.forget([("A", "")])
        assert manifest.csvs.states() == {"A": Projection("A")}

    def test_a_session_that_is_replaced_is_to_be_projected_again(self, manifest: Manifest) -> None:
        manifest.sessions.commit([_record(manifest)], [], 1)
        manifest.csvs.projected([], [DAY])
        assert manifest.sessions.pending() == frozenset()
        manifest.sessions.commit([_record(manifest, DAY, "e2")], [], 1)
        assert manifest.sessions.pending() == {DAY}


class TestRuns:
    def test_one_that_was_killed_has_no_end(self, manifest: Manifest) -> None:
        second = manifest.runs.begin(NEXT, LAST)
        manifest.runs.finish(second, 3, {"failed": 1, "start": NEXT})
        newest, killed = manifest.runs.newest(5)
        assert (newest["run"], newest["exit_code"], newest["window_start"]) == (2, 3, "2024-01-03")
        assert newest["finished_at"] >= newest["started_at"]
        assert (killed["run"], killed["exit_code"], killed["finished_at"]) == (1, None, None)
        assert [run["run"] for run in manifest.runs.newest(1)] == [2]
