"""Made-up bars of the futures of a venue: outright contracts (`ESZ5`) and spreads between two (`ESZ5-ESH6`).

A session belongs to the date on which it ends but begins the evening before, so its timestamp has another date. A
spread's price is a difference: it may be negative, and so may its dollar volume.
"""

from datetime import date, time

import numpy as np
import polars as pl

from ingest.demo.files.maker import Hours, Maker, Tape, candle, nanoseconds
from ingest.demo.files.walk import Ints, Walks, dice

PRODUCTS = {
    "cme": {
        "ES": 6735.0,
        "NQ": 24900.0,
        "RTY": 2455.0,
        "MES": 6735.0,
        "MNQ": 24900.0,
        "6E": 1.18,
        "6J": 0.0068,
        "LE": 236.0,
    },
    "cbot": {"ZC": 416.0, "ZS": 1003.0, "ZW": 508.0, "ZM": 274.0, "ZL": 49.5, "ZN": 112.5, "ZB": 116.6, "YM": 46700.0},
    "comex": {"GC": 3890.0, "SI": 47.2, "HG": 4.86, "MGC": 3890.0, "SIL": 47.2, "ALI": 2690.0},
    "nymex": {"CL": 62.4, "NG": 3.33, "RB": 1.9, "HO": 2.3, "MCL": 62.4, "PL": 1575.0, "PA": 1265.0},
}
"""Products of the venues, and their approximate prices in autumn 2025."""

SESSION_COLUMNS = (
    "ticker", "session_end_date", "window_start", "open", "high", "low", "close", "volume", "dollar_volume",
    "transactions", "settlement_price",
)  # fmt: skip
MINUTE_COLUMNS = (
    "ticker", "exchange", "session_end_date", "window_start", "open", "high", "low", "close", "volume", "dollar_volume",
    "transactions",
)  # fmt: skip

_MONTHS = "FGHJKMNQUVXZ"
_EXCHANGES = {"cme": 4, "cbot": 2, "comex": 3, "nymex": 1}
_MONTHS_AHEAD = 30  # contracts are listed so far ahead that today's nearest one existed two years ago


class Futures(Maker):
    """A venue's contracts: about `rows` of them, over as many products as that takes."""

    zone = "America/Chicago"
    tape = Tape(busy=0.05)

    def __init__(self, venue: str, seed: int = 7, rows: int = 480) -> None:
        self._seed, self._exchange = seed, _EXCHANGES[venue]
        self._products = dict(list(PRODUCTS[venue].items())[: max(2, rows // (2 * _MONTHS_AHEAD))])
        self._walks = Walks(seed, len(self._products))

    def bars(self, session: date) -> pl.DataFrame:
        """The contracts of the next months, and the spreads between neighbours."""
        rng = dice(self._seed, session, purpose=2)
        spot = np.array([*self._products.values()]) * np.exp(0.01 * self._walks.at(session))
        product, month = (
            axis.ravel() for axis in np.meshgrid(np.arange(len(spot)), np.arange(_MONTHS_AHEAD), indexing="ij")
        )
        close = spot[product] * (1 + 0.003 * month)
        grid = 10.0 ** np.clip(4 - np.floor(np.log10(close)), 2, 6)
        trades = np.ceil(rng.exponential(20_000 / (1 + month) ** 2)).astype(np.int64)
        names = np.array([*self._products])[product]
        tickers = np.char.add(names, [_code(session, int(ahead)) for ahead in month])
        bars = {"ticker": tickers, "transactions": trades, **candle(close, rng, 0.008, grid), "grid": grid}
        outright = pl.DataFrame(bars).with_columns(volume=trades * np.ceil(rng.exponential(3, len(trades))))
        return pl.concat([outright, _spreads(outright, product, rng)]).sort("ticker")

    def always(self, last: date) -> tuple[str, ...]:
        """Each product's contracts that expire next after `last`."""
        return tuple(f"{name}{_code(last, ahead)}" for name in self._products for ahead in (1, 2, 3))

    def stamp(self, session: date) -> int:
        """The opening, the evening before."""
        return nanoseconds(self.hours(session).opens)

    def hours(self, session: date) -> Hours:
        """From 17:00 of the day before to 16:00."""
        return Hours.between(self.at(session, time(17), days=-1), self.at(session, time(16)))

    def dressed(self, rows: pl.DataFrame, session: date) -> pl.DataFrame:
        """Add the date of the session's end, the dollar volume, the settlement price and the exchange."""
        dollars = (pl.col("close") * pl.col("volume")).round(4)
        return rows.with_columns(
            pl.lit(session.isoformat()).alias("session_end_date"),
            pl.lit(self._exchange).alias("exchange"),
            dollar_volume=dollars,
            settlement_price=pl.col("close"),
        )


def _code(session: date, ahead: int) -> str:
    """Month code and last digit of the year of the contract `ahead` months later."""
    year, month = divmod(session.year * 12 + session.month - 1 + ahead, 12)
    return f"{_MONTHS[month]}{year % 10}"


def _spreads(outright: pl.DataFrame, product: Ints, rng: np.random.Generator) -> pl.DataFrame:
    """The spread of each contract to the next of its product: near minus far, so mostly below zero."""
    near = np.flatnonzero(product[:-1] == product[1:])
    first, second = outright[near], outright[near + 1]
    close = (first["close"] - second["close"]).to_numpy()
    grid = first["grid"].to_numpy()
    steps = np.abs(rng.integers(0, 4, (3, len(near)))) / grid
    opened = close + steps[0]
    bar = {"open": opened, "close": close, "high": opened + steps[1], "low": close - steps[2]}
    rounded = {name: np.round(values * grid) / grid for name, values in bar.items()}
    return first.with_columns(
        ticker=first["ticker"] + "-" + second["ticker"],
        transactions=(pl.col("transactions") // 50) + 1,
        volume=(pl.col("volume") // 50) + 1,
        **{name: pl.Series(values) for name, values in rounded.items()},
    )
