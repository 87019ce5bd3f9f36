"""`ingest track`."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ingest import settings, tracking
from ingest.datasets import STOCKS_DAY
from ingest.tickers import read_list, tracked
from ingest.tracking import TrackedTicker


def add_command(tickers: Sequence[str], named: Path | None, config: Path | None) -> int:
    """Add tickers to a list; returns the exit code. Raises IngestError."""
    chosen = settings.load(config)
    file = tracking.chosen_list(chosen, named)
    new, found = tracking.add(chosen, file, tickers)
    console = Console(highlight=False, markup=False)
    console.print(f"{len(new)} added to {file}, {len(set(tickers)) - len(new)} were in it.", soft_wrap=True)
    _warn_unread(console, file, chosen.list_paths)
    for one in found:
        console.print(_history(one), soft_wrap=True)
    return 0


def import_command(source: Path, named: Path | None, config: Path | None) -> int:
    """Add all tickers of another list; returns the exit code. Raises IngestError."""
    return add_command(read_list(source), named, config)


def remove_command(tickers: Sequence[str], named: Path | None, config: Path | None) -> int:
    """Take tickers out of a list; returns the exit code. Raises IngestError."""
    chosen = settings.load(config)
    file = tracking.chosen_list(chosen, named)
    tracking.remove(chosen, file, tickers)
    console = Console(highlight=False, markup=False)
    console.print(f"{len(set(tickers))} taken out of {file}; CSVs stay as they are.", soft_wrap=True)
    return 0


def list_command(as_json: bool, config: Path | None) -> int:
    """Show what is tracked; returns the exit code. Raises IngestError."""
    chosen = settings.load(config)
    found = tracking.held(chosen, tracked(STOCKS_DAY.csv_name, chosen.list_paths, extra=chosen.tracked.tickers).tickers)
    if as_json:
        for one in found:
            sys.stdout.write(json.dumps(asdict(one), default=str, ensure_ascii=False) + "\n")
        return 0
    _show(found)
    return 0


def _show(found: Sequence[TrackedTicker]) -> None:
    console = Console(highlight=False, markup=False)
    table = Table("ticker", "rows", "from", "to", "sessions without it", box=None, padding=(0, 2, 0, 0))
    for one in found:
        table.add_row(
            Text(one.ticker),
            f"{one.rows:,}",
            one.first or "",
            one.last or "",
            f"{one.lacking:,}" if one.lacking else "",
        )
    console.print(table)
    console.print(f"{len(found):,} tickers are tracked.")


def _history(one: TrackedTicker) -> str:
    rows = f"{one.rows:,} rows, {one.first} to {one.last}" if one.rows else "no row is held"
    if not one.lacking:
        return f"{one.ticker}: {rows}"
    fetch = f"`ingest run --start {one.lacking_first} --end {one.lacking_last}` fetches them again"
    return f"{one.ticker}: {rows}; {one.lacking:,} sessions were kept without it: {fetch}"


def _warn_unread(console: Console, file: Path, lists: Iterable[Path]) -> None:
    if file not in lists:
        console.print(
            f"{file} is not among [tracked] lists: name it there, or runs do not read it.", soft_wrap=True, markup=False
        )
