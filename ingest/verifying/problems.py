"""What may be wrong with a cache."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Literal

Kind = Literal["missing", "damaged", "orphan", "gap"]

BROKEN: Collection[Kind] = ("missing", "damaged")
"""What was held and is not any more. Orphans (nothing knows them) and gaps (never held) are worth knowing alone."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be: `what` is a file, as it counts from the cache's folder, or the manifest.

    `session` is the day that it concerns, `ticker` the ticker of a CSV, `period` the month of one of minutes.
    """

    kind: Kind
    what: str
    reason: str
    session: date | None = None
    ticker: str | None = None
    period: str | None = None
