"""What replaces or removes sessions: replacements and prunings under way, corrections, and refused files."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from ingest.cache.manifest.database import BETWEEN, Database, now
from ingest.cache.manifest.integrity import codec
from ingest.cache.manifest.integrity.kinds import flag
from ingest.cache.manifest.integrity.tables import columns, committed
from ingest.cache.manifest.records import HeldVersion, KeptCorrection, QuarantinedFile, SessionRecord, period_of
from ingest.market.datasets import TIERS
from ingest.splitting.diff import Correction

_CORRECTED = ("session", "old_etag", "new_etag", "columns", "removed", "added", "kind", "old_columns", "at")
_CORRECTION = columns("corrections", *_CORRECTED)
_REFUSED = ("session", "etag", "size", "last_modified", "reason", "acceptable", "at")
_QUARANTINED = columns("quarantine", *_REFUSED) | {"held": flag} | columns("quarantine", "sha256", "dismissed")
_REPLACED = committed("source_rows", "text_sha256", "tracked_sha256", "archive_sha256")
_BY_SESSION = ("members", "findings", "corrections", "quarantine", "intents", "yahoo_rows", "sessions")
"""Tables with the rows of a session."""

_FORGET = (
    *(f"DELETE FROM {table} WHERE dataset = :dataset AND session < :before" for table in _BY_SESSION),  # noqa: S608
    "DELETE FROM askings WHERE dataset = :dataset AND last < :before",
    "UPDATE askings SET first = max(first, :before) WHERE dataset = :dataset",
    "DELETE FROM refusals WHERE dataset = :dataset AND last < :before",
    """DELETE FROM projections WHERE dataset = :dataset AND period <> '' AND period <= :period AND period NOT IN
    (SELECT substr(session, 1, 7) FROM sessions WHERE dataset = :dataset AND held = 'committed')""",
    """UPDATE projections SET dirty = 1, first = NULL, last = NULL, rows = NULL, sha256 = NULL, size = NULL,
    mtime_ns = NULL, format = 0 WHERE dataset = :dataset AND active
    AND (period = :period OR (period = '' AND (first < :before OR first IS NULL)))""",
    "INSERT OR REPLACE INTO prunings (dataset, before) VALUES (:dataset, :before)",
)
"""Forgets sessions before a date; CSVs with rows of them are rebuilt, and months without a session are dropped."""

CORRECTION = (
    "INSERT INTO corrections "
    "(dataset, session, old_etag, new_etag, kind, columns, old_columns, removed, added, run, at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def correction_row(dataset: str, one: Correction, run: int, at: str) -> tuple[Any, ...]:
    """Values for `CORRECTION`."""
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
    """The lines of a correction that contain `:ticker`, or all of them if that is NULL."""
    chosen = f"SELECT value FROM json_each({column}) WHERE instr(value, :ticker) ORDER BY key"  # noqa: S608 - from here
    return f"CASE WHEN :ticker IS NULL THEN {column} ELSE (SELECT json_group_array(value) FROM ({chosen})) END"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Replacements:
    """Replacements of one dataset: those under way, those done (corrections), and those refused (quarantine)."""

    database: Database

    def held(self, sessions: Iterable[date]) -> dict[date, HeldVersion]:
        """The stored version of each of these sessions that is committed."""
        query = (
            "SELECT tracked_rows + archive_rows, text_sha256, tracked_sha256, archive_sha256 FROM sessions "
            "WHERE dataset = ? AND session = ? AND held = 'committed'"
        )
        found = {day: self.database.typed(_REPLACED, query, day.isoformat()) for day in sessions}
        return {
            day: HeldVersion(rows, text, {tier: one for tier, one in zip(TIERS, parts, strict=True) if one})
            for day, [(rows, text, *parts)] in ((day, held) for day, held in found.items() if held)
        }

    def intend(self, replacements: Iterable[tuple[SessionRecord, Correction | None]]) -> None:
        """Record that staged parts will replace the stored ones of their sessions, and the resulting difference."""
        rows = [
            (
                self.database.dataset,
                record.session.isoformat(),
                codec.to_json(record),
                correction and codec.to_json(correction),
            )
            for record, correction in replacements
        ]
        with self.database.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO intents VALUES (?, ?, ?, ?)", rows)

    def intents(self) -> list[tuple[SessionRecord, Correction | None]]:
        """Replacements that were begun and are not committed."""
        query = "SELECT record, correction FROM intents WHERE dataset = ? ORDER BY session"
        return [
            (record, correction)
            for record, correction in self.database.typed(columns("intents", "record", "correction"), query)
        ]

    def distrust(self, sessions: Iterable[date]) -> None:
        """Forget the ETag of sessions with damaged parts, and any intent, so that they are downloaded again."""
        keys = [(self.database.dataset, session.isoformat()) for session in sessions]
        if keys:
            with self.database.transaction() as db:
                db.executemany("UPDATE sessions SET etag = NULL WHERE dataset = ? AND session = ?", keys)
                db.executemany("DELETE FROM intents WHERE dataset = ? AND session = ?", keys)

    def moving(self) -> frozenset[date]:
        """Sessions whose parts are being replaced, or were when a run was killed."""
        query = "SELECT session FROM intents WHERE dataset = ?"
        return frozenset(day for (day,) in self.database.typed(columns("intents", "session"), query))

    def corrections(
        self, start: date = date.min, end: date = date.max, ticker: str | None = None
    ) -> Iterator[KeptCorrection]:
        """What republished files changed from `start` to `end`, both inclusive, by session and time.

        One correction is in memory at a time, since each may list all lines of two versions of a day. With a `ticker`,
        SQLite leaves out the lines that do not contain its name.
        """
        query = (
            f"SELECT session, old_etag, new_etag, columns, {_lines('removed')}, {_lines('added')}, kind, old_columns, "  # noqa: S608
            "at FROM corrections WHERE dataset = :dataset AND id = :id"
        )
        ids = f"SELECT id FROM corrections WHERE dataset = ? AND {BETWEEN} ORDER BY session, at, id"  # noqa: S608
        name = None if ticker is None or "\0" in ticker else ticker.replace('"', '""')
        for (number,) in self.database.rows(ids, start.isoformat(), end.isoformat()):
            for row in self.database.rows(query, id=number, ticker=name):
                yield self._correction_of(row)

    def _correction_of(self, row: tuple[Any, ...]) -> KeptCorrection:
        day, old, new, columns, removed, added, kind, before, at = self.database.fitted(_CORRECTION, row)
        return KeptCorrection(
            Correction(day, old, new, columns, removed, added=added, kind=kind, old_columns=before or columns), at
        )

    def quarantine(self, refused: QuarantinedFile, run: int) -> None:
        """Record a refused file; a version that was dismissed before stays dismissed.

        A stored session stays committed: only its replacement is refused.
        """
        key = (self.database.dataset, refused.session.isoformat())
        kept = (refused.etag, refused.size, refused.last_modified, refused.reason, refused.acceptable, run, now())
        with self.database.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                "(SELECT dismissed FROM quarantine WHERE (dataset, session, etag) = (?, ?, ?)))",
                (*key, *kept, refused.sha256, *key, refused.etag),
            )
            db.execute(
                "INSERT INTO sessions (dataset, session, held, remote, reason, remote_etag, run) "
                "VALUES (?, ?, 'quarantined', 'listed', ?, ?, ?) ON CONFLICT (dataset, session) DO UPDATE SET "
                "held = CASE held WHEN 'committed' THEN held ELSE 'quarantined' END, remote = 'listed', "
                "reason = excluded.reason, remote_etag = excluded.remote_etag",
                (*key, refused.reason, refused.etag, run),
            )

    def prune(self, before: date) -> None:
        """Forget the sessions before a date, and what Yahoo said of these days, in one transaction.

        Their files are still there, so this also records that they are to be removed.
        """
        values = {"dataset": self.database.dataset, "before": before.isoformat(), "period": period_of(before)}
        with self.database.transaction() as db:
            for statement in _FORGET:
                db.execute(statement, values)

    def pruning(self) -> date | None:
        """Sessions before this date were forgotten, but not all their files are removed; None if there are none."""
        found = self.database.typed(columns("prunings", "before"), "SELECT before FROM prunings WHERE dataset = ?")
        return found[0][0] if found else None

    def pruned(self) -> None:
        """Record that all files of forgotten sessions are removed, durably."""
        with self.database.transaction() as db:
            db.execute("DELETE FROM prunings WHERE dataset = ?", (self.database.dataset,))

    def release(self, sessions: Iterable[date]) -> None:
        """Forget that files were refused, so that these sessions are downloaded again."""
        keys = [(self.database.dataset, session.isoformat()) for session in sessions]
        with self.database.transaction() as db:
            db.executemany("DELETE FROM quarantine WHERE dataset = ? AND session = ?", keys)

    def dismiss(self, sessions: Iterable[date], undo: bool = False) -> None:
        """Record that the refused files of these sessions were looked at and stay there, or `undo` that.

        Those dismissed before keep their time.
        """
        time = "NULL" if undo else "coalesce(dismissed, :now)"
        keys = [{"dataset": self.database.dataset, "session": day.isoformat(), "now": now()} for day in sessions]
        query = f"UPDATE quarantine SET dismissed = {time} WHERE dataset = :dataset AND session = :session"  # noqa: S608
        with self.database.transaction() as db:
            db.executemany(query, keys)

    def in_quarantine(self) -> list[QuarantinedFile]:
        """Refused files whose bytes are kept, by session."""
        query = (
            f"SELECT {', '.join(f'q.{name}' for name in _REFUSED)}, s.held IS 'committed', q.sha256, q.dismissed "  # noqa: S608
            "FROM quarantine q LEFT JOIN sessions s ON (s.dataset, s.session) = (q.dataset, q.session) "
            "WHERE q.dataset = ? ORDER BY q.session"
        )
        return [QuarantinedFile(*row) for row in self.database.typed(_QUARANTINED, query)]
