"""The runs of a dataset and their source, in the manifest: how each run ended, and what the keys may read."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from ingest.cache.manifest.database import Database, now
from ingest.cache.manifest.integrity.tables import columns
from ingest.market.permission import Permission

_RUN = ("run", "window_start", "window_end", "started_at", "finished_at", "exit_code")
_DEEDS = ", ".join(f"json_extract(summary, '$.{deed}')" for deed in ("repaired", "adopted", "accepted", "restored"))
_ARE_RUNS = f"coalesce({_DEEDS}) IS NULL"
_PERMISSION = columns("permission_windows", "first", "last", "below", "above")


@dataclass(frozen=True, slots=True)
class RunLog:
    """Runs of one dataset; a repair, an adoption, an acceptance or a restoration is recorded as a run, too."""

    database: Database

    def begin(self, start: date, end: date) -> int:
        """Record the start of a run; returns its number."""
        with self.database.transaction() as db:
            cursor = db.execute(
                "INSERT INTO runs (dataset, window_start, window_end, started_at, pid) VALUES (?, ?, ?, ?, ?)",
                (self.database.dataset, start.isoformat(), end.isoformat(), now(), os.getpid()),
            )
        return int(cursor.lastrowid or 0)

    def finish(self, run: int, exit_code: int, summary: Mapping[str, Any]) -> None:
        """Record how a run ended; a killed run has no end."""
        with self.database.transaction() as db:
            db.execute(
                "UPDATE runs SET finished_at = ?, exit_code = ?, summary = ? WHERE run = ?",
                (now(), exit_code, json.dumps(summary, default=str), run),
            )

    def newest(self, count: int) -> list[dict[str, Any]]:
        """The newest runs first: window, times, exit code (None: killed or still running).

        Repairs, adoptions, acceptances and restorations have no window, and are left out.
        """
        return self._newest(_RUN, count)

    def with_summaries(self, count: int) -> list[dict[str, Any]]:
        """Like `newest`, each with its `summary`: the fields of `events.Finished`, None without an end."""
        return self._newest((*_RUN, "summary"), count)

    def _newest(self, names: Sequence[str], count: int) -> list[dict[str, Any]]:
        query = f"SELECT {', '.join(names)} FROM runs WHERE dataset = ? AND {_ARE_RUNS} ORDER BY run DESC LIMIT ?"  # noqa: S608
        rows = self.database.typed(columns("runs", *names), query, count)
        told = ((str(value) if isinstance(value, date) else value for value in row) for row in rows)
        return [dict(zip(names, row, strict=True)) for row in told]

    def succeeded_at(self) -> str | None:
        """When the newest run with exit code 0 ended (ISO 8601, UTC); None without one."""
        query = (
            f"SELECT finished_at FROM runs WHERE dataset = ? AND exit_code = 0 AND {_ARE_RUNS} "  # noqa: S608
            "ORDER BY run DESC LIMIT 1"
        )
        return next((at for (at,) in self.database.typed(columns("runs", "finished_at"), query)), None)

    def looked_for(self, first: date, last: date, since: datetime) -> bool:
        """Whether a run that ended after `since` (UTC) looked for all files from `first` to `last`, both inclusive.

        A run that left some for the next one (a limit) does not count, unless the source was out of reach; neither does
        a repair or an adoption, which ask no source.
        """
        left = "json_extract(summary, '$.not_attempted')"
        query = (
            "SELECT 1 FROM runs WHERE dataset = ? AND window_start <= ? AND window_end >= ? AND finished_at >= ? "  # noqa: S608
            f"AND (exit_code IN (0, 3) AND {left} = 0 OR exit_code = 4 AND {left} IS NOT NULL) LIMIT 1"
        )
        return bool(self.database.rows(query, first.isoformat(), last.isoformat(), since.isoformat(timespec="seconds")))

    def measured_rate(self) -> float | None:
        """Bytes per second of the newest run with at least 20 downloads, all its work included; None without one."""
        query = (
            "SELECT json_extract(summary, '$.bytes') / json_extract(summary, '$.seconds') FROM runs WHERE dataset = ? "
            "AND json_extract(summary, '$.fetched') >= 20 ORDER BY run DESC LIMIT 1"
        )
        rows = self.database.rows(query)
        return float(rows[0][0]) if rows and rows[0][0] else None


@dataclass(frozen=True, slots=True)
class KnownSource:
    """The source of all datasets by name, and which sessions of one dataset its keys may read."""

    database: Database

    def name(self) -> str | None:
        """Name of the source whose files the cache holds, for all datasets; None if it is not known yet."""
        found = self.database.ask("SELECT name FROM source", ())
        return next((self.database.fitted(columns("source", "name"), row)[0] for row in found), None)

    def holds_anything(self) -> bool:
        """Whether files of any dataset are stored or in quarantine."""
        held = "SELECT 1 FROM sessions WHERE held IS NOT 'none' UNION ALL SELECT 1 FROM quarantine LIMIT 1"
        return bool(self.database.ask(held, ()))

    def adopt(self, name: str) -> None:
        """Record the source of the files stored from now on. Answers of another source are forgotten."""
        with self.database.transaction() as db:
            if db.execute("SELECT 1 FROM source").fetchone():
                db.execute("DELETE FROM sessions WHERE held = 'none'")
                db.execute("DELETE FROM permission_windows")
            db.execute("INSERT OR REPLACE INTO source VALUES (1, ?, ?)", (name, now()))

    def permission(self) -> Permission:
        """What the keys' subscription was found to allow; a new manifest knows nothing."""
        query = "SELECT first, last, below, above FROM permission_windows WHERE dataset = ?"
        return next((Permission(*row) for row in self.database.typed(_PERMISSION, query)), Permission())

    def permission_asked_at(self) -> str | None:
        """When the permission was last learned (ISO 8601, UTC); None if it never was."""
        query = "SELECT asked_at FROM permission_windows WHERE dataset = ?"
        return next((at for (at,) in self.database.typed(columns("permission_windows", "asked_at"), query)), None)

    def permit(self, permission: Permission) -> None:
        """Record what the keys' subscription allows, as learned now."""
        days = (permission.first, permission.last, permission.below, permission.above)
        with self.database.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO permission_windows VALUES (?, ?, ?, ?, ?, ?)",
                (self.database.dataset, *(day and day.isoformat() for day in days), now()),
            )
