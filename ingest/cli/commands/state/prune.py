"""`ingest prune`."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from ingest import settings
from ingest.cli.confirming import agreed
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.records import fields_of, print_records
from ingest.cli.rendering.words import counted, size
from ingest.errors import UsageError
from ingest.hints import Option
from ingest.lake.top import followed
from ingest.maintenance.pruning import Prunable, Selection, is_unfinished, prunable, remove_from, window_reaching
from ingest.maintenance.status import asked_or_held
from ingest.market.datasets import Dataset
from ingest.market.patterns import some
from ingest.settings import Settings
from ingest.settings.lists import TrackedLists, tracked

_WHAT: Mapping[str, str] = {
    "sessions": "sessions",
    "untracked": "CSVs of tickers not followed",
    "quarantine": "refused files",
    "spool": "unfinished downloads",
}
_FLAG = {"untracked": "--untracked", "quarantine": "--quarantine", "spool": "--spool"}


def prune_command(
    datasets: Sequence[str], config: Path | None, wanted: Selection, *, dry_run: bool, yes: bool, as_json: bool
) -> int:
    """Show what can be removed, and remove it if it is wanted and confirmed; returns the exit code.

    Raises IngestError.
    """
    chosen = settings.load(config)
    console = Answers()
    kinds = asked_or_held(datasets, chosen)
    found = {one: prunable(chosen, one, _names(chosen, one), wanted) for one in kinds}
    if wanted.untracked:
        _check_lists(chosen, kinds)
    shown = [one for of_it in found.values() for one in of_it]
    due = [one for one, of_it in found.items() if of_it or is_unfinished(chosen, one)]
    if dry_run or wanted.is_empty or not due:
        _report(console, shown, wanted, as_json)
        return 0
    if shown and not as_json:
        _show(console, shown, wanted)
    if shown:
        _confirm(shown, yes)
    removed = [one for kind in due for one in _remove(chosen, kind, wanted, console, as_json)]
    if as_json:
        print_records("pruned", map(_fields, removed))
    else:
        console.print(f"Removed {_total(removed)}.")
    return 0


def _names(chosen: Settings, dataset: Dataset) -> Sequence[str]:
    return sorted(followed(chosen, dataset, _lists(chosen, dataset)))


def _lists(chosen: Settings, dataset: Dataset) -> TrackedLists:
    return tracked(dataset.csv_name, chosen.lists_of(dataset), extra=chosen.tickers_of(dataset))


def _check_lists(chosen: Settings, datasets: Sequence[Dataset]) -> None:
    """Raise UsageError if CSVs would go whose tickers may be on a list that is missing.

    A run in another folder than usual must not lose them: a relative path is enough for that.
    """
    for dataset in datasets:
        missing = _missed(chosen, dataset)
        if missing and prunable(chosen, dataset, _names(chosen, dataset), Selection(untracked=True)):
            raise UsageError(
                f"the ticker list {missing[0]} is missing, so it is unknown which CSVs of {dataset.short} are not "
                "followed: make it (empty, if it is not needed), or name others in the settings"
            )


def _missed(chosen: Settings, dataset: Dataset) -> Sequence[Path]:
    """The lists that are missing; of those that nobody has named one is enough, or the tickers of the settings."""
    missing = _lists(chosen, dataset).missing
    is_usual = dataset.primary and not chosen.names_lists
    is_enough = len(missing) < len(chosen.lists_of(dataset)) or chosen.tickers_of(dataset)
    return () if is_usual and is_enough else missing


def _remove(
    chosen: Settings, dataset: Dataset, wanted: Selection, console: Answers, as_json: bool
) -> Sequence[Prunable]:
    def say(words: str) -> None:
        if not as_json:
            console.print(words)

    return remove_from(chosen, dataset, _names(chosen, dataset), wanted, say)


def _confirm(shown: Sequence[Prunable], yes: bool) -> None:
    """Raise UsageError unless the user has agreed, or does so now."""
    if yes or agreed(f"Remove {_total(shown)}?"):
        return
    raise UsageError("Nothing was removed", Option("yes", True, "to remove it"))


def _total(found: Sequence[Prunable]) -> str:
    return f"{counted(sum(one.files for one in found), 'file')}, {size(sum(one.bytes for one in found))}"


def _report(console: Answers, found: Sequence[Prunable], wanted: Selection, as_json: bool) -> None:
    if as_json:
        print_records("prunable", map(_fields, found))
    elif found:
        _show(console, found, wanted)
        console.print(f"{'Could be removed' if wanted.is_empty else 'Would be removed'}: {_total(found)}.")
    else:
        console.print("There is nothing to remove.")


def _fields(one: Prunable) -> dict[str, Any]:
    """The fields of a record, whose own kind is not that of the files."""
    return {"what" if name == "kind" else name: value for name, value in fields_of(one).items()}


def _show(console: Answers, found: Sequence[Prunable], wanted: Selection) -> None:
    rows = []
    for one in found:
        flag = [_flag(one)] if wanted.is_empty else []
        rows.append((*flag, one.dataset, f"{one.files:,}", size(one.bytes), _what(one)))
    names = (*(["flag"] if wanted.is_empty else []), "dataset", "files", "size", "what")
    console.print_table(names, rows, right=("files", "size"), prose=True)
    for line in _remarks(found, wanted):
        console.print(line)


def _what(one: Prunable) -> str:
    return f"{_WHAT[one.kind]}, {one.first} to {one.last}" if one.first else _WHAT[one.kind]


def _flag(one: Prunable) -> str:
    """The flag that removes it; for the sessions of a year, all years before go, too."""
    return _FLAG[one.kind] if one.kind in _FLAG else f"--before {one.last.year + 1}-01-01" if one.last else ""


def _remarks(found: Sequence[Prunable], wanted: Selection) -> Iterator[str]:
    for one in found:
        if one.tickers:
            yield f"{one.dataset}: not followed any more: {some(list(one.tickers))}."
        if lost := one.only_copies:
            span = f"{lost[0]} to {lost[-1]}" if len(lost) > 1 else str(lost[0])
            which = f"{counted(len(lost), 'session')} of these ({span})"
            yield f"{one.dataset}: your subscription no longer allows {which}: you could not download them again."
        if wanted.before and one.again:
            yield f"{one.dataset}: {_again(one.again, wanted.before)}"
        if wanted.quarantine and one.kind == "quarantine":
            yield f"{one.dataset}: the next run requests the refused files again, if they are in its window."


def _again(sessions: int, before: date) -> str:
    told = "1 of these sessions" if sessions == 1 else f"{sessions:,} of these sessions"
    months = window_reaching(before)
    way = f"set [run] months to {months} or less" if months else f"give it --start {before}"
    return f"the next `ingest run` would download {told} again: {way}."
