"""`ingest adopt`."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ingest import settings
from ingest.cli.rendering import choose_rendering, hints
from ingest.cli.rendering.words import counted
from ingest.maintenance.adopt.adopt import Adoption, Summary, Verdict, adopt
from ingest.planning.request import Flags, request_of


def adopt_command(folder: Path, config: Path | None, dry_run: bool, as_json: bool) -> int:
    """Adopt another tool's caches below a folder; returns the exit code. Raises IngestError."""
    chosen = settings.load(config)
    examples: dict[Verdict, Adoption] = {}

    def report(one: Adoption) -> None:
        examples.setdefault(one.verdict, one)
        if as_json:
            sys.stdout.write(json.dumps(hints.as_json(one, "reason"), default=str) + "\n")

    with choose_rendering(json=False, quiet=True) as warnings:
        request = request_of(Flags(), chosen, warnings.event)
    say = Console(highlight=False, markup=False, soft_wrap=True, stderr=True).print
    summary = adopt(chosen, request, folder, dry_run=dry_run, report=report, say=say)
    if not as_json:
        _show(Console(highlight=False, markup=False), summary, examples, dry_run)
    return summary.exit_code


def _show(console: Console, summary: Summary, examples: Mapping[Verdict, Adoption], dry_run: bool) -> None:
    table = Table("would be" if dry_run else "verdict", "files", "for example", box=None)
    for verdict, one in examples.items():
        # Text, so that rich does not read file names as markup.
        example = Text(f"{one.path[:60]}{'…' if len(one.path) > 60 else ''}: {hints.said(one.reason, one.hints)}")
        table.add_row(verdict, f"{summary.counts[verdict]:,}", example)
    console.print(table)
    if adopted := summary.counts.get("adopted", 0):
        _show_adopted(console, adopted, summary.with_md5)
    if summary.left:
        first, last = summary.left
        console.print(f"`ingest run --start {first} --end {last}` downloads the days left alone.", soft_wrap=True)
    if not examples:
        console.print("It contains no files.")


def _show_adopted(console: Console, adopted: int, with_md5: int) -> None:
    console.print(
        f"{with_md5:,} of {counted(adopted, 'day')} have the md5 of their bytes for an ETag: the next `ingest run` "
        "compares it with the source's listing and downloads again what differs from the vendor's file.",
        soft_wrap=True,
    )
