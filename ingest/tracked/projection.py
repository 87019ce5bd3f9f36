"""Brings the tracked CSVs up to date: which tickers, from which sessions, many sessions in one pass."""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from ingest.cache import csv_files
from ingest.cache.cache import Cache
from ingest.cache.csv_files import CsvFolder
from ingest.cache.manifest import Manifest
from ingest.cache.manifest.records import FORMAT_CHANGE, Projection
from ingest.cache.parts.groups import in_groups
from ingest.errors import CacheError, ManifestDamaged
from ingest.events import Projected
from ingest.files import batches
from ingest.tracked import months

_MAX_ROWS = 60_000
"""Rows in memory at once, a few hundred bytes each while they are sorted. Tickers are taken in groups, so that memory
grows neither with them nor with the sessions."""

_LEAST = 1 / 20
"""The least rows per session that a ticker is expected to have. A pattern may match a hundred thousand contracts of
some weeks each: with a row in every session expected, every few of them would need a pass over all sessions."""


@dataclass(frozen=True, slots=True)
class _Pass:
    """What CSVs are built from: all committed sessions, those that no projection has seen, and perhaps Yahoo's rows."""

    cache: Cache
    everything: frozenset[date]
    pending: Sequence[date]
    yahoo: bool


def project(cache: Cache, yahoo: bool = False) -> Projected | None:
    """Bring every active CSV up to date with the committed sessions; None if there was nothing to do.

    Sessions that no projection has seen are merged into the CSVs; a CSV that is new in the lists, or differs from the
    manifest, is built from all sessions. Files are replaced before the manifest calls them clean, so after a kill in
    between they are only built again. With `yahoo` they also contain Yahoo's rows, as traded, for sessions that are not
    stored. Minutes have monthly CSVs (see `months`). Raises CacheError; if a part cannot be read, only after updating
    all CSVs that do not need it.
    """
    if cache.csvs.by_month:
        return months.project_months(cache)
    started, manifest = time.monotonic(), cache.manifest
    now = _Pass(cache, frozenset(manifest.sessions.committed()), sorted(manifest.sessions.pending()), yahoo)
    due = [row for row in manifest.csvs.active() if now.pending or _is_stale(row, cache.csvs, yahoo)]
    if not due and not now.pending:
        return None
    made, left = list[tuple[Projection, Projection]](), _Left()
    with batches.together() as batch:
        made += _extended(now, [row for row in due if _may_extend(row, yahoo)], batch, left)
        done = {old.ticker for old, _ in made} | {row.ticker for row in left.rows}
        made += _built(now, [row for row in due if row.ticker not in done], batch, left)
    if left.rows:  # rebuilt next time: sessions that they have not seen are now marked as seen
        manifest.csvs.forget((row.ticker, row.period) for row in left.rows)
    manifest.csvs.projected((new for _, new in made), now.pending)
    if left.error:
        raise left.error
    changed = [new for old, new in made if old.sha256 != new.sha256]
    return Projected(len(changed), sum(new.rows or 0 for new in changed), time.monotonic() - started)


def brought_over(manifest: Manifest) -> str:
    """The message that the next projection rewrites CSVs of an earlier format; empty if there are none.

    The caller, which then rewrites them, reports it, so it appears once; after a kill the next run reports the rest.
    """
    csvs = manifest.csvs.outdated()
    told = "1 tracked CSV is" if csvs == 1 else f"{csvs:,} tracked CSVs are"
    return f"{told} rewritten once: {FORMAT_CHANGE}" if csvs else ""


def contents(cache: Cache, rows: Sequence[Projection]) -> Iterator[tuple[Projection, bytes]]:
    """The right content of each of these CSVs, built from all committed sessions; writes nothing. Raises CacheError."""
    if cache.csvs.by_month:
        yield from months.month_contents(cache, rows)
        return
    everything = frozenset(cache.manifest.sessions.committed())
    for yahoo in (False, True):
        now = _Pass(cache, everything, (), yahoo)
        for group in in_groups((row for row in rows if row.yahoo == yahoo), _Usual(len(everything)).of, _MAX_ROWS):
            lines = _lines(cache, everything, group)
            for row in group:
                yield row, _merged(now, row.ticker, lines.get(row.ticker, ()), b"", ())


def _is_stale(row: Projection, folder: CsvFolder, yahoo: bool) -> bool:
    return row.dirty or row.yahoo != yahoo or not csv_files.looks_intact(folder, row)


@dataclass(slots=True)
class _Left:
    """CSVs that could not be updated because a part cannot be read, and the first of these errors."""

    rows: list[Projection] = field(default_factory=list)
    error: CacheError | None = None

    def unless_lost(
        self, cache: Cache, sessions: Collection[date], rows: Sequence[Projection]
    ) -> Mapping[str, Sequence[tuple[str, str]]] | None:
        """Their lines of these sessions; None if a part cannot be read. Raises ManifestDamaged."""
        try:
            return _lines(cache, sessions, rows) if sessions else {}
        except ManifestDamaged:
            raise
        except CacheError as error:
            self.rows += rows
            self.error = self.error or error
            return None


