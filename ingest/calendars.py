"""The trading calendar as the manifest keeps it, so that a run with nothing to do need not compute it."""

from datetime import date
from functools import cache

from ingest import sessions
from ingest.datasets import Dataset
from ingest.manifest import Manifest


def calendar_of(manifest: Manifest, dataset: Dataset) -> sessions.Calendar:
    """The dataset's calendar. Advisory: the listing says which days exist.

    A year is computed once for each version of the calendar's library, and kept where the manifest is writable.
    """

    @cache
    def year(number: int) -> tuple[date, ...]:
        version = sessions.library_version()
        known = manifest.calendar_year(dataset.calendar, number, version)
        if known is not None:
            return known
        computed = sessions.compute(number)
        if manifest.writable:
            manifest.keep_calendar_year(dataset.calendar, number, version, computed)
        return computed

    return sessions.Calendar(year)
