"""Rows of several parts become sorted rows, of which the first of each ticker and time counts."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.cache.parts.bars import firsts, schema_of
from ingest.market.catalogue import STOCKS_DAY, STOCKS_MINUTE
from ingest.market.datasets import Dataset

ROWS = st.lists(st.tuples(st.sampled_from(["A", "B", "a", "é", "AA"]), st.integers(0, 3)), max_size=12)


def frame(dataset: Dataset, rows: list[tuple[str, int]]) -> pl.DataFrame:
    """Rows of these tickers and days, or minutes, each with its number as its close."""
    tickers, times = [name for name, _ in rows], [time for _, time in rows]
    column, zero = ("time", pl.datetime(2025, 3, 10)) if dataset.kind.timed else ("date", pl.date(2025, 3, 10))
    step = pl.duration(minutes=pl.col("at")) if dataset.kind.timed else pl.duration(days=pl.col("at"))
    found = pl.DataFrame(
        {"ticker": tickers, "at": times, "close": range(len(rows))},
        {"ticker": pl.String, "at": pl.Int64, "close": pl.Float64},
    )
    whole = {name: pl.lit(None, kind).alias(name) for name, kind in schema_of(dataset).items()}
    told = {"ticker": pl.col("ticker"), "close": pl.col("close"), "date": pl.date(2025, 3, 10), column: zero + step}
    schema = schema_of(dataset)
    return found.select(
        told.get(name, whole[name]).cast(kind if name != "time" else pl.Datetime("us")).alias(name)
        for name, kind in schema.items()
    )


@pytest.mark.parametrize("dataset", [STOCKS_DAY, STOCKS_MINUTE])
@given(rows=ROWS)
def test_rows_are_sorted_bytewise_and_the_first_of_a_ticker_and_time_counts(
    dataset: Dataset, rows: list[tuple[str, int]]
) -> None:
    wanted: dict[tuple[bytes, int], int] = {}
    for number, (ticker, at) in enumerate(rows):
        wanted.setdefault((ticker.encode(), at), number)
    found = firsts(frame(dataset, rows), dataset)
    assert found["close"].to_list() == [wanted[key] for key in sorted(wanted)]
