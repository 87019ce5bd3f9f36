"""The manifest's file, opened by whoever may read it: nothing is written, and no right to write is needed.

SQLite's readers of a write-ahead log share a file with the writer, `-shm`. Where it is there it is used, also by who
may only read it; who has the writer's rights may make it. Others could not, or would leave one that the writer cannot
open. For them a manifest without a log is read in place, without locks, and its file is looked at after each read; one
with a log is copied into memory. So it is on a full disk, which has no room for `-shm`. Network file systems lack the
shared memory that a log needs: a cache on one is refused.
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
"""So often a file that changes meanwhile is read: a run copies its log into it now and then."""

_UNSHARED = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL)
"""What SQLite says where it has no `-shm` and may not make one, or has no room for it."""

_HEADER = 32
"""Bytes of a log's header, in which is which round it is on."""

FileStamp = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Stamp:
    """Changes with each change of the file or of its log."""

    file: FileStamp
    log: FileStamp

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """As the two are now."""
        return cls(_stamp(path), _stamp(log_of(path)))

    @property
    def is_empty(self) -> bool:
        """Whether the file is missing, or empty because a run was killed while creating it."""
        return self.file is None or not self.file[1]

    @property
    def has_log(self) -> bool:
        """Whether anything is in the log that may not be in the file."""
        return self.log is not None and self.log[1] > 0


@dataclass(frozen=True, slots=True)
class View:
    """A connection that reads a manifest. `seen`: how the files were then, None where SQLite's locks see to changes.

    One `in_place` is read without locks: what it says holds only where the files are afterwards what they were.
    """

    connection: sqlite3.Connection
    path: Path
    seen: Stamp | None = None
    in_place: bool = False

    @property
    def has_moved(self) -> bool:
        """Whether the files are not what they were any more."""
        return self.seen is not None and Stamp.of(self.path) != self.seen


def view(path: Path) -> View:
    """Open a manifest for reading; one that is not there is empty. Raises CacheError, OSError, sqlite3.Error."""
    whole = path.resolve()
    for _ in tries():
        found = _viewed(whole, Stamp.of(whole))
        if found is not None:
            return found
    raise changing(path)


def tries() -> Iterator[int]:
    """Numbers of attempts at a file that may be changing, with pauses between them that grow, a second in all."""
    for number in range(_TRIES):
        if number:
            time.sleep(0.0005 * 2**number)
        yield number


def changing(path: Path) -> CacheError:
    """The error of a manifest that cannot be read between two changes."""
    return CacheError(f"the manifest {path} changes faster than it can be read: try again when the run has ended")


def memory() -> sqlite3.Connection:
    """An empty database in memory."""
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


@contextmanager
def closed_on_error(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """What stays open keeps the log of the manifest, and whoever comes next from removing it."""
    try:
        yield connection
    except BaseException:
        connection.close()
        raise


def log_of(path: Path) -> Path:
    """The write-ahead log of a database."""
    return path.with_name(f"{path.name}-wal")


def _viewed(path: Path, seen: Stamp) -> View | None:
    """None where the files changed meanwhile."""
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
    """Whether what readers share with the writer is there, or may be made as the writer would make it."""
    if all(path.with_name(f"{path.name}{end}").exists() for end in ("-wal", "-shm")):
        return True
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _connected(path: Path, how: str) -> sqlite3.Connection:
    # A lazy scan moves between threads; only one at a time reads.
    where = f"{path.as_uri()}?{how}"
    connection = sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False, timeout=30)
    with closed_on_error(connection):
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()  # only now the files are opened
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
    """A copy in memory of the file with all of its log that was committed.

    A run may add to the log meanwhile: SQLite passes over an end that is torn. What must stay is the file, and the
    round that the log is on.
    """
    with TemporaryDirectory(prefix="ingest-") as folder:
        copy = Path(folder, path.name)
        try:
            shutil.copyfile(log_of(path), log_of(copy))
            shutil.copyfile(path, copy)
            is_whole = _stamp(path) == seen.file and _header(log_of(path)) == _header(log_of(copy))
        except FileNotFoundError:  # the run ended, and took its log along
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
    """Raise CacheError where a folder is on a network file system. Known on Linux alone; elsewhere all is let pass."""
    kind = _kind(folder.resolve(), mounts.read_text(errors="replace")) if mounts.exists() else ""
    if kind in NETWORK:
        raise CacheError(
            f"the cache {folder} is on a network file system ({kind}), where SQLite is not safe. "
            "Set [cache] root to a local disk"
        )


def _kind(folder: Path, mountinfo: str) -> str:
    """Type of the file system that holds a folder: that of the longest mount point above it (proc(5), mountinfo)."""
    mounts = [line.partition(" - ") for line in mountinfo.splitlines()]
    points = {_unescaped(left.split()[4]): right.split()[0] for left, _, right in mounts}
    above = [point for point in points if folder.is_relative_to(point)]
    return points[max(above, key=len)] if above else ""


def _unescaped(point: str) -> str:
    return re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), point)
