"""Reads rows of some or all tickers from the parts of sessions, as numbers."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import groupby

import numpy as np
import polars as pl

from ingest.cache.layout import PartsOf
from ingest.cache.parts.lines import batches, check_columns, dated_texts, parse_lines, stamp_of
from ingest.cache.parts.parts import read_rows
from ingest.cache.parts.store import PartStore, key_to_read
from ingest.market.datasets import TIERS, Dataset
from ingest.market.epochs import in_ns, is_near, of_text
from ingest.market.row_kinds import DAY_BARS, RowKind


def _numbers_of(kind: RowKind) -> Sequence[tuple[str, pl.DataType]]:
    return [*((name, pl.Float64()) for name in kind.numbers), *((name, pl.Int64()) for name in kind.counts)]


_PLACE = (("ticker", pl.String()), ("date", pl.Date()))

BARS = pl.Schema([*_PLACE, *_numbers_of(DAY_BARS)])
"""Raw prices, volume and number of trades; null if the file does not have them."""


def schema_of(dataset: Dataset) -> pl.Schema:
    """`BARS` with the dataset's own numbers; timed rows have `time`, their start, after the date."""
    time = [("time", pl.Datetime("us", dataset.time_zone))] if dataset.kind.timed else []
    extras = [(name, pl.Float64()) for name in dataset.extras]
    return pl.Schema([*_PLACE, *time, *_numbers_of(dataset.kind), *extras])


def bars(store: PartStore, dataset: Dataset, sessions: Iterable[PartsOf], wanted: frozenset[str]) -> pl.DataFrame:
    """Rows of the wanted tickers as `schema_of`, sorted by ticker and date or time, one per session and time.

    Of several the first one counts. A minute whose timestamp is invalid, or in another week, is left out. Raises
    CacheError if a part cannot be read.
    """
    found = batches(dated_texts(store, sessions, wanted))
    frames = [_wanted(text, columns, wanted, dataset) for columns, text in found]
    return firsts(pl.concat([pl.DataFrame(schema=schema_of(dataset)), *frames]), dataset)


def all_bars(store: PartStore, dataset: Dataset, parts: PartsOf) -> pl.DataFrame:
    """Every row of a session from both parts, in the form of `bars`. Raises CacheError."""
    tiers = [tier for tier in TIERS if tier in parts.index]
    texts = [read_rows(store, key_to_read(store, parts, tier), parts.sha256[tier]) for tier in tiers]
    frames = [rows_of(text, parts, dataset) for text in texts]
    return firsts(pl.concat(frames), dataset)


def rows_of(text: bytes, parts: PartsOf, dataset: Dataset) -> pl.DataFrame:
    """All rows of a session's lines, without a header, in the form of `bars` and in the order of the lines.

    Several may have the same ticker and time (see `firsts`). Raises CacheError.
    """
    dated = _numbers(text, parts.columns, dataset).with_columns(pl.lit(parts.session).alias("date"))
    return _near(dated, dataset).select(schema_of(dataset).names())


def dated(numbers: Sequence[tuple[date, pl.DataFrame]], dataset: Dataset) -> pl.DataFrame:
    """Rows without times of their own, given as numbers by session, in the form of `rows_of`, in one frame."""
    days = pl.Series([day for day, _ in numbers], dtype=pl.Date)
    frames = [pl.DataFrame(schema={"ticker": pl.String}), *(frame for _, frame in numbers)]
    together = pl.concat(frames, how="diagonal")  # not every file has all columns
    missing = [pl.lit(None, kind).alias(name) for name, kind in schema_of(dataset).items() if name not in together]
    day_of_each = np.repeat(np.arange(len(numbers)), [frame.height for _, frame in numbers])
    rows = together.with_columns(*missing).with_columns(date=days.gather(day_of_each))
    return _whole(rows, dataset).select(schema_of(dataset).names())


def rows_of_many(texts: Sequence[tuple[PartsOf, bytes]], dataset: Dataset) -> pl.DataFrame:
    """The rows of several sessions' lines, as of `rows_of` for each, in one frame.

    Texts with the same columns are parsed as one, which takes a third of the time. Raises CacheError.
    """
    found = [pl.DataFrame(schema=schema_of(dataset))]
    for columns, group in groupby(texts, lambda one: one[0].columns):
        found += _together(columns, [(parts, _ended(text)) for parts, text in group], dataset)
    return pl.concat(found)


