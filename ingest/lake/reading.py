"""Rows of stored sessions from the lake, as far as it is clean; the parts have the rest.

A file is put in place as a whole, and the manifest is asked before and after: what was replaced while it was read
is not returned. A file that cannot be read is no error, since the parts have its rows, too.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from ingest.cache.cache import Cache
from ingest.cache.parts.bars import schema_of
from ingest.cache.steady import Read, steadily
from ingest.lake.partitions import Partition, Standing

_WORTH = 2
"""Sessions of a file from which on it is read for few tickers: members of one part are found faster."""


@dataclass(frozen=True, slots=True)
class WantedRows:
    """Rows of these sessions, of these tickers and in these columns; None: all of them."""

    days: frozenset[date]
    tickers: frozenset[str] | None = None
    columns: frozenset[str] | None = None

    def of(self, cache: Cache, rows: pl.LazyFrame, sessions: Collection[date]) -> pl.DataFrame:
        """These rows, of files that cover some sessions, with times in the dataset's zone."""
        if not self.days.issuperset(sessions):
            rows = rows.filter(pl.col("date").is_in(sorted(self.days.intersection(sessions))))
        if self.tickers is not None:
            rows = rows.filter(pl.col("ticker").is_in(sorted(self.tickers)))
        schema = {name: kind for name, kind in schema_of(cache.dataset).items() if self._has(name)}
        return rows.select(pl.col(name).cast(kind) for name, kind in schema.items()).collect()

    def _has(self, column: str) -> bool:
        return self.columns is None or column in self.columns


def lake_rows(cache: Cache, wish: WantedRows) -> tuple[pl.DataFrame | None, frozenset[date]]:
    """Rows in the order of the files, in each sorted by ticker and time, and the sessions that they are all rows of.

    None if there are none. Raises CacheError.
    """
    if not (wish.days and cache.manifest.lake.exists()):
        return None, frozenset()
    moment, before = cache.manifest.moment(), Standing.of(cache, min(wish.days), max(wish.days))
    standing = before
    chosen = [one for one in standing.wanted.values() if _is_worth(one, wish) and standing.is_clean(one)]
    rows = _read(cache, standing, chosen, wish) if chosen else None
    if rows is None:
        return None, frozenset()
    cache.manifest.refresh()
    if cache.manifest.moment() != moment:
        standing = Standing.of(cache, min(wish.days), max(wish.days))
    found = [one for one in chosen if standing.is_as(before, one) and standing.is_clean(one)]
    days = wish.days.intersection(day for one in found for day in one.sessions)
    return rows if found == chosen else rows.filter(pl.col("date").is_in(sorted(days))), days


def lake_and_parts(cache: Cache, wish: WantedRows, read: Read) -> tuple[pl.DataFrame | None, list[pl.DataFrame]]:
    """Rows of the lake, as far as it has them (None: of no session), and what `read` returns for all other parts.

    A run may be replacing either. Raises CacheError.
    """
    rows, found = lake_rows(cache, wish)
    left = wish.days - found
    return rows, steadily(cache, left, read) if left or rows is None else []


def _is_worth(partition: Partition, wish: WantedRows) -> bool:
    wanted = len(wish.days.intersection(partition.sessions))
    return wanted >= min(_WORTH, len(partition.sessions))


def _read(cache: Cache, standing: Standing, chosen: Sequence[Partition], wish: WantedRows) -> pl.DataFrame | None:
    try:
        rows = standing.folder.scan([standing.files[one.name] for one in chosen])
        return wish.of(cache, rows, [day for one in chosen for day in one.sessions])
    except (OSError, UnicodeError, pl.exceptions.PolarsError):
        return None
