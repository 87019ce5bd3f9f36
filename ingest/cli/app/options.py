"""Options that several commands share."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ingest.cli.app import completing

WINDOW, STORED, LIMITS, OUTPUT, PRUNED = "Window", "What is stored", "Limits", "Output", "What is removed"
"""Panels of --help."""

INTERVALS = ("1m", "2m", "5m", "15m", "30m", "1h", "90m", "1d", "1wk", "1mo")


def datasets_beginning(incomplete: str) -> Iterator[tuple[str, str]]:
    """Complete a dataset: short names with a word of help, or full names where only those match the input."""
    from ingest.market.catalogue import CATALOGUE  # needed only when Tab is pressed

    kinds = {one.short: f"{one.kind.name}, {one.name}" for one in CATALOGUE.values()}
    fitting = {name: kind for name, kind in kinds.items() if name.startswith(incomplete)}
    full = {one.name: one.short for one in CATALOGUE.values() if one.name.startswith(incomplete)}
    yield from (fitting or full).items()


_NAMES = "stocks-day, options-minute, crypto-day …: press Tab to list them"


def dataset_option(text: str) -> Any:
    """The flag that names one or several datasets, with completion."""
    return typer.Option("--dataset", "-d", metavar="NAME", autocompletion=datasets_beginning, help=text)


Datasets = Annotated[list[str] | None, dataset_option(f"{_NAMES}. Repeatable. (default: those of \\[run] datasets)")]
HeldDatasets = Annotated[
    list[str] | None,
    dataset_option(f"{_NAMES}. Repeatable. (default: those of \\[run] datasets, and all others with stored sessions)"),
]
Dataset = Annotated[
    str | None,
    dataset_option(f"{_NAMES}. (default: stocks-day)"),
]
DatasetOfTicker = Annotated[
    str | None,
    dataset_option(f"{_NAMES}. (default: by the ticker's prefix: X: crypto-day, O: options-day; else stocks-day)"),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings to use; else INGEST_CONFIG, ./config.toml, your own."),
]
Months = Annotated[
    int | None,
    typer.Option(
        min=1, max=1200, metavar="N", rich_help_panel=WINDOW, help="Calendar months back from today. (default: 24)"
    ),
]
Start = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", rich_help_panel=WINDOW, help="First day, in place of --months."
    ),
]
First = Annotated[
    datetime | None,
    typer.Option(
        "--start", formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", rich_help_panel=WINDOW, help="First day. (default: all)"
    ),
]
End = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", rich_help_panel=WINDOW, help="Last day, inclusive. (default: today)"
    ),
]
AllPermitted = Annotated[
    bool,
    typer.Option(
        "--all-permitted", rich_help_panel=WINDOW, help="All that your subscription allows, in place of --months."
    ),
]
Tickers = Annotated[
    list[str],
    typer.Argument(metavar="TICKER…", autocompletion=completing.tickers, help="Tickers, as the vendor spells them."),
]
ListFile = Annotated[
    Path | None,
    typer.Option("--list", metavar="FILE", help="The list to change. (default: the first that is set)"),
]
Adjusted = Annotated[
    str,
    typer.Option(
        "--adjust",
        metavar="none|splits|all",
        autocompletion=completing.words_of(("none", "splits", "all")),
        help="What prices are adjusted for.",
    ),
]
Interval = Annotated[
    str | None,
    typer.Option(
        "--interval",
        "-i",
        metavar="|".join(INTERVALS),
        autocompletion=completing.words_of(INTERVALS),
        help="Time that a row covers; less than a day is built from minutes. (default: 1d, or that of --dataset)",
    ),
]
Prepost = Annotated[bool, typer.Option("--prepost", help="Include bars before and after regular hours.")]
AcrossSeams = Annotated[bool, typer.Option("--across-seams", help="Adjust across a gap of months, as for one company.")]
Sessions = Annotated[
    list[datetime],
    typer.Argument(
        formats=["%Y-%m-%d"], metavar="SESSION…", autocompletion=completing.refused, help="Dates, YYYY-MM-DD."
    ),
]
SomeSessions = Annotated[
    list[datetime] | None,
    typer.Argument(
        formats=["%Y-%m-%d"],
        metavar="[SESSION…]",
        autocompletion=completing.refused,
        help="Dates, YYYY-MM-DD. (default: all)",
    ),
]
Json = Annotated[bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print JSON for programs.")]
