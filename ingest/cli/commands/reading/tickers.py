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

_SHOWN = 50
"""Rows of a table unless another number is set."""


def tickers_command(
    dataset: str | None, query: TickersQuery, least: str | None, config: Path | None, *, rows: int | None, as_json: bool
) -> int:
    """Print the tickers, the first `rows` (0: all; None: all but in a table); returns the code. Raises IngestError."""
    chosen, kind = settings.load(config), named(dataset or STOCKS_DAY.short)
    query = replace(query, min_dollar_volume=None if least is None else _amount(least))
    with warnings_told(as_json):
        found = tickers(chosen, kind, query)
    wanted = (0 if as_json else _SHOWN) if rows is None else rows
    shown = found.head(min(wanted or found.height, found.height))
    if as_json:
        print_records("ticker", ({"dataset": kind.name, **row} for row in shown.iter_rows(named=True)))
    else:
        _show(Answers(), shown, found.height)
    return 0


def _amount(text: str) -> float:
    try:
        return parse_amount(text)
    except ValueError as error:
        raise WrongArgument("min_dollar_volume", f"{text!r}: an amount such as 5M, 250k or 1e6") from error


def _show(console: Answers, shown: pl.DataFrame, count: int) -> None:
    names = ("ticker", "first", "last", "sessions", "dollar volume", "")
    console.print_table(names, map(_cells, shown.iter_rows(named=True)), right=("sessions", "dollar volume"))
    if count > shown.height:
        console.print(f"the first {shown.height:,} of {count:,} tickers (--rows 0 prints all)")
    else:
        console.print(f"{counted(count, 'ticker')}.")


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    dollars = row["median_dollar_volume"]
    told = "-" if dollars is None else short(dollars)
    tracked = "tracked" if row["tracked"] else ""
    return row["ticker"], str(row["first"]), str(row["last"]), f"{row['sessions']:,}", told, tracked
