"""The runs of a dataset, as the manifest keeps them: when each began, what it looked for, how it ended."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from ingest.cache.manifest.database import Database, now
from ingest.cache.manifest.integrity.tables import columns


@dataclass(frozen=True, slots=True)
class RunLog:
    """Runs of one dataset; a repair, an adoption or an acceptance is recorded as one, too."""

    database: Database

    def begin(self, start: date, end: date) -> int:
        """Record that a run begins; returns its number."""
        with self.database.transaction() as db:
            cursor = db.execute(
                "INSERT INTO runs (dataset, window_start, window_end, started_at, pid) VALUES (?, ?, ?, ?, ?)",
                (self.database.dataset, start.isoformat(), end.isoformat(), now(), os.getpid()),
            )
        return int(cursor.lastrowid or 0)

    def finish(self, run: int, exit_code: int, summary: Mapping[str, Any]) -> None:
        """Record how a run ended; one that was killed keeps an empty end."""
        with self.database.transaction() as db:
            db.execute(
                "UPDATE runs SET finished_at = ?, exit_code = ?, summary = ? WHERE run = ?",
                (now(), exit_code, json.dumps(summary, default=str), run),
            )

    def newest(self, count: int) -> list[dict[str, Any]]:
        """The newest runs first: window, times, exit code (None: killed or still going on).

        A repair, an adoption or an acceptance has no window, and is none of them.
        """
        names = ("run", "window_start", "window_end", "started_at", "finished_at", "exit_code")
        others = ", ".join(f"json_extract(summary, '$.{deed}')" for deed in ("repaired", "adopted", "accepted"))
        are_runs = f"coalesce({others}) IS NULL"
        query = f"SELECT {', '.join(names)} FROM runs WHERE dataset = ? AND {are_runs} ORDER BY run DESC LIMIT ?"  # noqa: S608
        rows = self.database.typed(columns("runs", *names), query, count)
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
        return bool(self.database.rows(query, first.isoformat(), last.isoformat(), since.isoformat(timespec="seconds")))

    def measured_rate(self) -> float | None:
        """Bytes a second that the newest run of some size downloaded, all its work included; None before any."""
        query = (
            "SELECT json_extract(summary, '$.bytes') / json_extract(summary, '$.seconds') FROM runs WHERE dataset = ? "
            "AND json_extract(summary, '$.fetched') >= 20 ORDER BY run DESC LIMIT 1"
        )
        rows = self.database.rows(query)
        return float(rows[0][0]) if rows and rows[0][0] else None
