"""Minute bars that add up to a day's bars: first open, highest high, lowest low, last close, volume and trades."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from ingest.demo.files.maker import Hours, Tape, nanoseconds
from ingest.demo.files.walk import Floats, Ints

_CHUNK = 4096
"""Tickers whose minutes are drawn at once, at a byte and two floats per minute."""

_FINE = 0.3
"""Share of the rows with two more decimals in their prices: trades between the steps, at the midpoint of a quote."""

_MINUTE_NS = 60 * 10**9

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Ticks:
    """The minutes with a trade, sorted by ticker and minute: one row each.

    `starts` has each ticker's first row and `counts` its number of rows; each ticker has a row in regular hours.
    """

    ticker: Ints
    minute: Ints
    regular: Mask
    starts: Ints
    counts: Ints

    def __len__(self) -> int:
        return len(self.ticker)

    def each(self, values: Floats) -> Floats:
        """Repeat each ticker's value on all of its rows."""
        return np.repeat(values, self.counts)

    def running(self, values: Floats) -> Floats:
        """Cumulative sums within each ticker, inclusive."""
        total = np.cumsum(values)
        return total - self.each(total[self.starts] - values[self.starts])


def minute_bars(day: pl.DataFrame, hours: Hours, tape: Tape, rng: np.random.Generator) -> pl.DataFrame:
    """Minute bars of a day's bars, sorted by ticker and time, with `window_start`.

    `day` has one row per ticker, with `grid`, its price steps per unit. Only regular minutes make up the day's prices;
    whole volumes are divided into whole parts. A ticker without trades has one row.
    """
    ticks = _ticks(day["transactions"].to_numpy(), hours, tape, rng)
    weights = rng.exponential(size=len(ticks))
    volume, trades = day["volume"].to_numpy(), day["transactions"].to_numpy().astype(np.float64)
    grain = np.where(volume == np.floor(volume), 1.0, tape.grain)
    return pl.DataFrame(
        {
            "ticker": day["ticker"].gather(ticks.ticker),
            "window_start": nanoseconds(hours.opens) + ticks.minute * _MINUTE_NS,
            "volume": _parts(volume, grain, weights, ticks),
            "transactions": _parts(trades, np.ones(len(trades)), weights, ticks).astype(np.int64),
            **_prices(day, ticks, rng),
        }
    )


def _ticks(trades: Ints, hours: Hours, tape: Tape, rng: np.random.Generator) -> _Ticks:
    """Draw the minutes with a trade: no more than there were trades, but at least one."""
    shares = _shares(hours, tape) * tape.busy
    begin, end = hours.regular
    sure = rng.integers(begin, end, len(trades))
    drawn = [_draw(trades[i : i + _CHUNK], shares, sure[i : i + _CHUNK], rng) for i in range(0, len(trades), _CHUNK)]
    ticker = np.concatenate([found + i * _CHUNK for i, (found, _) in enumerate(drawn)])
    minute = np.concatenate([found for _, found in drawn])
    counts = np.bincount(ticker, minlength=len(trades))
    return _Ticks(ticker, minute, (begin <= minute) & (minute < end), np.cumsum(counts) - counts, counts)


