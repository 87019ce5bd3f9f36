"""Measures of volume and volatility for analysis at the end of the day. Pure.

Prices are floats in dollars, volumes in shares, changes and volatilities fractions (0.25 is 25 %). A measure is None
if there are too few rows for it.

Volatilities are those of log prices, annualised for 252 sessions: that of one session × √252.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from ingest.market.adjust import Floats

SESSIONS_A_YEAR = 252
USUAL = 20
"""Sessions whose mean volume is the usual one."""

_MOVES = 3
_PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True, slots=True)
class Move:
    """The change of a close, as a fraction of the close before; `date` is a datetime for intraday bars."""

    date: date
    change: float


@dataclass(frozen=True, slots=True)
class Measures:
    """Measures of the rows from `first` to `last`; for intraday bars these are times, and volatilities are None.

    `total_return` is from the first close to the last one. `on_balance_volume` counts from the first row, where it is
    0. `volume_ratio` is the last volume ÷ the mean of the 20 before it. Moves are the largest first, at most three each
    way.
    """

    first: date
    last: date
    sessions: int
    total_return: float | None
    volatility_close: float | None
    volatility_parkinson: float | None
    volatility_garman_klass: float | None
    average_volume: float
    average_dollar_volume: float
    last_volume: float
    volume_ratio: float | None
    on_balance_volume: float
    largest_up: tuple[Move, ...]
    largest_down: tuple[Move, ...]


def measures_of(rows: pl.DataFrame) -> Measures | None:
    """Measure rows with the columns date, open, high, low, close, volume and dollars (traded), ascending.

    With a column time they are intraday bars: these get no volatilities, since no bar shows what happens overnight, and
    a bar of 09:30 is not comparable with one of noon. Rows without four prices above 0 are left out; None if no row is
    left.
    """
    sound = pl.all_horizontal((pl.col(name).is_finite() & (pl.col(name) > 0)) for name in _PRICES)
    rows = rows.filter(sound)
    if rows.is_empty():
        return None
    opens, highs, lows, closes, volumes, dollars = (_floats(rows, name) for name in (*_PRICES, "volume", "dollars"))
    within_days = "time" in rows.columns
    days = rows["time" if within_days else "date"].to_list()
    up, down = largest_moves(days, closes)
    return Measures(
        first=days[0],
        last=days[-1],
        sessions=rows["date"].n_unique(),
        total_return=float(closes[-1] / closes[0] - 1) if rows.height > 1 else None,
        volatility_close=None if within_days else close_to_close(closes),
        volatility_parkinson=None if within_days else parkinson(highs, lows),
        volatility_garman_klass=None if within_days else garman_klass(opens, highs, lows, closes),
        average_volume=float(volumes.mean()),
        average_dollar_volume=float(dollars.mean()),
        last_volume=float(volumes[-1]),
        volume_ratio=against_usual(volumes),
        on_balance_volume=float(on_balance_volume(closes, volumes)[-1]),
        largest_up=up,
        largest_down=down,
    )


def _floats(rows: pl.DataFrame, name: str) -> Floats:
    """A column, with 0 where it has no number: nothing was traded."""
    values: Floats = np.nan_to_num(rows[name].cast(pl.Float64).to_numpy())
    return values


def close_to_close(closes: Floats) -> float | None:
    """Sample standard deviation of the log returns, annualised; None for fewer than three closes.

    √(252 ÷ (n − 1) × Σ (r − mean r)²), r = ln(close ÷ close before), n returns: the textbook's historical volatility
    (J. Hull, Options, Futures, and Other Derivatives). The only one here that includes overnight moves.
    """
    if len(closes) < 3:
        return None
    return float(np.diff(np.log(closes)).std(ddof=1) * np.sqrt(SESSIONS_A_YEAR))


def parkinson(highs: Floats, lows: Floats) -> float | None:
    """Volatility from the range of each session, annualised.

    √(252 × mean(ln(high ÷ low)²) ÷ (4 ln 2)): M. Parkinson, The Extreme Value Method for Estimating the Variance of the
    Rate of Return, Journal of Business 53 (1980), 61-65. Assumes no drift; leaves out overnight moves.
    """
    return _annual(np.log(highs / lows) ** 2 / (4 * np.log(2)))


def garman_klass(opens: Floats, highs: Floats, lows: Floats, closes: Floats) -> float | None:
    """Volatility from the four prices of each session, annualised; None also if they contradict each other.

    √(252 × mean(½ ln(high ÷ low)² − (2 ln 2 − 1) ln(close ÷ open)²)): the practical estimator of M. Garman and
    M. Klass, On the Estimation of Security Price Volatilities from Historical Data, Journal of Business 53 (1980),
    67-78. Assumes no drift; leaves out overnight moves.
    """
    return _annual(np.log(highs / lows) ** 2 / 2 - (2 * np.log(2) - 1) * np.log(closes / opens) ** 2)


def _annual(variances: Floats) -> float | None:
    """The annual volatility, from the variances of sessions. Closes outside their day's range make a mean below 0."""
    if not len(variances) or (mean := float(variances.mean())) < 0:
        return None
    return float(np.sqrt(mean * SESSIONS_A_YEAR))


def against_usual(volumes: Floats) -> float | None:
    """The last volume ÷ the mean of the 20 before it; None if there are fewer, or their mean is 0."""
    before = volumes[-USUAL - 1 : -1]
    if len(before) < USUAL or not before.any():
        return None
    return float(volumes[-1] / before.mean())


def on_balance_volume(closes: Floats, volumes: Floats) -> Floats:
    """Running sum, from 0, of the volumes of sessions that closed higher, minus those that closed lower.

    J. Granville, New Key to Stock Market Profits (1963).
    """
    signs = np.sign(np.diff(closes, prepend=closes[:1]))
    return np.cumsum(signs * volumes)


def largest_moves(days: list[date], closes: Floats, count: int = _MOVES) -> tuple[tuple[Move, ...], tuple[Move, ...]]:
    """The largest changes of the close, up and down, the largest first; of equal ones the earlier first."""
    moves = [Move(day, float(change)) for day, change in zip(days[1:], closes[1:] / closes[:-1] - 1, strict=True)]
    up = sorted((move for move in moves if move.change > 0), key=lambda move: -move.change)
    down = sorted((move for move in moves if move.change < 0), key=lambda move: move.change)
    return tuple(up[:count]), tuple(down[:count])
