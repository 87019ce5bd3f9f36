"""Whatever a flipped bit makes of a value of the manifest is reported, and its readers raise damage, nothing else."""

import shutil
import sqlite3
from contextlib import closing, suppress
from datetime import date

import pytest
from pipeline_kit import sampled

from ingest.cache.layout import MemberIndex
from ingest.cache.manifest import Manifest
from ingest.cache.manifest.integrity import codec
from ingest.cache.manifest.integrity.tables import COMMITTED, TABLES
from ingest.cache.manifest.records import SessionRecord
from ingest.errors import ManifestDamaged
from ingest.splitting.diff import Correction

DATASET = "us_stocks_sip/day_aggs_v1"
DAY, AT = "2025-03-05", "2025-03-06T05:00:00+00:00"
INDEX = MemberIndex((0, 10), ("A",), ordered=True).encode()
RECORD = SessionRecord(
    *(date.fromisoformat(DAY), "e", 9, AT, 1, 1, 0, 0, "t", "s", None, b"\0\0\0\0", 1, False, "lines", ("ticker",)),
    *((), INDEX, None),
)
CORRECTION = Correction(date.fromisoformat(DAY), "e", "f", ("ticker",), ("A",), ("B",))
ROWS = {
    "runs": (1, DATASET, DAY, DAY, AT, AT, 7, 0, "{}"),
    "tracked_sets": (1, "A\nB"),
    "sessions": (
        *(DATASET, DAY, "committed", "listed", "why", "e", "e", 9, AT, 1, 1, 0, 0, "t", "s", "u", b"\0\0\0\0", 1, 1),
        *("lines", '["ticker"]', 1, AT, 1),
    ),
    "members": (DATASET, DAY, "tracked", INDEX),
    "projections": (DATASET, "A", "", 1, 0, DAY, DAY, 1, "s", 20, 99, 0, 1),
    "intents": (DATASET, DAY, codec.to_json(RECORD), codec.to_json(CORRECTION)),
    "corrections": (1, DATASET, DAY, "e", "f", '["ticker"]', '["A"]', '["B"]', 1, AT, "new etag", '["ticker"]'),
    "permission_windows": (DATASET, DAY, DAY, "2025-03-04", "2025-03-06", AT),
    "yahoo_rows": (DATASET, "A", DAY, 1.0, 2.0, 1.0, 2.0, 100.0, AT),
    "actions": (DATASET, "A", DAY, "split", 2.0, 9.5, None),
    "instruments": (DATASET, "A", "ETF"),
    "askings": (DATASET, "A", DAY, DAY, AT, DAY),
    "refusals": (DATASET, "A", DAY, DAY, "no", AT),
    "findings": (DATASET, DAY, "low above high", 1, '["A"]'),
    "quarantine": (DATASET, DAY, "e", 9, AT, "short", 1, 1, AT, "h", AT),
    "source": (1, "https://files.massive.com/flatfiles", AT),
    "patterns": (DATASET, "A*"),
    "identity": (1, "8f0c", AT),
    "stores": ("s3://bucket/prefix", 1, "t1", "e1", "t2", "1 session"),
    "objects": (DATASET, "tracked/a.csv.gz", 9, "e1"),
}
NEEDED = (
    {("sessions", name) for name in COMMITTED}
    | {("projections", name) for name in ("first", "last", "sha256")}
    | {("permission_windows", name) for name in ("first", "last")}
)
"""What may be NULL, but not in this row."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A manifest with a row in each table, whose columns may contain anything."""
    path = tmp_path_factory.mktemp("flaws") / "whole.sqlite"
    with Manifest.open(path, DATASET):
        pass
    with closing(sqlite3.connect(path)) as db:
        for table, row in ROWS.items():
            db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        db.commit()
        db.executescript(
            "PRAGMA journal_mode=DELETE; PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = "
            "replace(sql, 'NOT NULL', '') WHERE sql NOT LIKE '%WITHOUT ROWID%';"
        )
    with Manifest.read(path, DATASET) as manifest:
        assert manifest.database.flaws() == []
    return path