class _Usual:
    """Estimates how many rows a ticker has before they are read: at first one per session."""

    def __init__(self, sessions: int) -> None:
        self._least = max(1.0, sessions * _LEAST)
        self._usual = float(sessions)

    def saw(self, states: Sequence[tuple[Projection, Projection]]) -> None:
        """Expect the next group to have as many rows as the last one turned out to have."""
        if states:
            self._usual = sum(new.rows or 0 for _, new in states) / len(states)

    def of(self, row: Projection) -> float:
        """The expected rows: as many as before; for a new ticker, as many as those of the last group."""
        return max(self._least, self._usual if row.rows is None else row.rows)


def _may_extend(row: Projection, yahoo: bool) -> bool:
    return row.rows is not None and row.yahoo == yahoo


def _extended(
    now: _Pass, rows: Sequence[Projection], batch: batches.Batch, left: _Left
) -> Iterator[tuple[Projection, Projection]]:
    """Write the CSVs that new sessions extend, which the batch then replaces; yields the old and new state of each.

    Reads new sessions alone: an old part that was lost does not matter to these CSVs. A CSV that is not the file that
    the manifest knows is left out.
    """
    replaced = [day.isoformat() for day in now.pending]
    for group in in_groups(rows, lambda _: max(1, len(replaced)), _MAX_ROWS):
        lines = left.unless_lost(now.cache, now.pending, group)
        if lines is None:
            continue
        for row in group:
            base = csv_files.read_base(now.cache.csvs, row)
            if base is not None:
                content = _merged(now, row.ticker, lines.get(row.ticker, ()), base, replaced)
                yield row, _written(now.cache.csvs, row, content, base, batch)


def _built(
    now: _Pass, rows: Sequence[Projection], batch: batches.Batch, left: _Left
) -> Iterator[tuple[Projection, Projection]]:
    """Write CSVs from all sessions, which the batch then replaces; yields the old and new state of each."""
    usual = _Usual(len(now.everything))
    for group in in_groups(rows, usual.of, _MAX_ROWS):
        lines = left.unless_lost(now.cache, now.everything, group)
        if lines is None:
            continue
        made = list[tuple[Projection, Projection]]()
        for row in group:
            content = _merged(now, row.ticker, lines.get(row.ticker, ()), b"", ())
            made.append((row, csv_files.write(now.cache.csvs, replace(row, yahoo=now.yahoo), content, batch)))
        usual.saw(made)
        yield from made


def _merged(now: _Pass, ticker: str, lines: Iterable[tuple[str, str]], base: bytes, gone: Sequence[str]) -> bytes:
    """A CSV with the lines of its ticker and, if wanted, Yahoo's."""
    theirs = _yahoo_lines(now, ticker) if now.yahoo else {}
    return csv_files.merge(now.cache.csvs.header, base, [*lines, *theirs.items()], [*gone, *theirs])


def _yahoo_lines(now: _Pass, ticker: str) -> Mapping[str, str]:
    """Yahoo's rows for sessions that are not stored, as lines of a CSV by date."""
    rows = now.cache.manifest.yahoo.rows([ticker], date.min, date.max)
    missing = (row for row in rows if row[1] not in now.everything)
    return {row[1].isoformat(): _line(row[1], row[2:], now.cache.dataset.has_volume) for row in missing}


def _line(session: date, numbers: Sequence[float | None], has_volume: bool) -> str:
    """One of Yahoo's rows as a line. Volumes are whole numbers, written with a decimal point like all others."""
    *prices, volume = numbers
    texts = ["" if price is None else repr(price) for price in prices]
    volumes = ["" if volume is None else f"{volume:.0f}.0"] if has_volume else []
    return ",".join([session.isoformat(), *texts, *volumes])


def _written(folder: CsvFolder, row: Projection, content: bytes, base: bytes, batch: batches.Batch) -> Projection:
    """The new state of a CSV that is extended; a file that is already right stays as it is."""
    if content == base and not row.is_outdated and csv_files.looks_intact(folder, row):
        return replace(row, dirty=False)
    return csv_files.write(folder, row, content, batch)


def _lines(
    cache: Cache, sessions: Collection[date], rows: Sequence[Projection]
) -> Mapping[str, Sequence[tuple[str, str]]]:
    """(date, line) pairs by ticker, ascending."""
    from ingest.tracked.csv_lines import extract  # polars, which a run with nothing to do does not import

    wanted = frozenset(row.ticker for row in rows)
    lines: dict[str, list[tuple[str, str]]] = {}
    for ticker, day, line in extract(cache, cache.manifest.sessions.parts(sessions), wanted).iter_rows():
        lines.setdefault(ticker, []).append((day, line))
    return lines
