"""Rows of some tickers out of the parts of many sessions, as lines of a tracked CSV."""

from collections.abc import Callable, Iterable

import polars as pl

from ingest.datasets import Dataset
from ingest.tiers.layout import PartFolders, PartsOf
from ingest.tiers.lines import batches, check_columns, parse, stamp_of, texts

SCHEMA = pl.Schema({"ticker": pl.String, "date": pl.String, "line": pl.String})
TIMED = pl.Schema({"ticker": pl.String, "second": pl.Int64, "line": pl.String})

_ZONE = "America/New_York"
"""Of all markets, so that minutes of stocks, currencies and coins can be laid side by side as they are."""

_STAMP = "window_start"
_NS_PER_S = 1_000_000_000


def extract(
    folders: PartFolders, sessions: Iterable[PartsOf], wanted: frozenset[str], dataset: Dataset
) -> pl.DataFrame:
    """Lines (without line ends) of the wanted tickers, sorted by ticker and date, one a ticker and date.

    Where a file has several rows of a ticker the first one counts. Raises CacheError for a part that can't be read.
    """

    def dated(rows: pl.DataFrame, stamp: str) -> pl.DataFrame:
        return rows.select("ticker", pl.col(stamp).alias("date"), _line(pl.col(stamp), dataset))

    return _extracted(folders, sessions, wanted, dataset, dated, SCHEMA)


def extract_timed(
    folders: PartFolders, sessions: Iterable[PartsOf], wanted: frozenset[str], dataset: Dataset
) -> pl.DataFrame:
    """The same of minutes, by the second (since the epoch) at which each begins; one a ticker and second.

    A row whose stamp is no time is left out: no place in a CSV is its own.
    """

    def timed(rows: pl.DataFrame, stamp: str) -> pl.DataFrame:
        del stamp  # the session's
        text = pl.col(_STAMP) if _STAMP in rows.columns else pl.lit(None, pl.String)
        second = text.str.strip_chars().cast(pl.Int64, strict=False).floordiv(_NS_PER_S)
        local = (second * 1000).cast(pl.Datetime("ms", "UTC")).dt.convert_time_zone(_ZONE)
        line = _line(local.dt.to_string("%Y-%m-%d %H:%M:%S%:z"), dataset)
        return rows.select("ticker", second.alias("second"), line).drop_nulls("second")

    return _extracted(folders, sessions, wanted, dataset, timed, TIMED)


def _extracted(
    folders: PartFolders,
    sessions: Iterable[PartsOf],
    wanted: frozenset[str],
    dataset: Dataset,
    lined: Callable[[pl.DataFrame, str], pl.DataFrame],
    schema: pl.Schema,
) -> pl.DataFrame:
    frames = [
        lined(_parsed(text, columns, wanted, dataset), stamp_of(columns))
        for columns, text in batches(texts(folders, sessions, wanted))
    ]
    _, place, _ = schema
    rows = pl.concat([pl.DataFrame(schema=schema), *frames])
    return rows.unique(["ticker", place], keep="first", maintain_order=True).sort("ticker", place)


def _parsed(text: bytes, columns: tuple[str, ...], wanted: frozenset[str], dataset: Dataset) -> pl.DataFrame:
    check_columns(columns, dataset.numbers)
    return parse(text, (stamp_of(columns), *columns)).filter(pl.col("ticker").is_in(list(wanted)))


def _line(stamp: pl.Expr, dataset: Dataset) -> pl.Expr:
    prices = [pl.col(name).fill_null("").str.strip_chars() for name in dataset.numbers if name != "volume"]
    volume = [_volume()] if dataset.has_volume else []
    return pl.concat_str([stamp, *prices, *volume], separator=",").alias("line")


def _volume() -> pl.Expr:
    """The volume as published, but for a whole number in another dress (`1200.0`, `1.2e3`): that loses it."""
    text = pl.col("volume").fill_null("").str.strip_chars()
    number = text.cast(pl.Float64, strict=False)
    whole = number.is_finite() & (number == number.floor()) & (number.abs() < 2.0**53)
    plain = text.str.contains(r"^\d+$")
    return pl.when(whole & ~plain).then(number.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(text)
