"""Made-up values of indices: no volume, no trades, and like the vendor's, some numbers that end in many zeros."""

from datetime import date, time

import numpy as np
import polars as pl

from ingest.demo.files.maker import Hours, Maker, Tape, candle, words
from ingest.demo.files.walk import Walks, dice

KNOWN_VALUES = {
    "I:COMP": 22780.0, "I:DJI": 46400.0, "I:NDX": 24680.0, "I:OEX": 3340.0, "I:RUT": 2436.0, "I:SPX": 6688.0,
    "I:SPXW.TR": 14800.0, "I:VIX": 16.3, "I:VIX3M": 19.4, "I:XAU": 310.0,
}  # fmt: skip
"""Well-known indices, one with an odd name among them, and their approximate values in autumn 2025."""

_ROWS = 15_000
_PADDED = 0.3  # share of the numbers that are padded with zeros
_DECIMALS = 14


class Indices(Maker):
    """About `rows` indices, each with one row a day."""

    zone = "America/Chicago"  # the vendor's rows are stamped with midnight there
    tape = Tape(busy=1.0)

    def __init__(self, seed: int = 7, rows: int = _ROWS) -> None:
        self._seed = seed
        rng = np.random.default_rng([seed, rows])
        made_up = words(rng, max(0, rows - len(KNOWN_VALUES)), (3, 9), set(), "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
        names = [*KNOWN_VALUES, *(f"I:{word}" for word in made_up)]
        values = [*KNOWN_VALUES.values(), *np.exp(rng.normal(6.0, 1.6, len(made_up)))]
        often = np.where(np.arange(len(names)) < len(KNOWN_VALUES), 4000, np.ceil(rng.exponential(90, len(names))))
        columns = {"ticker": names, "value": values, "often": often.astype(np.int64)}
        self._indices = pl.DataFrame(columns).unique("ticker", keep="first").sort("ticker")
        self._walks = Walks(seed, len(self._indices))

    def bars(self, session: date) -> pl.DataFrame:
        """Every index; `transactions` is how often its value changed, which is not written to the file."""
        rng = dice(self._seed, session, purpose=2)
        value = self._indices["value"].to_numpy() * np.exp(0.008 * self._walks.at(session))
        grid = np.full(len(value), 1e4)
        bar = candle(value, rng, 0.006, grid)
        often = self._indices["often"]
        columns = {"ticker": self._indices["ticker"], "volume": often * 1.0, "transactions": often, "grid": grid}
        return pl.DataFrame({**columns, **bar})

    def always(self, last: date) -> tuple[str, ...]:
        """The well-known ones."""
        return tuple(KNOWN_VALUES)

    def hours(self, session: date) -> Hours:
        """Those of stocks: 08:30 to 15:00 in Chicago."""
        return Hours.between(self.at(session, time(8, 30)), self.at(session, time(15)))

    def dressed(self, rows: pl.DataFrame, session: date) -> pl.DataFrame:
        """Pad some numbers with zeros, to fourteen decimals."""
        rng = dice(self._seed, session, purpose=3)
        padded = [_padded(rows[name], rng) for name in ("open", "close", "high", "low")]
        return rows.with_columns(padded)


def _padded(numbers: pl.Series, rng: np.random.Generator) -> pl.Expr:
    text = numbers.cast(pl.String).str.strip_suffix(".0")
    some = pl.Series(rng.random(len(numbers)) < _PADDED) & text.str.contains(".", literal=True)
    whole = text.str.split(".").list.first().str.len_chars()
    padded = text.str.pad_end(whole + 1 + _DECIMALS, "0")
    return pl.when(some).then(padded).otherwise(text).alias(numbers.name)
