"""The rows that a view reads from the parts, as a table."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from threading import Event

import polars as pl

from ingest.cache.cache import Cache
from ingest.cache.layout import PartsOf
from ingest.cache.parts.bars import bars
from ingest.cache.steady import steadily
from ingest.errors import IngestError
from ingest.lake.frames import frames, in_lake, lake_schema
from ingest.lake.partitions import by_partition
from ingest.market.contracts import contracts_of
from ingest.market.datasets import Dataset
from ingest.settings import Settings
from ingest.tracked.expand import found_in


@dataclass(frozen=True, slots=True)
class Scans:
    """What scans of the parts are told, to `stop`, and what they `failed` with: DuckDB has only texts of errors."""

    stop: Event = field(default_factory=Event)
    failed: list[IngestError] = field(default_factory=list)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Keep what the block fails with."""
        try:
            yield
        except IngestError as error:
            self.failed.append(error)
            raise


@dataclass(frozen=True, slots=True)
class Passing:
    """What a filter lets through: days, tickers and underlyings (None: all)."""

    days: frozenset[date] | None = None
    tickers: frozenset[str] | None = None
    underlyings: frozenset[str] | None = None

    def of(self, days: Sequence[date]) -> Sequence[date]:
        """Those of the days that it lets through."""
        return days if self.days is None else [day for day in days if day in self.days]

    def read(self, cache: Cache, parts: Sequence[PartsOf]) -> pl.DataFrame:
        """The rows of sessions, by way of no more members than may have them. Raises CacheError."""
        wanted = self._tickers_in(cache, parts)
        if wanted is None:
            return pl.concat(frames(cache, parts))
        rows = in_lake(bars(cache.parts, cache.dataset, parts, wanted), cache.dataset)
        return rows if self.underlyings is None else rows.filter(pl.col("underlying").is_in(sorted(self.underlyings)))

    def _tickers_in(self, cache: Cache, parts: Sequence[PartsOf]) -> frozenset[str] | None:
        if self.tickers is not None or self.underlyings is None:
            return self.tickers
        patterns = frozenset(map(contracts_of, self.underlyings))
        return frozenset[str]().union(*(found_in(cache, one, patterns) for one in parts))


@dataclass(frozen=True, slots=True)
class PartsTable:
    """The rows of these sessions (ascending), in the form of the lake.

    Each scan reads them again, a month or a session at a time, so memory does not grow with them. Once it is to stop, a
    scan fails before the next month or session.
    """

    settings: Settings
    dataset: Dataset
    days: Sequence[date]
    scans: Scans = field(default_factory=Scans)

    @property
    def schema(self) -> pl.Schema:
        """Its columns."""
        return lake_schema(self.dataset)

    def __arrow_c_schema__(self) -> object:
        """The columns."""
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The rows; whoever asks gets them as they are, which the protocol allows."""
        return self.rows(Passing())

    def rows(self, passing: Passing) -> object:
        """A stream, in a capsule, of the rows that a filter lets through."""
        from ingest.querying.parts.streams import stream_of  # most views have no parts

        return stream_of(self.schema, self._frames(passing))

    def _frames(self, passing: Passing) -> Generator[pl.DataFrame]:
        for days in by_partition(self.dataset, passing.of(self.days)):
            if self.scans.stop.is_set():
                raise InterruptedError
            yield self._read(days, passing)  # and nothing here keeps it while the next one is made

    def _read(self, days: Sequence[date], passing: Passing) -> pl.DataFrame:
        with self.scans.noted(), Cache.read(self.settings, self.dataset) as cache:
            # Not by way of the lake: a listing may have shown that its file is another one.
            return pl.concat(steadily(cache, days, partial(passing.read, cache)))
