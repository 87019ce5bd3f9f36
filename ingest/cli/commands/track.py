"""`ingest track`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest import settings
from ingest.cache.cache import Cache
from ingest.cli.confirming import agreed
from ingest.cli.places import agree_on_place
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.hints import dataset_flag
from ingest.cli.rendering.records import fields_of, print_records
from ingest.cli.rendering.words import counted, heading, size
from ingest.errors import UsageError
from ingest.hints import Option
from ingest.market.catalogue import named, of_tickers
from ingest.market.datasets import Dataset
from ingest.market.patterns import some
from ingest.planning.request import datasets_asked
from ingest.reading.known import Spellings, did_you_mean, suggestions
from ingest.settings import Settings
from ingest.settings.lists import TrackedLists, is_reference, meaning, read_list, read_whole
from ingest.tracked import lists as tracking
from ingest.tracked.leaving import Leaving, leaving
from ingest.tracked.lists import TrackedTicker

_MANY = 1000
"""More new CSVs than this at once may be more than the user meant."""

_MINUTE = len("2025-11-11 09:30")
"""Characters to show of a minute's time, which leaves room for tickers in eighty columns."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """Whether `track remove` removes the CSVs, too; asks first unless `yes`, and only shows them in a `dry_run`."""

    wanted: bool = False
    yes: bool = False
    dry_run: bool = False


_KEEP = Deletion()


def add_command(
    dataset: str | None, tickers: Sequence[str], file: Path | None, config: Path | None, yes: bool = False
) -> int:
    """Add tickers to a list of a dataset; asks, unless `yes`, before very many CSVs are made.

    Returns the exit code. Raises IngestError.
    """
    chosen, kind = settings.load(config), _dataset(dataset, tickers)
    file = tracking.chosen_list(chosen, kind, file)
    agree_on_place(chosen, agreed=yes)
    if not yes:
        _confirm_many(chosen, kind, meaning(file, tickers))
    console = Answers()
    new, found = tracking.add(chosen, kind, file, tickers, console.print)
    console.print(f"{len(new)} added to {file}, {len(set(tickers)) - len(new)} already there.")
    _warn_unread(console, file, chosen.lists_of(kind), kind)
    meant = _meant(chosen, kind, [one.ticker for one in found if not one.rows and one.matches is None])
    for one in found:
        flag = dataset_flag(kind.short, chosen.run.datasets)
        console.print(f"{_history(one, flag)}{meant.get(one.ticker, '')}")
    return 0


def _meant(chosen: Settings, dataset: Dataset, tickers: Sequence[str]) -> Mapping[str, str]:
    """For each ticker without stored rows, the one that may have been meant."""
    if not tickers:
        return {}
    with Cache.read(chosen, dataset) as cache:
        return suggestions(cache, tickers)


def _confirm_many(chosen: Settings, dataset: Dataset, lists: TrackedLists) -> None:
    """Raise UsageError unless patterns match few tickers, or the user agrees to many CSVs."""
    count = tracking.newest_matches(chosen, dataset, lists)
    if every := [ticker for ticker in lists.tickers if not ticker.strip("*?")] if count is None else []:
        told = f"{every[0]} matches every ticker, and each would get a CSV"
    elif (count or 0) < _MANY:
        return
    else:
        told = f"{count:,} tickers of the newest stored session match and have no CSV yet: each would get one"
    if not agreed(f"{told}. Add {'it' if len(lists.tickers) + bool(lists.top) == 1 else 'them'}?"):
        raise UsageError(f"{told}. Nothing was added", Option("yes", True, "to add it"))


def import_command(dataset: str | None, source: Path, file: Path | None, config: Path | None, yes: bool = False) -> int:
    """Add all tickers of another list, and of those that it includes; returns the exit code. Raises IngestError."""
    return add_command(dataset, read_whole(source), file, config, yes)


def remove_command(
    dataset: str | None, tickers: Sequence[str], file: Path | None, config: Path | None, deletion: Deletion = _KEEP
) -> int:
    """Remove tickers from a list, and perhaps their CSVs; returns the exit code. Raises IngestError."""
    chosen, kind = settings.load(config), _dataset(dataset, tickers)
    file = tracking.chosen_list(chosen, kind, file)
    console = Answers()
    if deletion.dry_run:
        _preview(console, chosen, kind, file, tickers, delete=deletion.wanted)
        return 0
    deleted = _confirmed(chosen, kind, file, tickers, deletion) if deletion.wanted else ""
    say = console.print
    gone = tracking.remove_tickers(chosen, kind, file, tickers, say, delete=deletion.wanted)
    absent = [ticker for ticker in dict.fromkeys(tickers) if ticker not in gone]
    console.print(f"{len(gone)} removed from {file}; {deleted or 'their CSVs stay.'}")
    if absent:
        near = Spellings(read_list(file))
        console.print(f"Not in it: {some([f'{one}{did_you_mean(near.near(one))}' for one in absent])}.")
    return 0


