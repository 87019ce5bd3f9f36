"""The trading calendar as the manifest keeps it, so that a run with nothing to do need not compute it."""

import sys
from collections.abc import Iterable
from datetime import date
from functools import cache

import anyio

from ingest import sessions
from ingest.datasets import Dataset
from ingest.manifest import Manifest


def calendar_of(manifest: Manifest, dataset: Dataset) -> sessions.Calendar:
    """The dataset's calendar. Advisory: the listing says which days exist.

    A year is computed once for each version of the calendar's library, and kept where the manifest is writable.
    """

    @cache
    def year(number: int) -> tuple[date, ...]:
        known = manifest.calendar_year(dataset.calendar, number, sessions.library_version())
        return known if known is not None else _kept(manifest, dataset, number, sessions.compute(number))

    return sessions.Calendar(year)


async def compute_years(manifest: Manifest, dataset: Dataset, years: Iterable[int]) -> None:
    """Have the manifest hold these years, computing what it lacks in a process that ends thereafter.

    It takes half a second and 75 MB (pandas), while this process waits for its listing and has better use for both.
    """
    version = sessions.library_version()
    lacking = [year for year in years if manifest.calendar_year(dataset.calendar, year, version) is None]
    if not lacking or not manifest.writable:
        return
    command = [sys.executable, "-m", sessions.__name__, *map(str, lacking)]
    answer = (await anyio.run_process(command)).stdout.decode()
    days = [date.fromisoformat(line) for line in answer.split()]
    for year in lacking:
        _kept(manifest, dataset, year, tuple(day for day in days if day.year == year))


def _kept(manifest: Manifest, dataset: Dataset, year: int, days: tuple[date, ...]) -> tuple[date, ...]:
    if manifest.writable:
        manifest.keep_calendar_year(dataset.calendar, year, sessions.library_version(), days)
    return days
