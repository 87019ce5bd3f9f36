"""`ingest adopt`."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self

import anyio
from rich.progress import MofNCompleteColumn, Progress

from ingest import events, settings
from ingest.cli.interrupts import interruptible
from ingest.cli.limits import within_limits
from ingest.cli.places import agree_on_place
from ingest.cli.rendering import hints, only_warnings, words
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.records import print_records, print_warning
from ingest.cli.rendering.words import counted
from ingest.maintenance.adopt.adopt import adopt
from ingest.maintenance.adopt.adoption import Adoption, Summary, Verdict
from ingest.maintenance.adopt.folder import apart, has_caches
from ingest.maintenance.adopt.mirror import MirroredFile, files_of_mirror
from ingest.maintenance.adopt.mirrored import Report, adopt_mirror, preview_mirror
from ingest.market.catalogue import named
from ingest.market.datasets import Dataset
from ingest.market.windows import Window
from ingest.pipeline.own_process import tune_process
from ingest.planning.request import Flags, Request, request_of
from ingest.settings import Settings


def adopt_command(folder: Path, config: Path | None, dry_run: bool, as_json: bool, datasets: Sequence[str] = ()) -> int:
    """Adopt another tool's caches below a folder, or a mirror of the bucket; returns the exit code.

    `datasets` are those wanted of a mirror. Raises IngestError.
    """
    chosen, only = settings.load(config), [named(one) for one in datasets]
    if not dry_run:
        agree_on_place(chosen, asks=not as_json)
    examples: dict[Verdict, Adoption] = {}
    with _progress(as_json) as progress:

        def report(one: Adoption) -> None:
            examples.setdefault(one.verdict, one)
            progress.advance(one)
            if as_json:
                print_records("adoption", [hints.as_json(one, "reason")])

        top = apart(folder, chosen)
        if only or not has_caches(top):
            summary = _mirror(chosen, files_of_mirror(top, only), dry_run, report, progress.event)
        else:
            summary = _caches(chosen, folder, dry_run, report, only_warnings(as_json).event)
    if not as_json:
        _show(Answers(), summary, examples, dry_run)
    return summary.exit_code


def _caches(chosen: Settings, folder: Path, dry_run: bool, report: Report, warn: events.Sink) -> Summary:
    request = request_of(Flags(), chosen, warn)
    say = Answers(stderr=True).print
    return adopt(chosen, request, folder, dry_run=dry_run, report=report, say=say)


def _mirror(
    chosen: Settings, found: Sequence[MirroredFile], dry_run: bool, report: Report, sink: events.Sink
) -> Summary:
    if dry_run:
        return preview_mirror(chosen, found, report)

    def wanted(dataset: Dataset, window: Window) -> Request:
        return replace(request_of(Flags(), chosen, sink, dataset), window=window)

    tune_process()
    work = partial(adopt_mirror, within_limits(chosen), found, wanted, report=report, sink=sink)
    return anyio.run(interruptible, work) or Summary({}, 0, None, interrupted=True)


class _Progress:
    """A bar on a terminal, and warnings on stderr; nothing else is shown before the end."""

    def __init__(self, shown: bool, recorded: bool) -> None:
        self._recorded = recorded
        self._console = Answers(stderr=True)
        columns = (*Progress.get_default_columns(), MofNCompleteColumn())
        self._bar = Progress(*columns, console=self._console, transient=True)
        self._bar.disable = not shown
        self._task = self._bar.add_task("adopting", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def event(self, event: events.Event) -> None:
        """Show a notice, or begin with another dataset."""
        match event:
            case events.Planned(fetch=sessions, bytes=size):
                self._bar.reset(self._task, total=sessions, description=f"adopting {words.size(size)}")
            case events.Notice():
                message = hints.said(event.message, event.hints)
                self._console.print(message)
                if self._recorded and event.level == "warning":
                    print_warning(message)

    def advance(self, one: Adoption) -> None:
        """Count a file that was read."""
        if one.verdict not in ("held", "ignored"):
            self._bar.advance(self._task)


def _progress(as_json: bool) -> _Progress:
    return _Progress(shown=not as_json and sys.stderr.isatty(), recorded=as_json)


def _show(console: Answers, summary: Summary, examples: Mapping[Verdict, Adoption], dry_run: bool) -> None:
    names = ("would be" if dry_run else "verdict", "files", "for example")
    rows = (
        (verdict, f"{summary.counts[verdict]:,}", f"{one.path}: {hints.said(one.reason, one.hints)}")
        for verdict, one in examples.items()
    )
    console.print_table(names, rows, right=("files",), prose=True)
    adopted = summary.counts.get("adopted", 0)
    if adopted and (summary.with_md5 or not dry_run):  # a mirror's files are not read in a dry run
        _show_adopted(console, adopted, summary.with_md5)
    if summary.interrupted:
        console.print("Interrupted: what was adopted stays. Run the same command again to continue.")
    if summary.left:
        first, last = summary.left
        flags = "".join(map(hints.dataset_flag, summary.datasets))
        console.print(f"`ingest run{flags} --start {first} --end {last}` downloads the days left alone.")
    if not examples:
        console.print("It contains no files.")


def _show_adopted(console: Answers, adopted: int, with_md5: int) -> None:
    console.print(
        f"{with_md5:,} of {counted(adopted, 'day')} have the md5 of their bytes for an ETag: the next `ingest run` "
        "compares it with the source's listing and downloads again what differs from the vendor's file.",
    )
