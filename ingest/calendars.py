"""The trading calendar as the manifest keeps it, so that a run with nothing to do need not compute it."""

import sys
from collections.abc import Iterable
from datetime import date
from functools import cache
from subprocess import DEVNULL

import anyio
from anyio.abc import Process, TaskStatus

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


async def compute_years(
    manifest: Manifest, dataset: Dataset, years: Iterable[int], *, task_status: TaskStatus[anyio.Event]
) -> None:
    """Have a writable manifest hold these years; the event that the task starts with is set when it does.

    What is lacking is computed in a process of its own: it takes half a second and 75 MB (pandas), while this process
    imports, connects and lists on another core. Where that fails, `calendar_of` computes it here.
    """
    version, done = sessions.library_version(), anyio.Event()
    lacking = [year for year in years if manifest.calendar_year(dataset.calendar, year, version) is None]
    if lacking and manifest.writable:
        # In a session of its own, so that Ctrl-C in a terminal is this process's alone.
        command = [sys.executable, "-m", sessions.__name__, *map(str, lacking)]
        process = await anyio.open_process(command, stdin=DEVNULL, stderr=DEVNULL, start_new_session=True)
        task_status.started(done)
        days = [date.fromisoformat(line) for line in (await _output(process)).split()]
        for year in lacking if days else ():
            _kept(manifest, dataset, year, tuple(day for day in days if day.year == year))
    else:
        task_status.started(done)
    done.set()


async def _output(process: Process) -> str:
    """What a process wrote, if it ended well."""
    async with process:
        chunks = [chunk async for chunk in process.stdout] if process.stdout else []
        return b"".join(chunks).decode() if await process.wait() == 0 else ""


def _kept(manifest: Manifest, dataset: Dataset, year: int, days: tuple[date, ...]) -> tuple[date, ...]:
    if manifest.writable:
        manifest.keep_calendar_year(dataset.calendar, year, sessions.library_version(), days)
    return days
