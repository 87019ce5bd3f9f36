"""What the manifest says of runs, sessions, permission, replacements, tracked sets and projections."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar, get_args

from ingest.cache.layout import Indexes, PartsOf
from ingest.cache.manifest import codec
from ingest.cache.manifest.database import THESE, Database, listed, now
from ingest.cache.manifest.findings import CORRECTION, correction_row, write_findings
from ingest.cache.manifest.integrity.kinds import blob, count, day, flag, maybe, text
from ingest.cache.manifest.integrity.tables import columns, committed, joined
from ingest.cache.manifest.records import (
    FORMAT,
    Answer,
    Coverage,
    Held,
    HeldState,
    HeldVersion,
    Projection,
    SessionCount,
    SessionRecord,
    Totals,
    period_of,
)
from ingest.cache.manifest.yahoo import Quotes
from ingest.errors import ManifestDamaged
from ingest.market.datasets import TIERS
from ingest.market.permission import Permission
from ingest.splitting.diff import Correction

_Result = TypeVar("_Result")

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
"""What no text is, each to be looked up in an index: in SQLite's order numbers come before texts, and blobs after."""

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

_STATE = columns("sessions", "session", "held", "remote", "reason", "remote_etag", "etag") | {
    **columns("sessions", "tracked_set", "archive_kept"),
    **joined("quarantine", "etag", "acceptable"),
}
_INDEXES = {f"members.member_index of {tier}": maybe(blob) for tier in TIERS}
_RECORD = committed("session", *_COMMIT_COLUMNS, "columns") | _INDEXES
_VERSION = "printf('%s %s %s', s.run, s.committed_at, s.etag)"
"""Another one after each commit, and after parts turned out not to be what they should."""
_PARTS = (
    {"version": text, "doubt": flag}
    | committed("session", "tracked_set", "cut", "columns", "tracked_sha256", "archive_sha256")
    | _INDEXES
)
_PERMISSION = columns("permission_windows", "first", "last", "below", "above")
_REPLACED = committed("source_rows", "text_sha256", "tracked_sha256", "archive_sha256")
_PROJECTION = columns(
    "projections",
    "active",
    "dirty",
    "yahoo",
    "period",
    "ticker",
    "first",
    "last",
    "rows",
    "sha256",
    "size",
    "mtime_ns",
    "format",
)
_COUNTS = columns("sessions", "held", "remote", "reason") | {"count": count, "first": day, "last": day}


