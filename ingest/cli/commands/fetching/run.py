"""`ingest run`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from ingest import events, settings
from ingest.cli.interrupts import interruptible
from ingest.cli.limits import within_limits
from ingest.cli.places import agree_on_place
from ingest.cli.rendering import choose_rendering
from ingest.cli.rendering.base import Rendering
from ingest.cli.rendering.hints import flag_named
from ingest.errors import NotConfirmed, Stopped
from ingest.pipeline.dataset_run import preview
from ingest.pipeline.own_process import tune_process
from ingest.pipeline.run import Series, run
from ingest.planning.request import Flags, Request, datasets_asked, requests_of
from ingest.settings import Settings
from ingest.settings.arguments import parse_wait

if TYPE_CHECKING:
    from ingest.pipeline.committer import ExecutorFor

INTERRUPTED = 130
NOTHING_LISTED = 3
_INTERRUPTED = events.Notice("interrupted: what was committed stays. Run again to continue", "warning")


def run_command(
    flags: Flags, datasets: Sequence[str], config: Path | None, *, dry_run: bool, json: bool, quiet: bool
) -> int:
    """Run as the flags say, one dataset after another; returns the worst exit code. Raises IngestError."""
    wait_s = parse_wait("wait", flags.wait)
    chosen = settings.load(config, flags.settings(), flag_named)
    agree = partial(agree_on_place, chosen, agreed=flags.confirmed, quiet=quiet, asks=not json)
    work = partial(_run_all, flags, datasets, chosen, wait_s=wait_s, agree=agree)
    with choose_rendering(json, quiet) as rendering, _interruption_told(rendering):
        if dry_run:
            return _preview(chosen, requests_of(flags, chosen, datasets_asked(datasets, chosen)), rendering)
        if not (chosen.notify.wanted or chosen.run.log_file or chosen.run.metrics_file or chosen.report.path):
            return work(rendering)
        from ingest.cli.nightly.watching import watched  # a run that nobody is told of need not import it

        return watched(chosen, datasets, rendering, work)


def _run_all(
    flags: Flags,
    datasets: Sequence[str],
    chosen: Settings,
    rendering: Rendering,
    *,
    wait_s: int,
    agree: Callable[[], None],
) -> int:
    agree()
    requests = requests_of(flags, chosen, datasets_asked(datasets, chosen))
    if not (done := _run(chosen, requests, rendering, wait_s)):
        return INTERRUPTED
    code, unconfirmed = done.exit_code, done.unconfirmed
    agreed = [request for request, error in unconfirmed if rendering.confirm(_named(request, error, requests))]
    if agreed and code != INTERRUPTED:
        done = _run(chosen, [replace(one.told(), confirmed=True) for one in agreed], rendering)
        code = max(code, done.exit_code if done else INTERRUPTED)
    for request, error in unconfirmed:
        if request not in agreed:
            raise error
    return code


@contextmanager
def _interruption_told(rendering: Rendering) -> Iterator[None]:
    """Say so if Ctrl-C ends a preview."""
    try:
        yield
    except KeyboardInterrupt:
        rendering.event(_INTERRUPTED)
        raise


def _preview(chosen: Settings, requests: Sequence[Request], rendering: Rendering) -> int:
    code = 0
    for request in requests:
        plan = anyio.run(partial(preview, chosen, request, rendering.event))
        rendering.plan(plan, request.dataset.name)
        code = max(code, NOTHING_LISTED if plan.is_bare else 0)
    return code


def _named(request: Request, error: NotConfirmed, requests: Sequence[Request]) -> str:
    return f"{request.dataset.short}: {error.estimate}" if len(requests) > 1 else error.estimate


def execute(chosen: Settings, request: Request, rendering: Rendering) -> int:
    """Run until done or interrupted; returns the exit code. Raises IngestError."""
    done = _run(chosen, [request], rendering)
    for _, error in done.unconfirmed if done else ():
        raise error
    return done.exit_code if done else INTERRUPTED


def _run(chosen: Settings, requests: Sequence[Request], rendering: Rendering, wait_s: int = 0) -> Series | None:
    """Run; None if it was interrupted before there was anything to sum up."""
    tune_process()
    with _engine(chosen) as executor_for:
        work = partial(run, within_limits(chosen), requests, rendering.event, wait_s=wait_s, executor_for=executor_for)
        try:
            done = anyio.run(interruptible, work)
        except Stopped:
            done = None
    if done is None:
        rendering.event(_INTERRUPTED)
    return done


def _engine(chosen: Settings) -> AbstractContextManager["ExecutorFor | None"]:
    """What downloads and splits, if it is not this process."""
    if chosen.engine.kind == "local":
        return nullcontext()
    from ingest.engines.engine import engine_of  # a local run need not import it

    return engine_of(chosen)
