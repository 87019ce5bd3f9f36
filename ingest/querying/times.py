"""Dates and times of an answer that Python does not have: infinite ones, and those outside the years 1 to 9999."""

from collections.abc import Iterator
from datetime import date

import polars as pl

from ingest.errors import UsageError, printable

_EPOCH = date(1970, 1, 1)
_FIRST, _END = (date.min - _EPOCH).days, (date.max - _EPOCH).days + 1
"""Days since the epoch."""

_OF_DAY = {"ms": 86_400 * 10**3, "us": 86_400 * 10**6, "ns": 86_400 * 10**9}


def check_times(rows: pl.DataFrame) -> None:
    """Raise UsageError if a column has such a date or time: polars panics when it is to show one."""
    for column in rows:
        if any(map(_is_outside, _times(column))):
            told = "has a date that is infinite or outside the years 1 to 9999: make a text of it, with ::text"
            raise UsageError(f"the query: the column {printable(column.name)} {told}")


def _times(column: pl.Series) -> Iterator[pl.Series]:
    """The dates and times of a column, and those in its lists and structs."""
    if isinstance(column.dtype, pl.Struct):
        for field in column.struct.fields:
            yield from _times(column.struct.field(field))
    elif isinstance(column.dtype, pl.List | pl.Array):
        yield from _times(column.explode())
    elif isinstance(column.dtype, pl.Date | pl.Datetime):
        yield column


def _is_outside(column: pl.Series) -> bool:
    factor = _OF_DAY[column.dtype.time_unit] if isinstance(column.dtype, pl.Datetime) else 1
    numbers = column.to_physical()
    return bool(((numbers < _FIRST * factor) | (numbers >= _END * factor)).any())
