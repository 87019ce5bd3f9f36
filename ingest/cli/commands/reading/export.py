"""`ingest export`."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import typer

from ingest import settings
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.records import fields_of, print_records, print_warning
from ingest.cli.rendering.words import counted
from ingest.cli.warnings import asking_shown, warnings_told
from ingest.errors import printable
from ingest.market.patterns import covered, meant, some
from ingest.reading.export.files import Exported, formulas, write_files
from ingest.reading.export.form import Form, complete
from ingest.reading.selection import Selection, selected_rows

_SHOWN = 40


def export_command(
    query: Selection, form: Form, folder: Path, config: Path | None, *, tracked: bool, as_json: bool
) -> int:
    """Write the files; returns the exit code, 3 if some tickers have no rows. Raises IngestError."""
    chosen = settings.load(config)
    query = complete(chosen, query, form, tracked)
    with warnings_told(as_json), asking_shown() as told:
        rows = selected_rows(chosen, query, told)
    _print(write_files(rows, query, form, folder), as_json)
    _warn_of_formulas(rows, as_json)
    there = frozenset(rows["ticker"].unique())
    return 0 if all(covered(frozenset([name]), there) for name in meant(query.tickers)) else 3


def _warn_of_formulas(rows: pl.DataFrame, as_json: bool) -> None:
    if found := formulas(rows):
        named = some([printable(one[:_SHOWN]) for one in found])
        told = f"a spreadsheet may run as a formula what begins with = + - or @: {named}"
        typer.echo(f"warning: {told}", err=True)
        if as_json:
            print_warning(told)


def _print(written: Sequence[Exported], as_json: bool) -> None:
    if as_json:
        print_records("exported", map(fields_of, written))
        return
    console = Answers()
    for one in written:
        console.print(f"{one.path}: {counted(one.rows, 'row')}")
