"""The calendar of a dataset: its days as years and months, and what a click on each of them shows."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate, groupby
from typing import Any, Final

from ingest.cli.rendering.words import counted
from ingest.cli.report.days import STATES, Day, State
from ingest.cli.report.words import LABELS, findings_of, moment, reason

SIGNS: Final[Mapping[State, str]] = dict(zip(STATES, "hcqdmfpo", strict=True))
"""One letter for each state, to keep thousands of days small."""

_DAYS: Final = 27_000
"""Days to draw, some 85 bytes each: those of all 18 datasets in five years."""

_TELLING: Final = frozenset({"held", "corrected", "quarantined", "damaged"})
"""A year without any of these is one line."""


@dataclass(frozen=True, slots=True)
class Month:
    """One month: its first day, the row of its first cell (1 is the first day of the week), and its cells.

    None is the cell of a day about which there is nothing to say.
    """

    first: date
    row: int
    cells: Sequence[Day | None]


@dataclass(frozen=True, slots=True)
class Year:
    """One year of a calendar."""

    year: int
    months: Sequence[Month]

    @property
    def days(self) -> Iterable[Day]:
        """Its days, in the order of its cells."""
        return (day for month in self.months for day in month.cells if day)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Years to draw, newest first, the `rows` of a week, lines about the years left out, and days by state."""

    rows: int
    years: Sequence[Year]
    quiet: Sequence[str]
    counts: Mapping[State, int]


def calendar(days: Sequence[Day], since: int = 0) -> Calendar:
    """The calendar of these days, which ascend; years before `since` are lines."""
    week = sorted({day.day.weekday() for day in days})
    by_year = {year: list(group) for year, group in groupby(days, lambda day: day.day.year)}
    recent = {year: group for year, group in by_year.items() if year >= since}
    telling = [year for year, group in recent.items() if any(day.state in _TELLING for day in group)]
    years = [_year(year, by_year[year], week) for year in sorted(telling, reverse=True)]
    quiet = [_quiet(year, group) for year, group in by_year.items() if year not in telling]
    counts = Counter(day.state for day in days)
    return Calendar(len(week), years, quiet[::-1], {state: counts[state] for state in STATES if counts[state]})


def _year(year: int, days: Sequence[Day], week: Sequence[int]) -> Year:
    months = groupby(days, lambda day: day.day.month)
    return Year(year, [_month(date(year, month, 1), list(group), week) for month, group in months])


def _month(first: date, days: Sequence[Day], week: Sequence[int]) -> Month:
    known = {day.day: day for day in days}
    span = [date.fromordinal(number) for number in range(days[0].day.toordinal(), days[-1].day.toordinal() + 1)]
    cells = [known.get(day) for day in span if day.weekday() in week]
    return Month(first, 1 + week.index(days[0].day.weekday()), cells)


def _quiet(year: int, days: Sequence[Day]) -> str:
    counts = Counter(day.state for day in days if day.state != "holiday")
    told = ", ".join(f"{counted(count, 'session')} {LABELS[state]}" for state, count in counts.most_common())
    nothing = "" if any(day.state in _TELLING for day in days) else "nothing is stored; "
    return f"{year}: {nothing}{told or 'no session'}"


def first_year(of_datasets: Iterable[Sequence[Day]]) -> int:
    """The first year that all calendars together can draw within the budget; the newest year is always drawn."""
    counts = Counter(day.day.year for days in of_datasets for day in days)
    years = sorted(counts, reverse=True)
    drawn = [
        year for year, total in zip(years, accumulate(counts[year] for year in years), strict=True) if total <= _DAYS
    ]
    return min(drawn or years[:1], default=0)


def details(found: Calendar, kinds: Sequence[str]) -> Mapping[str, Any]:
    """What the days show when they are clicked, as columns in the order of the cells.

    `why` and `at` are numbers in the lists `whys` and `ats`; `findings` has the days that have any, by their number.
    """
    days = [day for year in found.years for day in year.days]
    whys, ats = _numbered(map(reason, days)), _numbered(moment(day.at) for day in days)
    return {
        "rows": [day.rows for day in days],
        "bytes": [day.bytes for day in days],
        "why": [whys[reason(day)] for day in days],
        "whys": list(whys),
        "at": [ats[moment(day.at)] for day in days],
        "ats": list(ats),
        "findings": {number: findings_of(day, kinds) for number, day in enumerate(days) if day.findings},
    }


def _numbered(texts: Iterable[str]) -> dict[str, int]:
    return {text: number for number, text in enumerate(dict.fromkeys(texts))}
