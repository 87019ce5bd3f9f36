"""Times since the epoch, in whichever unit a file has them. Pure.

The vendor documents nanoseconds; its samples have tenths of microseconds (17 digits), an older page milliseconds. A
number that is a time of this century in one unit is one in no other, and as nanoseconds of 1970 or 1971. So each tells
its unit, and no session has to be asked.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

TIME = "window_start"
"""The column that says when a bar begins."""

_NS_PER_S = 1_000_000_000
_S_PER_DAY = 86_400
_FIRST, _END = 946_684_800, 4_102_444_800
"""2000 and 2100, as seconds since the epoch."""

UNITS: Mapping[str, int] = {
    "seconds": _NS_PER_S,
    "milliseconds": 1_000_000,
    "microseconds": 1000,
    "tenths of a microsecond": 100,
}
"""Nanoseconds in each unit but a nanosecond."""


def unit_of(stamp: int) -> str | None:
    """The unit of a time; None for nanoseconds, and for what is no time of this century in any unit."""
    return next((unit for unit, ns in UNITS.items() if _FIRST <= stamp * ns // _NS_PER_S < _END), None)


def seconds_of(stamp: int) -> int:
    """A time in any unit as whole seconds."""
    unit = unit_of(stamp)
    return stamp * (UNITS[unit] if unit else 1) // _NS_PER_S


def of_text(text: "pl.Expr") -> "pl.Expr":
    """Times as text, as integers, null where one is none: `1700000000.0` is a whole number, too, and `1.7e18` is not.

    An exponent tells of digits that were rounded away: hours of nanoseconds, mostly.
    """
    import polars as pl

    return text.str.strip_chars().str.replace(r"\.0*$", "").cast(pl.Int64, strict=False)


def is_near(second: "pl.Expr", session: "pl.Expr", evenings: int) -> "pl.Expr":
    """Whether times may be of a session that opens up to so many evenings before its date: a day off is near.

    Days are UTC's, whatever the zone of the date: which day of which zone a file ends with is not always documented.
    """
    import polars as pl

    return (second // _S_PER_DAY - session.to_physical().cast(pl.Int64)).is_between(-evenings - 1, 2)


def in_ns(stamps: "pl.Series") -> "pl.Series":
    """Integers, or null, as nanoseconds: those that are times in another unit are converted, all others stay."""
    import polars as pl

    if are_ns(stamps):
        return stamps
    stamp = pl.col(stamps.name)
    return stamps.to_frame().select(
        pl.coalesce(*(pl.when(_is_in(stamp, unit)).then(stamp * UNITS[unit]) for unit in UNITS), stamp)
    )[stamps.name]


def are_ns(stamps: "pl.Series") -> bool:
    """Whether it is seen at a glance that all are nanoseconds; those before 2000 are looked at one by one."""
    least = stamps.min()
    return least is None or bool(least >= _FIRST * _NS_PER_S)  # type: ignore[operator]  # of int64


def counts(stamps: "pl.Series") -> dict[str, int]:
    """How many integers are times in another unit than nanoseconds, by unit."""
    import polars as pl

    if are_ns(stamps):
        return {}
    found = stamps.to_frame().select(_is_in(pl.col(stamps.name), unit).sum().alias(unit) for unit in UNITS).row(0)
    return {unit: count for unit, count in zip(UNITS, found, strict=True) if count}


def _is_in(stamp: "pl.Expr", unit: str) -> "pl.Expr":
    per_second = _NS_PER_S // UNITS[unit]
    return stamp.is_between(_FIRST * per_second, _END * per_second - 1)
