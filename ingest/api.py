"""The project's functions for Python programs; `ingest` itself offers them, and imports this when one is used."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

import anyio

from ingest import events, overview, runs, settings
from ingest.overview import Status
from ingest.request import Flags, Request, request_of


def run(
    months: int | None = None,
    start: date | None = None,
    end: date | None = None,
    *,
    tickers: Iterable[str] | None = None,
    refresh: bool = False,
    all_permitted: bool = False,
    max_files: int | None = None,
    max_bytes: int | None = None,
    config: Path | None = None,
    on_event: events.Sink = lambda event: None,
) -> events.Finished:
    """Bring the cache to what is asked for, as `ingest run` does; returns the summary.

    `months` calendar months back from today, or `start` to `end`, both inclusive, or all that the keys' plan allows;
    of that `max_files` files and `max_bytes` packed bytes at most, the oldest first. `tickers` are tracked in place of
    those of the settings. May be called where an event loop is running (a notebook). Raises IngestError.
    """
    flags = Flags(
        months=months,
        start=start,
        end=end,
        refresh=refresh,
        all_permitted=all_permitted,
        max_files=max_files,
        max_bytes=None if max_bytes is None else str(max_bytes),
    )
    chosen = settings.load(config, flags.settings())
    request = request_of(flags, chosen, on_event)
    if tickers is not None:
        request = replace(request, tracked=frozenset(tickers))
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(anyio.run, partial(_run, chosen, request, on_event)).result()


async def _run(chosen: settings.Settings, request: Request, on_event: events.Sink) -> events.Finished:
    return await runs.run(chosen, request, on_event, anyio.Event())


def status(config: Path | None = None) -> Status:
    """State of the cache that the settings name, as `ingest status` shows it. Raises IngestError."""
    return overview.status(settings.load(config))
