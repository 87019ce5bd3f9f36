"""What may be wrong with a cache."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Literal

Kind = Literal["missing", "damaged", "orphan", "gap"]

BROKEN: Collection[Kind] = ("missing", "damaged")
"""What was held and is not any more. Orphans (nothing knows them) and gaps (never held) are worth knowing alone."""


About = Literal["manifest", "session", "csv", "quarantine", "leftover", "window"]
"""What a problem is about: the manifest's own file, a session (its parts, or what the manifest says of it), a tracked
CSV, a file in quarantine, what a killed run has left, or sessions that were never held."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be.

    For programs: `kind`, `about`, the `session` that it concerns, the `ticker` of a CSV and the month (`period`) of one
    of minutes. For people: `what` is a file, as it counts from the cache's folder, or the manifest, and `reason` words.
    """

    kind: Kind
    about: About
    what: str
    reason: str
    session: date | None = None
    ticker: str | None = None
    period: str | None = None
