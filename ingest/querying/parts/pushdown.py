"""Filters that the scan of a table applies itself: of dates, tickers and underlyings, which decide what is read.

They come by a part of DuckDB that is not public. Other versions than those known here scan the table as it is.
"""

import operator
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Any

from duckdb._sources import ArrowScanSource
from duckdb._sources.nodes import Binary, Col, In, Lit, Node

from ingest.querying.parts.table import PartsTable, Passing

_COLUMNS = ("date", "ticker", "underlying")

_COMPARISONS: dict[str, Callable[[date, date], bool]] = {
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_DEEPEST = 100
"""Levels of a filter that are followed: Python has a limit, and people write a few."""


class Filtered(ArrowScanSource):
    """A table of parts, read as far as a query's filters let its rows through."""

    def __init__(self, table: PartsTable) -> None:
        super().__init__(table)

    def __arrow_c_schema__(self) -> object:
        """The columns."""
        return self.obj.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """All rows."""
        return self.obj.__arrow_c_stream__(requested_schema)

    def accepts(self, predicate: Node) -> bool:
        """Whether `stream` gives only the rows for which this is true."""
        return any(allowed(predicate, column, self.obj.days) is not None for column in _COLUMNS)

    def stream(self, columns: Sequence[int] | None, filters: Sequence[Node]) -> tuple[object, bool]:
        """The rows for which all filters are true, in all columns."""
        passing = Passing(*(_by_all(allowed(one, column, self.obj.days) for one in filters) for column in _COLUMNS))
        return self.obj.rows(passing), False


def _by_all(found: Iterable[frozenset[Any] | None]) -> frozenset[Any] | None:
    limiting = [one for one in found if one is not None]
    return frozenset.intersection(*limiting) if limiting else None


def allowed(node: Node, column: str, days: Sequence[date], deepest: int = _DEEPEST) -> frozenset[Any] | None:
    """The values of a column for which a filter is true, of dates at least those among the days.

    None for a filter that is on another column, too, or is none that says which values these are.
    """
    match node:
        case Binary(op="AND" | "OR" as op, left=left, right=right) if deepest:
            sides = [allowed(one, column, days, deepest - 1) for one in (left, right)]
            found = [one for one in sides if one is not None]
            merged = frozenset.union if op == "OR" else frozenset.intersection
            return merged(*found) if len(found) == len(sides) else None
        case Binary(op=op, left=Col(parts=(name,)), right=Lit(value=value)) if name == column:
            return frozenset([value]) if op == "=" else _compared(op, value, days if column == "date" else ())
        case In(operand=Col(parts=(name,)), values=values) if name == column:
            return frozenset(one.value for one in values if isinstance(one, Lit) and one.value is not None)
    return None


def _compared(op: str, value: Any, days: Sequence[date]) -> frozenset[date] | None:
    compares = _COMPARISONS.get(op)
    return frozenset(day for day in days if compares(day, value)) if compares and days else None
