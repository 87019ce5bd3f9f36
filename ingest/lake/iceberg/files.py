"""Puts data files in place: another name of the lake's file where that is possible, else a copy, which never changes.

Files with times are written again, in microseconds. All is durable before a table knows it; what a kill leaves has a
name that no table knows, and the next update removes it.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.cache.manifest.lake import LakeFile
from ingest.errors import CacheError
from ingest.files import durable, opening
from ingest.files.hashing import sha256_of
from ingest.lake.iceberg.naming import DataName, LakeVersion, TableFolder, known_again_by
from ingest.lake.iceberg.tables import table_schema, translated
from ingest.market.datasets import Dataset

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table

_COPIED = 1 << 20


@dataclass(frozen=True, slots=True)
class DataFiles:
    """The data files of a dataset's table, in a folder here or anywhere that pyiceberg reaches.

    `fetch` has the bytes of one of its files, if the lake is in an object store. `noted` is by what the files here are
    known again. With `look` files of a table that is elsewhere are looked at, too, by a request for each.
    """

    table: "Table"
    folder: TableFolder
    dataset: Dataset
    fetch: Callable[[LakeFile], Iterator[bytes]]
    noted: Mapping[str, tuple[int, int]]
    look: bool = True

    @property
    def here(self) -> Path | None:
        """The folder of the files, if it is that beside the lake."""
        return self.folder.local(f"{self.table.location()}/data")

    def _near(self) -> Path:
        """A folder to write in, which is that of the files if they are here. Raises CacheError."""
        folder = self.here or self.folder.path / "data"
        durable.make_folder(folder)
        return folder

    def put(self, version: LakeVersion) -> str:
        """Put a version in place, durably; returns its URL. Raises CacheError."""
        if version.path is not None:
            return self._put(version, version.path)
        path = self._fetched(version)
        try:
            return self._put(version, path)
        finally:
            durable.remove(path)

    def _put(self, version: LakeVersion, path: Path) -> str:
        return self._in_microseconds(version, path) if self.dataset.kind.timed else self._taken(path, version.name)

    def _fetched(self, version: LakeVersion) -> Path:
        """A file of a lake in an object store, as a local one."""
        left = durable.another(self._near() / version.name)
        with durable.staging(left, under=left) as put:
            for piece in self.fetch(version.file):
                put(piece)
        return left

    def _taken(self, file: Path, name: str) -> str:
        if self.here is None:
            return self._sent(file, name)
        durable.make_folder(self.here)
        if not _is_linked(file, self.here / name):
            durable.copy(self.here / name, file)
            state = file.stat()
            os.utime(self.here / name, ns=(state.st_atime_ns, state.st_mtime_ns))  # by which it is known again
        durable.sync_folder(self.here)
        return self._url(name)

    def _in_microseconds(self, version: LakeVersion, path: Path) -> str:
        """Write a version with times in microseconds. Raises CacheError if one has a part of a microsecond."""
        folder = self._near()
        left = durable.another(folder / f"{version.file.partition}.parquet")
        own = _rewritten(path, left, self.dataset)
        name = str(DataName.of(version.file.partition, version.file.sha256, own))
        if self.here is None:
            url = self._sent(left, name)
            durable.remove(left)
            return url
        durable.publish(folder / name, left)
        durable.sync_folder(folder)
        return self._url(name)

    def _sent(self, file: Path, name: str) -> str:
        """Copy a file to where the table is, unless it is there."""
        url, size = self._url(name), opening.size(file)
        with translated(f"write {url}"):
            there = self.table.io.new_input(url)
            if there.exists() and len(there) == size:
                return url
            with self.table.io.new_output(url).create(overwrite=True) as out, opening.to_read(file) as source:
                while piece := source.read(_COPIED):
                    out.write(piece)
        return url

    def _url(self, name: str) -> str:
        return str(self.table.location_provider().new_data_location(name))

    def is_there(self, url: str, size: int) -> bool:
        """Whether a data file is where the table says, with its size in bytes."""
        file = self.folder.local(url)
        if file is not None:
            return opening.has_size(file, size)
        if not self.look:
            return True
        with translated(f"look at {url}"):
            there = self.table.io.new_input(url)
            return bool(there.exists()) and len(there) == size

    def is_whole(self, version: LakeVersion, url: str, size: int) -> bool:
        """Whether the data file of a version is as it was put in place; if not, it is put there again, if it can be.

        An edited file of the lake is an edited data file. What replaces either has the bytes that the name says.
        """
        path = self.folder.local(url)
        if path is None:
            return self.is_there(url, size)
        if self._is_untouched(version, path, size):
            return True
        self.put(version)
        return opening.has_size(path, size) and _has_its_bytes(path)

    def _is_untouched(self, version: LakeVersion, path: Path, size: int) -> bool:
        """Whether a file here is as it was put in place. It is read only if its size or time is not what was noted."""
        if path.name == version.name and version.path is not None:
            return version.is_at(path)
        if not opening.has_size(path, size):
            return False
        noted = self.noted.get(path.name)
        return noted in (None, known_again_by(path)) or _has_its_bytes(path)

    def found(self) -> Iterator[Path]:
        """Files of ours beside the lake, those that a kill has left included; none if the table is elsewhere."""
        if self.here is not None:
            for name in opening.names(self.here):
                if DataName.parse(name) or name.startswith("."):
                    yield self.here / name


def _has_its_bytes(path: Path) -> bool:
    """Whether a data file has the bytes that its name says."""
    name = DataName.parse(path.name)
    return name is not None and sha256_of(path).startswith(name.own)


def _is_linked(file: Path, name: Path) -> bool:
    """Give a file another name, in place of what has it; False if the file system cannot."""
    left = durable.temporary(name)
    durable.remove(left)
    try:
        os.link(file, left)
    except OSError:
        return False
    durable.publish(name, left)
    durable.remove(left)  # a rename between two names of one file does nothing
    return True


def _rewritten(file: Path, left: Path, dataset: Dataset) -> str:
    """Write a lake's file with times in microseconds; returns the hash of its bytes. Raises CacheError."""
    import polars as pl

    from ingest.lake.writing import HashingSink, sink_rows

    lake = pl.scan_parquet(file, glob=False, hive_partitioning=False)
    with translated(f"read {file}"):
        if lake.select((pl.col("time").dt.timestamp("ns") % 1000 != 0).any()).collect().item():
            raise CacheError(f"Iceberg: a time in {file} has nanoseconds, which a table cannot hold")
        rows = lake.with_columns(pl.col("time").dt.cast_time_unit("us"))
        with durable.staging(left, under=left) as put:
            sink = HashingSink(put)
            sink_rows(rows, dataset, sink, _numbered(dataset))
    return sink.sha256


def _numbered(dataset: Dataset) -> "pa.Schema":
    """The columns with their numbers in the table."""
    import pyarrow as pa
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    found = schema_to_pyarrow(table_schema(dataset), include_field_ids=True)
    large = [one.with_type(pa.large_string()) if one.type == pa.string() else one for one in found]
    return pa.schema(large)
