"""Which sessions each file of the lake covers, and where it is.

A file has one name for ever, and a new version is renamed over it: so no listing shows two versions or none, and who
has opened the old one reads it to the end. Were the name made from the content, each replacement would have a moment
in which a listing shows both, and rows would be counted twice.
"""

import hashlib
import re
from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Self

from ingest.cache.cache import Cache
from ingest.cache.manifest.lake import FORMAT, LakeFile
from ingest.files import durable, opening
from ingest.market.datasets import Dataset

FILE = "part-0.parquet"

_NAME = re.compile(r"[0-9]{4}-[0-9]{2}(-[0-9]{2})?")
_STAGING = ".staging"
"""Where files are written before they are renamed: no reader of the lake looks into it."""


@dataclass(frozen=True, slots=True)
class Partition:
    """A file to be: its name, "2025-11" or "2025-11-11", the sessions it covers, a hash of what they are made of."""

    name: str
    sessions: tuple[date, ...]
    contents: str


def partition_of(dataset: Dataset, session: date) -> str:
    """The name of the partition that covers a session."""
    return session.isoformat()[:7] if dataset.by_month else session.isoformat()


def view_name(dataset: Dataset) -> str:
    """The name of a dataset's view in SQL: `stocks_day`."""
    return dataset.short.replace("-", "_")


def together(dataset: Dataset, sessions: Iterable[date]) -> Iterator[list[date]]:
    """Sessions (ascending) in groups, each of those that one file covers."""
    return (list(group) for _, group in groupby(sessions, lambda session: partition_of(dataset, session)))


def partitions(dataset: Dataset, made_of: Mapping[date, str]) -> dict[str, Partition]:
    """The partitions of sessions (ascending), each given with what it is made of."""
    found = (_partition(partition_of(dataset, group[0]), tuple(group), made_of) for group in together(dataset, made_of))
    return {one.name: one for one in found}


def _partition(name: str, sessions: tuple[date, ...], made_of: Mapping[date, str]) -> Partition:
    text = "\n".join(f"{session} {made_of[session]}" for session in sessions)
    return Partition(name, sessions, hashlib.sha256(text.encode()).hexdigest())


@dataclass(frozen=True, slots=True)
class LakeFolder:
    """The folder of a dataset in the lake, `lake/stocks-day`, with Hive partitions: `year=2025/month=11`.

    Where each session has a file, that is in `session=2025-11-11` below its month.
    """

    path: Path
    dataset: Dataset

    @classmethod
    def of(cls, cache: Cache) -> Self:
        """The folder of a cache's dataset."""
        return cls(cache.manifest.database.path.parent / "lake" / cache.dataset.short, cache.dataset)

    def file(self, partition: str) -> Path:
        """The file of a partition."""
        year, month, *day = partition.split("-")
        folder = self.path / f"year={year}" / f"month={int(month)}"  # `month=02` would be text to DuckDB
        return (folder / f"session={partition}" if day else folder) / FILE

    @property
    def pattern(self) -> str:
        """A pattern of all files, for tools."""
        return str(self.path / "**" / "*.parquet")

    def staged(self, partition: str) -> Path:
        """A name to write a partition's file under, on the same file system, which no other write has."""
        return durable.another(self._staging / f"{self.dataset.short}-{partition}.parquet")

    def create(self) -> None:
        """Make the folders for writing. Raises CacheError."""
        durable.make_folder(self._staging)

    def sweep(self) -> None:
        """Remove what killed runs left of this dataset's files. Requires the lock. Raises CacheError."""
        if opening.is_folder(self._staging):
            durable.sweep(self._staging, lambda _: False)

    @property
    def _staging(self) -> Path:
        return self.path.parent / _STAGING

    def found(self) -> Iterator[str]:
        """Partitions that have a file, known or not. Raises CacheError."""
        with durable.translated("look into", self.path):
            for year in opening.names(self.path, "year=????"):
                for month in opening.names(self.path / year, "month=*"):
                    name = f"{year[-4:]}-{month.removeprefix('month=').rjust(2, '0')}"
                    sessions = opening.names(self.path / year / month, "session=*")
                    names = (name, *(one.removeprefix("session=") for one in sessions))
                    yield from (one for one in names if _NAME.fullmatch(one) and opening.is_there(self.file(one)))

    def is_intact(self, known: LakeFile) -> bool:
        """Whether a file looks like the one that the manifest knows, by its size and time. Raises CacheError."""
        path = self.file(known.partition)
        with durable.translated("look at", path):
            state = opening.state(path)
        return state is not None and (state.st_size, state.st_mtime_ns) == (known.size, known.mtime_ns)

    def drop(self, partition: str) -> None:
        """Remove a partition's file, and folders that are then empty. Raises CacheError."""
        file = self.file(partition)
        durable.remove(file)
        for folder in file.relative_to(self.path).parents:
            durable.remove_empty(self.path / folder)

    def drop_empty(self) -> None:
        """Remove the folders of the lake, if nothing is in them. Raises CacheError."""
        for folder in (self.path, self._staging, self.path.parent):
            durable.remove_empty(folder)


@dataclass(frozen=True, slots=True)
class Standing:
    """How the lake compares with the sessions: the partitions that it should have, and the files that it has."""

    folder: LakeFolder
    wanted: Mapping[str, Partition]
    files: Mapping[str, LakeFile]

    @classmethod
    def of(cls, cache: Cache, first: date = date.min, last: date = date.max) -> Self:
        """That of the partitions that cover sessions from `first` to `last`, both inclusive. Raises CacheError."""
        begin, end = _whole(cache.dataset, first, last)
        lake = cache.manifest.lake
        made_of, files = cache.manifest.at_once(lambda: (lake.made_of(begin, end), lake.all()), begin, end)
        return cls(LakeFolder.of(cache), partitions(cache.dataset, made_of), files)

    def current(self) -> list[Partition]:
        """The partitions whose files were made of their sessions as they are, ascending; all others are outdated."""
        return [one for one in self.wanted.values() if self._is_current(one)]

    def _is_current(self, partition: Partition) -> bool:
        file = self.files.get(partition.name)
        return file is not None and (file.contents, file.format) == (partition.contents, FORMAT)

    def is_clean(self, partition: Partition) -> bool:
        """Whether the file of a partition has just the rows of its sessions. Raises CacheError."""
        return self._is_current(partition) and self.folder.is_intact(self.files[partition.name])

    def parted(self) -> tuple[list[Partition], list[Partition]]:
        """The partitions whose files are clean, and those whose files have to be written. Raises CacheError."""
        names = {name for name, one in self.wanted.items() if self.is_clean(one)}
        clean = [one for name, one in self.wanted.items() if name in names]
        return clean, [one for name, one in self.wanted.items() if name not in names]

    def due(self) -> list[Partition]:
        """The partitions whose files have to be written, ascending. Raises CacheError."""
        return self.parted()[1]

    def unwanted(self) -> list[str]:
        """Partitions that have a file and no session any more, ascending. Raises CacheError."""
        return sorted({*self.folder.found(), *self.files} - self.wanted.keys())


def _whole(dataset: Dataset, first: date, last: date) -> tuple[date, date]:
    """A span that begins and ends with a partition."""
    if not dataset.by_month:
        return first, last
    _, days = monthrange(last.year, last.month)
    return first.replace(day=1), last.replace(day=days)
