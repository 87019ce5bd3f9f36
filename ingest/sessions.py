"""The trading calendar of New York, advisory: the source's listing says which days exist, this says why one may not.

The years come from exchange_calendars. Importing it takes half a second and pandas with it, so only `compute` does;
whoever can store its answer (with `library_version`) need not ask again.
"""

import calendar
import importlib.metadata
import sys
import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
FIRST_SESSION = date(2003, 9, 10)
# Far beyond any run, and well inside what pandas' holiday rules cover: from about 2200 on they quietly end.
LAST_YEAR = 2100


@dataclass(frozen=True, slots=True)
class Calendar:
    """Questions about sessions. `years` gives the sessions of a year, ascending, as `compute` does."""

    years: Callable[[int], tuple[date, ...]]

    def is_session(self, day: date) -> bool:
        """Whether the exchange is, was or will be open on `day`."""
        return bool(self.between(day, day))

    def between(self, start: date, end: date) -> tuple[date, ...]:
        """The sessions from `start` to `end`, both inclusive, ascending; none if `start` is after `end`."""
        sessions = tuple(day for year in range(start.year, end.year + 1) for day in self.years(year))
        return sessions[bisect_left(sessions, start) : bisect_right(sessions, end)]

    def count_between(self, start: date, end: date) -> int:
        """How many sessions there are from `start` to `end`, both inclusive."""
        return len(self.between(start, end))


def today(now: datetime | None = None) -> date:
    """The date in New York, of `now` (which must know its time zone) or of this moment.

    Raises ValueError for a `now` without a time zone.
    """
    moment = now or datetime.now(NEW_YORK)
    if moment.tzinfo is None:
        raise ValueError("now has no time zone")
    return moment.astimezone(NEW_YORK).date()


def months_back(day: date, months: int) -> date:
    """The same day of the month `months` calendar months earlier, or that month's last day if it is shorter.

    Raises ValueError if that is before the year 1.
    """
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    if year < 1:
        raise ValueError(f"{months} months before {day} there is no date")
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def compute(year: int) -> tuple[date, ...]:
    """The sessions of a year, ascending, by exchange_calendars; slow the first time (about 0.7 s).

    None before 2003-09-10, where the files begin, and none after 2100. Days to come are by rule: closures that
    nobody has announced yet are missing from it. The answer depends on the library's version alone, not on the
    day of asking, so it can be stored.
    """
    return _sessions().get(year, ())


def library_version() -> str:
    """The installed version of exchange_calendars, without importing it."""
    return importlib.metadata.version("exchange_calendars")


@cache
def _sessions() -> dict[int, tuple[date, ...]]:
    # All years at once take hardly longer than one. The end is given because the default is a year from now: a
    # stored year would then end in the middle.
    with warnings.catch_warnings():
        # It uses what pandas 3.1 deprecates (Series.values with a time zone), for opening times, not for dates.
        # Theirs to mend; a user can do nothing about it. Any other kind of warning is still heard.
        warnings.simplefilter("ignore", DeprecationWarning)
        import exchange_calendars

        xnys = exchange_calendars.get_calendar("XNYS", start=str(FIRST_SESSION), end=f"{LAST_YEAR}-12-31")
    years: dict[int, list[date]] = {}
    for stamp in xnys.sessions:
        years.setdefault(stamp.year, []).append(stamp.date())
    return {year: tuple(days) for year, days in years.items()}


if __name__ == "__main__":
    # As a process of its own: see ingest.calendars.
    sys.stdout.writelines(f"{day}\n" for year in sys.argv[1:] for day in compute(int(year)))
