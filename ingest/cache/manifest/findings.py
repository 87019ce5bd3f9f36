"""Findings about the sessions' files, in the manifest."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from ingest.cache.manifest.database import BETWEEN, Database
from ingest.cache.manifest.integrity.kinds import Kinds, count, day, text
from ingest.cache.manifest.integrity.tables import columns, committed
from ingest.cache.manifest.records import FindingCount
from ingest.finding import FAR_COUNT, MAX_EXAMPLES, Finding, example

_FINDING = columns("findings", "session", "kind", "count", "examples")
_FINDING_COUNT: Kinds = {"kind": text, "sessions": count, "rows": count, "first": day, "last": day}


def write_findings(db: sqlite3.Connection, dataset: str, session: date, findings: Iterable[Finding]) -> None:
    """Record findings of a session, within the caller's transaction."""
    db.executemany(
        "INSERT OR REPLACE INTO findings VALUES (?, ?, ?, ?, ?)",
        [
            (dataset, session.isoformat(), one.kind, one.count, json.dumps(one.examples, ensure_ascii=False))
            for one in findings
        ],
    )


@dataclass(frozen=True, slots=True)
class KeptFindings:
    """Findings of one dataset, and the row counts that some of them come from."""

    database: Database

    def between(self, start: date = date.min, end: date = date.max) -> list[tuple[date, Finding]]:
        """Findings of the sessions from `start` to `end`, both inclusive, by session and kind."""
        query = (
            f"SELECT session, kind, count, examples FROM findings WHERE dataset = ? AND {BETWEEN} "  # noqa: S608
            "ORDER BY session, kind"
        )
        return [
            (day, Finding(kind, count, examples))
            for day, kind, count, examples in self.database.typed(_FINDING, query, start.isoformat(), end.isoformat())
        ]

    def add(self, kind: str, ticker: str, sessions: Iterable[date]) -> None:
        """Record a finding of this kind for a ticker in these sessions, beside the tickers already recorded."""
        for session in sessions:
            known = next((one for _, one in self.between(session, session) if one.kind == kind), Finding(kind, 0))
            if ticker not in known.examples and known.count < MAX_EXAMPLES:
                more = Finding(kind, known.count + 1, (*known.examples, example(ticker)))
                with self.database.transaction() as db:
                    write_findings(db, self.database.dataset, session, (more,))

    def counts(self) -> list[FindingCount]:
        """Number of sessions by kind of finding, the most frequent first."""
        query = (
            "SELECT kind, count(*), sum(count), min(session), max(session) FROM findings WHERE dataset = ? "
            "GROUP BY kind ORDER BY count(*) DESC, kind"
        )
        return [FindingCount(*row) for row in self.database.typed(_FINDING_COUNT, query)]

    def row_counts(self) -> dict[date, int]:
        """Number of rows in the source's file of each committed session."""
        query = "SELECT session, source_rows FROM sessions WHERE dataset = ? AND held = 'committed'"
        return dict(self.database.typed(committed("session", "source_rows"), query))

    def put_far_counts(self, found: Mapping[date, Finding]) -> None:
        """Record which sessions have a row count far from their neighbours', replacing what was recorded before."""
        with self.database.transaction() as db:
            db.execute("DELETE FROM findings WHERE dataset = ? AND kind = ?", (self.database.dataset, FAR_COUNT))
            for session, finding in found.items():
                write_findings(db, self.database.dataset, session, (finding,))
