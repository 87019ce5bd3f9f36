"""A made-up file of minute bars with the shape and the size of the vendor's: sorted by ticker, then by time."""

import io
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

_ROWS_PER_TICKER = 150
_MOST = 900
"""Minutes from 4:00 to 19:00 in New York."""

_OPENING = int(datetime(2025, 11, 3, 4, tzinfo=ZoneInfo("America/New_York")).timestamp())


def minute_file(rows: int, seed: int = 7) -> bytes:
    """Text of a file with about `rows` rows: a few tickers trade in nearly every minute, most in some."""
    rng = np.random.default_rng(seed)
    tickers = max(2, rows // _ROWS_PER_TICKER)
    share = rng.pareto(0.6, tickers) + 0.2
    for _ in range(20):  # rows cut off from the most active tickers go to the others
        counts = np.clip(share, 1 / _ROWS_PER_TICKER, _MOST)
        share = share * rows / counts.sum()
    counts = np.clip(share, 1, _MOST).astype(np.int64)
    minutes = np.concatenate([np.sort(rng.choice(_MOST, count, replace=False)) for count in counts])
    frame = pl.DataFrame({"ticker": pl.Series(_names(tickers))[np.repeat(np.arange(tickers), counts)]})
    written = io.BytesIO()
    as_since_2026 = pl.col("volume").cast(pl.Decimal(38, 6)).cast(pl.String)
    frame.with_columns(**_bars(rng, counts, minutes)).with_columns(as_since_2026).write_csv(written)
    return written.getvalue()


def _names(count: int) -> list[str]:
    """`count` distinct tickers, sorted."""
    letters = [chr(ord("A") + number) for number in range(26)]
    names = letters
    while len(names) < count:
        names = [*names, *(name + letter for name in names for letter in letters)]
        names = list(dict.fromkeys(names))
    return sorted(names[:count])


def _bars(rng: np.random.Generator, counts: np.ndarray, minutes: np.ndarray) -> dict[str, pl.Series]:  # type: ignore[type-arg]
    size = len(minutes)
    price = np.repeat(np.exp(rng.normal(3, 1.2, len(counts))), counts) * np.exp(rng.normal(0, 0.004, size))
    opened, close = (np.round(price * (1 + rng.normal(0, 4e-4, size)), 2).clip(0.01) for _ in range(2))
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    volume = np.exp(rng.normal(6, 1.8, size)).astype(np.int64) + 1
    columns = {
        "volume": volume,
        "open": opened,
        "close": close,
        "high": np.round(high + rng.exponential(0.02, size), 2),
        "low": np.round(low - rng.exponential(0.02, size), 2).clip(0.01),
        "window_start": (_OPENING + minutes * 60) * 1_000_000_000,
        "transactions": (volume / rng.uniform(20, 120, size)).astype(np.int64) + 1,
    }
    return {name: pl.Series(name, values) for name, values in columns.items()}
