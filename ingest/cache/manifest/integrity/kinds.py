"""What a value of the manifest may be: SQLite keeps whatever a flipped bit makes of one.

A kind takes a value from SQLite and returns the Python value, or raises `Unfit`. Nothing else means damage: any other
error in code that uses the values is a bug.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, TypeVar

_Value = TypeVar("_Value")

Kind = Callable[[Any], _Value]
Kinds = Mapping[str, Kind[Any]]
"""Kinds of columns by name, in the order of the columns."""

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)
_DATE = len("2025-11-11")
_SHOWN = 40


class Unfit(ValueError):
    """A value that cannot be what was written; the message says what it is, what it should be and, if known, where."""

    def __init__(self, value: object, wanted: str) -> None:
        shown = repr(value) if len(repr(value)) <= _SHOWN else f"{repr(value)[:_SHOWN]}…"
        super().__init__(f"{'NULL' if value is None else shown} is not {wanted}")

    def at(self, place: str) -> "Unfit":
        """The same error, with the column's name."""
        self.args = (f"{place}: {self}",)
        return self


def text(value: Any) -> str:
    """A text."""
    if type(value) is str:
        return value
    raise Unfit(value, "a text")


def whole(value: Any) -> int:
    """A whole number."""
    if type(value) is int:
        return value
    raise Unfit(value, "a whole number")


def count(value: Any) -> int:
    """A whole number that is not negative."""
    if type(value) is int and value >= 0:
        return value
    raise Unfit(value, "a count")


def flag(value: Any) -> bool:
    """0 or 1."""
    if type(value) is int and value in (0, 1):
        return value == 1
    raise Unfit(value, "0 or 1")


def truth(value: Any) -> bool:
    """True or false, from JSON."""
    if type(value) is bool:
        return value
    raise Unfit(value, "true or false")


def real(value: Any) -> float:
    """A finite number."""
    if type(value) in (float, int) and math.isfinite(value):
        return float(value)
    raise Unfit(value, "a finite number")


def blob(value: Any) -> bytes:
    """Bytes."""
    if type(value) is bytes:
        return value
    raise Unfit(value, "bytes")


def day(value: Any) -> date:
    """A date such as 2025-11-11."""
    if type(value) is str and len(value) == _DATE:
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise Unfit(value, "a date")


def moment(value: Any) -> str:
    """A time with its offset, ISO 8601, as text."""
    try:
        known = datetime.fromisoformat(text(value)).tzinfo is not None
    except ValueError:
        known = False
    if known:
        return str(value)
    raise Unfit(value, "a time")


def period(value: Any) -> str:
    """A month such as 2025-11, or ''."""
    if value == "" or (type(value) is str and _MONTH.fullmatch(value)):
        return str(value)
    raise Unfit(value, "a month")


def one_of(*allowed: str) -> Kind[Any]:
    """One of these words."""

    def word(value: Any) -> Any:
        if type(value) is str and value in allowed:
            return value
        raise Unfit(value, f"one of {', '.join(allowed)}")

    return word


def maybe(kind: Kind[_Value]) -> Kind[_Value | None]:
    """A value of this kind, or NULL."""

    def found(value: Any) -> _Value | None:
        return None if value is None else kind(value)

    return found


def parsed(value: Any) -> Any:
    """The value of a JSON text."""
    try:
        return json.loads(text(value))
    except (ValueError, RecursionError) as error:
        raise Unfit(value, "JSON") from error


def strings(value: Any) -> tuple[str, ...]:
    """A list of texts, from JSON."""
    if type(value) is list and all(type(one) is str for one in value):
        return tuple(value)
    raise Unfit(value, "a list of texts")


def texts(value: Any) -> tuple[str, ...]:
    """A JSON list of texts."""
    return strings(parsed(value))


def packed(value: Any) -> bytes:
    """Bytes in Base64, from JSON."""
    try:
        return base64.b64decode(text(value), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unfit(value, "bytes in Base64") from error


def summary(value: Any) -> dict[str, Any]:
    """A JSON object."""
    found = parsed(value)
    if type(found) is dict:
        return found
    raise Unfit(value, "a JSON object")


def fitted(kinds: Kinds, row: Sequence[Any]) -> tuple[Any, ...]:
    """The values of a row, each converted by the kind of its column; raises Unfit, which names the column."""
    try:
        # A list: a generator would take a third longer, for each row that is read.
        return tuple([kind(value) for kind, value in zip(kinds.values(), row, strict=True)])
    except Unfit:
        for (name, kind), value in zip(kinds.items(), row, strict=True):
            try:
                kind(value)
            except Unfit as error:
                raise error.at(name) from None
        raise


def all_fitted(kinds: Kinds, rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """The values of many rows: column by column, which takes half as long as row by row. Raises Unfit."""
    if not rows:
        return []
    columns = zip(kinds.values(), zip(*rows, strict=True), strict=True)
    return list(zip(*(map(kind, values) for kind, values in columns), strict=True))
