"""Times since the epoch, in whatever unit a file has them. Pure.

The vendor documents nanoseconds; its samples have tenths of microseconds (17 digits), an older page milliseconds. A
number that is a time of this century in one unit is in no other unit, and is of 1970 or 1971 as nanoseconds. So each
number reveals its unit, without knowing the session.
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
"""Nanoseconds in each unit except the nanosecond."""


def unit_of(stamp: int) -> str | None:
    """The unit of a time; None for nanoseconds, and for numbers that are a time of this century in no unit."""
    return next((unit for unit, ns in UNITS.items() if _FIRST <= stamp * ns // _NS_PER_S < _END), None)


def seconds_of(stamp: int) -> int:
    """A time in any unit as whole seconds."""
    unit = unit_of(stamp)
    return stamp * (UNITS[unit] if unit else 1) // _NS_PER_S


def of_text(text: "pl.Expr") -> "pl.Expr":
    """Times as text to integers, null for invalid ones: `1700000000.0` is a whole number, too, and `1.7e18` is not.

    An exponent means that digits were rounded away: in nanoseconds, often hours.
    """
    import polars as pl

    return text.str.strip_chars().str.replace(r"\.0*$", "").cast(pl.Int64, strict=False)


def is_near(second: "pl.Expr", session: "pl.Expr", evenings: int) -> "pl.Expr":
    """Whether times may belong to a session that opens up to so many evenings before its date; a day off is near.

    Days are UTC days, whatever the zone of the date: it is not always documented in which zone a file's days end.
    """
    import polars as pl

    return (second // _S_PER_DAY - session.to_physical().cast(pl.Int64)).is_between(-evenings - 1, 2)


def in_ns(stamps: "pl.Series") -> "pl.Series":
    """Integers, or null, as nanoseconds: times in another unit are converted, all others stay."""
    import polars as pl

    if are_ns(stamps):
        return stamps
    stamp = pl.col(stamps.name)
    return stamps.to_frame().select(
        pl.coalesce(*(pl.when(_is_in(stamp, unit)).then(stamp * UNITS[unit]) for unit in UNITS), stamp)
    )[stamps.name]


def are_ns(stamps: "pl.Series") -> bool:
    """Whether a quick check shows all to be nanoseconds; times before 2000 need a closer look one by one."""
    least = stamps.min()
    return least is None or bool(least >= _FIRST * _NS_PER_S)  # type: ignore[operator]  # of int64


def counts(stamps: "pl.Series") -> dict[str, int]:
    """How many integers are times in a unit other than nanoseconds, by unit."""
    import polars as pl

    if are_ns(stamps):
        return {}
    found = stamps.to_frame().select(_is_in(pl.col(stamps.name), unit).sum().alias(unit) for unit in UNITS).row(0)
    return {unit: count for unit, count in zip(UNITS, found, strict=True) if count}


def _is_in(stamp: "pl.Expr", unit: str) -> "pl.Expr":
    per_second = _NS_PER_S // UNITS[unit]
    return stamp.is_between(_FIRST * per_second, _END * per_second - 1)
