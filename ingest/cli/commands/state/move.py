"""`ingest move`."""

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Self

import anyio
from anyio import to_thread
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from ingest import settings
from ingest.cli.confirming import agreed
from ingest.cli.interrupts import interruptible
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.records import fields_of, print_records
from ingest.cli.rendering.words import counted, minute, size
from ingest.errors import UsageError
from ingest.hints import Option
from ingest.maintenance.moving import (
    Cleared,
    Moved,
    Moving,
    Place,
    Planned,
    UnfitPart,
    move,
    named,
    planned,
    target_of,
    whereabouts,
)
from ingest.settings import Settings

INCOMPLETE, INTERRUPTED = 3, 130
_SHOWN = 20
"""Parts that cannot be copied that are printed; --json has all."""


def move_command(
    to: str | None, config: Path | None, *, keep: bool, leave_damaged: bool, dry_run: bool, yes: bool, as_json: bool
) -> int:
    """Move the parts of all datasets, after asking; returns the exit code. Raises IngestError."""
    chosen = settings.load(config)
    target = target_of(chosen, to)
    plan = planned(chosen, target)
    console = Answers()
    if dry_run:
        _show_plan(console, plan, target, as_json)
        return 0
    if plan and not (keep or yes):
        _confirm(chosen, plan, target)
    with _Shown(as_json) as shown:
        work = partial(move, chosen, target, keep=keep, leave_damaged=leave_damaged, report=shown.report)
        moved = anyio.run(interruptible, partial(_moved, work))
    if moved is None:
        console.print(_STOPPED)
        return INTERRUPTED
    if as_json:
        print_records("unfit_part", map(_unfit, moved.unfit))
        print_records("moved", [_fields(moved)])
    else:
        _show(console, chosen, moved)
    return _code(moved)


_STOPPED = "Interrupted: the parts are where they were. The same command goes on with what is left."


async def _moved(work: Any, stop: anyio.Event) -> Moved:
    found: Moved = await to_thread.run_sync(partial(work, stop=stop.is_set), abandon_on_cancel=True)
    return found


def _code(moved: Moved) -> int:
    if moved.interrupted:
        return INTERRUPTED
    return 0 if moved.is_done else INCOMPLETE


class _Shown:
    """A bar on a terminal, a record a second for programs."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), DownloadColumn(), TransferSpeedColumn())
        self._bar = Progress(*columns, TimeRemainingColumn(), console=Answers(stderr=True), transient=True)
        self._bar.disable = as_json or not sys.stderr.isatty()
        self._task = self._bar.add_task("moving", total=None)
        self._said = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def report(self, now: Moving) -> None:
        """Show how far the move is."""
        sessions = f"{now.sessions:,} of {counted(now.of_sessions, 'session')}"
        self._bar.update(self._task, description=sessions, completed=now.bytes, total=now.of_bytes)
        if self._as_json and int(now.seconds) > self._said:
            self._said = int(now.seconds)
            print_records("moving", [asdict(now)])


def _confirm(chosen: Settings, plan: Sequence[Planned], target: Place) -> None:
    """Raise UsageError unless the user agrees to what will be removed."""
    source = whereabouts(chosen)
    if agreed(f"Move {_total(plan)}, to {target}, and then remove them from {source}?"):
        return
    raise UsageError(
        "Nothing was moved",
        Option("yes", True, f"to move {_total(plan)}, and remove them where they are"),
        Option("keep", True, "to keep them there, too"),
    )


def _total(plan: Sequence[Planned]) -> str:
    return f"{counted(sum(one.parts for one in plan), 'part')}, {size(sum(one.bytes for one in plan))}"


def _show_plan(console: Answers, plan: Sequence[Planned], target: Place, as_json: bool) -> None:
    if as_json:
        print_records("movable", map(fields_of, plan))
        return
    if not plan:
        console.print(f"There is nothing to move to {target}.")
        return
    rows = [(one.dataset, f"{one.sessions:,}", f"{one.parts:,}", size(one.bytes), f"{one.missing:,}") for one in plan]
    console.print_table(("dataset", "sessions", "parts", "size", "missing"), rows, right=("sessions", "parts", "size"))
    console.print(f"Would be moved to {target}: {_total(plan)}.")


def _unfit(one: UnfitPart) -> dict[str, Any]:
    key = one.piece.key
    where = {"dataset": one.piece.dataset.name, "session": key.session, "tier": key.tier, "path": one.where}
    return where | {"reason": one.reason}


def _fields(moved: Moved) -> dict[str, Any]:
    places = {"source": named(moved.source), "target": named(moved.target)}
    how = {"done": moved.is_done, "interrupted": moved.interrupted, "unfit": len(moved.unfit)}
    return places | asdict(moved.copied) | how | {"cleared": [asdict(one) for one in moved.cleared]}


def _show(console: Answers, chosen: Settings, moved: Moved) -> None:
    _show_unfit(console, moved)
    if moved.interrupted:
        console.print(_STOPPED, style="yellow")
    elif not moved.is_done:
        console.print(
            f"Nothing was moved: the parts are in {moved.source}. `ingest verify --repair` gets such "
            "sessions back; then the same command goes on with what is left. `--leave-damaged` moves all others, and "
            "the next run downloads these again, if the source still has them.",
            style="yellow",
        )
    else:
        copied = moved.copied
        console.print(
            f"{counted(copied.parts, 'part')} of {counted(copied.sessions, 'session')}, {size(copied.bytes)}, "
            f"are in {moved.target} now."
            if copied.of_parts
            else f"There is nothing to move to {moved.target}."
        )
    for line in (*_remains(moved.cleared), *_of_lake(moved), *_to_set(chosen, moved)):
        console.print(line)


def _show_unfit(console: Answers, moved: Moved) -> None:
    rows = [(one.reason, one.where) for one in moved.unfit[:_SHOWN]]
    console.print_table(("cannot be copied", "part"), rows, prose=True)
    if len(moved.unfit) > _SHOWN:
        console.print(f"… and {len(moved.unfit) - _SHOWN:,} more (--json lists them)")


def _remains(cleared: Sequence[Cleared]) -> Iterator[str]:
    yield from _waiting([one for one in cleared if one.due])
    for one in (one for one in cleared if not one.due):
        if one.why:
            yield f"The {one.tier} parts in {one.place} stay: {one.why}."
        else:
            kept = f"; {counted(one.kept, 'other file')} stay there" if one.kept else ""
            yield f"Removed from {one.place}: {counted(one.removed, f'{one.tier} part')}, {size(one.bytes)}{kept}."


def _waiting(cleared: Sequence[Cleared]) -> Iterator[str]:
    """What stays for a while: one line for tiers that stay at one place as long as each other."""
    tiers: Mapping[tuple[str, str], list[str]] = defaultdict(list)
    for one in cleared:
        tiers[one.place, minute(one.due or "")].append(one.tier)
    for (place, due), names in tiers.items():
        until = f"until {due} UTC, for those who are reading them"
        yield f"The {' and '.join(names)} parts in {place} stay {until}; the first run after that removes them."


def _of_lake(moved: Moved) -> Iterator[str]:
    """What becomes of the lake, which is not moved."""
    if moved.leaves_lake:
        yield "The lake is not moved: `ingest lake build`, or the next run with it on, writes it at its new place."


def _to_set(chosen: Settings, moved: Moved) -> Iterator[str]:
    """What the settings have to say from now on."""
    if not moved.is_done or not moved.target.differing(Place.of(chosen)):
        return
    where = chosen.config_file or "config.toml"
    yield f'Set this in {where}, section [cache], or the next command is refused: archive = "{moved.target.url}"'
