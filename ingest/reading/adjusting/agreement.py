"""Whether Yahoo's closes of a ticker, brought back to what was traded, are Massive's. Pure.

All sessions that both have are compared, by q = ln(Yahoo's close ÷ Massive's). What can be wrong with a whole answer
(another security, a split that one of the two lacks, or one that Yahoo forgot to apply to some weeks) multiplies
consecutive closes by a factor; what is wrong with one close (a late trade, a misprint) leaves its neighbours alone:

- A close is *off* where |q| is more than the dataset's tolerance, or more than four times the noise that this ticker's
  closes have among themselves, if that is larger: 1.4826 × median |q(i) − q(i−1)| ÷ √2, a robust standard deviation,
  which a lasting factor does not touch. Thinly traded securities differ by some percent on many days. Never more than
  ten percent, which is below the usual splits (11 for 10 and more).
- Consecutive closes that are off are a *factor* where any is by more than ten percent, or where they are all to one
  side and differ from each other by less than the tolerance.
- A close that is off alone is an *outlier*, whatever its size, while the rows beside it in Yahoo's answer were compared
  and agree. Where one of these was not compared, the close vouches for it: then more than ten percent is a factor.
- Where less than half of the closes agree, none of those that are off is an outlier.
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
"""So few closes do not tell how noisy they are."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Which of the closes that both have agree, are wrong by a factor, or are outliers; each is one of the three."""

    agrees: Flags
    factor: Flags
    outlier: Flags


def agreement_of(logs: Floats, alone: Flags, tolerance: float) -> Agreement:
    """Judge the logarithms of Yahoo's closes ÷ Massive's, ascending by date.

    `alone`: the rows on both sides of it in Yahoo's answer were compared, too. `tolerance` is relative.
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
    """Stretches of neighbours that are set."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        yield slice(int(begin), int(end))
