"""Checks whether a file's timestamps fit its session, at once or chunk by chunk. Pure."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

import polars as pl

from ingest.errors import UnreadableFile
from ingest.finding import Finding
from ingest.market import epochs
from ingest.market.datasets import Dataset
from ingest.splitting.checks import dates, in_other_units, midnight, times


class Misplaced(UnreadableFile):
    """None of a file's bars can start in its session."""


class Placing:
    """Findings on the timestamps of one file, and whether any of its intraday bars can start in its session."""

    def __init__(self, dataset: Dataset, session: date) -> None:
        self._session, self._zone, self._time = session, dataset.zone, dataset.kind.time
        self._is_timed, self._is_dated_by_time = dataset.kind.timed, dataset.stamp == dataset.kind.time
        self._begin = midnight(session - timedelta(days=dataset.evenings), dataset.zone)
        self._end = midnight(session + timedelta(days=1), dataset.zone)
        self._bars, self._has_place, self._elsewhere = 0, False, "no time"

    def add(self, stamps: Mapping[str, int], begins: pl.Series | None) -> Iterator[Finding]:
        """Findings on the next rows: `stamps` counts them by timestamp, `begins` has their times as numbers."""
        if begins is not None and self._is_timed and not self._has_place:
            self._look_for_one(begins)
        if begins is None or not self._is_dated_by_time:
            yield from dates(stamps, self._session, self._zone)
        if begins is not None:
            yield from times(begins, self._session, self._zone) if self._is_dated_by_time else in_other_units(begins)

    def check(self) -> None:
        """Raise Misplaced if there are intraday bars, and none of them can start in the session."""
        if self._bars and not self._has_place:
            raise Misplaced(
                f"none of its {self._bars:,} rows has a {self._time} within {self._session}: {self._elsewhere}"
            )

    def _look_for_one(self, begins: pl.Series) -> None:
        found = epochs.in_ns(begins.drop_nulls())
        self._bars += len(begins)
        self._has_place = bool(((found >= self._begin) & (found < self._end)).any())
        if len(found) and not self._has_place:
            first = found.head(1).cast(pl.Datetime("ns", "UTC")).dt.convert_time_zone(self._zone)
            self._elsewhere = f"the first says {first.dt.strftime('%Y-%m-%d %H:%M').item()}"
