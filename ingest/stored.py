"""What the Python functions hand out of the cache: history, a session, a scan."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from ingest import reading, scanning
from ingest.actions import adjusted_rows
from ingest.adjust import Adjust
from ingest.datasets import Dataset
from ingest.errors import NotFound, UsageError
from ingest.manifest import Manifest
from ingest.sessions import today
from ingest.settings import Settings
from ingest.sources.yahoo import shared
from ingest.warned import warn


def history(
    settings: Settings,
    dataset: Dataset,
    tickers: Sequence[str],
    start: date | None,
    end: date | None,
    adjust: Adjust,
    columns: Sequence[str] | None,
    fetch: bool,
    across_seams: bool,
) -> pl.DataFrame:
    """See `ingest.api.history`."""
    chosen = _checked(columns, adjust, dataset)
    yahoo = shared() if fetch and settings.fallback.enabled else None
    with Manifest.read(settings.manifest_path, dataset.name) as manifest:
        rows, notices = adjusted_rows(
            reading.stock_of(manifest, settings, dataset),
            settings,
            tickers,
            start or dataset.first_session,
            end or today(),
            adjust,
            yahoo,
            across_seams,
            not reading.IN_CSV.issuperset(chosen),
        )
    for notice in notices:
        warn(notice)
    return rows.select(chosen)


def _checked(columns: Sequence[str] | None, adjust: str, dataset: Dataset) -> Sequence[str]:
    known = reading.rows_schema(dataset).names()
    if adjust not in ("none", "splits", "all"):
        raise UsageError(f'adjust {adjust!r}: "none", "splits" or "all"')
    unknown = [name for name in columns or () if not isinstance(name, str) or name not in known]
    if columns is not None and len(set(map(str, columns))) < len(columns):
        raise UsageError(f"columns: {', '.join(map(str, columns))} names one twice")
    if unknown:
        raise UsageError(f"columns: there is no {unknown[0]!r}, but {', '.join(known)}")
    return [name for name in known if name != "transactions"] if columns is None else columns


def day(settings: Settings, dataset: Dataset, session: date) -> pl.DataFrame:
    """See `ingest.api.day`."""
    with Manifest.read(settings.manifest_path, dataset.name) as manifest:
        rows = reading.session(reading.stock_of(manifest, settings, dataset), session)
        is_held = bool(rows.height) or session in manifest.committed()  # a file may have no rows
    if not is_held:
        flags = f"{settings.flag_of(dataset)} --start {session} --end {session}"
        raise NotFound(f"{session} is not held: `ingest run{flags}` fetches it")
    return rows


def scan(settings: Settings, dataset: Dataset, start: date | None, end: date | None) -> pl.LazyFrame:
    """See `ingest.api.scan`."""
    return scanning.scan(settings, dataset, start or dataset.first_session, end or today())
