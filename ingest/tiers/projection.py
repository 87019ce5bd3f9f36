"""Tracked CSVs: `Date,Open,High,Low,Close,Volume`, one row a date, ascending, prices as published.

A CSV is a projection of the parts: it can be made again from them at any time. It is built upon only while it is the
file that the manifest knows, by its hash; so neither a kill nor an editor can put a wrong row into it.
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ingest.datasets import Dataset
from ingest.errors import CacheError
from ingest.tiers import durable

HEADER = b"Date,Open,High,Low,Close,Volume\n"
_DATE = len("2025-11-11")


@dataclass(frozen=True, slots=True)
class Projection:
    """The state of one tracked CSV; dates are ISO text.

    `rows` is None until it was made once; `sha256` is None while it has no rows, and so no file. `yahoo` says whether
    it was made with Yahoo's rows.
    """

    ticker: str
    active: bool = True
    dirty: bool = True
    first: str | None = None
    last: str | None = None
    rows: int | None = None
    sha256: str | None = None
    size: int | None = None
    mtime_ns: int | None = None
    yahoo: bool = False


@dataclass(frozen=True, slots=True)
class CsvFolder:
    """Where the CSVs of a dataset lie."""

    path: Path
    dataset: Dataset

    def file(self, ticker: str) -> Path:
        """File of a ticker's CSV; the ticker must be one that can be tracked. Raises CacheError."""
        name = self.dataset.csv_name(ticker)
        if name is None:
            raise CacheError(f"the ticker {ticker[:40]!r}… is too long for a file name")
        return self.path / name


def looks_intact(folder: CsvFolder, known: Projection) -> bool:
    """Whether the file has the size and time that it was written with: one `stat`, its content is not read."""
    path = folder.file(known.ticker)
    with durable.translated("look at", path):
        try:
            found = path.stat()
        except FileNotFoundError:
            return known.sha256 is None
    return (found.st_size, found.st_mtime_ns) == (known.size, known.mtime_ns)


def read_base(folder: CsvFolder, known: Projection) -> bytes | None:
    """Content of a CSV to build upon; None where it is not the file that the manifest knows."""
    path = folder.file(known.ticker)
    with durable.translated("read", path):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return b"" if known.sha256 is None else None
    return content if hashlib.sha256(content).hexdigest() == known.sha256 else None


def merge(base: bytes, new: Iterable[tuple[str, str]], replaced: Collection[str]) -> bytes:
    """A CSV's content with the rows of the replaced dates taken out and the new (date, line) pairs put in."""
    old = base.removeprefix(HEADER).splitlines(keepends=True)
    added = {day: f"{line}\n".encode() for day, line in new}
    if not added and not replaced:
        return base
    if not old or min(replaced, default="9") > old[-1][:_DATE].decode():
        lines = [*old, *(added[day] for day in sorted(added))]
    else:
        kept = {line[:_DATE].decode(): line for line in old}
        merged = {day: line for day, line in kept.items() if day not in replaced} | added
        lines = [merged[day] for day in sorted(merged)]
    return b"".join([HEADER, *lines]) if lines else b""


def write(folder: CsvFolder, known: Projection, content: bytes) -> Projection:
    """Replace a CSV, or remove it where it has no rows; durable once the folder is synced. Returns its new state."""
    path = folder.file(known.ticker)
    if not content:
        durable.remove(path)
        return Projection(known.ticker, active=known.active, dirty=False, rows=0, yahoo=known.yahoo)
    durable.stage(path, content)
    durable.publish(path)
    with durable.translated("look at", path):
        written = path.stat()
    lines = content.splitlines()
    return replace(
        known,
        dirty=False,
        first=lines[1][:_DATE].decode(),
        last=lines[-1][:_DATE].decode(),
        rows=len(lines) - 1,
        sha256=hashlib.sha256(content).hexdigest(),
        size=written.st_size,
        mtime_ns=written.st_mtime_ns,
    )
