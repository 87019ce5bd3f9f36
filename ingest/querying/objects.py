"""Files of a lake in an object store, as DuckDB reads them: by our own requests, so no extension is needed.

The one module that knows fsspec, whose interface DuckDB takes for file systems in Python.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ingest.errors import UsageError
from ingest.lake.objects import StoredFile
from ingest.querying.parts.table import Scans

if TYPE_CHECKING:
    import duckdb

MISSING = "SQL over a lake in an object store needs fsspec: pip install 'ingest[sql]'"

_PROTOCOL = "ingest"


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """A stored file, and what is told of reading it."""

    file: StoredFile
    scans: Scans

    def read(self, begin: int, end: int) -> bytes:
        """Bytes from `begin` up to `end`. Raises CacheError, and InterruptedError once it is to stop."""
        if self.scans.stop.is_set():
            raise InterruptedError
        with self.scans.noted():
            return self.file.read(begin, end)


def path_of(dataset: str, partition: str) -> str:
    """The path of a partition's file for DuckDB, where `registered` has it."""
    return f"{_PROTOCOL}://{dataset}/{partition}.parquet"


def register(connection: "duckdb.DuckDBPyConnection", files: Mapping[str, ScannedFile]) -> None:
    """Let a connection read these files under their paths. Raises UsageError without the library."""
    if not files:
        return
    if find_spec("fsspec") is None:
        raise UsageError(MISSING)
    connection.register_filesystem(_file_system(files))


def _file_system(files: Mapping[str, ScannedFile]) -> Any:
    from fsspec import AbstractFileSystem

    class Objects(AbstractFileSystem):  # type: ignore[misc]
        """The files, read-only."""

        protocol = _PROTOCOL
        cachable = False

        def open(self, path: str, mode: str = "rb", **_: object) -> io.RawIOBase:
            """A file to read."""
            if mode != "rb":
                raise PermissionError(path)
            return _OpenFile(files[path])

        def info(self, path: str, **_: object) -> dict[str, object]:
            """Its size."""
            if path not in files:
                raise FileNotFoundError(path)
            return {"name": path, "size": files[path].file.size, "type": "file"}

        def exists(self, path: str, **_: object) -> bool:
            """Whether there is such a file."""
            return path in files

        def glob(self, path: str, **_: object) -> list[str]:
            """The file itself: paths have no patterns."""
            return [path] if path in files else []

        def modified(self, path: str) -> datetime:
            """Always the same: a path stands for one version."""
            return datetime.fromtimestamp(0, UTC)

    return Objects()


class _OpenFile(io.RawIOBase):
    """A file that is read by ranges; each read is a request."""

    def __init__(self, file: ScannedFile) -> None:
        self._file, self._at = file, 0

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._file.file.size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Bytes from here on."""
        end = self.size if size < 0 else min(self._at + size, self.size)
        data = self._file.read(self._at, end) if self._at < end else b""
        self._at += len(data)
        return data
