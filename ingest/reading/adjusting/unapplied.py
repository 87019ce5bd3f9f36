"""Stretches of Yahoo's own rows that look as if a split were not applied to them, or twice. Pure.

Yahoo divides all prices before a split by its ratio; now and then it forgets some weeks. Where Massive has these days
the comparison finds it. Where it has those around them alone, nothing differs: then the rows themselves tell, since
their closes go by a listed ratio and back, which shares do not (to within a tenth, which days add to it).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ingest.market.adjust import Days, Floats, split_factors
from ingest.market.corporate_actions import StockSplit

_LEAST = float(np.log(1.5))
"""Shares that go up by less than this, and back, are none too rare."""
_NEAR = float(np.log(1.1))


@dataclass(frozen=True, slots=True)
class UnappliedSplit:
    """Rows that are `times` the prices around them, by the ratio of `split`."""

    rows: slice
    times: float
    split: StockSplit


def unapplied(days: Days, raw: Floats, splits: Sequence[StockSplit]) -> list[UnappliedSplit]:
    """Stretches of raw closes (ascending, all above 0), by where they begin."""
    steps = np.diff(np.log(raw / split_factors(days, splits)))
    ratios = {one.ratio: one for one in splits if abs(np.log(one.ratio)) >= _LEAST}
    found = [stretch for one in ratios.values() for stretch in _there_and_back(steps, one)]
    return sorted(found, key=lambda one: one.rows.start)


def _there_and_back(steps: Floats, split: StockSplit) -> Iterator[UnappliedSplit]:
    size = float(np.log(split.ratio))
    signs = np.where(np.abs(steps - size) <= _NEAR, 1, np.where(np.abs(steps + size) <= _NEAR, -1, 0))
    for here, there in pairwise(np.flatnonzero(signs).tolist()):
        if signs[here] == -signs[there]:
            yield UnappliedSplit(slice(here + 1, there + 1), float(np.exp(steps[here])), split)
