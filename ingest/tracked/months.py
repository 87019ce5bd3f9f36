"""The CSVs of minutes, one per ticker and month: finds those to update, and rebuilds each from its month's sessions.

A month has some 20,000 minutes per ticker, too many to rewrite in one growing file every day. So a session changes one
CSV per ticker, which is small enough to be rebuilt from the parts each time.
"""

import hashlib
import math
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby
from operator import attrgetter
from typing import Self

from ingest.cache import csv_files
from ingest.cache.cache import Cache, Layout
from ingest.cache.csv_files import CsvFolder
from ingest.cache.layout import PartsOf
from ingest.cache.manifest import Manifest
from ingest.cache.manifest.records import FORMAT, Projection, period_of
from ingest.cache.parts.groups import in_groups
from ingest.errors import CacheError
from ingest.events import Projected
from ingest.files import batches
from ingest.market.patterns import covered

_MAX_ROWS = 100_000
"""Rows in memory at once, some 300 bytes each while they are sorted: the tickers of a month are taken in groups."""

_LEAST = 1 / 10
"""The least share of the most possible rows that a ticker is expected to have: a contract without trades may start to
be traded."""

_BUSY = 4
"""How many times as many new rows as the average ticker one is expected to have, at most."""


def project_months(cache: Cache) -> Projected | None:
    """Bring every active month's CSV up to date with the committed sessions; None if there was nothing to do.

    Rebuilds the months of sessions that no projection has seen, those of tickers new in the lists, and CSVs that differ
    from the manifest. Files are replaced before the manifest calls them clean, month by month, so the run after a kill
    continues from there. Raises CacheError; if a month cannot be rebuilt, only after all others.
    """
    started, manifest = time.monotonic(), cache.manifest
    pending = manifest.sessions.pending()
    due = list(_due(cache))
    if not due and not pending and not any(row.dirty for row in manifest.csvs.active()):
        return None
    changed, failed = list[Projection](), None
    months = set(map(period_of, pending))
    held = _Held.of(cache)
    for of_month in _by_month(due):
        try:
            with batches.together() as batch:
                found = _contents(held, of_month, months)
                made = [(row, _written(cache.csvs, row, content, batch)) for row, content in found]
        except CacheError as error:  # its CSVs stay dirty
            failed = failed or error
            continue
        manifest.csvs.projected((new for _, new in made), ())
        changed += [new for old, new in made if old.sha256 != new.sha256]
    manifest.csvs.projected(_sums(manifest), () if failed else pending)
    if failed:
        raise failed
    return Projected(len(changed), sum(new.rows or 0 for new in changed), time.monotonic() - started)


def month_contents(cache: Cache, rows: Iterable[Projection]) -> Iterator[tuple[Projection, bytes]]:
    """The right content of each of these CSVs, month by month; writes nothing. Raises CacheError."""
    held = _Held.of(cache)
    for of_month in _by_month(rows):
        yield from held.contents(of_month)


def _contents(
    held: "_Held", rows: Sequence[Projection], changed: Collection[str]
) -> Iterator[tuple[Projection, bytes]]:
    """The right content of CSVs of one month. Raises CacheError.

    A CSV of an unchanged month whose format is outdated is converted without its parts, which may be gone by now.
    """
    others = list[Projection]()
    for row in rows:
        base = csv_files.read_base(held.cache.csvs, row) if row.is_outdated and row.period not in changed else None
        if base is None:
            others.append(row)
        else:
            yield row, base
    if others:
        yield from held.contents(others)


def _by_month(rows: Iterable[Projection]) -> Iterator[list[Projection]]:
    for _, of_month in groupby(sorted(rows, key=attrgetter("period", "ticker")), attrgetter("period")):
        yield list(of_month)


