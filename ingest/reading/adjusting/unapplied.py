"""Finds rows of Yahoo to which a split was not applied, or applied twice, by the rows alone. Pure.

Yahoo divides all prices before a split by its ratio, but sometimes not those of some weeks. If Massive has these days,
the comparison finds them. If Massive has only days around them, the rows themselves show it: their closes jump by a
listed ratio and back (to within a tenth, for the change of a day), which real prices hardly do. At the edge of Yahoo's
rows there is only one such step. A real price may do that once, so this is only a doubt.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ingest.market.adjust import Days, Floats, split_factors
from ingest.market.corporate_actions import StockSplit

_LEAST = float(np.log(1.5))
"""Smaller jumps and back are not rare in real prices."""
_NEAR = float(np.log(1.1))


@dataclass(frozen=True, slots=True)
class UnappliedSplit:
    """Rows that are `times` the prices around them, by the ratio of `split`."""

    rows: slice
    times: float
    split: StockSplit


def unapplied(days: Days, raw: Floats, splits: Sequence[StockSplit]) -> list[UnappliedSplit]:
    """Such runs of raw closes (by ascending `days`, all above 0), in the order of their starts."""
    steps = _steps(days, raw, splits)
    found = [stretch for one in _telling(splits) for stretch in _there_and_back(steps, one)]
    return sorted(found, key=lambda one: one.rows.start)


def lone_steps(days: Days, raw: Floats, splits: Sequence[StockSplit]) -> dict[int, StockSplit]:
    """Rows whose raw close (by ascending `days`, all above 0) is a listed ratio away from the one before, for good.

    A step on the ex-date of such a split is left to `market.adjust.unmatched`.
    """
    steps, dates = _steps(days, raw, splits), [one.ex_date for one in splits if _tells(one)]
    own = frozenset(np.searchsorted(days, np.array(dates, "datetime64[D]")).tolist())
    return {at: one for one in _telling(splits) for at in _alone(steps, one) if at not in own}


def _steps(days: Days, raw: Floats, splits: Sequence[StockSplit]) -> Floats:
    """The logarithm of each split-adjusted close ÷ the one before."""
    steps: Floats = np.diff(np.log(raw / split_factors(days, splits)))
    return steps


def _telling(splits: Sequence[StockSplit]) -> Collection[StockSplit]:
    """Splits by a ratio that real prices seldom jump by, one for each ratio."""
    return {one.ratio: one for one in splits if _tells(one)}.values()


def _tells(split: StockSplit) -> bool:
    return bool(abs(np.log(split.ratio)) >= _LEAST)


def _there_and_back(steps: Floats, split: StockSplit) -> Iterator[UnappliedSplit]:
    signs = _signs(steps, split)
    for here, there in pairwise(np.flatnonzero(signs).tolist()):
        if signs[here] == -signs[there]:
            yield UnappliedSplit(slice(here + 1, there + 1), float(np.exp(steps[here])), split)


def _alone(steps: Floats, split: StockSplit) -> Iterator[int]:
    """The rows after the steps that no neighbouring step takes back."""
    places = np.flatnonzero(signs := _signs(steps, split))
    framed = np.pad(signs[places], 1)
    alone = (framed[1:-1] != -framed[:-2]) & (framed[1:-1] != -framed[2:])
    yield from (places[alone] + 1).tolist()


def _signs(steps: Floats, split: StockSplit) -> npt.NDArray[np.int_]:
    """1 for a step up by the split's ratio, -1 for one down by it, 0 for any other."""
    size = float(np.log(split.ratio))
    return np.where(np.abs(steps - size) <= _NEAR, 1, np.where(np.abs(steps + size) <= _NEAR, -1, 0))
