"""Rows of some tickers, or of all, out of the parts of sessions, as numbers."""

from collections.abc import Iterable, Sequence

import polars as pl

from ingest.datasets import Dataset
from ingest.tiers.layout import TIERS, PartFolders, PartsOf
from ingest.tiers.lines import batches, check_columns, parse, stamp_of, texts
from ingest.tiers.parts import read_text

_PRICED = ("open", "high", "low", "close", "volume")

BARS = pl.Schema(
    [
        ("ticker", pl.String()),
        ("date", pl.Date()),
        *((name, pl.Float64()) for name in _PRICED),
        ("transactions", pl.Int64()),
    ]
)
"""Raw prices, volume, number of trades; None where the file does not say."""


def schema_of(dataset: Dataset) -> pl.Schema:
    """`BARS` with the dataset's own columns of numbers."""
    return pl.Schema([*BARS.items(), *((name, pl.Float64()) for name in dataset.extras)])


def bars(folders: PartFolders, sessions: Iterable[PartsOf], wanted: frozenset[str], dataset: Dataset) -> pl.DataFrame:
    """Rows of the wanted tickers as `schema_of`, sorted by ticker and date, one a ticker and date.

    Where a file has several rows of a ticker the first one counts. Raises CacheError for a part that can't be read.
    """
    frames = [_wanted(text, columns, wanted, dataset) for columns, text in batches(texts(folders, sessions, wanted))]
    rows = pl.concat([pl.DataFrame(schema=schema_of(dataset)), *frames])
    return rows.unique(["ticker", "date"], keep="first", maintain_order=True).sort("ticker", "date")


def all_bars(folders: PartFolders, parts: PartsOf, dataset: Dataset) -> pl.DataFrame:
    """Every row of a session out of both parts, as `bars` gives them, sorted by ticker. Raises CacheError."""
    texts = [read_text(folders.path(parts.session, tier)) for tier in TIERS if tier in parts.index]
    frames = [_numbers(text[text.find(b"\n") + 1 or len(text) :], parts.columns, dataset) for text in texts]
    rows = pl.concat(frames).unique(["ticker"], keep="first", maintain_order=True).sort("ticker")
    return rows.select("ticker", pl.lit(parts.session).alias("date"), pl.exclude("ticker"))


def _wanted(text: bytes, columns: tuple[str, ...], wanted: frozenset[str], dataset: Dataset) -> pl.DataFrame:
    stamp = stamp_of(columns)
    rows = _numbers(text, (stamp, *columns), dataset, [stamp]).filter(pl.col("ticker").is_in(list(wanted)))
    return rows.select("ticker", pl.col(stamp).str.to_date("%Y-%m-%d").alias("date"), pl.exclude("ticker", stamp))


def _numbers(text: bytes, columns: tuple[str, ...], dataset: Dataset, others: Sequence[str] = ()) -> pl.DataFrame:
    """Ticker, `others` as text, and numbers: parsed at once, or where one is oddly dressed by casts.

    A number that the file does not have (indices have no volume) is None in each row.
    """
    check_columns(columns, dataset.numbers)
    numbers = {name: kind for name, kind in schema_of(dataset).items() if name not in ("ticker", "date")}
    there = {name: kind for name, kind in numbers.items() if name in columns}
    types = {**dict.fromkeys(("ticker", *others), pl.String()), **there}
    try:
        rows = parse(text, columns, types)
    except pl.exceptions.PolarsError:
        texts = parse(text, columns).select(list(types))
        rows = texts.select(_cast(name, kind) for name, kind in types.items())
    found = [name if name in there else pl.lit(None, kind).alias(name) for name, kind in numbers.items()]
    # A blank line, or a row without a ticker, is nobody's.
    return rows.drop_nulls("ticker").select("ticker", *others, *found)


def _cast(name: str, kind: pl.DataType) -> pl.Expr:
    if kind == pl.String:
        return pl.col(name)
    return pl.col(name).str.strip_chars().cast(pl.Float64, strict=False).cast(kind, strict=False)
