"""`ingest tickers`."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from ingest import settings
from ingest.cli.commands.reading.chart import short
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.records import print_records
from ingest.cli.rendering.words import counted
from ingest.cli.warnings import warnings_told
from ingest.errors import WrongArgument
from ingest.market.catalogue import STOCKS_DAY, named
from ingest.reading.tickers import TickersQuery, tickers
from ingest.settings.values import parse_amount


def tickers_command(
    dataset: str | None, query: TickersQuery, least: str | None, shown: int | None, config: Path | None
) -> int:
    """Print the tickers: the first `shown` (0: all), or for None as JSON; returns the exit code. Raises IngestError."""
    chosen, kind = settings.load(config), named(dataset or STOCKS_DAY.short)
    query = replace(query, min_dollar_volume=None if least is None else _amount(least))
    with warnings_told(as_json=shown is None):
        found = tickers(chosen, kind, query)
    if shown is None:
        print_records("ticker", ({"dataset": kind.name, **row} for row in found.iter_rows(named=True)))
    else:
        _show(Answers(), found, shown or found.height)
    return 0


def _amount(text: str) -> float:
    try:
        return parse_amount(text)
    except ValueError as error:
        raise WrongArgument("min_dollar_volume", f"{text!r}: an amount such as 5M, 250k or 1e6") from error


def _show(console: Answers, found: pl.DataFrame, shown: int) -> None:
    names = ("ticker", "first", "last", "sessions", "dollar volume", "")
    rows = map(_cells, found.head(min(shown, found.height)).iter_rows(named=True))
    console.print_table(names, rows, right=("sessions", "dollar volume"))
    if found.height > shown:
        console.print(f"the first {shown:,} of {found.height:,} tickers (--rows 0 prints all, --json has all)")
    else:
        console.print(f"{counted(found.height, 'ticker')}.")


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    dollars = row["median_dollar_volume"]
    told = "-" if dollars is None else short(dollars)
    tracked = "tracked" if row["tracked"] else ""
    return row["ticker"], str(row["first"]), str(row["last"]), f"{row['sessions']:,}", told, tracked
