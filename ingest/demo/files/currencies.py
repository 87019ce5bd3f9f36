"""Made-up bars of pairs: currencies (`C:EUR-USD`) and coins (`X:BTC-USD`).

The price of a pair is the worth of its first half in units of the second, so all pairs are consistent.
"""

from collections.abc import Mapping, Sequence
from datetime import date, time

import numpy as np
import polars as pl

from ingest.demo.files.maker import Hours, Maker, Tape, candle, words
from ingest.demo.files.walk import Floats, Walks, dice

DOLLARS = {
    "USD": 1.0, "EUR": 1.17, "GBP": 1.35, "JPY": 0.0067, "CHF": 1.26, "AUD": 0.66, "CAD": 0.72, "NZD": 0.58,
    "CNH": 0.14, "HKD": 0.128, "SGD": 0.776, "SEK": 0.106, "NOK": 0.1, "DKK": 0.157, "PLN": 0.275, "CZK": 0.048,
    "HUF": 0.003, "TRY": 0.024, "ZAR": 0.058, "MXN": 0.054, "BRL": 0.187, "INR": 0.0113, "KRW": 0.00071, "THB": 0.031,
    "IDR": 0.00006, "MYR": 0.237, "PHP": 0.0172, "TWD": 0.0328, "ILS": 0.302, "SAR": 0.267, "AED": 0.272, "KWD": 3.27,
    "CLP": 0.00104, "COP": 0.000255, "PEN": 0.288, "RON": 0.231, "BGN": 0.6, "ISK": 0.0082, "EGP": 0.0208,
    "NGN": 0.00068, "KES": 0.0077, "PKR": 0.00355, "VND": 0.000038, "XAU": 3860.0, "XAG": 46.6,
}  # fmt: skip
"""Approximate worth of currencies in autumn 2025."""

MAJORS = tuple(
    (pair[:3], pair[4:])
    for pair in """
    EUR-USD GBP-USD USD-JPY USD-CHF AUD-USD USD-CAD NZD-USD EUR-GBP EUR-JPY USD-CNH
    """.split()  # noqa: SIM905 - as in the market's lists
)
"""The most traded pairs."""

COINS = {
    "BTC": 114_000.0, "ETH": 4150.0, "SOL": 208.0, "XRP": 2.85, "DOGE": 0.232, "ADA": 0.8, "LTC": 107.0, "LINK": 21.3,
    "AVAX": 29.6, "SHIB": 0.0000118, "PEPE": 0.0000093, "1INCH": 0.26, "USDT": 1.0, "USDC": 1.0,
}  # fmt: skip
"""The same for coins; some names begin with a digit, some prices with zeros."""


class _Pairs(Maker):
    """Pairs of things with a worth in dollars."""

    zone = "UTC"

    def __init__(self, seed: int, pairs: Sequence[tuple[str, str]], worth: Mapping[str, float], sigil: str) -> None:
        self._seed = seed
        names = sorted(worth)
        number = {name: place for place, name in enumerate(names)}
        tickers = [f"{sigil}{base}-{quote}" for base, quote in pairs]
        columns = {
            "ticker": tickers,
            "base": [number[base] for base, _ in pairs],
            "quote": [number[of] for _, of in pairs],
        }
        self._pairs = pl.DataFrame(columns).with_columns(first=pl.int_range(pl.len())).sort("ticker")
        self._worth = np.array([worth[name] for name in names])
        self._walks = Walks(seed, len(names))

    def _close(self, session: date, spread: float) -> Floats:
        worth = self._worth * np.exp(spread * self._walks.at(session) * (self._worth != 1.0))
        close: Floats = worth[self._pairs["base"].to_numpy()] / worth[self._pairs["quote"].to_numpy()]
        return close

    def _popular(self) -> Floats:
        """How much each pair is traded, relative to the first."""
        popular: Floats = 1 / (1 + self._pairs["first"].to_numpy()) ** 0.6
        return popular


