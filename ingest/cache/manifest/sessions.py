"""The sessions in the manifest: what is stored of each, what the source said, and how to read its parts.

A commit is one transaction: a kill leaves a session as it was before, or completely committed.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, get_args

from ingest.cache.layout import Indexes, PartsOf
from ingest.cache.manifest.database import Database, now
from ingest.cache.manifest.findings import write_findings
from ingest.cache.manifest.integrity.kinds import Kinds, blob, count, day, flag, maybe, text
from ingest.cache.manifest.integrity.tables import columns, committed, joined
from ingest.cache.manifest.records import (
    Answer,
    Coverage,
    Held,
    HeldState,
    SessionCount,
    SessionRecord,
    Totals,
    period_of,
)
from ingest.cache.manifest.replacements import CORRECTION, Replacements, correction_row
from ingest.errors import ManifestDamaged
from ingest.market.datasets import TIERS
from ingest.splitting.diff import Correction

_COMMIT_COLUMNS = (
    "etag",
    "size",
    "last_modified",
    "source_rows",
    "tracked_rows",
    "archive_rows",
    "dropped_rows",
    "text_sha256",
    "tracked_sha256",
    "archive_sha256",
    "tracked_row_numbers",
    "tracked_set",
    "archive_kept",
    "cut",
)
_ODD = ("{} IS NULL", "{} < ''", "{} >= x''")
"""Matches what is not text, each by an index lookup: in SQLite's order numbers come before texts, and blobs after."""

_HIDDEN = " UNION ALL ".join(
    f"SELECT dataset, session, held FROM sessions WHERE {where}"  # noqa: S608 - names from this file alone
    for where in (
        *(odd.format("dataset") for odd in _ODD),
        *(f"dataset = :dataset AND {odd.format('session')}" for odd in _ODD),
        (
            "dataset = :dataset AND session BETWEEN :first AND :last "
            f"AND (typeof(held) <> 'text' OR held NOT IN {get_args(HeldState)})"
        ),
    )
)
_COMMIT = f"""
INSERT OR REPLACE INTO sessions (dataset, session, held, remote, projected, run, committed_at, columns,
                                 {", ".join(_COMMIT_COLUMNS)})
VALUES (?, ?, 'committed', 'listed', 0, ?, ?, ?, {", ".join("?" * len(_COMMIT_COLUMNS))})
"""  # noqa: S608 - names from this file alone

_DISMISS = "UPDATE quarantine SET dismissed = coalesce(dismissed, ?) WHERE dataset = ? AND session = ?"

_STATE_COLUMNS = ("session", "held", "remote", "reason", "remote_etag", "etag", "tracked_set", "archive_kept")
_STATE = columns("sessions", *_STATE_COLUMNS) | joined("quarantine", "etag", "acceptable", "dismissed")
_INDEXES = {f"members.member_index of {tier}": maybe(blob) for tier in TIERS}
_WITH_INDEXES = (
    "t.member_index, a.member_index FROM sessions s "
    "LEFT JOIN members t ON (t.dataset, t.session, t.tier) = (s.dataset, s.session, 'tracked') "
    "LEFT JOIN members a ON (a.dataset, a.session, a.tier) = (s.dataset, s.session, 'archive')"
)
_RECORD = committed("session", *_COMMIT_COLUMNS, "columns") | _INDEXES
_VERSION = "printf('%s %s %s', s.run, s.committed_at, s.etag)"
"""Changes with each commit, and when parts are found not to be what was written."""
_PART_COLUMNS = ("session", "tracked_set", "cut", "columns", "tracked_sha256", "archive_sha256")
_PARTS: Kinds = {"version": text, "doubt": flag} | committed(*_PART_COLUMNS) | _INDEXES
_COUNTS = columns("sessions", "held", "remote", "reason") | {"count": count, "first": day, "last": day}


def _of_sessions(names: Iterable[str]) -> str:
    return ", ".join(f"s.{name}" for name in names)


