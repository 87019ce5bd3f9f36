"""What was found of the sessions' files, as the manifest keeps it: findings, corrections, and what was refused."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from ingest.cache.manifest.database import Database, now
from ingest.cache.manifest.integrity.kinds import Kinds, count, day, flag, text
from ingest.cache.manifest.integrity.tables import columns, committed
from ingest.cache.manifest.records import FindingCount, KeptCorrection, QuarantinedFile
from ingest.finding import FAR_COUNT, MAX_EXAMPLES, Finding, example
from ingest.splitting.diff import Correction

_CORRECTION = columns(
    "corrections", "session", "old_etag", "new_etag", "columns", "removed", "added", "kind", "old_columns", "at"
)
_FINDING = columns("findings", "session", "kind", "count", "examples")
_FINDING_COUNT: Kinds = {"kind": text, "sessions": count, "rows": count, "first": day, "last": day}
_QUARANTINED = {
    **columns("quarantine", "session", "etag", "size", "last_modified", "reason", "acceptable", "at"),
    "held": flag,
    **columns("quarantine", "sha256"),
}


_BETWEEN = "(session BETWEEN ? AND ? OR typeof(session) <> 'text')"
"""A date that cannot be is in each span: it is read, and named as damage."""


def write_findings(db: sqlite3.Connection, dataset: str, session: date, findings: Iterable[Finding]) -> None:
    """Record findings of a session, in a transaction of the caller's."""
    db.executemany(
        "INSERT OR REPLACE INTO findings VALUES (?, ?, ?, ?, ?)",
        [
            (dataset, session.isoformat(), one.kind, one.count, json.dumps(one.examples, ensure_ascii=False))
            for one in findings
        ],
    )


