"""Tracked CSVs: `Date,Open,High,Low,Close,Volume`, one row per date, ascending, prices as published.

For minute data a ticker has a folder with one CSV per month, `Datetime,…`: a session touches only one of them. A CSV is
a projection of the parts and can be rebuilt from them at any time. It is extended only while it is the file that the
manifest knows by its hash, so neither a kill nor an editor can put a wrong row into it.

Readers guess a column's type from its first rows, so all numbers of a column look alike: `FORMAT` 1 writes prices, and
volumes that may have decimals, with a decimal point in every row. CSVs of an earlier format are dirty but are still
extended: `read_base` converts them to the current format. A kill leaves files of both formats; the state of each says
which it has. CSVs with another header, or of a format that cannot be converted, are made again from the parts.
"""

import hashlib
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ingest.cache.manifest.records import FORMAT, Projection
from ingest.errors import CacheError, UsageError
from ingest.files import batches, durable, opening
from ingest.market.datasets import Dataset

_MONTH_FILE = ".csv"
_MONTH_NAME = re.compile(r"\d{4}-\d{2}\.csv")
_DATE = len("2025-11-11")


@dataclass(frozen=True, slots=True)
class CsvFolder:
    """Where a dataset's CSVs are: in one folder, or, with one CSV per month, in a folder per ticker below it.

    `header` is their first line: the index has yfinance's name; data without volume has no volume column.
    """

    path: Path
    dataset: Dataset
    header: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the header once, not for each CSV."""
        names = (self.dataset.kind.index, *(name.capitalize() for name in self.dataset.numbers))
        object.__setattr__(self, "header", ",".join(names).encode() + b"\n")

    @property
    def by_month(self) -> bool:
        """Whether each ticker has a folder with one CSV per month."""
        return self.dataset.kind.csv_shape == "months"

    def file(self, ticker: str, period: str = "") -> Path:
        """Path of a ticker's CSV, or of its CSV of one month; for monthly CSVs without a `period`, their folder.

        The ticker must be one that can be tracked. Raises CacheError.
        """
        name = self.dataset.csv_name(ticker)
        if name is None:
            raise CacheError(f"the ticker {ticker[:40]!r}… is too long for a file name")
        return self.path / name / f"{period}{_MONTH_FILE}" if period else self.path / name

    def folders(self) -> Iterator[Path]:
        """All folders that contain its CSVs. Raises CacheError."""
        yield self.path
        if self.by_month:
            yield from filter(opening.is_folder, _matching(self.path, f"*{self.dataset.csv_suffix}"))

    def present(self) -> Iterator[Path]:
        """All CSVs in its folders, known to the manifest or not. Raises CacheError."""
        if not self.by_month:
            yield from _matching(self.path, f"*{self.dataset.csv_suffix}")
            return
        _, *months = self.folders()
        for folder in months:
            yield from _matching(folder, f"*{_MONTH_FILE}")

    def sweep(self) -> None:
        """Remove temporary files that killed processes left. The caller holds the lock. Raises CacheError."""
        for folder in self.folders():
            durable.sweep(folder, self.has_name)

    def files_of(self, ticker: str) -> list[Path]:
        """All CSVs of a ticker that exist. Raises CacheError."""
        path = self.file(ticker)
        if self.by_month:
            return _matching(path, f"*{_MONTH_FILE}")
        with durable.translated("look for", path):
            return [path] if opening.is_there(path) else []

    def drop(self, ticker: str) -> None:
        """Remove all CSVs of a ticker, whatever they contain; a kill may leave some of them. Raises CacheError."""
        for path in self.files_of(ticker):
            durable.remove(path)
        if self.by_month:
            durable.remove_empty(self.file(ticker))

    def drop_months(self, last: str, kept: Collection[str]) -> None:
        """Remove the monthly CSVs of all tickers up to a month, except for those of the months that are kept."""
        for path in self.present() if self.by_month else ():
            month = path.name.removesuffix(_MONTH_FILE)
            if self.has_name(path.name) and month <= last and month not in kept:
                durable.remove(path)
                durable.sync_folder(path.parent)

    def has_name(self, name: str) -> bool:
        """Whether some ticker's CSV, or the CSV of some month, has this file name."""
        return _MONTH_NAME.fullmatch(name) is not None if self.by_month else self.has_ticker(name)

    def not_folders(self) -> Iterator[Path]:
        """Whatever has the name of a ticker's folder of monthly CSVs but is not a folder. Raises CacheError."""
        if self.by_month:
            named = filter(lambda path: self.has_ticker(path.name), _matching(self.path, f"*{self.dataset.csv_suffix}"))
            yield from (path for path in named if not opening.is_folder(path))

    def has_ticker(self, name: str) -> bool:
        """Whether some ticker's CSV, or its folder of monthly CSVs, has this name."""
        try:
            ticker = self.dataset.ticker_of(name.removesuffix(self.dataset.csv_suffix))
        except UsageError:
            return False
        return self.dataset.csv_name(ticker) == name


