"""Trading calendars, advisory: the source's listing says which days exist, a calendar why one may not.

The days on which an exchange is closed or closes early are in `closures/`, made and checked with exchange_calendars
(see `tests/kits/closures.py`): computing them in each run would take a second and 75 MB.
"""

import calendar
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from datetime import time as clock
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
FOLDER = Path(__file__).with_name("closures")
FIRST_SESSION = date(2003, 9, 10)
LAST_DAY = date(2100, 12, 31)
"""Where the tables end. Future days follow rules: closures that nobody has announced yet are missing."""

_MONDAY_TO_FRIDAY = frozenset(range(5))
_WEEKS: Mapping[str, frozenset[int]] = {"daily": frozenset(range(7)), "forex": frozenset({0, 1, 2, 3, 4, 6})}
"""Markets without closures: crypto never closes; currencies trade from Sunday evening to Friday evening, New York."""

_ROUGH = frozenset({"CMES"})
"""Exchanges with one table for many markets: on some of its closures some of these are open."""

_PUBLISHED = clock(11)
"""When the vendor says that a session's file is there: on the next day, New York. Most come hours earlier."""

_HOURS: Mapping[str, tuple[clock, clock]] = {"XNYS": (clock(9, 30), clock(16))}
"""Regular hours, in New York time, of the exchanges with extended hours before and after."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """The sessions of a market: these days of the week (Monday is 0), except for the `closures`.

    There are none before 2003-09-10, when the first files begin, and none after 2100. `hours` are the regular ones in
    New York time, None where bars are traded around the clock; `early` are the closes of the days that end early.
    `listed` are days for which the source has a file: these are sessions, whatever the table says. A `rough` table may
    list closures that were sessions.
    """

    closures: frozenset[date]
    week: frozenset[int] = _MONDAY_TO_FRIDAY
    hours: tuple[clock, clock] | None = None
    early: Mapping[date, clock] = field(default_factory=dict)
    listed: frozenset[date] = frozenset()
    rough: bool = False

    @classmethod
    def of(cls, market: str, listed: Collection[date] = ()) -> "Calendar":
        """The calendar of a market: "daily", "forex", or an exchange by a code of exchange_calendars (`XNYS`)."""
        known, week = frozenset(listed), _WEEKS.get(market)
        if week:
            return cls(frozenset(), week, listed=known)
        hours = _HOURS.get(market)
        early = _early_closes(market) if hours else {}
        return cls(_closures(market), hours=hours, early=early, listed=known, rough=market in _ROUGH)

    def is_session(self, day: date) -> bool:
        """Whether the market is, was or will be open on `day`: a listed file decides, else the table."""
        by_table = FIRST_SESSION <= day <= LAST_DAY and day.weekday() in self.week and day not in self.closures
        return by_table or day in self.listed

    def doubtful(self, start: date, end: date) -> tuple[date, ...]:
        """Closures from `start` to `end` that are not certain, and without a known file."""
        days = (day for day in self.closures if start <= day <= end and day not in self.listed)
        return tuple(sorted(days)) if self.rough else ()

    def between(self, start: date, end: date) -> tuple[date, ...]:
        """The sessions from `start` to `end`, both inclusive, ascending; none if `start` is after `end`."""
        first, last = max(start, FIRST_SESSION), min(end, LAST_DAY)
        days = (first + timedelta(days=number) for number in range((last - first).days + 1))
        return tuple(day for day in days if self.is_session(day))

    def close(self, session: date) -> clock | None:
        """When the regular hours of a session end, New York time; None if trading is around the clock."""
        return self.hours and self.early.get(session, self.hours[1])

    def gaps(self, held: Collection[date]) -> Iterator[tuple[date, date, int]]:
        """Runs of sessions that are not stored, between the oldest and the newest stored one: first, last, how many."""
        known, stretch = frozenset(held), list[date]()
        for session in self.between(min(known), max(known)) if known else ():
            if session not in known:
                stretch.append(session)
            elif stretch:
                yield stretch[0], stretch[-1], len(stretch)
                stretch = []

    def count_between(self, start: date, end: date) -> int:
        """How many sessions there are from `start` to `end`, both inclusive."""
        return len(self.between(start, end))


@cache
def _closures(exchange: str) -> frozenset[date]:
    return frozenset(date.fromisoformat(line) for line in _lines(exchange))


@cache
def _early_closes(exchange: str) -> Mapping[date, clock]:
    pairs = (line.split() for line in _lines(f"{exchange}_early"))
    return {date.fromisoformat(day): clock.fromisoformat(close) for day, close in pairs}


def _lines(table: str) -> Iterator[str]:
    return (line for line in (FOLDER / f"{table}.txt").read_text().splitlines() if not line.startswith("#"))


def today(now: datetime | None = None) -> date:
    """The date in New York, of `now` (which must know its time zone) or of this moment.

    Raises ValueError for a `now` without a time zone.
    """
    return _in_new_york(now).date()


def last_due(now: datetime | None = None) -> date:
    """The last day whose files the vendor says are there by `now`, or by this moment, if it was a session.

    That is yesterday from 11:00 on, and the day before until then (New York). Raises ValueError as `today` does.
    """
    moment = _in_new_york(now)
    return moment.date() - timedelta(days=1 if moment.time() >= _PUBLISHED else 2)


def _in_new_york(now: datetime | None) -> datetime:
    moment = now or datetime.now(NEW_YORK)
    if moment.tzinfo is None:
        raise ValueError("now has no time zone")
    return moment.astimezone(NEW_YORK)


def months_back(day: date, months: int) -> date:
    """The same day of the month `months` calendar months earlier, or that month's last day if it is shorter.

    Raises ValueError if that is before the year 1.
    """
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    if year < 1:
        raise ValueError(f"{months} months before {day} there is no date")
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
