"""`ingest chain`: the contracts of one underlying that traded in a session."""

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from ingest import settings
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.records import print_records
from ingest.cli.rendering.words import counted
from ingest.cli.warnings import warnings_told
from ingest.reading.chains import chain_rows

_SHOWN = 400
_PRICES = ("open", "high", "low", "close")
_COUNTS = ("volume", "transactions")
_COLUMNS = ("expiry", "dte", "strike", "right", *_PRICES, *_COUNTS)


def chain_command(underlying: str, on: date | None, expiry: date | None, as_json: bool, config: Path | None) -> int:
    """Print the contracts of an underlying; returns the exit code. Raises IngestError."""
    chosen = settings.load(config)
    with warnings_told(as_json):
        rows = chain_rows(chosen, underlying, on, expiry)
    if as_json:
        print_records("contract", rows.iter_rows(named=True))
    else:
        _show(Answers(), rows, most=_SHOWN if expiry is None else rows.height)
    return 0


def _show(console: Answers, rows: pl.DataFrame, most: int) -> None:
    console.print(_heading(rows), style="bold")
    console.print("prices in dollars, as traded; volume in contracts")
    right = [name for name in _COLUMNS if name not in ("expiry", "right")]
    console.print_table(_COLUMNS, map(list, map(_cells, rows.head(most).iter_rows(named=True))), right=right)
    if rows.height > most:
        console.print(f"the first {most} of {counted(rows.height, 'contract')}: --expiry chooses a day, --json has all")


def _heading(rows: pl.DataFrame) -> str:
    underlying, session = rows.select("underlying", "date").row(0)
    days = rows["expiry"].unique().sort()
    expiries = f"{len(days)} expiries, {days[0]} to {days[-1]}" if len(days) > 1 else f"expiry {days[0]}"
    return f"{underlying} on {session}: {counted(rows.height, 'contract')}, {expiries}"


def _cells(row: Mapping[str, Any]) -> Iterator[str]:
    yield from (str(row["expiry"]), f"{row['dte']:,}", _strike(row["strike"]), row["right"])
    yield from ("" if row[name] is None else f"{row[name]:,.2f}" for name in _PRICES)
    yield from ("" if row[name] is None else f"{row[name]:,.0f}" for name in _COUNTS)


def _strike(strike: float) -> str:
    """In cents, unless it has thousandths: those of adjusted contracts may."""
    return f"{strike:,.2f}" if round(strike, 2) == strike else f"{strike:,.3f}"
