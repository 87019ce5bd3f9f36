"""Signs that a ticker passed from one company to another without a gap in its rows. Pure.

The files do not say so. These signs do; a single company seldom shows one of them:

- Yahoo's history of the ticker begins later than its rows: Yahoo shows the company that has the ticker now, under all
  its former names. The sign is sure if there is more than a week of earlier rows, or if the price changes by half or
  more at that point.
- The close jumps by a factor that no split or payout explains. Single companies do that, too: Lehman Brothers fell to a
  seventeenth on 2008-09-15, Bright Minds rose fifteenfold on 2024-10-15. So the sign is sure only from twentyfold on,
  or from fourfold on if the files of the week before do not contain the ticker.

A sign that is not sure gives a warning, no error. A gap of two months is a sign, too: see `adjusted.seams`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from ingest.cache.manifest.records import Coverage
from ingest.market.adjust import Days, Floats
from ingest.market.corporate_actions import Actions
from ingest.reading.adjusting.adjusted import days_in, stretches

_WEEK = 5
"""Sessions."""
_CHANGED, _LARGE, _SURE = (float(np.log(times)) for times in (1.5, 4.0, 20.0))
_NEAR = timedelta(days=7)
"""Prices may show a split this far from its date."""


@dataclass(frozen=True, slots=True)
class Sign:
    """A ticker may have passed to another company between the days `before` and `after`; `words` says why."""

    ticker: str
    before: date
    after: date
    words: str
    is_sure: bool


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of one ticker, ascending."""

    ticker: str
    days: Days
    closes: Floats
    actions: Actions

    def day(self, at: int) -> date:
        found: date = self.days[at].item()
        return found

    def jump(self, at: int) -> float:
        """The logarithm of the factor from the close before to this one that no corporate action explains."""
        before, after = float(self.closes[at - 1]), float(self.closes[at])
        if not (before > 0 and after > 0):
            return 0.0
        paid = sum(one.amount for one in self.actions.payouts if self.day(at - 1) < one.ex_date <= self.day(at))
        factors = {1.0}  # of any splits nearby: prices may show one of them already, and another not yet
        for ratio in (one.ratio for one in self.actions.splits if self._is_near(one.ex_date, at)):
            factors |= {factor * ratio for factor in factors}
        found = [np.log(close * factor / before) for close in (after, after + paid) for factor in factors]
        return float(min(found, key=abs))

    def _is_near(self, ex_date: date, at: int) -> bool:
        return self.day(at - 1) - _NEAR < ex_date < self.day(at) + _NEAR


def signs(
    rows: pl.DataFrame, coverage: Coverage, actions: Mapping[str, Actions], begins: Mapping[str, date | None]
) -> list[Sign]:
    """Signs of each ticker; `rows` are sorted by ticker and date, `coverage` is that of the stored sessions.

    `begins` is the first day for which Yahoo has a row, by ticker; None if Yahoo was not asked for all of these days.
    """
    days, closes = days_in(rows), rows["close"].to_numpy()
    found: list[Sign] = []
    for one in stretches(rows):
        mine = _Rows(one.ticker, days[one.rows], closes[one.rows], actions.get(one.ticker, Actions()))
        found.extend(_late(mine, begins.get(one.ticker)))
        found.extend(_jumps(mine, coverage))
    return found


def _late(mine: _Rows, begins: date | None) -> Iterator[Sign]:
    """A sign if Yahoo's history begins later than the rows."""
    earlier = int(np.searchsorted(mine.days, np.datetime64(begins, "D"))) if begins else 0
    if not begins or not earlier:
        return
    is_within = earlier < len(mine.days)
    after = mine.day(earlier) if is_within else begins
    jump = mine.jump(earlier) if is_within else 0.0
    words = f"Yahoo has {mine.ticker} only since {begins}, but there are rows up to {mine.day(earlier - 1)}"
    is_sure = len(np.unique(mine.days[:earlier])) > _WEEK or abs(jump) >= _CHANGED
    yield Sign(mine.ticker, mine.day(earlier - 1), after, f"{words}{_times(jump)}", is_sure)


def _times(jump: float) -> str:
    return f", with {np.exp(jump):.3g} times the price since" if abs(jump) >= _CHANGED else ""


def _jumps(mine: _Rows, coverage: Coverage) -> Iterator[Sign]:
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.abs(np.diff(np.log(mine.closes)))
    for at in (int(place) + 1 for place in np.flatnonzero(steps >= _LARGE)):
        jump = mine.jump(at)
        if abs(jump) < _LARGE:
            continue
        before, after = mine.day(at - 1), mine.day(at)
        missed = sum(before < day < after for day in coverage.of(mine.ticker))
        words = (
            f"{mine.ticker} goes from {mine.closes[at - 1]:g} on {before} to {mine.closes[at]:g} on {after} "
            f"({np.exp(jump):.3g} times), which no split explains"
        )
        yield Sign(mine.ticker, before, after, words, abs(jump) >= _SURE or missed >= _WEEK)