def _ends_in(text: bytes) -> int:
    """How many line ends a text has: by numpy in a quarter of the time that `count` takes."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == 0x0A))


def _ended(text: bytes) -> bytes:
    return text if not text or text.endswith(b"\n") else text + b"\n"


def _together(
    columns: tuple[str, ...], texts: Sequence[tuple[PartsOf, bytes]], dataset: Dataset
) -> Iterator[pl.DataFrame]:
    lines = [_ends_in(text) for _, text in texts]
    rows = _numbers(b"".join([text for _, text in texts]), columns, dataset, every=True) if sum(lines) else None
    # A text has at most as many rows as lines: if all have as many together, each has, and they can be told apart.
    if rows is None or rows.height != sum(lines):
        yield from (rows_of(text, parts, dataset) for parts, text in texts if text)
        return
    days = pl.Series([parts.session for parts, _ in texts], dtype=pl.Date)
    dated = rows.with_columns(date=days.gather(np.repeat(np.arange(len(texts)), lines)))
    yield _near(_whole(dated, dataset), dataset).select(schema_of(dataset).names())


def size_of(parts: PartsOf) -> int:
    """Bytes of both parts of a session, packed."""
    return sum(index.offsets[-1] for index in parts.index.values())


def firsts(rows: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """Sorted rows, only the first of those with the same ticker, date and time; sessions do not affect each other."""
    found, order = _by_ticker(rows), dataset.kind.order
    if _are_unsorted(found, *order):
        found = rows.sort(order, maintain_order=True)
    repeated = pl.all_horizontal(pl.col(name) == pl.col(name).shift() for name in {*order, "date"})
    return found.filter(~repeated.fill_null(value=False))


def _by_ticker(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows sorted by ticker alone, those of one in their order: that is all there is to do if parts are sorted.

    To number the names and sort the numbers takes half as long as to sort the names.
    """
    rows = rows.rechunk()
    names = rows["ticker"].unique().sort()
    numbers = rows["ticker"].cast(pl.Enum(names)).to_physical().to_numpy()
    return rows[np.argsort(numbers, kind="stable")]


def _are_unsorted(rows: pl.DataFrame, ticker: str, then: str) -> bool:
    """Whether rows that are sorted by ticker are not sorted by another column, too."""
    before = [pl.col(name).shift() for name in (ticker, then)]
    falls = (pl.col(ticker) == before[0]) & (pl.col(then) < before[1])
    return bool(rows.select(falls.any()).item())


def _wanted(text: bytes, columns: tuple[str, ...], wanted: frozenset[str], dataset: Dataset) -> pl.DataFrame:
    stamp = stamp_of(columns)
    rows = _numbers(text, (stamp, *columns), dataset, [stamp]).filter(pl.col("ticker").is_in(list(wanted)))
    dated = rows.with_columns(pl.col(stamp).str.to_date("%Y-%m-%d").alias("date"))
    return _near(dated, dataset).select(schema_of(dataset).names())


def _near(rows: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """The rows without minutes that cannot belong to their session."""
    if not dataset.kind.timed:
        return rows
    return rows.filter(is_near(pl.col("time").dt.epoch("s"), pl.col("date"), dataset.evenings))


def _numbers(
    text: bytes, columns: tuple[str, ...], dataset: Dataset, others: Sequence[str] = (), every: bool = False
) -> pl.DataFrame:
    """Ticker, `others` as text, time and numbers: parsed at once, or cast one by one if they are oddly written.

    A number that the file does not have (indices have no volume) is null in each row. With `every`, rows that belong to
    no ticker are among them.
    """
    starts = [dataset.kind.time] if dataset.kind.timed else []
    check_columns(columns, (*dataset.numbers, *starts))
    numbers = {name: kind for name, kind in schema_of(dataset).items() if name not in ("ticker", "date", "time")}
    there = {name: kind for name, kind in numbers.items() if name in columns}
    types = {**dict.fromkeys(("ticker", *others), pl.String()), **dict.fromkeys(starts, pl.Int64()), **there}
    try:
        rows = parse_lines(text, columns, types)
    except pl.exceptions.PolarsError:
        texts = parse_lines(text, columns).select(list(types))
        casts = [_cast(name, kind) for name, kind in types.items() if name not in starts]
        rows = texts.select(*casts, *(of_text(pl.col(name)) for name in starts))
    rows = rows.with_columns(in_ns(rows[name]) for name in starts)
    times = [_time(name, dataset.time_zone) for name in starts]
    found = [name if name in there else pl.lit(None, kind).alias(name) for name, kind in numbers.items()]
    chosen = rows.select("ticker", *others, *times, *found)
    return chosen if every else _whole(chosen, dataset)


def _whole(rows: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """The rows that belong to a ticker: blank lines, and rows without a ticker or a minute, do not."""
    return rows.drop_nulls(["ticker", *(["time"] if dataset.kind.timed else [])])


def _time(column: str, zone: str) -> pl.Expr:
    """Nanoseconds since the epoch as a time in the zone."""
    start = pl.from_epoch(pl.col(column), "ns").dt.cast_time_unit("us")
    return start.dt.replace_time_zone("UTC").dt.convert_time_zone(zone).alias("time")


def _cast(name: str, kind: pl.DataType) -> pl.Expr:
    if kind == pl.String:
        return pl.col(name)
    text = pl.col(name).str.strip_chars()
    # Beyond 2**53 a float is not exact: which rows are parsed together must not change a count.
    return pl.coalesce(text.cast(kind, strict=False), text.cast(pl.Float64, strict=False).cast(kind, strict=False))
