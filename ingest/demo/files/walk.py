"""Random walks of prices in which each day is a pure function of (seed, date): no day needs the one before.

Lévy's construction gives the value of a Brownian path at one date without its past (P. Lévy, 1948).
"""

from datetime import date

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ORIGIN = date(2000, 1, 1)
SPAN = 2**14
"""Days covered from the origin, until November 2044; a power of two, since the walk halves it."""

PINNED = (date(2025, 10, 1) - ORIGIN).days
"""The day on which all paths are 0."""


def day_number(session: date) -> int:
    """Days since the origin."""
    return (session - ORIGIN).days


def dice(seed: int, session: date, purpose: int = 0) -> np.random.Generator:
    """A day's random generator; each purpose has its own."""
    return np.random.default_rng([seed, SPAN + purpose, day_number(session)])


class Walks:
    """`count` Brownian paths with a variance of 1 a day, all of them 0 on the pinned day in autumn 2025."""

    def __init__(self, seed: int, count: int) -> None:
        self._seed, self._count = seed, count
        self._pinned = self._value(PINNED)

    def at(self, session: date) -> Floats:
        """Values of all paths on a day from 2000 to 2044."""
        return self._value(day_number(session)) - self._pinned

    def _value(self, number: int) -> Floats:
        """Values of all paths on a day.

        Each level halves the intervals and moves their midpoints by a normal variate whose variance is a quarter of the
        interval; between these points the path is straight until the next level. A day is in one interval per level.
        """
        path: Floats = self._normals(0, 0) * (number / SPAN**0.5)
        length, level = SPAN, 1
        while length > 1 and number % length:
            interval, into = divmod(number, length)
            tent = 1 - abs(2 * into / length - 1)
            path = path + self._normals(level, interval) * (tent * length**0.5 / 2)
            length, level = length // 2, level + 1
        return path

    def _normals(self, level: int, interval: int) -> Floats:
        normals: Floats = np.random.default_rng([self._seed, level, interval]).standard_normal(self._count)
        return normals
