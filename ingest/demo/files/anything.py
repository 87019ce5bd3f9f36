"""Bars for a dataset without a maker of its own: its entry in the catalogue says what a file needs."""

from datetime import date

import numpy as np
import polars as pl

from ingest.demo.files.maker import Maker, Tape, candle, words
from ingest.demo.files.walk import Walks, dice
from ingest.market.datasets import Dataset

_KNOWN = {"ticker", "volume", "open", "close", "high", "low", "window_start", "transactions"}


class Anything(Maker):
    """`rows` made-up tickers with the dataset's prefix, one row a day each; the dataset's own columns are integers."""

    tape = Tape(busy=0.3)

    def __init__(self, dataset: Dataset, seed: int = 7, rows: int = 200) -> None:
        self.zone = dataset.zone
        self._seed, self._own = seed, sorted({*dataset.required, *dataset.optional} - _KNOWN)
        self._stamp = dataset.stamp
        rng = np.random.default_rng([seed, rows])
        names = words(rng, max(rows, 1), (3, 5), set(), "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        self._tickers = sorted(f"{dataset.sigil}{name}" for name in names)
        self._worth = np.exp(rng.normal(3, 1, len(names)))
        self._walks = Walks(seed, len(names))

    def bars(self, session: date) -> pl.DataFrame:
        """Every ticker."""
        rng = dice(self._seed, session, purpose=2)
        grid = np.full(len(self._tickers), 100.0)
        bar = candle(self._worth * np.exp(0.01 * self._walks.at(session)), rng, 0.01, grid)
        trades = np.ceil(rng.exponential(200, len(grid))).astype(np.int64)
        volume = trades * np.ceil(rng.exponential(50, len(grid)))
        return pl.DataFrame({"ticker": self._tickers, "volume": volume, "transactions": trades, "grid": grid, **bar})

    def always(self, last: date) -> tuple[str, ...]:
        """The first of them."""
        return tuple(self._tickers[:10])

    def dressed(self, rows: pl.DataFrame, session: date) -> pl.DataFrame:
        """Add the dataset's own columns; a column with a row's date gets that of the session."""
        dated = pl.lit(session.isoformat())
        own = (dated if name == self._stamp else pl.int_range(pl.len()) for name in self._own)
        return rows.with_columns(column.alias(name) for column, name in zip(own, self._own, strict=True))
