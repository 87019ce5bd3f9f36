"""`ingest check`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio
from rich.text import Text

from ingest import settings
from ingest.cli.rendering import hints
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.records import print_records
from ingest.maintenance.check import check
from ingest.maintenance.checked import Check
from ingest.planning.request import datasets_asked
from ingest.settings import Settings


def check_command(datasets: Sequence[str], config: Path | None, as_json: bool, notify: bool = False) -> int:
    """Check everything that a run needs and print a line for each; returns the exit code. Raises UsageError.

    The code is that of a run now, as far as checks can tell. `notify` sends a test to everybody of [notify].
    """
    found: list[Check] = []
    chosen = settings.load(config)
    console = Answers()

    def report(one: Check) -> None:
        found.append(one)
        if as_json:
            print_records("check", [hints.as_json(one, "found")])
        else:
            _show(console, one)

    anyio.run(partial(check, chosen, report, datasets_asked(datasets, chosen)))
    report(_notify(chosen, notify))
    if chosen.report.path:
        from ingest.cli.report.making import check_report

        report(check_report(chosen.report.path))
    return max((one.exit_code for one in found if one.needed and not one.passed), default=0)


def _notify(chosen: Settings, send: bool) -> Check:
    if not chosen.notify.wanted:
        return Check("notify", True, "nobody is told how a run ended: see [notify]", needed=False)
    from ingest.cli.nightly.checking import check_notify

    return check_notify(chosen.notify, send)


def _show(console: Answers, one: Check) -> None:
    mark = ("pass ", "green") if one.passed else ("to do", "red") if one.needed else ("note ", "yellow")
    label = Text.assemble(mark, " ", (f"{one.name:<10}", "bold"), " ")
    about = f"{one.dataset}: " if one.dataset else ""
    console.print_beside(label, f"{about}{hints.said(one.found, one.hints)}")
    if one.advice:
        console.print_beside(Text(" " * label.cell_len), one.advice, style="yellow")
