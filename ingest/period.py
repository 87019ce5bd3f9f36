"""yfinance's periods (`6mo`, `ytd`, `max`) as the first day of a window that ends today."""

import re
from collections.abc import Collection
from datetime import date, timedelta

from ingest.datasets import Dataset
from ingest.errors import UsageError
from ingest.sessions import Calendar, months_back

_SHAPE = re.compile(r"([1-9]\d{0,4})(d|wk|mo|y)")
_ALLOWED = "1d, 5d, 1mo, 3mo, 6mo, 1y, 2y, 5y, 10y, ytd, max, or a number with d, wk, mo or y"


def first_day(period: str, today: date, newest: date, dataset: Dataset, listed: Collection[date] = ()) -> date:
    """First day of a period that ends today; days are sessions, the newest of which is over. Raises UsageError."""
    if period == "max":
        return dataset.first_session
    if period == "ytd":
        return date(today.year, 1, 1)
    found = _SHAPE.fullmatch(period) if isinstance(period, str) else None
    if not found:
        raise UsageError(f"the period {period!r} is none of {_ALLOWED}")
    if found[2] == "d":
        return _sessions_back(int(found[1]), newest, dataset, listed)
    return _back(int(found[1]), found[2], today, dataset.first_session)


def _sessions_back(count: int, newest: date, dataset: Dataset, listed: Collection[date]) -> date:
    earliest = max(dataset.first_session, newest - timedelta(days=2 * count + 10))
    found = Calendar.of(dataset.calendar, listed).between(earliest, newest)
    return found[-count] if len(found) >= count else dataset.first_session


def _back(count: int, unit: str, today: date, first: date) -> date:
    if unit == "wk":
        return max(first, today - timedelta(weeks=count))
    try:
        return max(first, months_back(today, count * (12 if unit == "y" else 1)))
    except ValueError:
        return first
