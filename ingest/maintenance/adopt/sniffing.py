"""Whether a file can be of the dataset that the user says it is, by its first rows.

Files of one market look alike: daily bars and minutes of stocks have the same columns. In the vendor's own folders the
name of the folder says which they are; where only the user does, minutes must not become days. Writes nothing.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from contextlib import closing

from ingest.files import opening
from ingest.maintenance.adopt.mirror import MirroredFile
from ingest.market.datasets import Dataset

_HEAD = 1 << 16
"""Bytes of text to look at: some hundreds of rows."""

_MOST_REPEATED = 1.2
"""Rows per ticker in a file of days, which has a few repeats."""

_ENOUGH = 20
"""Rows that say something."""


def misfit(one: MirroredFile, dataset: Dataset) -> str | None:
    """Why a file is not of a dataset, in words; None if it may be, or if its beginning says nothing. Raises OSError."""
    rows = _columns(_head(one), "ticker", dataset.kind.time)
    tickers = [ticker for ticker, _ in rows]
    if len(tickers) < _ENOUGH:
        return None
    marked = tickers[0].partition(":")[0] if ":" in tickers[0] else ""
    if marked != dataset.sigil.removesuffix(":"):
        return f"tickers such as {tickers[0][:20]} are not of {dataset.short}"
    distinct, moments = len(set(tickers)), {moment for _, moment in rows}
    are_days = len(tickers) <= _MOST_REPEATED * distinct
    if dataset.kind.timed and (distinct == len(tickers) or (are_days and len(moments) == 1)):
        return f"one row for each ticker: not the minutes of {dataset.short}"
    if not dataset.kind.timed and not are_days:
        return f"many rows for each ticker: not the days of {dataset.short}"
    return None


def _head(one: MirroredFile) -> bytes:
    with closing(opening.to_read(one.path)) as file:
        if not one.is_packed:
            return file.read(_HEAD)
        try:
            return gzip.GzipFile(fileobj=file).read(_HEAD)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return b""  # the split says what is wrong with it


def _columns(head: bytes, ticker: str, moment: str) -> Sequence[tuple[str, str]]:
    """Ticker and moment of all whole rows but the last, in their order; empty if there is no column of tickers."""
    lines = head.decode("utf-8", "replace").splitlines()[:-1]
    try:
        header, *rows = csv.reader(io.StringIO("\n".join(lines)))
        place = header.index(ticker)
    except (ValueError, csv.Error):
        return []
    when = header.index(moment) if moment in header else place  # a file without the column
    return [(row[place], row[when]) for row in rows if len(row) > max(place, when) and row[place]]
