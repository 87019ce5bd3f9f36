"""Tracked CSVs: `Date,Open,High,Low,Close,Volume`, one row a date, ascending, prices as published.

Of minutes a ticker has a folder with a CSV a month, `Datetime,…`: a session touches one of them. A CSV is a projection
of the parts: it can be made again from them at any time. It is built upon only while it is the file that the manifest
knows, by its hash; so neither a kill nor an editor can put a wrong row into it.

Readers guess a column's type from its first rows, so each number of a column looks alike: `FORMAT` 1 writes prices,
and volumes that may have decimals, with a decimal point in every row. CSVs of an earlier format are dirty, and built
upon all the same: `read_base` gives them in today's. A kill leaves some of both formats, each known by its state.
"""

import hashlib
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
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
    """Where the CSVs of a dataset lie: in one folder, or, where a month has one, in one a ticker below it."""

    path: Path
    dataset: Dataset

    @property
    def by_month(self) -> bool:
        """Whether a ticker has a folder with a CSV a month."""
        return self.dataset.kind.csv_shape == "months"

    @property
    def header(self) -> bytes:
        """First line of its CSVs: the index is named as yfinance names it, and what has no volume has no column."""
        numbers = (name.capitalize() for name in self.dataset.numbers)
        return ",".join([self.dataset.kind.index, *numbers]).encode() + b"\n"

    def file(self, ticker: str, period: str = "") -> Path:
        """File of a ticker's CSV, or of that of a month; without a month the folder of them.

        The ticker must be one that can be tracked. Raises CacheError.
        """
        name = self.dataset.csv_name(ticker)
        if name is None:
            raise CacheError(f"the ticker {ticker[:40]!r}… is too long for a file name")
        return self.path / name / f"{period}{_MONTH_FILE}" if period else self.path / name

    def folders(self) -> Iterator[Path]:
        """All folders in which its CSVs lie. Raises CacheError."""
        yield self.path
        if self.by_month:
            yield from filter(opening.is_folder, _matching(self.path, f"*{self.dataset.csv_suffix}"))

    def present(self) -> Iterator[Path]:
        """All its CSVs, known or not. Raises CacheError."""
        if not self.by_month:
            yield from _matching(self.path, f"*{self.dataset.csv_suffix}")
            return
        _, *months = self.folders()
        for folder in months:
            yield from _matching(folder, f"*{_MONTH_FILE}")

    def sweep(self) -> None:
        """Remove what killed processes left half-made. For who holds the lock. Raises CacheError."""
        for folder in self.folders():
            durable.sweep(folder, self.has_name)

    def has_name(self, name: str) -> bool:
        """Whether a CSV of its, of some ticker or month, has this name in its folder."""
        return _MONTH_NAME.fullmatch(name) is not None if self.by_month else self.has_ticker(name)

    def not_folders(self) -> Iterator[Path]:
        """What stands where a ticker's folder of months belongs, and is none. Raises CacheError."""
        if self.by_month:
            named = filter(lambda path: self.has_ticker(path.name), _matching(self.path, f"*{self.dataset.csv_suffix}"))
            yield from (path for path in named if not opening.is_folder(path))

    def has_ticker(self, name: str) -> bool:
        """Whether it is the name that some ticker's CSV, or folder of months, has."""
        try:
            ticker = self.dataset.ticker_of(name.removesuffix(self.dataset.csv_suffix))
        except UsageError:
            return False
        return self.dataset.csv_name(ticker) == name


def _matching(folder: Path, pattern: str) -> list[Path]:
    with durable.translated("look into", folder):
        return [folder / name for name in opening.names(folder, pattern)]


def looks_intact(folder: CsvFolder, known: Projection) -> bool:
    """Whether the file has the size and time that it was written with: one `stat`, its content is not read."""
    path = folder.file(known.ticker, known.period)
    with durable.translated("look at", path):
        found = opening.state(path)
    if found is None:
        return known.sha256 is None
    return stat.S_ISREG(found.st_mode) and (found.st_size, found.st_mtime_ns) == (known.size, known.mtime_ns)


def marks_of_months(folder: CsvFolder, ticker: str) -> Mapping[str, tuple[int, int]]:
    """Size and time of a ticker's CSVs of months, by month, as `looks_intact` asks for; in one go, which is faster."""
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
    """Content of a CSV to build upon, in today's format; None where it is not the file that the manifest knows."""
    path = folder.file(known.ticker, known.period)
    with durable.translated("read", path):
        try:
            content = opening.read(path)
        except FileNotFoundError:
            return b"" if known.sha256 is None else None
        except opening.NotAFile:  # it is replaced, whatever it is
            return None
    if hashlib.sha256(content).hexdigest() != known.sha256:
        return None
    return _pointed(content, folder.dataset) if known.is_outdated else content


def _pointed(content: bytes, dataset: Dataset) -> bytes:
    """A CSV of format 0 in format 1. Of contracts the volume, which ends a line, stays whole."""
    end = rb"(?=,)" if dataset.counts_contracts else rb"(?=[,\r\n])"
    return re.sub(rb"(?<=,)[+-]?[0-9]+" + end, rb"\g<0>.0", content)


def merge(header: bytes, base: bytes, new: Iterable[tuple[str, str]], replaced: Collection[str]) -> bytes:
    """A CSV's content with the rows of the replaced dates taken out and the new (date, line) pairs put in."""
    old = base.removeprefix(header).splitlines(keepends=True)
    added = {day: f"{line}\n".encode() for day, line in new}
    if not added and not replaced:
        return base
    if not old or min(replaced, default="9") > old[-1][:_DATE].decode():
        lines = [*old, *(added[day] for day in sorted(added))]
    else:
        kept = {line[:_DATE].decode(): line for line in old}
        merged = {day: line for day, line in kept.items() if day not in replaced} | added
        lines = [merged[day] for day in sorted(merged)]
    return b"".join([header, *lines]) if lines else b""


def write(folder: CsvFolder, known: Projection, content: bytes, batch: batches.Batch) -> Projection:
    """Replace a CSV with a batch, or remove it where it has no rows. Returns its new state."""
    path = folder.file(known.ticker, known.period)
    if not content:
        batch.remove(path)
        return Projection(known.ticker, known.active, dirty=False, rows=0, yahoo=known.yahoo, period=known.period)
    written = batch.put(path, content)
    lines = content.splitlines()
    return replace(
        known,
        dirty=False,
        first=lines[1].partition(b",")[0].decode(),
        last=lines[-1].partition(b",")[0].decode(),
        rows=len(lines) - 1,
        sha256=hashlib.sha256(content).hexdigest(),
        size=written.st_size,
        mtime_ns=written.st_mtime_ns,
        format=FORMAT,
    )
