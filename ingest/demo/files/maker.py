"""What a market must be able to make for its files to be made: the bars of a day, and the hours of its trading."""

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
        """Hours that are regular throughout."""
        return cls(opens, closes, (0, _minutes(opens, closes)))

    @property
    def minutes(self) -> int:
        """How long it is, as time passes: some days have 23 hours."""
        return _minutes(self.opens, self.closes)


def _minutes(opens: datetime, closes: datetime) -> int:
    return round((closes.timestamp() - opens.timestamp()) / 60)


@dataclass(frozen=True, slots=True)
class Tape:
    """How a day's trading spreads over its minutes.

    `busy` is how many minutes with a trade there are for each trade, as long as they are few (trades come in bursts);
    `outside` the share of the trades that fall outside regular hours; `grain` the smallest unit of a broken volume.
    """

    busy: float
    outside: float = 0.0
    grain: float = 1.0


class Maker(ABC):
    """A market: it makes a day's bars; `zone` is where its clock stands."""

    zone: str
    tape: Tape

    @abstractmethod
    def bars(self, session: date) -> pl.DataFrame:
        """The bars of a session (a date between 2000 and 2044), one row a ticker, sorted by ticker as bytes.

        The frame has ticker, volume, open, close, high, low, transactions, and `grid`: the steps of a price in a unit.
        """

    @abstractmethod
    def always(self, last: date) -> tuple[str, ...]:
        """Some tickers that have a row in each file up to that session, as far as two years back."""

    def hours(self, session: date) -> Hours:
        """When it trades in a session: all day."""
        return Hours.between(self.at(session, time()), self.at(session, time(), days=1))

    def stamp(self, session: date) -> int:
        """What a day's bars carry, in nanoseconds since the epoch: midnight."""
        return nanoseconds(self.at(session, time()))

    def dressed(self, rows: pl.DataFrame, session: date) -> pl.DataFrame:
        """Rows of a file, day or minute, with the further columns that it has: here, none."""
        return rows

    def at(self, session: date, clock: time, days: int = 0) -> datetime:
        """A time of day, on a session's date or so many days after it."""
        return datetime.combine(session + timedelta(days=days), clock, ZoneInfo(self.zone))


def nanoseconds(moment: datetime) -> int:
    """Since the epoch, of a moment that knows its time zone."""
    return int(moment.timestamp()) * 10**9


def candle(
    close: Floats, rng: np.random.Generator, volatility: float | Floats, grid: Floats | float, least: int = 1
) -> dict[str, Floats]:
    """Open, close, high and low around a close; `grid` says how many steps of the price make a unit.

    All four are rounded to one grid, and rounding keeps their order; none falls below `least` steps.
    """
    gap, above, below = rng.standard_normal((3, len(close))) * volatility * 0.8
    opened = close * np.exp(gap)
    high = np.maximum(opened, close) * np.exp(np.abs(above))
    low = np.minimum(opened, close) * np.exp(-np.abs(below))
    bar = {"open": opened, "close": close, "high": high, "low": low}
    return {name: np.maximum(np.round(values * grid), least) / grid for name, values in bar.items()}


def words(rng: np.random.Generator, count: int, lengths: tuple[int, int], used: set[str], alphabet: str) -> list[str]:
    """So many distinct made-up words of these lengths (fewest and most letters), none of those in use, in no order."""
    made = set[str]()
    letters = np.frombuffer(alphabet.encode(), np.uint8)
    shortest, longest = lengths
    while len(made) < count:
        drawn = letters[rng.integers(0, len(letters), (2 * count, longest))]
        drawn[np.arange(longest) >= rng.integers(shortest, longest + 1, (2 * count, 1))] = 0  # numpy's bytes end there
        made |= {word.decode() for word in drawn.view(f"S{longest}").ravel().tolist()} - used
    return [str(word) for word in rng.permutation(sorted(made))[:count]]
