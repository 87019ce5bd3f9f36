"""The files of a dataset's lake in the cache's folder.

A file has one name for ever, and a new version is renamed over it: so no listing shows two versions or none, and who
has opened the old one reads it to the end. Were the name made from the content, each replacement would have a moment
in which a listing shows both, and rows would be counted twice.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from ingest.cache.cache import Cache
from ingest.cache.manifest.lake import LakeFile
from ingest.cache.objects.naming import LAKE_FILE, hive_name, partition_in
from ingest.files import durable, opening
from ingest.files.aside import is_folder, make_room
from ingest.market.datasets import Dataset

if TYPE_CHECKING:
    import polars as pl

_STAGING = ".staging"
"""Where files are written before they are put in place: no reader of the lake looks into it."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What is there: the partitions that have a file, `intact` those whose file is the one that the manifest knows."""

    found: frozenset[str]
    intact: frozenset[str]


@dataclass(frozen=True, slots=True)
class InPlace:
    """A file that was put in place: `size` in bytes, and what else it is recognized by."""

    size: int
    mtime_ns: int
    etag: str = ""


class LakePlace(Protocol):
    """Where the files of a dataset's lake are. All calls raise CacheError."""

    @property
    def dataset(self) -> Dataset:
        """Whose lake it is."""

    @property
    def url(self) -> str:
        """That of the object store; "" for the cache's folder."""

    @property
    def place(self) -> str:
        """Where all files are, for messages."""

    @property
    def pattern(self) -> str:
        """A pattern of all files, for tools."""

    def source(self, partition: str) -> str:
        """The file of a partition, for tools: a path or a URL."""

    def described(self, partition: str) -> str:
        """The file of a partition, for messages."""

    def staging(self, partition: str) -> Path:
        """A local file that stands for a partition's while it is written: under temporary names of it."""

    def make_room(self, partitions: Sequence[str]) -> list[str]:
        """Put aside what is of another type in place of files and folders to be; returns it in words."""

    def create(self) -> None:
        """Make the folders for writing."""

    def put(self, partition: str, staged: Path) -> InPlace:
        """Put a file in place that is staged, whole and durable; it is no longer staged then."""

    def sweep(self) -> None:
        """Remove what killed runs left of files that were being written. Requires the lock."""

    def look(self, known: Iterable[LakeFile]) -> Looked:
        """Compare the files with those that the manifest knows."""

    def is_trusted(self, known: LakeFile) -> bool:
        """Whether to read a file that the manifest knows: nothing that costs no request says that it is another."""

    def scan(self, files: Sequence[LakeFile]) -> "pl.LazyFrame":
        """The rows of files, one after the other. Reading raises OSError and errors of polars."""

    def drop(self, partitions: Sequence[str]) -> None:
        """Remove files; a missing one is no error."""

    def drop_empty(self) -> None:
        """Remove folders that are empty."""


