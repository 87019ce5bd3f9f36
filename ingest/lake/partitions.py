"""Which sessions each file of the lake covers, where it is, and whether it is up to date."""

import hashlib
from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING, Self

from ingest.cache.cache import Cache
from ingest.cache.manifest.lake import FORMAT, LakeFile
from ingest.lake.folder import LakeFolder, LakePlace
from ingest.market.datasets import Dataset

if TYPE_CHECKING:
    from ingest.cache.objects.bucket import Bucket


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


def by_partition(dataset: Dataset, sessions: Iterable[date]) -> Iterator[list[date]]:
    """Sessions (ascending) in groups, each of those that one file covers."""
    return (list(group) for _, group in groupby(sessions, lambda session: partition_of(dataset, session)))


def partitions(dataset: Dataset, made_of: Mapping[date, str]) -> dict[str, Partition]:
    """The partitions of sessions (ascending), each given with what it is made of."""
    found = (
        _partition(partition_of(dataset, group[0]), tuple(group), made_of) for group in by_partition(dataset, made_of)
    )
    return {one.name: one for one in found}


def _partition(name: str, sessions: tuple[date, ...], made_of: Mapping[date, str]) -> Partition:
    text = "\n".join(f"{session} {made_of[session]}" for session in sessions)
    return Partition(name, sessions, hashlib.sha256(text.encode()).hexdigest())


def lake_of(cache: Cache) -> LakePlace:
    """Where a cache's settings say that the lake of its dataset is."""
    return LakeFolder.of(cache) if cache.lake_store is None else lake_in(cache, cache.lake_store)


def lake_in(cache: Cache, bucket: "Bucket") -> LakePlace:
    """The lake of a cache's dataset in an object store."""
    from ingest.lake.objects import LakeObjects  # most caches have none

    return LakeObjects(bucket, LakeFolder.of(cache))


@dataclass(frozen=True, slots=True)
class Standing:
    """How the lake compares with the sessions: the partitions that it should have, and the files that it has."""

    folder: LakePlace
    wanted: Mapping[str, Partition]
    files: Mapping[str, LakeFile]

    @classmethod
    def of(cls, cache: Cache, first: date = date.min, last: date = date.max) -> Self:
        """That of the partitions that cover sessions from `first` to `last`, both inclusive. Raises CacheError."""
        begin, end = _whole(cache.dataset, first, last)
        lake = cache.manifest.lake
        made_of, files = cache.manifest.at_once(lambda: (lake.made_of(begin, end), lake.all()), begin, end)
        return cls(lake_of(cache), partitions(cache.dataset, made_of), files)

    def current(self) -> list[Partition]:
        """The partitions whose files were made of their sessions as they are, ascending; all others are outdated."""
        return [one for one in self.wanted.values() if self._is_current(one)]

    def _is_current(self, partition: Partition) -> bool:
        file = self.files.get(partition.name)
        mine = (partition.contents, FORMAT, self.folder.url)
        return file is not None and (file.contents, file.format, file.place) == mine

    def is_clean(self, partition: Partition) -> bool:
        """Whether the file of a partition has just the rows of its sessions, as far as no request tells.

        Of an object, that is what the manifest says; `looked` asks the store. Raises CacheError.
        """
        return self._is_current(partition) and self.folder.is_trusted(self.files[partition.name])

    def is_as(self, before: "Standing", partition: Partition) -> bool:
        """Whether a partition and its file are the same as they were `before`."""
        name = partition.name
        return self.wanted.get(name) == partition and self.files.get(name) == before.files.get(name)

    def looked(self) -> "Compared":
        """The partitions and files, compared with what is there: of objects by a listing. Raises CacheError."""
        current = self.current()
        looked = self.folder.look([self.files[one.name] for one in current])
        clean = [one for one in current if one.name in looked.intact]
        names = {one.name for one in clean}
        due = [one for name, one in self.wanted.items() if name not in names]
        unwanted = {*looked.found, *self.files} - self.wanted.keys()
        return Compared(clean, due, sorted(unwanted))

    def clean(self) -> list[Partition]:
        """The partitions whose files are clean, ascending; nobody is asked if no file can be. Raises CacheError."""
        return self.looked().clean if self.current() else []


@dataclass(frozen=True, slots=True)
class Compared:
    """Partitions, ascending: those with a `clean` file, those that are `due` to be written.

    `unwanted` are names of partitions that have a file, and no session any more.
    """

    clean: list[Partition]
    due: list[Partition]
    unwanted: list[str]


def _whole(dataset: Dataset, first: date, last: date) -> tuple[date, date]:
    """A span that begins and ends with a partition."""
    if not dataset.by_month:
        return first, last
    _, days = monthrange(last.year, last.month)
    return first.replace(day=1), last.replace(day=days)
