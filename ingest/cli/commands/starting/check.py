"""`ingest check`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from textwrap import indent

import anyio
from rich.console import Console
from rich.text import Text

from ingest import settings
from ingest.cli.rendering import hints
from ingest.cli.rendering.records import print_records
from ingest.maintenance.check import Check, check
from ingest.planning.request import datasets_asked
from ingest.settings import Settings

NOT_READY = 4


def check_command(datasets: Sequence[str], config: Path | None, as_json: bool, notify: bool = False) -> int:
    """Check everything that a run needs and print a line for each; returns the exit code. Raises UsageError.

    `notify` sends a test to everybody of [notify].
    """
    found: list[Check] = []
    chosen = settings.load(config)
    console = Console(highlight=False, markup=False)

    def report(one: Check) -> None:
        found.append(one)
        if as_json:
            print_records("check", [hints.as_json(one, "found")])
        else:
            _show(console, one)

    anyio.run(partial(check, chosen, report, datasets_asked(datasets, chosen)))
    report(_notify(chosen, notify))
    return 0 if all(one.passed or not one.needed for one in found) else NOT_READY


def _notify(chosen: Settings, send: bool) -> Check:
    if not chosen.notify.wanted:
        return Check("notify", True, "nobody is told how a run ended: see [notify]", needed=False)
    from ingest.cli.nightly.checking import check_notify

    return check_notify(chosen.notify, send)


def _show(console: Console, one: Check) -> None:
    mark = ("pass ", "green") if one.passed else ("to do", "red") if one.needed else ("note ", "yellow")
    console.print(Text.assemble(mark, " ", (f"{one.name:<10}", "bold")), end=" ")
    if one.dataset:
        console.print(f"{one.dataset}:", end=" ")
    console.print(hints.said(one.found, one.hints), soft_wrap=True)
    if one.advice:
        console.print(indent(one.advice, " " * 17), soft_wrap=True, style="yellow")
