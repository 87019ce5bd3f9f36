"""What a market must provide for its files to be generated: the bars of a day, and its trading hours."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from ingest.demo.files.walk import Floats


@dataclass(frozen=True, slots=True)
class Hours:
    """When a market trades within a session.

    `opens` and `closes` bound it; `regular` is the part that makes a day bar's prices, in minutes since the opening.
    """

    opens: datetime
    closes: datetime
    regular: tuple[int, int]

    @classmethod
    def between(cls, opens: datetime, closes: datetime) -> "Hours":
        """Hours that are all regular."""
        return cls(opens, closes, (0, _minutes(opens, closes)))

    @property
    def minutes(self) -> int:
        """Length in elapsed time: some days have 23 hours."""
        return _minutes(self.opens, self.closes)


def _minutes(opens: datetime, closes: datetime) -> int:
    return round((closes.timestamp() - opens.timestamp()) / 60)


@dataclass(frozen=True, slots=True)
class Tape:
    """How a day's trading spreads over its minutes.

    `busy` is the number of minutes with a trade per trade, while trades are few (they come in bursts); `outside` is the
    share of trades outside regular hours; `grain` is the smallest unit of a fractional volume.
    """

    busy: float
    outside: float = 0.0
    grain: float = 1.0


class Maker(ABC):
    """A market: generates a day's bars; `zone` is its time zone."""

    zone: str
    tape: Tape

    @abstractmethod
    def bars(self, session: date) -> pl.DataFrame:
        """The bars of a session (a date from 2000 to 2044), one row per ticker, sorted by ticker as bytes.

        The frame has ticker, volume, open, close, high, low, transactions, and `grid`: price steps per unit.
        """

    @abstractmethod
    def always(self, last: date) -> tuple[str, ...]:
        """Some tickers that have a row in each file of the two years up to `last`."""

    def hours(self, session: date) -> Hours:
        """When it trades in a session: all day by default."""
        return Hours.between(self.at(session, time()), self.at(session, time(), days=1))

    def stamp(self, session: date) -> int:
        """The timestamp of a day's bars, in nanoseconds since the epoch: midnight by default."""
        return nanoseconds(self.at(session, time()))

    def dressed(self, rows: pl.DataFrame, session: date) -> pl.DataFrame:
        """Add any further columns to the rows of a file, day or minute: none by default."""
        return rows

    def at(self, session: date, clock: time, days: int = 0) -> datetime:
        """A time of day on a session's date, or `days` days after it."""
        return datetime.combine(session + timedelta(days=days), clock, ZoneInfo(self.zone))


def nanoseconds(moment: datetime) -> int:
    """Nanoseconds since the epoch of an aware datetime."""
    return int(moment.timestamp()) * 10**9


def candle(
    close: Floats, rng: np.random.Generator, volatility: float | Floats, grid: Floats | float, least: int = 1
) -> dict[str, Floats]:
    """Open, close, high and low around a close; `grid` is the number of price steps per unit.

    All four are rounded to the same grid, which keeps their order; none falls below `least` steps.
    """
    gap, above, below = rng.standard_normal((3, len(close))) * volatility * 0.8
    opened = close * np.exp(gap)
    high = np.maximum(opened, close) * np.exp(np.abs(above))
    low = np.minimum(opened, close) * np.exp(-np.abs(below))
    bar = {"open": opened, "close": close, "high": high, "low": low}
    return {name: np.maximum(np.round(values * grid), least) / grid for name, values in bar.items()}


def words(rng: np.random.Generator, count: int, lengths: tuple[int, int], used: set[str], alphabet: str) -> list[str]:
    """`count` distinct made-up words of these lengths (fewest and most letters), none of them in `used`, unordered."""
    made = set[str]()
    letters = np.frombuffer(alphabet.encode(), np.uint8)
    shortest, longest = lengths
    while len(made) < count:
        drawn = letters[rng.integers(0, len(letters), (2 * count, longest))]
        drawn[np.arange(longest) >= rng.integers(shortest, longest + 1, (2 * count, 1))] = 0  # numpy's bytes end there
        made |= {word.decode() for word in drawn.view(f"S{longest}").ravel().tolist()} - used
    return [str(word) for word in rng.permutation(sorted(made))[:count]]
