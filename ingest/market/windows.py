"""Windows: the days that the user asks for, by dates, months, or yfinance's periods (`6mo`, `ytd`)."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

from ingest.errors import UsageError, WrongArgument
from ingest.market.calendars import Calendar, months_back
from ingest.market.datasets import Dataset


@dataclass(frozen=True, slots=True)
class Window:
    """Days from `start` to `end`, both inclusive, and notices about them."""

    start: date
    end: date
    notices: tuple[str, ...] = ()


def choose(months: int, start: date | None, end: date | None, today: date, dataset: Dataset) -> Window:
    """The window of `months` back from today, or from `start` to `end`; today is New York's.

    A window is cut to what can exist: from the dataset's first session to today. Raises UsageError if nothing of it is
    left or if it is reversed.
    """
    last = end or today
    if last < dataset.first_session:
        raise UsageError(f"{dataset.name} begins on {dataset.first_session}: no data up to {last}")
    first = start or months_back(last, months)
    if first > today:
        raise UsageError(
            f"the window begins on {first}, which is after today ({today}, New York): choose a start in the past"
        )
    if first > last:
        raise UsageError(
            f"the window is the wrong way round: it starts on {first} and ends on {last}. Swap the two dates"
        )
    notices = []
    if closed := why_empty(first, last, dataset, Calendar.of(dataset.calendar), today):
        notices.append(f"{closed}, by its calendar")
    if first < dataset.first_session:
        notices.append(f"{dataset.name} begins on {dataset.first_session}: the window begins there")
    if last > today:
        notices.append(f"{last} is still to come: the window ends today, {today}")
    return Window(max(first, dataset.first_session), min(last, today), tuple(notices))


def span(start: date | None, end: date | None) -> tuple[date, date]:
    """First and last day of stored data from `start` to `end`, both inclusive; None means no limit.

    Raises UsageError if it is reversed.
    """
    first, last = start or date.min, end or date.max
    if first > last:
        raise UsageError(f"the window is the wrong way round: start {first} is after end {last}. Swap them")
    return first, last


def why_empty(start: date | None, end: date | None, dataset: Dataset, calendar: Calendar, today: date) -> str:
    """Why no day from `start` to `end` (inclusive; None: no limit) can have rows, in words; empty if one may."""
    if start and start > today:
        return f"{start} is after today ({today}, New York)"
    if end and end < dataset.first_session:
        return f"{dataset.short} begins on {dataset.first_session}"
    first, last = start or date.min, min(end or today, today)
    if first < dataset.first_session or calendar.between(first, last) or calendar.doubtful(first, last):
        return ""
    days = f"{first} is no session" if first == last else f"no day from {first} to {last} is a session"
    return f"{days} of {dataset.short}: the market was closed"


def first_of_bar(day: date, interval: str) -> date:
    """The first day of the bar that contains a day: the Monday of its week, the 1st of its month, or the day itself."""
    if interval == "1wk":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if interval == "1mo" else day


_SHAPE = re.compile(r"([1-9]\d{0,4})(d|wk|mo|y)")
_ALLOWED = "1d, 5d, 1mo, 3mo, 6mo, 1y, 2y, 5y, 10y, ytd, max, or a number with d, wk, mo or y"


def first_day(period: str, today: date, newest: date, dataset: Dataset, listed: Collection[date] = ()) -> date:
    """First day of a period up to today; days are sessions; `newest` is the last complete one. Raises UsageError."""
    if period == "max":
        return dataset.first_session
    if period == "ytd":
        return date(today.year, 1, 1)
    found = _SHAPE.fullmatch(period) if isinstance(period, str) else None
    if not found:
        raise WrongArgument("period", f"{period!r} is none of {_ALLOWED}")
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
