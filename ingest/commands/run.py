"""`ingest run`."""

import gc
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from ingest import events, runs, sessions, settings, window
from ingest.commands.interrupts import interruptible
from ingest.commands.rendering import choose_rendering
from ingest.commands.rendering.base import Rendering
from ingest.datasets import STOCKS_DAY
from ingest.errors import UsageError
from ingest.settings import Settings
from ingest.tickers import tracked

INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class RunFlags:
    """The flags of `ingest run`; None where one was not given."""

    months: int | None = None
    start: date | None = None
    end: date | None = None
    save_others: bool | None = None
    lists: tuple[Path, ...] = ()
    config: Path | None = None
    concurrency: int | None = None
    dry_run: bool = False
    refresh: bool = False
    json: bool = False
    quiet: bool = False

    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        """Those that stand for a setting, by section and name."""
        return {
            "source": {"concurrency": self.concurrency},
            "archive": {"save_others": self.save_others},
            "run": {"months": self.months},
        }


def run_command(flags: RunFlags) -> int:
    """Run as the flags say; returns the exit code. Raises IngestError."""
    if flags.months and flags.start:
        raise UsageError("--months and --start exclude each other: give one of them")
    chosen = settings.load(flags.config, flags.settings())
    with choose_rendering(flags.json, flags.quiet) as rendering:
        return execute(chosen, request_of(flags, chosen, rendering), rendering, flags.dry_run)


def execute(chosen: Settings, request: runs.Request, rendering: Rendering, dry_run: bool = False) -> int:
    """Run, or show the plan; returns the exit code. Raises IngestError."""
    if dry_run:
        rendering.plan(anyio.run(partial(runs.preview, chosen, request, rendering.event)))
        return 0
    _tune()
    work = partial(runs.run, chosen, request, rendering.event)
    finished = anyio.run(interruptible, work)
    return finished.exit_code if finished else INTERRUPTED


def _tune() -> None:
    """Suit this process to a run: many small files side by side, and modules that will never be garbage."""
    # Sessions are split in parallel: within one small file, more threads only wait for each other.
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    # numpy's linear algebra is not used, and its threads cost a tenth of a second to start.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def request_of(flags: RunFlags, chosen: Settings, rendering: Rendering) -> runs.Request:
    """The window and the tickers; says what it could not follow. Raises UsageError."""
    span = window.choose(chosen.run.months, flags.start, flags.end, sessions.today(), STOCKS_DAY)
    return runs.Request(span, _tickers(flags, chosen, rendering), flags.refresh)


def _tickers(flags: RunFlags, chosen: Settings, rendering: Rendering) -> frozenset[str]:
    optional = () if flags.lists else chosen.list_paths
    lists = tracked(optional, extra=chosen.tracked.tickers, required=flags.lists)
    for path in lists.missing:
        rendering.event(events.Notice(f"no list {path}: it is optional; one ticker a line, if you want it"))
    for ticker in lists.unnameable:
        rendering.event(events.Notice(f"{ticker[:40]}… is too long for a file name: archived only", "warning"))
    if not lists.tickers:
        rendering.event(events.Notice(_how_to_track(chosen)))
    return frozenset(lists.tickers) - frozenset(lists.unnameable)


def _how_to_track(chosen: Settings) -> str:
    where = chosen.list_paths[0] if chosen.list_paths else "a file named in [tracked] lists"
    return f"no ticker is tracked, all go into the archive: write some into {where}, one a line, or use --tickers FILE"