@dataclass(frozen=True, slots=True)
class TrackedSets:
    """The sets of tickers that sessions of all datasets were split by, each with a number."""

    database: Database
    _known: dict[int, frozenset[str]] = field(default_factory=dict)

    def number(self, tickers: frozenset[str]) -> int:
        """Number of a set of tickers, assigned on first use; joins the caller's transaction, if there is one."""
        text = "\n".join(sorted(tickers))
        with self.database.join_transaction() as db:
            db.execute("INSERT OR IGNORE INTO tracked_sets (tickers) VALUES (?)", (text,))
            number: int = db.execute("SELECT id FROM tracked_sets WHERE tickers = ?", (text,)).fetchone()[0]
        return number

    def tickers(self, number: int | None) -> frozenset[str]:
        """The set with this number; an empty one for None. Raises ManifestDamaged if the set is missing."""
        if number is None:
            return frozenset()
        if number not in self._known:
            rows = self.database.ask("SELECT tickers FROM tracked_sets WHERE id = ?", (number,))
            if not rows:
                raise ManifestDamaged(self.database.path, f"tracked set {number} is missing")
            (tickers,) = self.database.fitted(columns("tracked_sets", "tickers"), rows[0])
            self._known[number] = frozenset(filter(None, tickers.split("\n")))
        return self._known[number]


