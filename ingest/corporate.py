"""What companies do to their shares: splits and dividends, as values."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Split:
    """`ratio` new shares for one old, from the ex-date on: 4 for a 4:1 split, 0.1 for a reverse split 1:10."""

    ex_date: date
    ratio: float


@dataclass(frozen=True, slots=True)
class Dividend:
    """Cash for a share as it was traded then; `close_before` is the raw close of the session before the ex-date."""

    ex_date: date
    amount: float
    close_before: float | None = None


@dataclass(frozen=True, slots=True)
class Actions:
    """What happened to a security, by ex-date, ascending."""

    splits: tuple[Split, ...] = ()
    dividends: tuple[Dividend, ...] = ()