def _matching(folder: Path, pattern: str) -> list[Path]:
    with durable.translated("look into", folder):
        return [folder / name for name in opening.names(folder, pattern)]


def looks_intact(folder: CsvFolder, known: Projection) -> bool:
    """Whether the file still has the size and time it was written with: one `stat`, its content is not read."""
    path = folder.file(known.ticker, known.period)
    with durable.translated("look at", path):
        found = opening.state(path)
    if found is None:
        return known.sha256 is None
    return stat.S_ISREG(found.st_mode) and (found.st_size, found.st_mtime_ns) == (known.size, known.mtime_ns)


def marks_of_months(folder: CsvFolder, ticker: str) -> Mapping[str, tuple[int, int]]:
    """Size and time of a ticker's monthly CSVs, by month, to check as `looks_intact` does: one scan is faster."""
    path = folder.file(ticker)
    with durable.translated("look into", path):
        try:
            with os.scandir(path) as entries:
                named = [entry for entry in entries if entry.name.endswith(_MONTH_FILE)]
                found = [(one.name, one.stat()) for one in named if one.is_file(follow_symlinks=False)]
        except FileNotFoundError:
            return {}
    return {name.removesuffix(_MONTH_FILE): (state.st_size, state.st_mtime_ns) for name, state in found}


def read_base(folder: CsvFolder, known: Projection) -> bytes | None:
    """Content of a CSV to extend, in the current format.

    None if it is not the file that the manifest knows, has other columns than today's, or has a format that cannot be
    converted: it is then made again from the parts.
    """
    path = folder.file(known.ticker, known.period)
    with durable.translated("read", path):
        try:
            content = opening.read(path)
        except FileNotFoundError:
            return b"" if known.sha256 is None else None
        except opening.NotAFile:  # it is replaced, whatever it is
            return None
    if hashlib.sha256(content).hexdigest() != known.sha256 or not content.startswith(folder.header):
        return None
    if not known.is_outdated:
        return content
    return _pointed(content, folder.dataset) if (known.format, FORMAT) == (0, 1) else None


def _pointed(content: bytes, dataset: Dataset) -> bytes:
    """A CSV of format 0 in format 1. Volumes in contracts, which end a line, stay whole numbers."""
    end = rb"(?=,)" if dataset.counts_contracts else rb"(?=[,\r\n])"
    return re.sub(rb"(?<=,)[+-]?[0-9]+" + end, rb"\g<0>.0", content)


def merge(header: bytes, base: bytes, new: Iterable[tuple[str, str]], replaced: Collection[str]) -> bytes:
    """A CSV's content without the rows of the replaced dates, and with the new (date, line) pairs.

    `base` is empty or begins with the header, as `read_base` returns it.
    """
    added = {day: f"{line}\n".encode() for day, line in new}
    if not added and not replaced:
        return base
    if min([*replaced, *added], default="9") > _last_of(base)[:_DATE]:
        return b"".join([base or header, *(added[day] for day in sorted(added))]) if base or added else b""
    kept = {line[:_DATE].decode(): line for line in base.removeprefix(header).splitlines(keepends=True)}
    merged = {day: line for day, line in kept.items() if day not in replaced} | added
    return b"".join([header, *(merged[day] for day in sorted(merged))]) if merged else b""


def _last_of(content: bytes) -> str:
    """The first field of a CSV's last row; empty without content."""
    return content[content.rfind(b"\n", 0, -1) + 1 :].partition(b",")[0].decode()


def write(folder: CsvFolder, known: Projection, content: bytes, batch: batches.Batch) -> Projection:
    """Replace a CSV as part of a batch, or remove it if it has no rows. Returns its new state."""
    path = folder.file(known.ticker, known.period)
    if not content:
        batch.remove(path)
        return Projection(known.ticker, known.active, dirty=False, rows=0, yahoo=known.yahoo, period=known.period)
    written = batch.put(path, content)
    return replace(
        known,
        dirty=False,
        first=content[content.find(b"\n") + 1 :].partition(b",")[0].decode(),
        last=_last_of(content),
        rows=content.count(b"\n") - 1,
        sha256=hashlib.sha256(content).hexdigest(),
        size=written.st_size,
        mtime_ns=written.st_mtime_ns,
        format=FORMAT,
    )
