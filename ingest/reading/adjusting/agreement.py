"""Whether Yahoo's closes of a ticker, converted to prices as traded, match Massive's. Pure.

All sessions that both have are compared, by q = ln(Yahoo's close ÷ Massive's). What can be wrong with a whole answer
(another security, a split that one of the two does not have, or one that Yahoo did not apply to some weeks) multiplies
consecutive closes by a factor; an error in one close (a late trade, a misprint) does not affect its neighbours:

- A close is *off* if |q| exceeds a limit: the dataset's tolerance or, if that is larger, four times the noise of this
  ticker's closes, but at most ten percent, which is less than the usual splits (11 for 10 and more). The noise is
  1.4826 × median |q(i) − q(i−1)| ÷ √2, a robust standard deviation that a lasting factor does not affect. Thinly traded
  securities differ by some percent on many days.
- Consecutive closes that are off are a *factor* if one of them is off by more than ten percent, or if all are off in
  the same direction and differ from each other by less than the tolerance.
- A single close that is off is an *outlier*, whatever its size, if the rows beside it in Yahoo's answer were compared
  and agree. If one of these was not compared, the close stands for it, too: then more than ten percent is a factor.
- If less than half of the closes agree, none is an outlier.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_GREAT = float(np.log(1.1))
_NOISES = 4.0
_ENOUGH = 10
"""Fewer closes do not show how noisy they are."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Which of the compared closes agree, are wrong by a factor, or are outliers; each is one of the three."""

    agrees: Flags
    factor: Flags
    outlier: Flags


def agreement_of(logs: Floats, alone: Flags, tolerance: float) -> Agreement:
    """Judge closes by `logs`, the logarithms of Yahoo's closes ÷ Massive's, ascending by date.

    `alone` is True where the rows on both sides in Yahoo's answer were compared, too. `tolerance` is relative.
    """
    off = np.abs(logs) > _limit(logs, tolerance)
    factor = np.zeros(len(logs), dtype=bool)
    for stretch in _runs(off):
        factor[stretch] = _is_factor(logs[stretch], bool(alone[stretch][0]), tolerance)
    if 2 * int(off.sum()) > len(logs):
        factor = off
    return Agreement(~off, factor, off & ~factor)


def _limit(logs: Floats, tolerance: float) -> float:
    least = float(np.log1p(tolerance))
    if len(logs) < _ENOUGH:
        return least
    noise = 1.4826 * float(np.median(np.abs(np.diff(logs)))) / np.sqrt(2)
    return max(least, min(_NOISES * float(noise), _GREAT))


def _is_factor(logs: Floats, is_alone: bool, tolerance: float) -> bool:
    is_great = bool((np.abs(logs) > _GREAT).any())
    if len(logs) == 1:
        return is_great and not is_alone
    to_one_side = bool((logs > 0).all() or (logs < 0).all())
    return is_great or (to_one_side and float(np.median(np.abs(np.diff(logs)))) <= np.log1p(tolerance))


def _runs(flags: Flags) -> Iterator[slice]:
    """Runs of consecutive flags that are set."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        yield slice(int(begin), int(end))
