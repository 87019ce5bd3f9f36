"""What can be wrong with a cache."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Literal

Kind = Literal["missing", "damaged", "orphan", "gap"]

BROKEN: Collection[Kind] = ("missing", "damaged")
"""Kinds that mean lost data. Orphans (not in the manifest) and gaps (never stored) are only worth knowing."""


About = Literal["manifest", "session", "csv", "lake", "quarantine", "leftover", "window"]
"""What a problem is about: the manifest's own file, a session (its parts, or its row in the manifest), a tracked CSV, a
file of the lake, a file in quarantine, a leftover of a killed run, or sessions that were never stored."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem.

    For programs: `kind`, `about`, the `session` concerned, the `ticker` of a CSV, and as `period` the month of a minute
    CSV or what a file of the lake covers; these three are None if they do not apply. For people: `what` is a file,
    relative to the cache's folder, or the manifest, and `reason` says what is wrong.
    """

    kind: Kind
    about: About
    what: str
    reason: str
    session: date | None = None
    ticker: str | None = None
    period: str | None = None