@dataclass(frozen=True, slots=True)
class _Held:
    """What CSVs are built from; `usual` are the rows that tickers had in the month before."""

    cache: Cache
    committed: Sequence[date]
    usual: dict[str, int]

    @classmethod
    def of(cls, cache: Cache) -> Self:
        """As the manifest says."""
        usual = {row.ticker: row.rows for row in cache.manifest.csvs.months().values() if row.rows is not None}
        return cls(cache, cache.manifest.sessions.committed(), usual)

    def contents(self, rows: Sequence[Projection]) -> Iterator[tuple[Projection, bytes]]:
        """The right content of CSVs of one month. Raises CacheError."""
        sessions = [day for day in self.committed if period_of(day) == rows[0].period]
        parts = list(self.cache.manifest.sessions.parts(sessions))
        expected = _Expected(self.usual, len(sessions) * self.cache.dataset.kind.rows_a_day, self._new(rows, parts))
        for group in in_groups(rows, expected.of, _MAX_ROWS):
            for row, content in _made_of(self.cache, parts, group):
                self.usual[row.ticker] = content.count(b"\n")
                yield row, content

    def _new(self, rows: Sequence[Projection], parts: Sequence[PartsOf]) -> float:
        """The most new rows that one of these CSVs has on average; unlimited if an archive has rows of them, too."""
        wanted = frozenset(row.ticker for row in rows)
        if any(covered(tracked, wanted) != wanted for tracked in {one.tracked for one in parts}):
            return math.inf
        held = self.cache.manifest.sessions.tracked_rows(one.session for one in parts)
        return max(0, held - sum(row.rows or 0 for row in rows)) / len(rows)


def _due(cache: Cache) -> Iterator[Projection]:
    """CSVs to rebuild: months that a commit has made dirty, and those that are not in the manifest yet."""
    manifest, known = cache.manifest, cache.manifest.csvs.months()
    periods = sorted(set(map(period_of, manifest.sessions.committed())))
    for active in manifest.csvs.active():
        marks: Mapping[str, tuple[int | None, int | None]] = csv_files.marks_of_months(cache.csvs, active.ticker)
        for period in periods:
            row = known.get((active.ticker, period), Projection(active.ticker, period=period))
            if row.dirty or marks.get(period, (None, None)) != (row.size, row.mtime_ns):
                yield row


@dataclass(frozen=True, slots=True)
class _Expected:
    """Estimates the rows of a CSV before they are read: as many as before, or as its ticker had in the month before.

    A ticker that is in neither counts with the `most` rows that it can have. All are limited by what is known of all
    CSVs of the month together: that they have `new` rows each on average, besides those of before. Fewer groups read a
    part less often.
    """

    usual: Mapping[str, int]
    most: int
    new: float = math.inf

    def of(self, row: Projection) -> float:
        """The rows expected."""
        usual = row.rows if row.rows is not None else self.usual.get(row.ticker, self.most)
        return min(max(usual, self.most * _LEAST), (row.rows or 0) + max(1, _BUSY * self.new))


def _made_of(
    layout: Layout, parts: Sequence[PartsOf], group: Sequence[Projection]
) -> Iterator[tuple[Projection, bytes]]:
    import polars as pl  # which a run with nothing to do does not import

    from ingest.tracked.csv_lines import extract

    wanted = frozenset(row.ticker for row in group)
    rows = extract(layout, parts, wanted).group_by("ticker", maintain_order=True)
    lines: dict[str, str] = dict(rows.agg(pl.col("line").str.join("\n")).iter_rows())
    for row in group:
        found = lines.pop(row.ticker, "")
        yield row, layout.csvs.header + found.encode() + b"\n" if found else b""


def _written(folder: CsvFolder, row: Projection, content: bytes, batch: batches.Batch) -> Projection:
    """The CSV's new state; a file that is already right stays as it is."""
    sha256 = hashlib.sha256(content).hexdigest() if content else None
    if row.rows is not None and row.sha256 == sha256 and csv_files.looks_intact(folder, row):
        return replace(row, dirty=False, format=FORMAT)
    if content:
        batch.make_folder(folder.file(row.ticker))
    return csv_files.write(folder, row, content, batch)


def _sums(manifest: Manifest) -> list[Projection]:
    """The state of each active ticker: all its months together."""
    months: dict[str, list[Projection]] = {row.ticker: [] for row in manifest.csvs.active()}
    for row in manifest.csvs.months().values():
        if row.rows and row.ticker in months:
            months[row.ticker].append(row)
    return [_sum(ticker, rows) for ticker, rows in months.items()]


def _sum(ticker: str, months: Sequence[Projection]) -> Projection:
    first, last = (months[0].first, months[-1].last) if months else (None, None)
    return Projection(ticker, dirty=False, first=first, last=last, rows=sum(row.rows or 0 for row in months))