def _preview(
    console: Answers, chosen: Settings, dataset: Dataset, file: Path, tickers: Sequence[str], *, delete: bool
) -> None:
    present = set(read_list(file))
    leaving = [ticker for ticker in dict.fromkeys(tickers) if ticker in present]
    console.print(f"Would remove {len(leaving)} from {file}.")
    if delete:
        console.print(f"Would delete {_counted_csvs(_leaving(chosen, dataset, file, tickers))}.")


def _confirmed(chosen: Settings, dataset: Dataset, file: Path, tickers: Sequence[str], deletion: Deletion) -> str:
    """What is deleted, in words, once the user has agreed. Raises UsageError otherwise."""
    found = _leaving(chosen, dataset, file, tickers)
    told = _counted_csvs(found)
    if found.files and not deletion.yes and not agreed(f"Delete {told}?"):
        raise UsageError(f"This deletes {told}. Nothing was changed", Option("yes", True, "to delete them"))
    return f"{told} deleted."


def _leaving(chosen: Settings, dataset: Dataset, file: Path, tickers: Sequence[str]) -> Leaving:
    read_list(file)  # a list that is missing is an error
    return leaving(chosen, dataset, file, tickers)


def _counted_csvs(found: Leaving) -> str:
    which = f" ({some(list(found.tickers))})" if found.tickers else ""
    return f"{counted(found.files, 'CSV')}{which}, {size(found.bytes)}"


def list_command(datasets: Sequence[str], as_json: bool, config: Path | None) -> int:
    """Print the tracked tickers; returns the exit code. Raises IngestError."""
    chosen = settings.load(config)
    kinds = datasets_asked(datasets, chosen)
    for kind in kinds:
        found = tracking.held(chosen, kind)
        if as_json:
            print_records("tracked_ticker", ({"dataset": kind.name, **fields_of(one)} for one in found))
        else:
            _show(heading(kind, kinds), found)
    return 0


def _dataset(name: str | None, tickers: Iterable[str]) -> Dataset:
    return named(name) if name else of_tickers(one for one in tickers if not is_reference(one))


def _show(heading: str, found: Sequence[TrackedTicker]) -> None:
    console = Answers()
    if heading:
        console.print(heading)
    rows = (
        (
            _name(one),
            f"{one.rows:,}",
            (one.first or "")[:_MINUTE],
            (one.last or "")[:_MINUTE],
            f"{one.missing:,}" if one.missing else "",
        )
        for one in found
    )
    names = ("ticker", "rows", "from", "to", "sessions without it")
    console.print_table(names, rows, right=("rows", "sessions without it"))
    console.print(_counted(found))


def _counted(found: Sequence[TrackedTicker]) -> str:
    names = [one for one in found if one.matches is None]
    if len(names) == len(found):
        return f"{counted(len(found), 'ticker')} tracked."
    tops = [f"the {one.matches or 0:,} most traded" for one in found if is_reference(one.ticker)]
    patterns = len(found) - len(names) - len(tops)
    others = [f"all that match {counted(patterns, 'pattern')}", *tops] if patterns else tops
    return f"{counted(len(names), 'ticker')} tracked by name, and {' and '.join(others)}."


def _name(one: TrackedTicker) -> str:
    if one.matches is None:
        return one.ticker
    return f"{one.ticker} ({one.matches:,} {'now' if is_reference(one.ticker) else 'match'})"


def _history(one: TrackedTicker, flag: str) -> str:
    rows = f"{one.rows:,} rows, {one.first} to {one.last}" if one.rows else "no rows stored"
    if not one.missing:
        return f"{_name(one)}: {rows}"
    fetch = f"`ingest run{flag} --start {one.missing_first} --end {one.missing_last}` downloads them again"
    return f"{_name(one)}: {rows}; {one.missing:,} sessions were stored without it: {fetch}"


def _warn_unread(console: Answers, file: Path, lists: Iterable[Path], dataset: Dataset) -> None:
    if file not in lists:
        where = tracking.setting_of(dataset)
        console.print(f"{file} is not among {where}: name it there, or runs do not read it.")
