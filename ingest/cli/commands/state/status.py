"""`ingest status`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from ingest import settings
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.hints import dataset_flag
from ingest.cli.rendering.records import fields_of, print_records, print_warning
from ingest.cli.rendering.words import counted, minute, refused_files, size
from ingest.cli.rendering.wrapping import tell
from ingest.maintenance.status import Status, asked_or_held, status
from ingest.market.catalogue import named
from ingest.market.patterns import some
from ingest.planning.request import datasets_asked

STALE = 3
_KINDS = 5
"""Kinds of findings to name."""


def status_command(datasets: Sequence[str], config: Path | None, as_json: bool, max_age: int | None) -> int:
    """Print the state of the cache, one dataset after another; returns the exit code. Raises IngestError.

    Without datasets named, any other dataset that has stored sessions is shown beside those of [run] datasets;
    `max_age` does not apply to it.
    """
    chosen = settings.load(config)
    asked = datasets_asked(datasets, chosen)
    found = [status(chosen, dataset) for dataset in asked_or_held(datasets, chosen)]
    for number, one in enumerate(found):
        if as_json:
            print_records("status", [fields_of(one)])
        else:
            sys.stdout.write("\n" if number else "")
            show(one, dataset_flag(named(one.dataset).short, chosen.run.datasets))
    stale = [one for one in found[: len(asked)] if max_age is not None and not _is_fresh(one, max_age)]
    for one in stale:
        which = f" {one.dataset}:" if len(asked) > 1 else ""
        told = f"stale:{which} {_age(one)}" + (f", {max_age} allowed" if one.last else "")
        tell(told)
        if as_json:
            print_warning(told)
    return STALE if stale else 0


def _is_fresh(found: Status, max_age: int) -> bool:
    return found.age_sessions is not None and found.age_sessions <= max_age


def _age(found: Status) -> str:
    if found.age_sessions is None:
        return "no session is stored"
    return f"the newest stored session, {found.last}, is {counted(found.age_sessions, 'session')} old"


def show(found: Status, flag: str) -> None:
    """Print tables for people; `flag` is the flag by which other commands choose this dataset."""
    console = Answers()  # a reason quotes a file, a path may hold anything
    console.print(Text.assemble((found.dataset, "bold"), f" in {found.root}"))
    if found.running:
        console.print(f"In use: {found.running}.", style="yellow")
    if found.unknown_parts:
        parts = counted(found.unknown_parts, "session")
        console.print(f"Parts of {parts} are missing from the manifest: `ingest run{flag}` restores them.")
    elif found.first is None:
        console.print(f"Nothing is stored yet. `ingest run{flag}` downloads; `ingest demo` needs no keys.")
    else:
        console.print(f"{found.first} to {found.last}, {found.source_rows:,} rows; {_age(found)}.")
    _show_sessions(console, found)
    if found.not_whole:
        days = some([str(day) for day in found.not_whole])
        console.print(
            f"A part is missing or damaged: {days}. `ingest run{flag}` downloads what is available.",
            style="yellow",
        )
    _show_gaps(console, found)
    sizes = ((tier.name, f"{tier.files:,}", size(tier.bytes), tier.path) for tier in found.tiers)
    console.print_table(("tier", "files", "size", "folder"), sizes, right=("files", "size"))
    console.print(
        f"{counted(found.tracked_tickers, 'tracked ticker')}, {found.dirty_files:,} CSVs to update; "
        f"{counted(found.corrections, 'correction')}{_see('corrections', flag, found.corrections)}."
    )
    _show_judgements(console, found, flag)
    _show_permission(console, found)
    if found.yahoo_asked:
        known = f"splits and dividends of {counted(found.yahoo_tickers, 'ticker')}, as of {found.yahoo_asked} or later"
        console.print(
            f"From Yahoo: {known}; {counted(found.yahoo_rows, 'row')} of sessions that Massive does not have."
        )
    _show_runs(console, found)


def _see(command: str, flag: str, count: int) -> str:
    return f" (`ingest {command}{flag}`)" if count else ""


def _show_judgements(console: Answers, found: Status, flag: str) -> None:
    """Show the findings in the files, and which files were refused."""
    kinds = [f"{one.kind} in {one.sessions:,}" for one in found.found[:_KINDS]]
    more = [counted(len(found.found) - _KINDS, "other kind")] if len(found.found) > _KINDS else []
    told = f": {'; '.join([*kinds, *more])}" if kinds else ""
    sessions = counted(found.findings, "session")
    console.print(f"{sessions} with findings{told}{_see('findings', flag, found.findings)}.")
    if found.quarantine:
        refused = refused_files(found.quarantined, found.dismissed)
        console.print(
            f"{refused}: `ingest quarantine list{flag}` says why.", style="yellow" if found.quarantined else ""
        )


def _show_permission(console: Answers, found: Status) -> None:
    if found.permission_asked_at:
        console.print(f"Your subscription allows {found.permission} (asked {minute(found.permission_asked_at)} UTC).")
    if found.only_copies:
        copies = counted(found.only_copies, "session")
        console.print(f"{copies} can't be downloaded again: older than your subscription allows.", style="yellow")


def _show_sessions(console: Answers, found: Status) -> None:
    names = ("held", "source says", "sessions", "first", "last", "reason")
    rows = (
        (one.held, one.remote or "", f"{one.count:,}", str(one.first), str(one.last), one.reason or "")
        for one in found.sessions
    )
    console.print_table(names, rows, right=("sessions",), prose=True)


def _show_gaps(console: Answers, found: Status) -> None:
    for first, last, count in found.gaps[:10]:
        console.print(f"gap: {first} to {last}, {counted(count, 'session')}")
    if len(found.gaps) > 10:
        console.print(f"… and {len(found.gaps) - 10} more gaps (--json lists them)")


def _show_runs(console: Answers, found: Status) -> None:
    rows = (
        (
            str(one["run"]),
            minute(one["started_at"]),
            f"{one['window_start']} to {one['window_end']}",
            "killed or running" if one["exit_code"] is None else str(one["exit_code"]),
        )
        for one in found.runs
    )
    console.print_table(("run", "started (UTC)", "window", "exit"), rows, right=("run",))
