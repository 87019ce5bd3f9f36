"""Reads rows of some tickers from the parts of many sessions, as lines of a tracked CSV."""

from collections.abc import Iterable

import polars as pl

from ingest.cache.cache import Layout
from ingest.cache.layout import PartsOf
from ingest.cache.parts.lines import BATCH_BYTES, batches, check_columns, dated_texts, parse_lines, stamp_of
from ingest.market.datasets import Dataset
from ingest.market.epochs import in_ns, is_near, of_text

SCHEMA = pl.Schema({"ticker": pl.String, "date": pl.String, "line": pl.String})
TIMED = pl.Schema({"ticker": pl.String, "second": pl.Int64, "line": pl.String})

_ZONE = "America/New_York"
"""One zone for all markets, so that minutes of stocks, currencies and coins can be compared directly."""

_NS_PER_S = 1_000_000_000


def extract(
    layout: Layout, sessions: Iterable[PartsOf], wanted: frozenset[str], batch_bytes: int = BATCH_BYTES
) -> pl.DataFrame:
    """Lines (without line ends) of the wanted tickers as `SCHEMA`, sorted by ticker and date, one per ticker and date.

    Minutes are as `TIMED`: instead of the date they have the second (since the epoch) at which they begin. Of several
    rows of one date or minute the first one counts; for minutes, the first on its session's own date. A minute whose
    timestamp is invalid, or in another week, is left out.

    About `batch_bytes` of text are parsed at once. Raises CacheError if a part cannot be read.
    """
    dataset = layout.dataset
    schema = TIMED if dataset.kind.timed else SCHEMA
    order = schema.names()[:2]
    found = batches(dated_texts(layout.parts, sessions, wanted), batch_bytes)
    frames = [_lines(text, columns, wanted, dataset) for columns, text in found]
    rows = _own_first(pl.concat(frames)) if frames else pl.DataFrame(schema=schema)
    return rows.unique(order, keep="first", maintain_order=True).sort(order)


def _own_first(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of their session's own date before those of another day, if `own` marks them."""
    if "own" not in rows.columns:
        return rows
    in_order = rows if rows["own"].all() else rows.sort("own", descending=True, maintain_order=True)
    return in_order.drop("own")


def _lines(text: bytes, columns: tuple[str, ...], wanted: frozenset[str], dataset: Dataset) -> pl.DataFrame:
    check_columns(columns, dataset.numbers)
    session = stamp_of(columns)
    rows = parse_lines(text, (session, *columns)).filter(pl.col("ticker").is_in(list(wanted)))
    if not dataset.kind.timed:
        return rows.select("ticker", pl.col(session).alias("date"), _line(pl.col(session), dataset))
    day = pl.col(session).str.to_date("%Y-%m-%d")
    rows = rows.with_columns(day.alias(session), second=_seconds(rows, dataset.kind.time))
    second = pl.col("second")
    rows = rows.filter(is_near(second, pl.col(session), dataset.evenings))
    local = (second * 1000).cast(pl.Datetime("ms", "UTC")).dt.convert_time_zone(_ZONE)
    line = _line(local.dt.to_string("%Y-%m-%d %H:%M:%S%:z"), dataset)
    own = (second * 1000).cast(pl.Datetime("ms", "UTC")).dt.convert_time_zone(dataset.zone).dt.date() == pl.col(session)
    return rows.select("ticker", second, line, own=own)


def _seconds(rows: pl.DataFrame, time: str) -> pl.Series:
    if time not in rows.columns:
        return pl.repeat(None, rows.height, dtype=pl.Int64, eager=True)
    return in_ns(rows.select(of_text(pl.col(time)))[time]) // _NS_PER_S


def _line(stamp: pl.Expr, dataset: Dataset) -> pl.Expr:
    numbers = [_amount(dataset) if name == dataset.kind.amount else _pointed(_text(name)) for name in dataset.numbers]
    return pl.concat_str([stamp, *numbers], separator=",").alias("line")


def _amount(dataset: Dataset) -> pl.Expr:
    amount = _whole(_text(dataset.kind.amount))
    return amount if dataset.counts_contracts else _pointed(amount)


def _text(name: str) -> pl.Expr:
    return pl.col(name).fill_null("").str.strip_chars()


def _pointed(text: pl.Expr) -> pl.Expr:
    """A whole number with a decimal point, so that a column has the same type whichever rows of it are read."""
    return text.str.replace(r"^([+-]?[0-9]+)$", "${1}.0")


def _whole(text: pl.Expr) -> pl.Expr:
    """A number as published; a whole one in another notation (`1200.000000`, `1.2e3`) becomes plain digits."""
    number = text.cast(pl.Float64, strict=False)
    whole = number.is_finite() & (number == number.floor()) & (number.abs() < 2.0**53)
    plain = text.str.contains(r"^\d+$")
    return pl.when(whole & ~plain).then(number.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(text)
