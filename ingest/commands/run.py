"""`ingest run`."""

import gc
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio

from ingest import runs, settings
from ingest.commands.interrupts import interruptible
from ingest.commands.rendering import choose_rendering
from ingest.commands.rendering.base import Rendering
from ingest.errors import NotConfirmed
from ingest.request import Flags, Request, request_of
from ingest.settings import Settings

INTERRUPTED = 130


def run_command(flags: Flags, config: Path | None, dry_run: bool, json: bool, quiet: bool) -> int:
    """Run as the flags say; returns the exit code. Raises IngestError."""
    chosen = settings.load(config, flags.settings())
    with choose_rendering(json, quiet) as rendering:
        request = request_of(flags, chosen, rendering.event)
        if dry_run:
            rendering.plan(anyio.run(partial(runs.preview, chosen, request, rendering.event)))
            return 0
        try:
            return execute(chosen, request, rendering)
        except NotConfirmed as error:
            if not rendering.confirm(error.estimate):
                raise
        # What the window's notices say has been said.
        window = replace(request.window, notices=())
        return execute(chosen, replace(request, window=window, confirmed=True), rendering)


def execute(chosen: Settings, request: Request, rendering: Rendering) -> int:
    """Run until done or interrupted; returns the exit code. Raises IngestError."""
    _tune()
    finished = anyio.run(interruptible, partial(runs.run, chosen, request, rendering.event))
    return finished.exit_code if finished else INTERRUPTED


def _tune() -> None:
    """Suit this process to a run: many small files side by side, and modules that will never be garbage."""
    # Sessions are split side by side: within one small file more threads only wait for each other, while a single one
    # would parse one session at a time.
    os.environ.setdefault("POLARS_MAX_THREADS", "2")
    # numpy's linear algebra is not used, and its threads cost a tenth of a second to start.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()
