"""Rows of some tickers out of the parts of many sessions, as lines of a tracked CSV."""

from collections.abc import Iterable

import polars as pl

from ingest.tiers.layout import PartFolders, PartsOf
from ingest.tiers.lines import batches, check_columns, parse, stamp_of, texts

SCHEMA = pl.Schema({"ticker": pl.String, "date": pl.String, "line": pl.String})


def extract(folders: PartFolders, sessions: Iterable[PartsOf], wanted: frozenset[str]) -> pl.DataFrame:
    """Lines (without line ends) of the wanted tickers, sorted by ticker and date, one a ticker and date.

    Where a file has several rows of a ticker the first one counts. Raises CacheError for a part that can't be read.
    """
    frames = [_lines(text, columns, wanted) for columns, text in batches(texts(folders, sessions, wanted))]
    rows = pl.concat([pl.DataFrame(schema=SCHEMA), *frames])
    return rows.unique(["ticker", "date"], keep="first", maintain_order=True).sort("ticker", "date")


def _lines(text: bytes, columns: tuple[str, ...], wanted: frozenset[str]) -> pl.DataFrame:
    stamp = stamp_of(columns)
    check_columns(columns)
    rows = parse(text, (stamp, *columns)).filter(pl.col("ticker").is_in(list(wanted)))
    fields = [pl.col(name).fill_null("").str.strip_chars() for name in ("open", "high", "low", "close")]
    line = pl.concat_str([stamp, *fields, _volume()], separator=",")
    return rows.select("ticker", pl.col(stamp).alias("date"), line.alias("line"))


def _volume() -> pl.Expr:
    """The volume as published, but for a whole number in another dress (`1200.0`, `1.2e3`): that loses it."""
    text = pl.col("volume").fill_null("").str.strip_chars()
    number = text.cast(pl.Float64, strict=False)
    whole = number.is_finite() & (number == number.floor()) & (number.abs() < 2.0**53)
    plain = text.str.contains(r"^\d+$")
    return pl.when(whole & ~plain).then(number.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(text)
