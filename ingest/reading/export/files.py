"""Writes rows as one CSV or Parquet file per ticker.

A kill leaves whole files, old or new, and perhaps `.AAPL_1d.csv.ingest-….tmp` beside them; the next export into the
same folder removes it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import polars as pl

from ingest.errors import NotFound, UsageError
from ingest.files import batches, durable, opening
from ingest.files.leftovers import writing_in
from ingest.market.patterns import some
from ingest.market.tickers import MAX_NAME_BYTES, file_stem

Format = Literal["csv", "parquet"]

_FORMULA = r"^[=+\-@\t\r]"
"""The start of a text that spreadsheets run as a formula, as OWASP lists it under "CSV injection"."""

_LEFT = re.compile(r"\..+_\d+[a-z]+\.(csv|parquet)\.ingest-[0-9a-f]{16}\.tmp", re.DOTALL)

_LONGEST = MAX_NAME_BYTES - len("_15m.parquet")


@dataclass(frozen=True, slots=True)
class Exported:
    """A written file: its `ticker`, its `path` and its number of `rows`."""

    ticker: str
    path: Path
    rows: int


def write_files(
    rows: pl.DataFrame, tickers: Sequence[str], folder: Path, kind: Format, interval: str = "1d"
) -> tuple[Exported, ...]:
    """Write `AAPL_1d.csv` (or `.parquet`) for each ticker that has rows; existing files are replaced as a whole.

    Columns date, time (intraday bars only), open, high, low, close, volume, source. Raises NotFound if no ticker has
    rows, UsageError if the folder is a file, and CacheError if it cannot be written.
    """
    if kind not in ("csv", "parquet"):
        raise UsageError(f"format {kind!r}: csv or parquet")
    with durable.translated("look at", folder):
        is_file = opening.is_there(folder) and not opening.is_folder(folder)
    if is_file:
        raise UsageError(f"{folder} is a file: name a folder")
    if rows.is_empty():
        raise NotFound(f"nothing to export: no data for {some(tickers)} in this window")
    if long := [ticker for ticker in rows["ticker"].unique() if len(file_stem(ticker)) > _LONGEST]:
        raise UsageError(f"{long[0][:40]}… is too long for a file name")
    durable.make_folder(folder.absolute())
    written = list[Exported]()
    with writing_in(folder, _is_left), batches.together() as batch:
        for (ticker,), frame in rows.partition_by("ticker", include_key=False, as_dict=True).items():
            path = folder / f"{file_stem(str(ticker))}_{interval}.{kind}"
            batch.put(path, _packed(frame, kind))
            written.append(Exported(str(ticker), path, frame.height))
    return tuple(written)


def formulas(rows: pl.DataFrame) -> tuple[str, ...]:
    """Texts in these rows that a spreadsheet would run as formulas, each once, sorted; columns of numbers are safe."""
    texts = [rows[name] for name, kind in rows.schema.items() if kind == pl.String]
    found = [column.filter(column.str.contains(_FORMULA).fill_null(value=False)).unique() for column in texts]
    return tuple(sorted({text for column in found for text in column}))


def _is_left(name: str) -> bool:
    """Whether a killed export has left a file of this name."""
    return _LEFT.fullmatch(name) is not None


def _packed(frame: pl.DataFrame, kind: Format) -> bytes:
    buffer = BytesIO()
    if kind == "csv":
        frame.write_csv(buffer, datetime_format="%Y-%m-%dT%H:%M:%S%:z")
    else:
        frame.write_parquet(buffer)
    return buffer.getvalue()
