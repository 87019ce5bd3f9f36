"""Records for tests of the manifest, and queries on its file."""

import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path

from ingest.cache.layout import MemberIndex
from ingest.cache.manifest import Manifest, SessionRecord
from ingest.cache.manifest.records import QuarantinedFile
from ingest.splitting.diff import Correction

DATASET = "us_stocks_sip/day_aggs_v1"
DAY, NEXT, LAST = date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4)
INDEX = MemberIndex((0, 10, 25), ("A", "B"), ordered=True)


def session_record(
    manifest: Manifest, day: date = DAY, etag: str = "e1", *tracked: str, kept: bool = True
) -> SessionRecord:
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


def correction(day: date = DAY) -> Correction:
    return Correction(day, "e1", "e2", ("ticker", "close"), ("A,1",), ("A,2", "B,1"))


def quarantine(manifest: Manifest, day: date, etag: str) -> None:
    manifest.replacements.quarantine(QuarantinedFile(day, etag, 100, None, "short", acceptable=False), 1)


def raw(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(query).fetchall()
        connection.commit()
        return rows
