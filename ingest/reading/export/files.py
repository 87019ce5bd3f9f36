"""Writes rows as CSV or Parquet files.

A kill leaves whole files, old or new, and perhaps `.AAPL_1d.csv.ingest-….tmp` beside them; the next export of these
files, or of others with the usual names, into the same folder removes it.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import polars as pl

from ingest.errors import NotFound, UsageError
from ingest.files import batches, durable, opening
from ingest.files.leftovers import writing_in
from ingest.market.adjust import Adjust
from ingest.market.patterns import some
from ingest.reading.export.form import Form
from ingest.reading.export.names import file_name, usual_template
from ingest.reading.export.record import RECORD, check_replaced, content, record_of, recorded
from ingest.reading.selection import Selection

_FORMULA = r"^[=+\-@\t\r]"
"""The start of a text that spreadsheets run as a formula, as OWASP lists it under "CSV injection"."""

_TEMPORARY = re.compile(r"\.(.+)\.ingest-[0-9a-f]{16}\.tmp", re.DOTALL)
_USUAL = re.compile(r".+_\d+[a-z]+(_splits|_adjusted)?\.(csv|parquet)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Exported:
    """A written file: its `ticker` (None if it has those of several), its `path` and its number of `rows`."""

    ticker: str | None
    path: Path
    rows: int


def write_files(rows: pl.DataFrame, query: Selection, form: Form, folder: Path) -> tuple[Exported, ...]:
    """Write the rows of a query in this form; existing files are replaced as a whole.

    Raises NotFound if there are no rows, UsageError if the folder is a file, or if a file exists that does not contain
    such prices (see `record`), and CacheError if the folder cannot be written. Then nothing is written.
    """
    with durable.translated("look at", folder):
        is_file = opening.is_there(folder) and not opening.is_folder(folder)
    if is_file:
        raise UsageError(f"{folder} is a file: name a folder")
    if rows.is_empty():
        raise NotFound(f"nothing to export: no data for {some(query.tickers)} in this window")
    adjust: Adjust = query.adjust if query.dataset.splits else "none"
    found = form.frames(rows, query.tickers)
    frames = {_name(named, form, query.interval, adjust): (named, frame) for named, frame in found}
    new, known = content(query.dataset, query.interval, adjust), recorded(folder)
    if not form.overwrite:
        for name, (_, frame) in frames.items():
            check_replaced(folder / name, known.get(name), new, frame)
    durable.make_folder(folder.absolute())
    with writing_in(folder, lambda name: _is_left(name, frames)), batches.together() as batch:
        batch.put(folder / RECORD, record_of(known | dict.fromkeys(frames, new)))
        for name, (_, frame) in frames.items():
            batch.put(folder / name, _packed(frame, form, new))
    return tuple(Exported(named.get("ticker"), folder / name, frame.height) for name, (named, frame) in frames.items())


def _name(named: Mapping[str, str], form: Form, interval: str, adjust: Adjust) -> str:
    template = form.name or usual_template(named, adjust)
    return file_name(template, {"interval": interval, "adjust": adjust, **named}, form.kind)


def formulas(rows: pl.DataFrame) -> tuple[str, ...]:
    """Texts in these rows that a spreadsheet would run as formulas, each once, sorted; columns of numbers are safe."""
    texts = [rows[name] for name, kind in rows.schema.items() if kind == pl.String]
    found = [column.filter(column.str.contains(_FORMULA).fill_null(value=False)).unique() for column in texts]
    return tuple(sorted({text for column in found for text in column}))


def _is_left(name: str, names: Collection[str]) -> bool:
    """Whether a killed export has left a file of this name."""
    found = _TEMPORARY.fullmatch(name)
    return found is not None and (found[1] in (*names, RECORD) or _USUAL.fullmatch(found[1]) is not None)


def _packed(frame: pl.DataFrame, form: Form, about: Mapping[str, str]) -> bytes:
    buffer = BytesIO()
    if form.kind == "csv":
        frame.write_csv(buffer, datetime_format="%Y-%m-%dT%H:%M:%S%:z")
    else:
        frame.write_parquet(buffer, metadata={f"ingest.{name}": value for name, value in about.items()})
    return buffer.getvalue()