@dataclass(frozen=True, slots=True)
class LakeFolder:
    """The folder of a dataset in the lake, `lake/stocks-day`, with Hive partitions: `year=2025/month=11`.

    Where each session has a file, that is in `session=2025-11-11` below its month.
    """

    path: Path
    dataset: Dataset
    url: str = ""

    @classmethod
    def of(cls, cache: Cache) -> Self:
        """The folder of a cache's dataset."""
        return cls(cache.manifest.database.path.parent / "lake" / cache.dataset.short, cache.dataset)

    def file(self, partition: str) -> Path:
        """The file of a partition."""
        return self.path / hive_name(partition)

    @property
    def place(self) -> str:
        """See `LakePlace`."""
        return str(self.path)

    @property
    def pattern(self) -> str:
        """See `LakePlace`."""
        return str(self.path / "**" / "*.parquet")

    def source(self, partition: str) -> str:
        """See `LakePlace`."""
        return str(self.file(partition))

    def described(self, partition: str) -> str:
        """See `LakePlace`: from the cache's folder on."""
        return self.file(partition).relative_to(self.path.parent.parent).as_posix()

    def staging(self, partition: str) -> Path:
        """See `LakePlace`: on the same file system."""
        return self._staging / f"{self.dataset.short}-{partition}.parquet"

    def make_room(self, partitions: Sequence[str]) -> list[str]:
        """See `LakePlace`: it is put beside the dataset's folder, where no reader of that looks."""
        files = [self.file(one) for one in partitions]
        inside = {up for file in files for up in file.parents if up.is_relative_to(self.path)}
        return make_room(sorted({self.path.parent, self._staging, *inside}), files, self._flat)

    def _flat(self, path: Path) -> Path:
        inside = path.relative_to(self.path.parent).parts
        return self.path.parent / "_".join(inside) if inside else path

    def create(self) -> None:
        """See `LakePlace`."""
        durable.make_folder(self._staging)

    def put(self, partition: str, staged: Path) -> InPlace:
        """See `LakePlace`: it is renamed, and a reader sees the old file or the new one."""
        file = self.file(partition)
        durable.make_folder(file.parent)
        durable.publish(file, staged)
        durable.sync_folder(file.parent)
        with durable.translated("look at", file):
            state = file.lstat()
        return InPlace(state.st_size, state.st_mtime_ns)

    def sweep(self) -> None:
        """See `LakePlace`."""
        if opening.is_folder(self._staging):
            durable.sweep(self._staging, lambda _: False)

    @property
    def _staging(self) -> Path:
        return self.path.parent / _STAGING

    def look(self, known: Iterable[LakeFile]) -> Looked:
        """See `LakePlace`: by sizes and times."""
        return Looked(frozenset(self._files()), frozenset(one.partition for one in known if self.is_trusted(one)))

    def _files(self) -> Iterator[str]:
        """Partitions that have a file, known or not. Raises CacheError."""
        return (one for one in self.found() if not is_folder(self.file(one)))

    def found(self) -> Iterator[str]:
        """Partitions in place of whose file something is. Raises CacheError."""
        with durable.translated("look into", self.path):
            for year in opening.inside(self.path, "year=????"):
                for month in opening.inside(self.path / year, "month=*"):
                    sessions = opening.inside(self.path / year / month, "session=*")
                    folders = (f"{year}/{month}", *(f"{year}/{month}/{session}" for session in sessions))
                    names = (partition_in(f"{folder}/{LAKE_FILE}") for folder in folders)
                    yield from (one for one in names if one and opening.is_there(self.file(one)))

    def foreign(self) -> list[str]:
        """Files below the folder that other programs take for some of the lake, as `described`. Raises CacheError."""
        known = {self.file(name) for name in self.found()}
        with durable.translated("look into", self.path):
            found = sorted(set(_parquet_in(self.path)) - known)
        return [one.relative_to(self.path.parent.parent).as_posix() for one in found]

    def is_trusted(self, known: LakeFile) -> bool:
        """See `LakePlace`: by its size and time."""
        path = self.file(known.partition)
        with durable.translated("look at", path):
            state = opening.state(path)
        return state is not None and (state.st_size, state.st_mtime_ns) == (known.size, known.mtime_ns)

    def scan(self, files: Sequence[LakeFile]) -> "pl.LazyFrame":
        """See `LakePlace`."""
        import polars as pl  # which a run with nothing to do does not import

        paths = [self.source(one.partition) for one in files]
        return pl.scan_parquet(paths, hive_partitioning=False, glob=False)

    def drop(self, partitions: Sequence[str]) -> None:
        """See `LakePlace`: folders that are then empty go, too."""
        for partition in partitions:
            file = self.file(partition)
            durable.remove(file)
            for folder in file.relative_to(self.path).parents:
                durable.remove_empty(self.path / folder)

    def drop_empty(self) -> None:
        """See `LakePlace`: those of the lake, if nothing is in them."""
        for folder in (self.path, self._staging, self.path.parent):
            durable.remove_empty(folder)


def _parquet_in(folder: Path) -> Iterator[Path]:
    """All that is named like a file of Parquet in a folder and in those below it. Raises OSError."""
    for name in opening.inside(folder):
        if name.endswith(".parquet"):
            yield folder / name
        elif opening.is_folder(folder / name):
            yield from _parquet_in(folder / name)