class Forex(_Pairs):
    """About `rows` currency pairs. Their volume is the number of quotes."""

    tape = Tape(busy=0.02)

    def __init__(self, seed: int = 7, rows: int = 1_350) -> None:
        pairs = [(base, quote) for base in DOLLARS for quote in DOLLARS if base != quote]
        first = sorted(pairs, key=lambda pair: (pair not in MAJORS, "USD" not in pair))
        super().__init__(seed, first[: max(rows, len(MAJORS))], DOLLARS, "C:")

    def bars(self, session: date) -> pl.DataFrame:
        """All pairs; on a Sunday evening three in four."""
        rng = dice(self._seed, session, purpose=2)
        close = self._close(session, 0.005)
        grid = 10.0 ** np.clip(5 - np.floor(np.log10(close)), 2, 9)
        quotes = np.ceil(60_000 * self._popular() * rng.lognormal(0, 0.3, len(close)) * _open_for(session))
        bars = pl.DataFrame(
            {
                "ticker": self._pairs["ticker"],
                "volume": quotes,
                "transactions": quotes.astype(np.int64),
                **candle(close, rng, 0.004, grid),
                "grid": grid,
            }
        )
        quiet = pl.Series(rng.random(len(bars)) > 0.75) & (self._pairs["first"] >= len(MAJORS))
        return bars.filter(~quiet) if session.weekday() == 6 else bars

    def always(self, last: date) -> tuple[str, ...]:
        """The majors."""
        return tuple(f"C:{base}-{quote}" for base, quote in MAJORS)

    def hours(self, session: date) -> Hours:
        """All day in UTC; on a Sunday from the evening, on a Friday until the evening."""
        evening = self.at(session, time(22))
        opens = evening if session.weekday() == 6 else self.at(session, time())
        return Hours.between(opens, evening if session.weekday() == 4 else self.at(session, time(), days=1))


def _open_for(session: date) -> float:
    """Share of the day in which currencies trade."""
    return {6: 2 / 24, 4: 22 / 24}.get(session.weekday(), 1.0)


class Crypto(_Pairs):
    """About `rows` pairs of coins. Volumes have up to eight decimals."""

    tape = Tape(busy=0.05, grain=1e-8)

    def __init__(self, seed: int = 7, rows: int = 340) -> None:
        rng = np.random.default_rng([seed, rows])
        names = words(rng, rows, (3, 5), {*COINS, *DOLLARS}, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        worth = {**COINS, **dict(zip(names, np.exp(rng.normal(-1, 2.5, len(names))), strict=True))}
        quotes = {"USD": 1.0, "EUR": 1.17, "GBP": 1.35, "JPY": 0.0067}
        dollars = [(coin, "USD") for coin in worth]
        others = [(coin, quote) for coin in list(worth)[: rows // 6] for quote in ("EUR", "GBP", "JPY")]
        known = len(COINS)
        pairs = [*dollars[:known], *others[: rows // 4], *dollars[known:]]
        super().__init__(seed, pairs[: max(rows, known)], {**worth, **quotes}, "X:")

    def bars(self, session: date) -> pl.DataFrame:
        """All pairs."""
        rng = dice(self._seed, session, purpose=2)
        close = self._close(session, 0.03)
        grid = 10.0 ** np.clip(4 - np.floor(np.log10(close)), 2, 10)
        trades = np.ceil(300_000 * self._popular() * rng.lognormal(0, 0.4, len(close))).astype(np.int64)
        volume = trades * rng.lognormal(4.5, 0.5, len(close)) / close
        decimals = 10.0 ** np.clip(14 - np.floor(np.log10(volume)), 0, 8)  # as many digits as a float keeps
        columns = {"volume": np.round(volume * decimals) / decimals, "transactions": trades, "grid": grid}
        return pl.DataFrame({"ticker": self._pairs["ticker"], **columns, **candle(close, rng, 0.025, grid)})

    def always(self, last: date) -> tuple[str, ...]:
        """The large ones in dollars."""
        return tuple(f"X:{coin}-USD" for coin in list(COINS)[:10])