def _draw(trades: Ints, shares: Floats, sure: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Ticker and minute of each minute with a trade; `sure` has one minute for each ticker."""
    few = np.float32(1) - np.exp(-np.outer(trades, shares).astype(np.float32))
    mask = rng.random(few.shape, dtype=np.float32) < few
    rows = np.arange(len(trades))
    mask[rows, sure] = False
    mask &= np.cumsum(mask, axis=1, dtype=np.int32) < trades[:, None]
    mask[rows, sure] = True
    ticker, minute = np.nonzero(mask)
    return ticker.astype(np.int64), minute.astype(np.int64)


def _shares(hours: Hours, tape: Tape) -> Floats:
    """Each minute's share of the trades: most at both ends of the regular session."""
    begin, end = hours.regular
    shares = np.zeros(hours.minutes)
    middle = np.linspace(-1, 1, end - begin)
    shares[begin:end] = (1 - tape.outside) * (0.5 + 1.5 * middle**2)
    shares[begin:end] /= (0.5 + 1.5 * middle**2).sum()
    outside = hours.minutes - (end - begin)
    if outside:
        shares[:begin] = shares[end:] = tape.outside / outside
    return shares


def _parts(total: Floats, grain: Floats, weights: Floats, ticks: _Ticks) -> Floats:
    """Divide each ticker's total into multiples of its grain, none of them 0 if there is enough."""
    least = np.where(total >= ticks.counts * grain, grain, 0)
    rest = ticks.each((total - ticks.counts * least) / np.add.reduceat(weights, ticks.starts))
    unit = ticks.each(grain)
    parts = ticks.each(least) + np.floor(rest * weights / unit) * unit
    ends = ticks.starts + ticks.counts - 1
    parts[ends] += total - np.add.reduceat(parts, ticks.starts)
    decimals = int(np.ceil(-np.log10(grain.min(initial=1))))
    rounded: Floats = np.maximum(np.round(parts, decimals), 0)
    return rounded


@dataclass(frozen=True, slots=True)
class _Day:
    """The day's bar, repeated on each row."""

    open: Floats
    close: Floats
    high: Floats
    low: Floats
    grid: Floats

    @property
    def least(self) -> Floats:
        """Lower bound of the prices: those of a positive bar stay positive, only spreads may go below zero."""
        least: Floats = np.where(self.low > 0, np.maximum(self.low / 2, 1 / self.grid), -np.inf)
        return least


def _prices(day: pl.DataFrame, ticks: _Ticks, rng: np.random.Generator) -> dict[str, Floats]:
    """Open, close, high and low of each row: a path from the day's open to its close within its high and low."""
    whole = _Day(*(ticks.each(day[name].to_numpy()) for name in _Day.__slots__))
    opened, close = _paths(whole, ticks, rng)
    above, below = np.abs(rng.standard_normal((2, len(ticks)))) * (whole.high - whole.low) * 0.04
    bars = {
        "open": opened,
        "close": close,
        "high": np.maximum(opened, close) + above,
        "low": np.maximum(np.minimum(opened, close) - below, whole.least),
    }
    fine = whole.grid * np.where(rng.random(len(ticks)) < _FINE, 100, 1)
    return {name: np.round(values * fine) / fine for name, values in _within(bars, whole, ticks).items()}


def _paths(whole: _Day, ticks: _Ticks, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Open and close of each row: a row opens near the close of the row before."""
    jump = rng.standard_normal(len(ticks)) * (whole.high - whole.low) * 0.04
    inside = np.clip(_bridge(whole, ticks, rng), whole.low, whole.high)
    close = np.maximum(np.where(ticks.regular, inside, whole.close + 5 * jump), whole.least)
    begun = np.clip(np.concatenate((close[:1], close[:-1])) + jump, whole.low, whole.high)
    regular = np.where(_is_first(ticks), whole.open, begun)
    return np.maximum(np.where(ticks.regular, regular, close + jump / 2), whole.least), close


def _within(bars: dict[str, Floats], whole: _Day, ticks: _Ticks) -> dict[str, Floats]:
    """Keep regular rows within the day's extremes, with at least one row at each of them."""
    high = np.where(ticks.regular, np.minimum(bars["high"], whole.high), bars["high"])
    low = np.where(ticks.regular, np.maximum(bars["low"], whole.low), bars["low"])
    high = np.where(_is_most(high, ticks), whole.high, high)
    return {**bars, "high": high, "low": np.where(_is_most(-low, ticks), whole.low, low)}


def _bridge(whole: _Day, ticks: _Ticks, rng: np.random.Generator) -> Floats:
    """A random path from the open to the close, which it reaches in the last regular row."""
    steps = ticks.running(ticks.regular.astype(np.float64))
    count = ticks.each(np.add.reduceat(ticks.regular.astype(np.float64), ticks.starts))
    walked = ticks.running(np.where(ticks.regular, rng.standard_normal(len(ticks)), 0.0))
    ends = ticks.starts + ticks.counts - 1
    done = steps / count
    noise = (walked - ticks.each(walked[ends]) * done) / np.sqrt(count) * (whole.high - whole.low) * 0.4
    path: Floats = np.where(done == 1, whole.close, whole.open + (whole.close - whole.open) * done + noise)
    return path


def _is_first(ticks: _Ticks) -> Mask:
    """The first regular row of each ticker."""
    first: Mask = ticks.regular & (ticks.running(ticks.regular.astype(np.float64)) == 1)
    return first


def _is_most(values: Floats, ticks: _Ticks) -> Mask:
    """The regular rows with the largest value of their ticker."""
    counted = np.where(ticks.regular, values, -np.inf)
    most: Mask = counted == ticks.each(np.maximum.reduceat(counted, ticks.starts))
    return most
