"""Every ticker of stored sessions, with how long and how much it was traded; from the lake where it is clean.

Nothing of this is stored: a month of rows is read at a time, and three columns of it are kept.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from functools import partial
from itertools import groupby
from threading import Event

import polars as pl

from ingest.cache.cache import Cache
from ingest.cache.layout import PartsOf
from ingest.cache.parts.ahead import read_ahead
from ingest.cache.parts.bars import all_bars, size_of
from ingest.lake.reading import WantedRows, lake_and_parts

TRADED = pl.Schema(
    {
        "ticker": pl.String(),
        "first": pl.Date(),
        "last": pl.Date(),
        "sessions": pl.Int64(),
        "median_dollar_volume": pl.Float64(),
    }
)

_READ = pl.Schema({"ticker": pl.String(), "date": pl.Date(), "close": pl.Float64(), "volume": pl.Float64()})
_DOLLARS = pl.Schema({"ticker": pl.String(), "date": pl.Date(), "dollars": pl.Float64()})
_THREADS = 2


def traded(cache: Cache, days: Sequence[date], stop: Event | None = None) -> pl.DataFrame:
    """The tickers of these stored sessions (ascending) as `TRADED`, sorted by ticker; for datasets of daily rows.

    `first` and `last` are sessions with a row of it, `sessions` counts them, and the median is that of close × volume,
    as traded, over them, as far as it is a finite number: null where it never is. Raises CacheError, and
    InterruptedError before the next month once it is to `stop`.
    """
    found = [pl.DataFrame(schema=_DOLLARS), *(_dollars(frame) for frame in _frames(cache, days, stop or Event()))]
    of_ticker = pl.concat(found).group_by("ticker")
    return of_ticker.agg(
        first=pl.col("date").min(),
        last=pl.col("date").max(),
        sessions=pl.len().cast(pl.Int64),
        median_dollar_volume=pl.col("dollars").median(),
    ).sort("ticker")


def most_traded(found: pl.DataFrame, count: int) -> pl.DataFrame:
    """The `count` tickers of `traded` with the highest median, highest first; of equal ones the first by name."""
    known = found.filter(pl.col("median_dollar_volume").is_not_null())
    return known.sort("median_dollar_volume", "ticker", descending=[True, False]).head(min(count, known.height))


def _dollars(rows: pl.DataFrame) -> pl.DataFrame:
    dollars = pl.col("close") * pl.col("volume")  # of a price that is no number, it would be above all others
    return rows.select("ticker", "date", dollars=pl.when(dollars.is_finite()).then(dollars))


def _frames(cache: Cache, days: Sequence[date], stop: Event) -> Iterator[pl.DataFrame]:
    """Rows of these sessions in any order, those of a month at once."""
    for _, group in groupby(days, lambda day: (day.year, day.month)):
        if stop.is_set():
            raise InterruptedError
        wish = WantedRows(frozenset(group), columns=frozenset(_READ))
        rows, frames = lake_and_parts(cache, wish, partial(_from_parts, cache))
        yield from [*([] if rows is None else [rows]), *frames]


def _from_parts(cache: Cache, parts: Sequence[PartsOf]) -> pl.DataFrame:
    def read(one: PartsOf) -> pl.DataFrame:
        return all_bars(cache.parts, cache.dataset, one).select(list(_READ))

    frames = read_ahead(read, parts, max(_THREADS, cache.parts.ahead), size_of)
    return pl.concat([pl.DataFrame(schema=_READ), *frames])