class Manifest(Database):
    """The manifest of one cache, seen through one dataset: what is done, and what a run needs to know of it."""

    def __init__(self, connection: sqlite3.Connection, path: Path, dataset: str, writable: bool) -> None:
        super().__init__(connection, path, dataset, writable)
        self.yahoo = Quotes(self)
        self._sets: dict[int, frozenset[str]] = {}
        self._looked: tuple[object, date, date] = (None, date.max, date.min)

    def at_once(self, read: Callable[[], _Result], first: date = date.min, last: date = date.max) -> _Result:
        """What several queries say of one moment, whatever is committed between them.

        They are about sessions from `first` to `last`. Raises CacheError, and ManifestDamaged for a session whose state
        or date cannot be: queries by these would leave it out.
        """

        def looked() -> _Result:
            self._none_is_hidden(first, last)
            return read()

        return super().at_once(looked)

    def _none_is_hidden(self, first: date = date.min, last: date = date.max) -> None:
        """Raise ManifestDamaged for a session whose state or date cannot be. Each moment is looked at once."""
        moment, (seen, *span) = self.moment(), self._looked
        if moment == seen and span[0] <= first and last <= span[1]:
            return
        self.typed(
            columns("sessions", "dataset", "session", "held"), _HIDDEN, first=first.isoformat(), last=last.isoformat()
        )
        self._looked = (moment, first, last)

    # Runs

    def begin_run(self, start: date, end: date) -> int:
        """Record that a run begins; returns its number."""
        with self.transaction() as db:
            cursor = db.execute(
                "INSERT INTO runs (dataset, window_start, window_end, started_at, pid) VALUES (?, ?, ?, ?, ?)",
                (self.dataset, start.isoformat(), end.isoformat(), now(), os.getpid()),
            )
        return int(cursor.lastrowid or 0)

    def finish_run(self, run: int, exit_code: int, summary: Mapping[str, Any]) -> None:
        """Record how a run ended; one that was killed keeps an empty end."""
        with self.transaction() as db:
            db.execute(
                "UPDATE runs SET finished_at = ?, exit_code = ?, summary = ? WHERE run = ?",
                (now(), exit_code, json.dumps(summary, default=str), run),
            )

    def last_runs(self, count: int) -> list[dict[str, Any]]:
        """The newest runs first: window, times, exit code (None: killed or still going on).

        A repair, an adoption or an acceptance has no window, and is none of them.
        """
        names = ("run", "window_start", "window_end", "started_at", "finished_at", "exit_code")
        others = ", ".join(f"json_extract(summary, '$.{deed}')" for deed in ("repaired", "adopted", "accepted"))
        are_runs = f"coalesce({others}) IS NULL"
        query = f"SELECT {', '.join(names)} FROM runs WHERE dataset = ? AND {are_runs} ORDER BY run DESC LIMIT ?"  # noqa: S608
        rows = self.typed(columns("runs", *names), query, count)
        told = ((str(value) if isinstance(value, date) else value for value in row) for row in rows)
        return [dict(zip(names, row, strict=True)) for row in told]

    def looked_for(self, first: date, last: date, since: datetime) -> bool:
        """Whether a run that ended after `since` (UTC) looked for all files from `first` to `last`, both inclusive.

        Not one that left some for the next run (a limit), unless the source was out of reach; nor a repair or an
        adoption, which ask no source.
        """
        left = "json_extract(summary, '$.not_attempted')"
        query = (
            "SELECT 1 FROM runs WHERE dataset = ? AND window_start <= ? AND window_end >= ? AND finished_at >= ? "  # noqa: S608
            f"AND (exit_code IN (0, 3) AND {left} = 0 OR exit_code = 4 AND {left} IS NOT NULL) LIMIT 1"
        )
        return bool(self.rows(query, first.isoformat(), last.isoformat(), since.isoformat(timespec="seconds")))

    def measured_rate(self) -> float | None:
        """Bytes a second that the newest run of some size downloaded, all its work included; None before any."""
        query = (
            "SELECT json_extract(summary, '$.bytes') / json_extract(summary, '$.seconds') FROM runs WHERE dataset = ? "
            "AND json_extract(summary, '$.fetched') >= 20 ORDER BY run DESC LIMIT 1"
        )
        rows = self.rows(query)
        return float(rows[0][0]) if rows and rows[0][0] else None

    # Sessions

    def sessions(self) -> dict[date, Held]:
        """State of every session that the manifest knows, in the order of the dates."""
        query = (
            "SELECT s.session, held, remote, s.reason, remote_etag, s.etag, tracked_set, archive_kept, q.etag, "
            "q.acceptable FROM sessions s LEFT JOIN quarantine q ON (q.dataset, q.session) = (s.dataset, s.session) "
            "WHERE s.dataset = ? ORDER BY s.session"
        )
        return {
            day: Held(held, remote, reason, told, etag, self._tracked(number), bool(kept), refused, bool(acceptable))
            for day, held, remote, reason, told, etag, number, kept, refused, acceptable in self.typed(_STATE, query)
        }

    def answered(self, answers: Iterable[Answer], run: int) -> None:
        """Record what the source last said of sessions: state, reason, ETag. What is held stays as it is."""
        rows = [(self.dataset, day.isoformat(), *answer, run) for day, *answer in answers]
        if rows:
            with self.transaction() as db:
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
        """Make sessions done, in one transaction. Their parts must be durable before this is called.

        Files of theirs in quarantine are forgotten, unless `refused_stay`.
        """
        replaced, periods = ("members", "findings", *(() if refused_stay else ("quarantine",))), set[str]()
        with self.transaction() as db:
            for record in records:
                self._commit_one(db, record, run, replaced)
                periods |= {"", period_of(record.session)}
            db.executemany(CORRECTION, [correction_row(self.dataset, one, run, now()) for one in corrections])
            db.executemany(
                "UPDATE projections SET dirty = 1 WHERE dataset = ? AND active AND NOT dirty AND period = ?",
                [(self.dataset, period) for period in sorted(periods)],
            )

    def _commit_one(self, db: sqlite3.Connection, record: SessionRecord, run: int, replaced: Sequence[str]) -> None:
        key = (self.dataset, record.session.isoformat())
        values = [getattr(record, name) for name in _COMMIT_COLUMNS]
        db.execute(_COMMIT, (*key, run, now(), json.dumps(record.columns), *values))
        for table in replaced:
            db.execute(f"DELETE FROM {table} WHERE dataset = ? AND session = ?", key)  # noqa: S608 - names from here
        write_findings(db, self.dataset, record.session, record.findings)
        indexes = (("tracked", record.tracked_index), ("archive", record.archive_index))
        db.executemany(
            "INSERT INTO members VALUES (?, ?, ?, ?)",
            [(*key, tier, index) for tier, index in indexes if index is not None],
        )
        db.execute("DELETE FROM intents WHERE dataset = ? AND session = ?", key)

    def records(self) -> Iterator[SessionRecord]:
        """All that is said of each committed session, in the order of the dates; findings have their own place."""
        query = (
            f"SELECT s.session, {', '.join(_COMMIT_COLUMNS)}, columns, t.member_index, a.member_index FROM sessions s "  # noqa: S608
            "LEFT JOIN members t ON (t.dataset, t.session, t.tier) = (s.dataset, s.session, 'tracked') "
            "LEFT JOIN members a ON (a.dataset, a.session, a.tier) = (s.dataset, s.session, 'archive') "
            "WHERE s.dataset = ? AND held = 'committed' ORDER BY s.session"
        )
        return map(self._record_of, self.each(query))

    def records_with_tickers(self) -> Iterator[tuple[SessionRecord, frozenset[str]]]:
        """The same, each with the tickers of its tracked set."""
        return map(self._with_tickers, self.records())

    def _with_tickers(self, record: SessionRecord) -> tuple[SessionRecord, frozenset[str]]:
        return record, self._tracked(record.tracked_set)

    def _record_of(self, row: Sequence[Any]) -> SessionRecord:
        session, *values, names, tracked, archive = self.fitted(_RECORD, row)
        told = dict(zip(_COMMIT_COLUMNS, values, strict=True))
        told |= {"etag": told["etag"] or "", "last_modified": told["last_modified"] or ""}
        indexes = {"tracked_index": tracked or b"", "archive_index": archive}
        return SessionRecord(session, **told, columns=names, findings=(), **indexes)

    # Permission

    def permission(self) -> Permission:
        """What the keys' plan was found to allow; nothing is known in a new manifest."""
        query = "SELECT first, last, below, above FROM permission_windows WHERE dataset = ?"
        return next((Permission(*row) for row in self.typed(_PERMISSION, query)), Permission())

    def permission_asked_at(self) -> str | None:
        """When that was last learned, ISO 8601, UTC."""
        query = "SELECT asked_at FROM permission_windows WHERE dataset = ?"
        return next((at for (at,) in self.typed(columns("permission_windows", "asked_at"), query)), None)

    def permit(self, permission: Permission) -> None:
        """Record what the keys' plan allows, as learned now."""
        days = (permission.first, permission.last, permission.below, permission.above)
        with self.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO permission_windows VALUES (?, ?, ?, ?, ?, ?)",
                (self.dataset, *(day and day.isoformat() for day in days), now()),
            )

    # Source

    def source(self) -> str | None:
        """Name of the source whose files the cache holds, of all datasets; None where it is not known yet."""
        found = self.ask("SELECT name FROM source", ())
        return next((self.fitted(columns("source", "name"), row)[0] for row in found), None)

    def holds_anything(self) -> bool:
        """Whether files of any dataset are held, or kept in quarantine."""
        held = "SELECT 1 FROM sessions WHERE held IS NOT 'none' UNION ALL SELECT 1 FROM quarantine LIMIT 1"
        return bool(self.ask(held, ()))

    def adopt_source(self, name: str) -> None:
        """Record whose files are held from now on. Where another source was known, its answers are forgotten."""
        with self.transaction() as db:
            if db.execute("SELECT 1 FROM source").fetchone():
                db.execute("DELETE FROM sessions WHERE held = 'none'")
                db.execute("DELETE FROM permission_windows")
            db.execute("INSERT OR REPLACE INTO source VALUES (1, ?, ?)", (name, now()))

    # Replacements

    def replaced(self, sessions: Iterable[date]) -> dict[date, HeldVersion]:
        """What is held of these sessions, of those that are committed."""
        query = (
            "SELECT tracked_rows + archive_rows, text_sha256, tracked_sha256, archive_sha256 FROM sessions "
            "WHERE dataset = ? AND session = ? AND held = 'committed'"
        )
        found = {day: self.typed(_REPLACED, query, day.isoformat()) for day in sessions}
        return {
            day: HeldVersion(rows, text, {tier: one for tier, one in zip(TIERS, parts, strict=True) if one})
            for day, [(rows, text, *parts)] in ((day, held) for day, held in found.items() if held)
        }

    def intend(self, replacements: Iterable[tuple[SessionRecord, Correction | None]]) -> None:
        """Record that staged parts are to replace those held of their sessions, with the difference they make."""
        rows = [
            (self.dataset, record.session.isoformat(), codec.to_json(record), correction and codec.to_json(correction))
            for record, correction in replacements
        ]
        with self.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO intents VALUES (?, ?, ?, ?)", rows)

    def intents(self) -> list[tuple[SessionRecord, Correction | None]]:
        """Replacements that a killed run had begun."""
        query = "SELECT record, correction FROM intents WHERE dataset = ? ORDER BY session"
        return [
            (record, correction) for record, correction in self.typed(columns("intents", "record", "correction"), query)
        ]

    def distrust(self, sessions: Iterable[date]) -> None:
        """Forget the ETag of sessions whose parts are not what they should be, so that they are fetched again."""
        keys = [(self.dataset, session.isoformat()) for session in sessions]
        if keys:
            with self.transaction() as db:
                db.executemany("UPDATE sessions SET etag = NULL WHERE dataset = ? AND session = ?", keys)
                db.executemany("DELETE FROM intents WHERE dataset = ? AND session = ?", keys)

    # Tracked sets

    def tracked_set(self, tickers: frozenset[str]) -> int:
        """Number of a set of tickers, given on first sight; within a transaction of the caller's, as a part of it."""
        text = "\n".join(sorted(tickers))
        with nullcontext(self._db) if self._db.in_transaction else self.transaction() as db:
            db.execute("INSERT OR IGNORE INTO tracked_sets (tickers) VALUES (?)", (text,))
            number: int = db.execute("SELECT id FROM tracked_sets WHERE tickers = ?", (text,)).fetchone()[0]
        return number

    def _tracked(self, number: int | None) -> frozenset[str]:
        if number is None:
            return frozenset()
        if number not in self._sets:
            rows = self.ask("SELECT tickers FROM tracked_sets WHERE id = ?", (number,))
            if not rows:
                raise ManifestDamaged(self.path, f"there is no tracked set {number}")
            (tickers,) = self.fitted(columns("tracked_sets", "tickers"), rows[0])
            self._sets[number] = frozenset(filter(None, tickers.split("\n")))
        return self._sets[number]

    # Projections

    def projections(self, tickers: Iterable[str] | None = None) -> dict[str, Projection]:
        """State of every tracked ticker's CSV that there is or was, by ticker; of minutes that of all its months.

        Of `tickers` alone, where these are given.
        """
        if tickers is None:
            return {row.ticker: row for row in self._projections("period = ''")}
        return {row.ticker: row for row in self._projections(f"period = '' AND {THESE}", listed(tickers))}

    def months(self) -> dict[tuple[str, str], Projection]:
        """State of every month's CSV of minutes that there is or was, by ticker and month."""
        return {(row.ticker, row.period): row for row in self._projections("period <> ''")}

    def outdated(self) -> int:
        """How many CSVs of active tickers, or of their months, are files of an earlier format."""
        query = "SELECT count(*) FROM projections WHERE dataset = ? AND active AND sha256 IS NOT NULL AND format <> ?"
        return int(self.rows(query, FORMAT)[0][0])

    def _projections(self, which: str, *values: str) -> Iterator[Projection]:
        names = "active, dirty, yahoo, period, ticker, first, last, rows, sha256, size, mtime_ns, format"
        query = f"SELECT {names} FROM projections WHERE dataset = ? AND {which} ORDER BY ticker, period"  # noqa: S608
        for row in self.typed(_PROJECTION, query, *values):
            yield Projection(**dict(zip(names.split(", "), row, strict=True)))

    def follow(self, tickers: Iterable[str]) -> None:
        """Make these tickers, and no others, the active ones. A ticker that (re)enters is dirty and to be rebuilt."""
        with self.transaction() as db:
            wanted = set(tickers)
            known = {row.ticker for row in self.projections().values() if row.active}
            db.executemany(
                "UPDATE projections SET active = 0 WHERE dataset = ? AND ticker = ?",
                [(self.dataset, ticker) for ticker in sorted(known - wanted)],
            )
            entering = [(self.dataset, ticker) for ticker in sorted(wanted - known)]
            db.executemany(
                "INSERT OR REPLACE INTO projections (dataset, ticker, active, dirty) VALUES (?, ?, 1, 1)", entering
            )
            # Nothing is built upon months that were left alone meanwhile, whatever their format.
            db.executemany(
                "UPDATE projections SET active = 1, dirty = 1, format = iif(sha256 IS NULL, 0, ?) "
                "WHERE dataset = ? AND ticker = ?",
                [(FORMAT, *key) for key in entering],
            )

    def forget_csvs(self, csvs: Iterable[tuple[str, str]]) -> None:
        """Have the CSVs of these tickers, each with its month or '', made anew, whatever is in them."""
        with self.transaction() as db:
            db.executemany(
                "UPDATE projections SET dirty = 1, first = NULL, last = NULL, rows = NULL, sha256 = NULL, size = NULL, "
                "mtime_ns = NULL, format = 0 WHERE dataset = ? AND ticker = ? AND period = ?",
                [(self.dataset, *csv) for csv in csvs],
            )

    def projected(self, projections: Iterable[Projection], sessions: Iterable[date]) -> None:
        """Mark CSVs clean and sessions projected, in one transaction, after the files are durable."""
        values = ("first", "last", "rows", "sha256", "size", "mtime_ns", "yahoo", "format")
        with self.transaction() as db:
            db.executemany(
                f"INSERT INTO projections (dataset, ticker, period, active, dirty, {', '.join(values)}) "  # noqa: S608
                f"VALUES (?, ?, ?, ?, 0{', ?' * len(values)}) ON CONFLICT (dataset, ticker, period) DO UPDATE SET "
                f"dirty = 0, {', '.join(f'{name} = excluded.{name}' for name in values)}",
                [
                    (self.dataset, row.ticker, row.period, row.active, *(getattr(row, name) for name in values))
                    for row in projections
                ],
            )
            db.executemany(
                "UPDATE sessions SET projected = 1 WHERE dataset = ? AND session = ?",
                [(self.dataset, session.isoformat()) for session in sessions],
            )

    def pending(self, first: date = date.min, last: date = date.max) -> frozenset[date]:
        """Committed sessions from `first` to `last`, both inclusive, that no projection has seen."""
        self._none_is_hidden(first, last)
        where = "dataset = ? AND held = 'committed' AND projected IS NOT 1 AND session BETWEEN ? AND ?"
        query = f"SELECT session FROM sessions WHERE {where}"  # noqa: S608 - from here
        return frozenset(self._days(query, first.isoformat(), last.isoformat()))

    def session_counts(self) -> list[SessionCount]:
        """Sessions by held state, remote state and reason."""
        self._none_is_hidden()
        query = (
            "SELECT held, remote, reason, count(*), min(session), max(session) FROM sessions WHERE dataset = ? "
            "GROUP BY held, remote, reason ORDER BY held, remote, reason"
        )
        return [SessionCount(*row) for row in self.typed(_COUNTS, query)]

    def totals(self) -> Totals:
        """Sums over the committed sessions."""
        self._none_is_hidden()
        query = (
            "SELECT coalesce(sum(source_rows), 0), "
            "(SELECT count(DISTINCT session) FROM findings f WHERE f.dataset = s.dataset), "
            "(SELECT count(*) FROM corrections c WHERE c.dataset = s.dataset AND kind <> 'equal rows') "
            "FROM sessions s WHERE dataset = ? AND held = 'committed'"
        )
        return Totals(*self.typed(dict.fromkeys(("rows", "findings", "corrections"), count), query)[0])

    def others_held(self) -> frozenset[str]:
        """The other datasets of which sessions are committed, or may be: their state cannot be."""
        known = "SELECT DISTINCT dataset FROM sessions WHERE dataset IS NOT ? AND held IS NOT 'none'"
        query = f"{known} AND held IS NOT 'quarantined'"
        return frozenset(name for (name,) in self.typed(columns("sessions", "dataset"), query))

    def committed(self, first: date = date.min, last: date = date.max) -> list[date]:
        """All committed sessions from `first` to `last`, both inclusive, oldest first."""
        self._none_is_hidden(first, last)
        where = "dataset = ? AND held = 'committed' AND session BETWEEN ? AND ?"
        query = f"SELECT session FROM sessions WHERE {where} ORDER BY session"  # noqa: S608 - from here
        return self._days(query, first.isoformat(), last.isoformat())

    def listed(self) -> frozenset[date]:
        """Sessions of which the source had a file when it was last asked, or of which one is held."""
        where = "dataset = ? AND (held IN ('committed', 'quarantined') OR remote IN ('listed', 'forbidden', 'failed'))"
        return frozenset(self._days(f"SELECT session FROM sessions WHERE {where}"))  # noqa: S608 - from here

    def told_of(self, first: date, last: date) -> frozenset[date]:
        """Days from `first` to `last`, both inclusive, of which the source has said anything."""
        where = "dataset = ? AND remote IS NOT NULL AND session BETWEEN ? AND ?"
        query = f"SELECT session FROM sessions WHERE {where}"  # noqa: S608 - from here
        return frozenset(self._days(query, first.isoformat(), last.isoformat()))

    def _days(self, query: str, *values: str) -> list[date]:
        return [session for (session,) in self.typed(columns("sessions", "session"), query, *values)]

    def coverage(self, first: date = date.min, last: date = date.max) -> Coverage:
        """Which committed sessions from `first` to `last`, both inclusive, can tell of which tickers."""
        self._none_is_hidden(first, last)
        query = (
            "SELECT session, tracked_set, archive_kept FROM sessions "
            "WHERE dataset = ? AND session BETWEEN ? AND ? AND held = 'committed'"
        )
        rows = self.typed(
            committed("session", "tracked_set", "archive_kept"), query, first.isoformat(), last.isoformat()
        )
        partial = {day: self._tracked(number) for day, number, kept in rows if not kept}
        return Coverage(frozenset(day for day, _, kept in rows if kept), partial)

    def parts(self, sessions: Iterable[date]) -> Iterator[PartsOf]:
        """How to read these sessions, ascending; those that are not committed are passed over."""
        wanted = {day.isoformat() for day in sessions}
        if not wanted:
            return
        self._none_is_hidden(date.fromisoformat(min(wanted)), date.fromisoformat(max(wanted)))
        query = (
            f"SELECT {_VERSION}, s.etag IS NULL, s.session, s.tracked_set, s.cut, s.columns, "  # noqa: S608 - from here
            "s.tracked_sha256, s.archive_sha256, t.member_index, a.member_index FROM sessions s "
            "LEFT JOIN members t ON (t.dataset, t.session, t.tier) = (s.dataset, s.session, 'tracked') "
            "LEFT JOIN members a ON (a.dataset, a.session, a.tier) = (s.dataset, s.session, 'archive') "
            "WHERE s.dataset = ? AND s.held = 'committed' AND s.session BETWEEN ? AND ? ORDER BY s.session"
        )
        for row in self.each(query, min(wanted), max(wanted)):
            if row[2] in wanted:
                yield self._parts_of(*self.fitted(_PARTS, row))

    def _parts_of(
        self, version: str, doubt: bool, session: date, number: int, cut: str, names: tuple[str, ...], *parts: Any
    ) -> PartsOf:
        hashes = {tier: sha256 for tier, sha256 in zip(TIERS, parts[:2], strict=True) if sha256}
        index = Indexes({tier: blob for tier, blob in zip(TIERS, parts[2:], strict=True) if blob}, self.path)
        return PartsOf(session, self._tracked(number), cut, names, index, hashes, version, doubt)

    def versions(self, first: date, last: date) -> dict[date, str]:
        """Of each session that is committed from `first` to `last` what `parts` says as its version."""
        query = (
            f"SELECT s.session, {_VERSION} FROM sessions s "  # noqa: S608 - from here
            "WHERE s.dataset = ? AND s.held = 'committed' AND s.session BETWEEN ? AND ?"
        )
        kinds = columns("sessions", "session") | {"version": text}
        return dict(self.typed(kinds, query, first.isoformat(), last.isoformat()))

    def intended(self) -> dict[date, PartsOf]:
        """How to read the sessions whose parts are just being replaced, or were as a run was killed, once they are."""
        return {record.session: self._intended(record) for record, _ in self.intents()}

    def moving(self) -> frozenset[date]:
        """Those sessions."""
        return frozenset(self._days("SELECT session FROM intents WHERE dataset = ?"))

    def _intended(self, record: SessionRecord) -> PartsOf:
        index = Indexes(record.part_index, self.path)
        tracked = self._tracked(record.tracked_set)
        return PartsOf(record.session, tracked, record.cut, record.columns, index, record.part_sha256)
