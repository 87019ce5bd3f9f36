"""What companies and funds do to their shares: splits, dividends and capital gains, as values."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

FUNDS = ("ETF", "MUTUALFUND")
"""Yahoo's instrument types that may distribute capital gains."""


@dataclass(frozen=True, slots=True)
class StockSplit:
    """`ratio` new shares for one old, from the ex-date on: 4 for a 4:1 split, 0.1 for a 1:10 reverse split."""

    ex_date: date
    ratio: float


@dataclass(frozen=True, slots=True)
class Dividend:
    """Cash per share as traded on the ex-date; also used for a fund's capital gain.

    `close_before` is the close of the session before, per share as it was before the splits of the ex-date. `kept` is
    the share of its value that the security keeps, if Yahoo's adjusted close implies another one than amount and close
    do; it covers all payouts of that day.
    """

    ex_date: date
    amount: float
    close_before: float | None = None
    kept: float | None = None


@dataclass(frozen=True, slots=True)
class Actions:
    """The corporate actions of a security, by ex-date, ascending; `instrument` is Yahoo's type of it, "" if unknown.

    `odd` are changes of Yahoo's adjusted close that no payout can explain; they are not used. Each has the amount that
    Yahoo lists, and the share that is `kept`.
    """

    splits: tuple[StockSplit, ...] = ()
    dividends: tuple[Dividend, ...] = ()
    gains: tuple[Dividend, ...] = ()
    instrument: str = ""
    odd: tuple[Dividend, ...] = ()

    @property
    def payouts(self) -> tuple[Dividend, ...]:
        """Dividends and gains, added up by ex-date: Yahoo takes out their sum."""
        return summed((*self.dividends, *self.gains))

    @property
    def is_fund(self) -> bool:
        """Whether it may distribute capital gains."""
        return self.instrument in FUNDS if self.instrument else bool(self.gains)

    def ex_dates(self, payouts: bool = True) -> list[date]:
        """All ex-dates, or only those of splits."""
        return [*(one.ex_date for one in self.splits), *(one.ex_date for one in self.payouts if payouts)]

    def since(self, start: date) -> "Actions":
        """Those with an ex-date from `start` on."""
        return replace(
            self,
            splits=tuple(one for one in self.splits if one.ex_date >= start),
            dividends=tuple(one for one in self.dividends if one.ex_date >= start),
            gains=tuple(one for one in self.gains if one.ex_date >= start),
            odd=tuple(one for one in self.odd if one.ex_date >= start),
        )


def summed(payouts: Iterable[Dividend]) -> tuple[Dividend, ...]:
    """Payouts added up to one per ex-date, ascending."""
    found: dict[date, Dividend] = {}
    for one in payouts:
        other = found.get(one.ex_date)
        found[one.ex_date] = _added(other, one) if other else one
    return tuple(found[day] for day in sorted(found))


def _added(one: Dividend, other: Dividend) -> Dividend:
    kept = other.kept if one.kept is None else one.kept
    return replace(
        one, amount=one.amount + other.amount, close_before=one.close_before or other.close_before, kept=kept
    )
