"""Opens the manifest's file for readers: nothing is written, and no write permission is needed.

SQLite's readers of a write-ahead log share a file, `-shm`, with the writer. If it exists it is used, even with read
permission alone; a reader with the writer's permissions may create it. Other readers could not create it, or would
leave one that the writer cannot open. For them a manifest without a log is read in place, without locks, and its file
is checked after each read; one with a log is copied into memory. The same holds on a full disk, which has no room for
`-shm`. Network file systems have no shared memory, which a log needs: a cache on one is refused.
"""

import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ingest.errors import CacheError

_TRIES = 11
"""Attempts to read a file that changes meanwhile: a run copies its log into it now and then."""

_UNSHARED = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL)
"""SQLite's errors if there is no `-shm` and it may not create one, or has no room for it."""

_HEADER = 32
"""Bytes of a log's header, which says which round the log is on."""

FileStamp = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Stamp:
    """The state of the file and its log: changes with each change of either."""

    file: FileStamp
    log: FileStamp

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """Their current state."""
        return cls(_stamp(path), _stamp(log_of(path)))

    @property
    def is_empty(self) -> bool:
        """Whether the file is missing, or empty because a run was killed while creating it."""
        return self.file is None or not self.file[1]

    @property
    def has_log(self) -> bool:
        """Whether the log contains anything that may not be in the file."""
        return self.log is not None and self.log[1] > 0


@dataclass(frozen=True, slots=True)
class View:
    """A connection that reads a manifest, and the state of its files when it was opened.

    `seen` is None if SQLite's locks take care of changes. With `in_place` the file is read without locks: what was read
    is valid only if the files are unchanged afterwards.
    """

    connection: sqlite3.Connection
    path: Path
    seen: Stamp | None = None
    in_place: bool = False

    @property
    def has_moved(self) -> bool:
        """Whether the files have changed since."""
        return self.seen is not None and Stamp.of(self.path) != self.seen


def view(path: Path) -> View:
    """Open a manifest for reading; a missing one is empty. Raises CacheError, OSError, sqlite3.Error."""
    whole = path.resolve()
    for _ in tries():
        found = _viewed(whole, Stamp.of(whole))
        if found is not None:
            return found
    raise changing(path)


def tries() -> Iterator[int]:
    """Numbers of attempts at a file that may be changing, with growing pauses between them, a second in all."""
    for number in range(_TRIES):
        if number:
            time.sleep(0.0005 * 2**number)
        yield number


def changing(path: Path) -> CacheError:
    """The error for a manifest that changes too often to be read."""
    return CacheError(f"the manifest {path} changes faster than it can be read: try again when the run has ended")


def memory() -> sqlite3.Connection:
    """An empty database in memory."""
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


@contextmanager
def closed_on_error(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Close a connection on error: an open one keeps the manifest's log, and prevents others from removing it."""
    try:
        yield connection
    except BaseException:
        connection.close()
        raise


def log_of(path: Path) -> Path:
    """The write-ahead log of a database."""
    return path.with_name(f"{path.name}-wal")


def _viewed(path: Path, seen: Stamp) -> View | None:
    """A view, or None if the files changed meanwhile."""
    if seen.is_empty:
        return View(memory(), path, seen)
    if _is_shared(path):
        try:
            return View(_connected(path, "mode=ro"), path)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _UNSHARED:
                raise
    return _copied(path, seen) if seen.has_log else _in_place(path, seen)


def _is_shared(path: Path) -> bool:
    """Whether the files that readers share with the writer exist, or may be created as the writer would."""
    if all(path.with_name(f"{path.name}{end}").exists() for end in ("-wal", "-shm")):
        return True
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _connected(path: Path, how: str) -> sqlite3.Connection:
    # A lazy scan moves between threads; only one reads at a time.
    where = f"{path.as_uri()}?{how}"
    connection = sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False, timeout=30)
    with closed_on_error(connection):
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()  # this opens the files
    return connection


def _in_place(path: Path, seen: Stamp) -> View | None:
    try:
        connection = _connected(path, "immutable=1")
    except sqlite3.DatabaseError:
        if Stamp.of(path) == seen:
            raise
        return None
    found = View(connection, path, seen, in_place=True)
    if found.has_moved:
        connection.close()
        return None
    return found


def _copied(path: Path, seen: Stamp) -> View | None:
    """A copy in memory of the file and of everything committed to its log; None if the files changed meanwhile.

    A run may append to the log meanwhile: SQLite ignores a torn end. The file, and the log's round, must not change.
    """
    with TemporaryDirectory(prefix="ingest-") as folder:
        copy = Path(folder, path.name)
        try:
            shutil.copyfile(log_of(path), log_of(copy))
            shutil.copyfile(path, copy)
            is_whole = _stamp(path) == seen.file and _header(log_of(path)) == _header(log_of(copy))
        except FileNotFoundError:  # the run ended and removed its log
            return None
        return View(_loaded(copy), path, seen) if is_whole else None


def _loaded(copy: Path) -> sqlite3.Connection:
    found = memory()
    with closed_on_error(found), closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.backup(found)
    return found


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEADER)


def _stamp(path: Path) -> FileStamp:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


NETWORK = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "gfs2",
        "glusterfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "smb3",
        "smbfs",
    }
)
_MOUNTS = Path("/proc/self/mountinfo")


def refuse_network(folder: Path, mounts: Path = _MOUNTS) -> None:
    """Raise CacheError if a folder is on a network file system. Detected on Linux only; elsewhere all pass."""
    kind = _kind(folder.resolve(), mounts.read_text(errors="replace")) if mounts.exists() else ""
    if kind in NETWORK:
        raise CacheError(
            f"the cache {folder} is on a network file system ({kind}), where SQLite is not safe. "
            "Set [cache] root to a local disk"
        )


def _kind(folder: Path, mountinfo: str) -> str:
    """Type of a folder's file system: that of the longest mount point above it (proc(5), mountinfo)."""
    mounts = [line.partition(" - ") for line in mountinfo.splitlines()]
    points = {_unescaped(left.split()[4]): right.split()[0] for left, _, right in mounts}
    above = [point for point in points if folder.is_relative_to(point)]
    return points[max(above, key=len)] if above else ""


def _unescaped(point: str) -> str:
    return re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), point)