def damaged(whole, tmp_path, table, change):
    path = tmp_path / "manifest.sqlite"
    shutil.copy(whole, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute(f"UPDATE {table} SET {change}")
    return path


def read_all(manifest):
    """Call each reader once; an error that is not damage is raised."""
    quotes, found, replaced, sessions = manifest.yahoo, manifest.findings, manifest.replacements, manifest.sessions
    day = date.fromisoformat(DAY)
    for reader in (
        *(
            sessions.all,
            lambda: list(sessions.records()),
            manifest.source.permission,
            manifest.replacements.intents,
        ),
        *(
            manifest.source.permission_asked_at,
            lambda: manifest.replacements.held([day]),
            manifest.csvs.states,
            manifest.csvs.months,
        ),
        *(sessions.pending, sessions.counts, sessions.totals, sessions.other_datasets, sessions.committed),
        *(
            sessions.coverage,
            lambda: list(sessions.parts([day])),
            lambda: manifest.runs.newest(3),
            manifest.runs.measured_rate,
        ),
        *(
            lambda: quotes.asked(["A"]),
            lambda: quotes.refusals(["A"]),
            lambda: quotes.actions(["A"]),
            lambda: quotes.rows(["A"], day, day),
        ),
        *(lambda: quotes.rows_of(day), quotes.sessions, quotes.known_until, quotes.count),
        *(replaced.corrections, found.between, found.counts, found.row_counts, replaced.in_quarantine),
        *(manifest.csvs.patterns, manifest.objects.all, lambda: manifest.objects.known(["tracked/a.csv.gz"])),
        *(manifest.identity.known, lambda: manifest.identity.store("s3://bucket/prefix")),
    ):
        with suppress(ManifestDamaged):
            reader()


def values_for(table, column):
    """Values that the column cannot contain."""
    kind = TABLES[table][column]
    for value in (None, b"\0", "x", "2025-13-05", -1, 2.5, float("inf"), "[1]", "[", "{}", "null"):
        try:
            kind(value)
        except ValueError:
            yield value
    if (table, column) in NEEDED:
        yield None


@pytest.mark.parametrize("table", sampled(TABLES, 2))
def test_an_impossible_value_is_named_and_read_as_damage(whole, tmp_path, table):
    for column in TABLES[table]:
        for value in values_for(table, column):
            path = tmp_path / "manifest.sqlite"
            shutil.copy(whole, path)
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.execute("PRAGMA ignore_check_constraints = ON")
                try:
                    db.execute(f"UPDATE {table} SET {column} = ?", (value,))
                except sqlite3.IntegrityError:  # WITHOUT ROWID: no NULL in a key, and the key of a rowid is a number
                    continue
                if db.execute(f"SELECT {column} FROM {table}").fetchone() != (value,):
                    continue  # the column's affinity changed the value
            with Manifest.read(path, DATASET) as manifest:
                assert any(
                    f"{table}.{column}: " in one.reason or one.reason.startswith(f"{table}: ")
                    for one in manifest.database.flaws()
                ), (column, value)
                read_all(manifest)


def test_tables_and_columns_are_those_of_the_schema(whole):
    with closing(sqlite3.connect(whole)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        found = {table: {name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")} for table in tables}
    assert found == {table: set(kinds) for table, kinds in TABLES.items()}


@pytest.mark.parametrize("table", TABLES)
def test_a_missing_table_or_column_is_damage(whole, tmp_path, table):
    path = tmp_path / "manifest.sqlite"
    shutil.copy(whole, path)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"DROP TABLE {table}")
    with Manifest.read(path, DATASET) as manifest:
        assert f"table {table} is missing" in [one.reason for one in manifest.database.flaws()]


@pytest.mark.parametrize(
    ("table", "change", "place"),
    [
        ("sessions", "tracked_set = 9", "sessions.tracked_set"),
        ("permission_windows", "first = '2025-04-01'", "permission_windows"),
        ("intents", "record = json_set(record, '$.size', 'x')", "intents.record"),
        ("intents", "record = json_remove(record, '$.cut')", "intents.record"),
        ("intents", "correction = json_set(correction, '$.kind', 'x')", "intents.correction"),
        ("runs", "finished_at = '2025-03-06T05:00:00'", "runs.finished_at"),
        ("projections", "period = '2025-13'", "projections.period"),
    ],
)
def test_values_that_contradict_each_other_are_named(whole, tmp_path, table, change, place):
    with Manifest.read(damaged(whole, tmp_path, table, change), DATASET) as manifest:
        (flaw,) = manifest.database.flaws()
        assert flaw.reason.startswith(place)
        assert DATASET in flaw.reason
        read_all(manifest)


def test_a_flaw_names_its_session(whole, tmp_path):
    with Manifest.read(damaged(whole, tmp_path, "corrections", "removed = '['"), DATASET) as manifest:
        (flaw,) = manifest.database.flaws()
    assert flaw.session == date.fromisoformat(DAY)
    assert flaw.reason == f"corrections.removed: '[' is not JSON ({DATASET} {DAY} new etag 1 1)"


@pytest.mark.parametrize("wrong", [TypeError, AttributeError, KeyError, ValueError])
def test_a_bug_in_code_that_uses_the_values_is_not_damage(whole, monkeypatch, wrong):
    """Only a value means damage: otherwise `--repair` would set a healthy file aside because of a bug."""

    def buggy(*arguments, **named):
        raise wrong("a bug")

    monkeypatch.setattr("ingest.cache.manifest.sessions.Held", buggy)
    monkeypatch.setattr("ingest.cache.manifest.findings.Finding", buggy)
    monkeypatch.setattr("ingest.cache.manifest.yahoo.ActionCoverage", buggy)
    with Manifest.read(whole, DATASET) as manifest:
        for reader in (manifest.sessions.all, manifest.findings.between, lambda: manifest.yahoo.asked(["A"])):
            with pytest.raises(wrong, match="a bug"):
                reader()


HIDDEN = ("held = NULL", "held = 'x'", "held = x'00'", "session = NULL", "session = x'07'", "dataset = NULL")


@pytest.mark.parametrize("change", HIDDEN)
def test_each_reader_that_filters_by_state_or_date_names_what_it_would_miss(whole, tmp_path, change):
    with Manifest.read(damaged(whole, tmp_path, "sessions", change), DATASET) as manifest:
        sessions = manifest.sessions
        for read in (
            *(sessions.committed, sessions.coverage, sessions.pending, sessions.counts, sessions.totals),
            *(lambda: list(sessions.parts([date.fromisoformat(DAY)])), lambda: manifest.at_once(lambda: None)),
            lambda: manifest.at_once(manifest.replacements.in_quarantine),
        ):
            with pytest.raises(ManifestDamaged, match=change.partition(" ")[0]):
                read()
        assert manifest.source.holds_anything()


@pytest.mark.parametrize("change", HIDDEN)
def test_a_dataset_with_a_hidden_session_is_checked_and_not_skipped(whole, tmp_path, change):
    """`status` asks which other datasets have stored sessions; for this one it then reports damage."""
    with Manifest.read(damaged(whole, tmp_path, "sessions", change), "global_crypto/day_aggs_v1") as manifest:
        if change.startswith("dataset"):
            with pytest.raises(ManifestDamaged, match=r"sessions\.dataset"):
                manifest.sessions.other_datasets()
        else:
            assert manifest.sessions.other_datasets() == {DATASET}


@pytest.mark.parametrize("table", ["corrections", "findings"])
def test_an_impossible_date_is_in_each_span(whole, tmp_path, table):
    path = damaged(whole, tmp_path, table, "session = x'07'")
    with Manifest.read(path, DATASET) as manifest, pytest.raises(ManifestDamaged, match=f"{table}.session"):
        list(manifest.replacements.corrections() if table == "corrections" else manifest.findings.between())


def test_dates_and_states_are_checked_once_until_the_next_commit(whole, tmp_path):
    path = damaged(whole, tmp_path, "sessions", "held = held")
    with Manifest.read(path, DATASET) as manifest:
        scans, sessions = list[str](), manifest.sessions
        manifest.database._db.set_trace_callback(lambda sql: scans.append(sql) if "NOT IN ('none'" in sql else None)
        day = date.fromisoformat(DAY)
        for _ in range(2):
            manifest.at_once(lambda: (sessions.committed(), list(sessions.parts([day])), sessions.totals()))
            assert sessions.committed(day, day) == [day]
        assert len(scans) == 1
        with Manifest.open(path, DATASET) as other:
            other.runs.begin(day, day)
        assert manifest.sessions.pending() == frozenset()
        assert len(scans) == 2