@dataclass(slots=True)
class KnownSessions:
    """Sessions of one dataset: those stored, and those known only from the source's answers."""

    database: Database
    tracked_sets: TrackedSets
    _looked: tuple[object, date, date] = (None, date.max, date.min)

    def none_is_hidden(self, first: date = date.min, last: date = date.max) -> None:
        """Raise ManifestDamaged for a session with an impossible state or date.

        A span that was checked is not checked again until the manifest changes.
        """
        moment, (seen, *span) = self.database.moment(), self._looked
        if moment == seen and span[0] <= first and last <= span[1]:
            return
        self.database.typed(
            columns("sessions", "dataset", "session", "held"), _HIDDEN, first=first.isoformat(), last=last.isoformat()
        )
        self._looked = (moment, first, last)

    def all(self) -> dict[date, Held]:
        """State of every session that the manifest knows, in date order."""
        query = (
            f"SELECT {_of_sessions(_STATE_COLUMNS)}, q.etag, q.acceptable, q.dismissed FROM sessions s "  # noqa: S608 - from here
            "LEFT JOIN quarantine q ON (q.dataset, q.session) = (s.dataset, s.session) "
            "WHERE s.dataset = ? ORDER BY s.session"
        )
        found = self.database.typed(_STATE, query)
        return {
            day: Held(
                held,
                remote,
                reason,
                remote_etag=told,
                etag=etag,
                tracked=self.tracked_sets.tickers(number),
                archive_kept=bool(kept),
                quarantined=refused,
                acceptable=bool(acceptable),
                dismissed=dismissed is not None,
            )
            for day, held, remote, reason, told, etag, number, kept, refused, acceptable, dismissed in found
        }

    def answered(self, answers: Iterable[Answer], run: int) -> None:
        """Record what the source last said of sessions: state, reason, ETag. What is stored does not change."""
        rows = [(self.database.dataset, day.isoformat(), *answer, run) for day, *answer in answers]
        if rows:
            with self.database.transaction() as db:
                db.executemany(
                    "INSERT INTO sessions (dataset, session, remote, reason, remote_etag, run) "
                    "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (dataset, session) DO UPDATE SET "
                    "remote = excluded.remote, reason = excluded.reason, "
                    "remote_etag = coalesce(excluded.remote_etag, remote_etag)",
                    rows,
                )

    def commit(
        self,
        records: Iterable[SessionRecord],
        corrections: Sequence[Correction],
        run: int,
        *,
        refused_stay: bool = False,
    ) -> None:
        """Commit sessions, in one transaction. Their parts must be durable before this is called.

        Their refused files are forgotten, unless `refused_stay`; one stored without its bad rows is dismissed.
        """
        replaced, periods = ("members", "findings", *(() if refused_stay else ("quarantine",))), set[str]()
        with self.database.transaction() as db:
            for record in records:
                self._commit_one(db, record, run, replaced)
                periods |= {"", period_of(record.session)}
            db.executemany(CORRECTION, [correction_row(self.database.dataset, one, run, now()) for one in corrections])
            db.executemany(
                "UPDATE projections SET dirty = 1 WHERE dataset = ? AND active AND NOT dirty AND period = ?",
                [(self.database.dataset, period) for period in sorted(periods)],
            )

    def _commit_one(self, db: sqlite3.Connection, record: SessionRecord, run: int, replaced: Sequence[str]) -> None:
        key = (self.database.dataset, record.session.isoformat())
        values = [getattr(record, name) for name in _COMMIT_COLUMNS]
        db.execute(_COMMIT, (*key, run, now(), json.dumps(record.columns), *values))
        if record.leaves_rows_out:
            db.execute(_DISMISS, (now(), *key))
        for table in replaced if not record.leaves_rows_out else set(replaced) - {"quarantine"}:
            db.execute(f"DELETE FROM {table} WHERE dataset = ? AND session = ?", key)  # noqa: S608 - names from here
        write_findings(db, self.database.dataset, record.session, record.findings)
        indexes = (("tracked", record.tracked_index), ("archive", record.archive_index))
        db.executemany(
            "INSERT INTO members VALUES (?, ?, ?, ?)",
            [(*key, tier, index) for tier, index in indexes if index is not None],
        )
        db.execute("DELETE FROM intents WHERE dataset = ? AND session = ?", key)

    def records(self) -> Iterator[SessionRecord]:
        """The record of each committed session, in date order, without findings: those have their own table."""
        query = (
            f"SELECT {_of_sessions(('session', *_COMMIT_COLUMNS, 'columns'))}, {_WITH_INDEXES} "
            "WHERE s.dataset = ? AND held = 'committed' ORDER BY s.session"
        )
        return map(self._record_of, self.database.each(query))

    def _record_of(self, row: Sequence[Any]) -> SessionRecord:
        session, *values, names, tracked, archive = self.database.fitted(_RECORD, row)
        told = dict(zip(_COMMIT_COLUMNS, values, strict=True))
        told |= {"etag": told["etag"] or "", "last_modified": told["last_modified"] or ""}
        indexes = {"tracked_index": tracked or b"", "archive_index": archive}
        return SessionRecord(session, **told, columns=names, findings=(), **indexes)

    def stored(self) -> list[tuple[date, int, int, str | None]]:
        """Each committed session in order: its date, the packed bytes and the rows of its file, time of its commit."""
        names = ("session", "size", "source_rows", "committed_at")
        query = f"SELECT {', '.join(names)} FROM sessions WHERE dataset = ? AND held = 'committed' ORDER BY session"  # noqa: S608
        return self.database.typed(committed(*names), query)

    def pending(self, first: date = date.min, last: date = date.max) -> frozenset[date]:
        """Committed sessions from `first` to `last`, both inclusive, that are not projected yet."""
        self.none_is_hidden(first, last)
        where = "dataset = ? AND held = 'committed' AND projected IS NOT 1 AND session BETWEEN ? AND ?"
        query = f"SELECT session FROM sessions WHERE {where}"  # noqa: S608 - from here
        return frozenset(self._days(query, first.isoformat(), last.isoformat()))

    def counts(self) -> list[SessionCount]:
        """Number of sessions by stored state, remote state and reason."""
        self.none_is_hidden()
        query = (
            "SELECT held, remote, reason, count(*), min(session), max(session) FROM sessions WHERE dataset = ? "
            "GROUP BY held, remote, reason ORDER BY held, remote, reason"
        )
        return [SessionCount(*row) for row in self.database.typed(_COUNTS, query)]

    def totals(self) -> Totals:
        """Sums over the committed sessions."""
        self.none_is_hidden()
        query = (
            "SELECT coalesce(sum(source_rows), 0), "
            "(SELECT count(DISTINCT session) FROM findings f WHERE f.dataset = s.dataset), "
            "(SELECT count(*) FROM corrections c WHERE c.dataset = s.dataset AND kind <> 'equal rows') "
            "FROM sessions s WHERE dataset = ? AND held = 'committed'"
        )
        return Totals(*self.database.typed(dict.fromkeys(("rows", "findings", "corrections"), count), query)[0])

    def tracked_rows(self, sessions: Iterable[date]) -> int:
        """Rows in the tracked parts of these committed sessions."""
        query = "SELECT session, tracked_rows FROM sessions WHERE dataset = ? AND held = 'committed'"
        wanted = frozenset(sessions)
        return sum(
            rows for day, rows in self.database.typed(committed("session", "tracked_rows"), query) if day in wanted
        )

    def other_datasets(self) -> frozenset[str]:
        """Other datasets with sessions that are committed, or may be because their state is impossible."""
        known = "SELECT DISTINCT dataset FROM sessions WHERE dataset IS NOT ? AND held IS NOT 'none'"
        query = f"{known} AND held IS NOT 'quarantined'"
        return frozenset(name for (name,) in self.database.typed(columns("sessions", "dataset"), query))

    def committed(self, first: date = date.min, last: date = date.max) -> list[date]:
        """All committed sessions from `first` to `last`, both inclusive, oldest first."""
        self.none_is_hidden(first, last)
        where = "dataset = ? AND held = 'committed' AND session BETWEEN ? AND ?"
        query = f"SELECT session FROM sessions WHERE {where} ORDER BY session"  # noqa: S608 - from here
        return self._days(query, first.isoformat(), last.isoformat())

    def listed(self) -> frozenset[date]:
        """Sessions that the source had a file for when last asked, or that are stored or in quarantine."""
        where = "dataset = ? AND (held IN ('committed', 'quarantined') OR remote IN ('listed', 'forbidden', 'failed'))"
        return frozenset(self._days(f"SELECT session FROM sessions WHERE {where}"))  # noqa: S608 - from here

    def told_of(self, first: date, last: date) -> frozenset[date]:
        """Days from `first` to `last`, both inclusive, about which the source has said anything."""
        where = "dataset = ? AND remote IS NOT NULL AND session BETWEEN ? AND ?"
        query = f"SELECT session FROM sessions WHERE {where}"  # noqa: S608 - from here
        return frozenset(self._days(query, first.isoformat(), last.isoformat()))

    def _days(self, query: str, *values: str) -> list[date]:
        return [session for (session,) in self.database.typed(columns("sessions", "session"), query, *values)]

    def coverage(self, first: date = date.min, last: date = date.max) -> Coverage:
        """Which committed sessions from `first` to `last`, both inclusive, cover which tickers."""
        self.none_is_hidden(first, last)
        query = (
            "SELECT session, tracked_set, archive_kept FROM sessions "
            "WHERE dataset = ? AND session BETWEEN ? AND ? AND held = 'committed'"
        )
        rows = self.database.typed(
            committed("session", "tracked_set", "archive_kept"), query, first.isoformat(), last.isoformat()
        )
        partial = {day: self.tracked_sets.tickers(number) for day, number, kept in rows if not kept}
        return Coverage(frozenset(day for day, _, kept in rows if kept), partial)

    def parts(self, sessions: Iterable[date]) -> Iterator[PartsOf]:
        """How to read these sessions, in date order; those that are not committed are skipped."""
        wanted = {day.isoformat() for day in sessions}
        if not wanted:
            return
        self.none_is_hidden(date.fromisoformat(min(wanted)), date.fromisoformat(max(wanted)))
        query = (
            f"SELECT {_VERSION}, s.etag IS NULL, {_of_sessions(_PART_COLUMNS)}, {_WITH_INDEXES} "
            "WHERE s.dataset = ? AND s.held = 'committed' AND s.session BETWEEN ? AND ? ORDER BY s.session"
        )
        for row in self.database.each(query, min(wanted), max(wanted)):
            if row[2] in wanted:
                yield self._parts_of(self.database.fitted(_PARTS, row))

    def _parts_of(self, row: Sequence[Any]) -> PartsOf:
        version, doubt, session, number, cut, names, *parts = row
        hashes = {tier: sha256 for tier, sha256 in zip(TIERS, parts[:2], strict=True) if sha256}
        index = Indexes({tier: blob for tier, blob in zip(TIERS, parts[2:], strict=True) if blob}, self.database.path)
        tracked = self.tracked_sets.tickers(number)
        return PartsOf(session, tracked, cut, names, index, sha256=hashes, version=version, in_doubt=doubt)

    def versions(self, first: date, last: date) -> dict[date, str]:
        """Version, as in `parts`, of each session committed from `first` to `last`, both inclusive."""
        query = (
            f"SELECT s.session, {_VERSION} FROM sessions s "  # noqa: S608 - from here
            "WHERE s.dataset = ? AND s.held = 'committed' AND s.session BETWEEN ? AND ?"
        )
        kinds = columns("sessions", "session") | {"version": text}
        return dict(self.database.typed(kinds, query, first.isoformat(), last.isoformat()))

    def intended(self) -> dict[date, PartsOf]:
        """How to read sessions after their replacement, for replacements under way or interrupted by a kill."""
        return {record.session: self._intended(record) for record, _ in Replacements(self.database).intents()}

    def _intended(self, record: SessionRecord) -> PartsOf:
        index = Indexes(record.part_index, self.database.path)
        tracked = self.tracked_sets.tickers(record.tracked_set)
        return PartsOf(record.session, tracked, record.cut, record.columns, index, sha256=record.part_sha256)
