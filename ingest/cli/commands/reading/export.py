"""`ingest export`."""

from collections.abc import Sequence
from dataclasses import dataclass
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
from ingest.market.datasets import Dataset
from ingest.market.patterns import covered, meant, some
from ingest.reading.adjusting.actions import Errors, HistoryQuery
from ingest.reading.export import Exported, Format, export, formulas
from ingest.reading.history import history
from ingest.reading.resample import aggregate, bar_size

_SHOWN = 40


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """Which rows to write: those of a window (both ends inclusive; None: all), in bars of an `interval`.

    `market` names a dataset of the market; None takes it from the tickers' prefixes. Intraday bars outside regular
    hours are included only with `prepost`. `skip_unknown` leaves out tickers that cannot be adjusted, with a warning.
    """

    tickers: Sequence[str]
    start: date | None = None
    end: date | None = None
    adjust: Adjust = "none"
    across_gaps: bool = False
    market: str | None = None
    interval: str = "1d"
    prepost: bool = False
    skip_unknown: bool = False

    @property
    def dataset(self) -> Dataset:
        """The dataset whose bars these are built from. Raises UsageError if the tickers belong to several."""
        if self.market:
            return bars_of(named(self.market), self.interval)
        return of_tickers(self.tickers, self.interval)

    @property
    def history(self) -> HistoryQuery:
        """The query for the rows, before they are aggregated into bars."""
        errors: Errors = "skip" if self.skip_unknown else "raise"
        across = self.across_gaps
        return HistoryQuery(self.tickers, self.start, self.end, self.adjust, across_gaps=across, errors=errors)


def export_command(query: ExportQuery, kind: str, folder: Path, config: Path | None) -> int:
    """Write one file per ticker; returns the exit code, 3 if some have no rows. Raises IngestError."""
    if kind not in ("csv", "parquet"):
        raise UsageError(f"--format {kind!r}: csv or parquet")
    size = None if query.interval == "1d" else bar_size(query.interval)
    kept, chosen = query.dataset, settings.load(config)
    with warnings_told(), asking_shown() as told:
        rows = history(chosen, kept, query.history, told)
    if size:
        rows = aggregate(rows, size, kept, query.prepost)
    written = list(export(rows, query.tickers, folder, cast("Format", kind), query.interval))
    _warn_of_formulas(rows)
    return _told(written, query.tickers)


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
