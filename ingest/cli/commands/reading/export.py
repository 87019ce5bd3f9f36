"""`ingest export`."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import polars as pl
import typer

from ingest import settings
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.words import counted
from ingest.cli.warnings import asking_shown, warnings_told
from ingest.errors import printable
from ingest.market.patterns import covered, meant, some
from ingest.reading.export.files import Exported, Format, formulas, write_files
from ingest.reading.selection import Selection, selected_rows

_SHOWN = 40


def export_command(query: Selection, kind: str, folder: Path, config: Path | None) -> int:
    """Write one file per ticker; returns the exit code, 3 if some have no rows. Raises IngestError."""
    chosen = settings.load(config)
    with warnings_told(), asking_shown() as told:
        rows = selected_rows(chosen, query, told)
    written = write_files(rows, query.tickers, folder, cast("Format", kind), query.interval)
    _warn_of_formulas(rows)
    return _told(written, query.tickers)


def _warn_of_formulas(rows: pl.DataFrame) -> None:
    if found := formulas(rows):
        named = some([printable(one[:_SHOWN]) for one in found])
        typer.echo(f"warning: a spreadsheet may run as a formula what begins with = + - or @: {named}", err=True)


def _told(written: Sequence[Exported], tickers: Sequence[str]) -> int:
    console = Answers()
    for one in written:
        console.print(f"{one.path}: {counted(one.rows, 'row')}")
    there = frozenset(one.ticker for one in written)
    return 0 if all(covered(frozenset([name]), there) for name in meant(tickers)) else 3