CORRECTION = (
    "INSERT INTO corrections "
    "(dataset, session, old_etag, new_etag, kind, columns, old_columns, removed, added, run, at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def correction_row(dataset: str, one: Correction, run: int, at: str) -> tuple[Any, ...]:
    """Values of `CORRECTION`."""
    lists = (one.columns, one.old_columns, one.removed, one.added)
    return (
        dataset,
        one.session.isoformat(),
        one.old_etag,
        one.new_etag,
        one.kind,
        *(json.dumps(values) for values in lists),
        run,
        at,
    )


def _lines(column: str) -> str:
    """The lines of a correction in which `:ticker` is to be found, all of them where that is NULL."""
    chosen = f"SELECT value FROM json_each({column}) WHERE instr(value, :ticker) ORDER BY key"  # noqa: S608 - from here
    return f"CASE WHEN :ticker IS NULL THEN {column} ELSE (SELECT json_group_array(value) FROM ({chosen})) END"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Judgements:
    """The part of a manifest that tells of the files' quality and of what became of replacements."""

    database: Database

    def corrections(
        self, start: date = date.min, end: date = date.max, ticker: str | None = None
    ) -> Iterator[KeptCorrection]:
        """What republished files have changed from `start` to `end`, both inclusive, by session and time.

        One is in memory at a time, since each may list all lines of two versions of a day. Where a `ticker` is given,
        lines in which its name is not to be found are left out by SQLite already.
        """
        query = (
            f"SELECT session, old_etag, new_etag, columns, {_lines('removed')}, {_lines('added')}, kind, old_columns, "  # noqa: S608
            "at FROM corrections WHERE dataset = :dataset AND id = :id"
        )
        ids = f"SELECT id FROM corrections WHERE dataset = ? AND {_BETWEEN} ORDER BY session, at, id"  # noqa: S608
        name = None if ticker is None or "\0" in ticker else ticker.replace('"', '""')
        for (number,) in self.database.rows(ids, start.isoformat(), end.isoformat()):
            for row in self.database.rows(query, id=number, ticker=name):
                yield self._correction_of(row)

    def _correction_of(self, row: tuple[Any, ...]) -> KeptCorrection:
        day, old, new, columns, removed, added, kind, before, at = self.database.fitted(_CORRECTION, row)
        return KeptCorrection(Correction(day, old, new, columns, removed, added, kind, before or columns), at)

    def findings(self, start: date = date.min, end: date = date.max) -> list[tuple[date, Finding]]:
        """What was found in the sessions from `start` to `end`, both inclusive, by session and kind."""
        query = (
            f"SELECT session, kind, count, examples FROM findings WHERE dataset = ? AND {_BETWEEN} "  # noqa: S608
            "ORDER BY session, kind"
        )
        return [
            (day, Finding(kind, count, examples))
            for day, kind, count, examples in self.database.typed(_FINDING, query, start.isoformat(), end.isoformat())
        ]

    def add(self, kind: str, ticker: str, sessions: Iterable[date]) -> None:
        """Record that a ticker has what `kind` says in these sessions, beside the tickers that are known to."""
        for session in sessions:
            known = next((one for _, one in self.findings(session, session) if one.kind == kind), Finding(kind, 0))
            if ticker not in known.examples and known.count < MAX_EXAMPLES:
                more = Finding(kind, known.count + 1, (*known.examples, example(ticker)))
                with self.database.transaction() as db:
                    write_findings(db, self.database.dataset, session, (more,))

    def finding_counts(self) -> list[FindingCount]:
        """Sessions by kind of finding, the most frequent first."""
        query = (
            "SELECT kind, count(*), sum(count), min(session), max(session) FROM findings WHERE dataset = ? "
            "GROUP BY kind ORDER BY count(*) DESC, kind"
        )
        return [FindingCount(*row) for row in self.database.typed(_FINDING_COUNT, query)]

    def row_counts(self) -> dict[date, int]:
        """Rows of the source's file of each committed session."""
        query = "SELECT session, source_rows FROM sessions WHERE dataset = ? AND held = 'committed'"
        return dict(self.database.typed(committed("session", "source_rows"), query))

    def find_far_counts(self, found: Mapping[date, Finding]) -> None:
        """Record which sessions have a number of rows far from their neighbours', in the place of what was known."""
        with self.database.transaction() as db:
            db.execute("DELETE FROM findings WHERE dataset = ? AND kind = ?", (self.database.dataset, FAR_COUNT))
            for session, finding in found.items():
                write_findings(db, self.database.dataset, session, (finding,))

    def quarantine(self, refused: QuarantinedFile, run: int) -> None:
        """Record a refused file. A session that is held stays committed: only the replacement is refused."""
        key = (self.database.dataset, refused.session.isoformat())
        kept = (refused.etag, refused.size, refused.last_modified, refused.reason, refused.acceptable, run, now())
        with self.database.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*key, *kept, refused.sha256),
            )
            db.execute(
                "INSERT INTO sessions (dataset, session, held, remote, reason, remote_etag, run) "
                "VALUES (?, ?, 'quarantined', 'listed', ?, ?, ?) ON CONFLICT (dataset, session) DO UPDATE SET "
                "held = CASE held WHEN 'committed' THEN held ELSE 'quarantined' END, remote = 'listed', "
                "reason = excluded.reason, remote_etag = excluded.remote_etag",
                (*key, refused.reason, refused.etag, run),
            )

    def release(self, sessions: Iterable[date]) -> None:
        """Forget that files were refused, so that what the source has of these sessions is fetched again."""
        keys = [(self.database.dataset, session.isoformat()) for session in sessions]
        with self.database.transaction() as db:
            db.executemany("DELETE FROM quarantine WHERE dataset = ? AND session = ?", keys)

    def in_quarantine(self) -> list[QuarantinedFile]:
        """Files that were refused and are kept, by session."""
        query = (
            "SELECT q.session, q.etag, q.size, q.last_modified, q.reason, q.acceptable, q.at, "
            "s.held IS 'committed', q.sha256 "
            "FROM quarantine q LEFT JOIN sessions s ON (s.dataset, s.session) = (q.dataset, q.session) "
            "WHERE q.dataset = ? ORDER BY q.session"
        )
        return [QuarantinedFile(*row) for row in self.database.typed(_QUARANTINED, query)]
