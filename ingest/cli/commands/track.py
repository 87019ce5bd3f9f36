"""`ingest track`."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ingest import settings
from ingest.cache.cache import Cache
from ingest.cli.rendering.hints import dataset_flag
from ingest.cli.rendering.records import fields_of, print_records
from ingest.cli.rendering.words import counted, heading
from ingest.market.catalogue import named, of_tickers
from ingest.market.datasets import Dataset
from ingest.market.patterns import some
from ingest.planning.request import datasets_asked
from ingest.reading.known import suggestions
from ingest.settings.lists import read_list
from ingest.tracked import lists as tracking
from ingest.tracked.lists import TrackedTicker

_MINUTE = len("2025-11-11 09:30")
"""Characters to show of a minute's time, which leaves room for tickers in eighty columns."""


def add_command(dataset: str | None, tickers: Sequence[str], file: Path | None, config: Path | None) -> int:
    """Add tickers to a list of a dataset; returns the exit code. Raises IngestError."""
    chosen, kind = settings.load(config), _dataset(dataset, tickers)
    file = tracking.chosen_list(chosen, kind, file)
    console = Console(highlight=False, markup=False)
    new, found = tracking.add(chosen, kind, file, tickers, partial(console.print, soft_wrap=True))
    console.print(f"{len(new)} added to {file}, {len(set(tickers)) - len(new)} already there.", soft_wrap=True)
    _warn_unread(console, file, chosen.lists_of(kind), kind)
    meant = _meant(chosen, kind, [one.ticker for one in found if not one.rows and one.matches is None])
    for one in found:
        flag = dataset_flag(kind.short, chosen.run.datasets)
        console.print(f"{_history(one, flag)}{meant.get(one.ticker, '')}", soft_wrap=True)
    return 0


def _meant(chosen: settings.Settings, dataset: Dataset, tickers: Sequence[str]) -> Mapping[str, str]:
    """For each ticker without stored rows, the one that may have been meant."""
    if not tickers:
        return {}
    with Cache.read(chosen, dataset) as cache:
        return suggestions(cache, tickers)


def import_command(dataset: str | None, source: Path, file: Path | None, config: Path | None) -> int:
    """Add all tickers of another list; returns the exit code. Raises IngestError."""
    return add_command(dataset, read_list(source), file, config)


def remove_command(dataset: str | None, tickers: Sequence[str], file: Path | None, config: Path | None) -> int:
    """Remove tickers from a list; returns the exit code. Raises IngestError."""
    chosen, kind = settings.load(config), _dataset(dataset, tickers)
    file = tracking.chosen_list(chosen, kind, file)
    console = Console(highlight=False, markup=False)
    gone = tracking.remove_tickers(chosen, kind, file, tickers, partial(console.print, soft_wrap=True))
    absent = [ticker for ticker in dict.fromkeys(tickers) if ticker not in gone]
    console.print(f"{len(gone)} removed from {file}; their CSVs stay.", soft_wrap=True)
    if absent:
        console.print(f"Not in it: {some(absent)}.", soft_wrap=True)
    return 0


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
    return named(name) if name else of_tickers(tickers)


def _show(heading: str, found: Sequence[TrackedTicker]) -> None:
    console = Console(highlight=False, markup=False)
    if heading:
        console.print(heading)
    table = Table("ticker", "rows", "from", "to", "sessions without it", box=None, padding=(0, 2, 0, 0))
    for one in found:
        table.add_row(
            Text(_name(one)),
            f"{one.rows:,}",
            (one.first or "")[:_MINUTE],
            (one.last or "")[:_MINUTE],
            f"{one.lacking:,}" if one.lacking else "",
        )
    console.print(table)
    console.print(_counted(found))


def _counted(found: Sequence[TrackedTicker]) -> str:
    names = [one for one in found if one.matches is None]
    if len(names) == len(found):
        return f"{counted(len(found), 'ticker')} tracked."
    patterns = counted(len(found) - len(names), "pattern")
    return f"{counted(len(names), 'ticker')} tracked by name, and all that match {patterns}."


def _name(one: TrackedTicker) -> str:
    return one.ticker if one.matches is None else f"{one.ticker} ({one.matches:,} match)"


def _history(one: TrackedTicker, flag: str) -> str:
    rows = f"{one.rows:,} rows, {one.first} to {one.last}" if one.rows else "no rows stored"
    if not one.lacking:
        return f"{_name(one)}: {rows}"
    fetch = f"`ingest run{flag} --start {one.lacking_first} --end {one.lacking_last}` downloads them again"
    return f"{_name(one)}: {rows}; {one.lacking:,} sessions were stored without it: {fetch}"


def _warn_unread(console: Console, file: Path, lists: Iterable[Path], dataset: Dataset) -> None:
    if file not in lists:
        where = tracking.setting_of(dataset)
        console.print(f"{file} is not among {where}: name it there, or runs do not read it.", soft_wrap=True)
