"""`ingest export`."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import cast

import polars as pl
import typer
from rich.console import Console

from ingest import settings
from ingest.cli.rendering.words import counted
from ingest.cli.warnings import asking_shown, warnings_told
from ingest.errors import UsageError, printable
from ingest.market.adjust import Adjust
from ingest.market.catalogue import bars_of, named, of_tickers
from ingest.market.patterns import covered, meant, some
from ingest.reading import history
from ingest.reading.adjusting.actions import Errors
from ingest.reading.export import Exported, Format, export, formulas
from ingest.reading.resample import aggregate, bar_size

_SHOWN = 40


def export_command(
    tickers: Sequence[str],
    dataset: str | None,
    kind: str,
    folder: Path,
    window: tuple[date | None, date | None],
    adjust: str,
    across_seams: bool,
    config: Path | None,
    interval: str = "1d",
    prepost: bool = False,
    skip: bool = False,
) -> int:
    """Write a file a ticker; returns the exit code, 3 where some have no rows. Raises IngestError.

    With `skip` tickers that cannot be adjusted are left out, and said.
    """
    if kind not in ("csv", "parquet"):
        raise UsageError(f"--format {kind!r}: csv or parquet")
    size = None if interval == "1d" else bar_size(interval)
    kept = bars_of(named(dataset), interval) if dataset else of_tickers(tickers, interval)
    chosen = settings.load(config)
    errors: Errors = "skip" if skip else "raise"
    with warnings_told(), asking_shown() as told:
        start, end = window
        rows = history.history(
            *(chosen, kept, tickers, start, end, cast("Adjust", adjust), None, True, across_seams, errors, told)
        )
    if size:
        rows = aggregate(rows, size, kept, prepost)
    written = list(export(rows, tickers, folder, cast("Format", kind), interval))
    _warn_of_formulas(rows)
    return _told(written, tickers)


def _warn_of_formulas(rows: pl.DataFrame) -> None:
    if found := formulas(rows):
        named = some([printable(one[:_SHOWN]) for one in found])
        typer.echo(f"warning: a spreadsheet may run as a formula what begins with = + - or @: {named}", err=True)


def _told(written: Sequence[Exported], tickers: Sequence[str]) -> int:
    console = Console(highlight=False, markup=False)
    for one in written:
        console.print(f"{one.path}: {counted(one.rows, 'row')}", soft_wrap=True)
    there = frozenset(one.ticker for one in written)
    return 0 if all(covered(frozenset([name]), there) for name in meant(tickers)) else 3
