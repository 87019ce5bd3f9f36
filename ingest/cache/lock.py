"""One run at a time: a lock on the cache that ends with its holder, and a note that names the holder."""

import json
import os
import platform
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import filelock

from ingest.cache.manifest.database import now
from ingest.errors import CacheError, CacheLocked, printable
from ingest.files import durable, opening, rights

_LOCK, _NOTE = "ingest.lock", "ingest.lock.json"
_MOST_NOTED = 1 << 16


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a cache, as its note says: the process, its host, and since when (ISO 8601, UTC)."""

    pid: int
    host: str
    started: str

    def __str__(self) -> str:
        return printable(f"pid {self.pid} on {self.host}, since {self.started}")


def holder(root: Path) -> Holder | None:
    """Who holds a cache; None if nobody does, or if its process on this computer has ended and left its note behind."""
    noted = _noted(root / _NOTE)
    return None if noted and noted.host == platform.node() and not _is_alive(noted.pid) else noted


def is_claimed(root: Path) -> bool:
    """Whether a note says that a run holds the cache; a killed run leaves its note behind."""
    with durable.translated("look at", root):
        return opening.is_there(root / _NOTE)


@contextmanager
def hold(root: Path, wait_s: float = 0) -> Iterator[None]:
    """Hold a cache's lock; raises CacheLocked, naming the holder, if another keeps it for more than `wait_s` seconds.

    The operating system releases the lock however its holder ends, so a stale lock never blocks. The note beside it is
    for people: it may be out of date, and nothing depends on it.
    """
    durable.make_folder(root)
    note = root / _NOTE
    lock = _acquired(root / _LOCK, note, wait_s)
    try:
        yield
    finally:
        with suppress(OSError):  # nothing depends on it, and it must not hide an error of the run
            note.unlink(missing_ok=True)
        lock.release()


def _acquired(path: Path, note: Path, wait_s: float) -> filelock.BaseFileLock:
    root = path.parent
    try:
        lock = filelock.FileLock(path, timeout=wait_s, mode=_mode(path))
        lock.acquire()
    except filelock.Timeout as error:
        raise CacheLocked(f"another run holds the cache {root}: {_holder(note)}. Wait for it, or end it.") from error
    except OSError as error:
        said = f"cannot lock the cache {root}: {error.strerror or error}"
        raise CacheError(rights.with_missing(said, path, write=True)) from error
    try:
        _write(note, json.dumps({"pid": os.getpid(), "host": platform.node(), "started": now()}).encode())
    except OSError as error:
        lock.release()
        said = f"cannot lock the cache {root}: {error.strerror or error}"
        raise CacheError(rights.with_missing(said, note, write=True)) from error
    return lock


def _mode(path: Path) -> int:
    """Mode of the lock file, which is created here if it is missing.

    filelock would set a mode of its own, whatever the umask says, and a group could not share the lock.
    """
    if opening.is_no_file(path):
        raise opening.NotAFile(f"{path.name} is a link, a folder or a pipe, not a file: move it away")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    try:
        return stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


def _write(note: Path, words: bytes) -> None:
    """Write the note as a new file: whatever has its name is removed, not written into."""
    if opening.is_there(note):
        note.unlink()
    with opening.created(note) as descriptor:
        opening.write_all(descriptor, words)


def _holder(note: Path) -> str:
    return str(_noted(note) or "no note of its pid")


def _noted(note: Path) -> Holder | None:
    try:
        told = json.loads(opening.read(note, _MOST_NOTED))
        return Holder(int(told["pid"]), str(told["host"]), str(told["started"]))
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        return None


def _is_alive(pid: int) -> bool:
    """Whether there is a process with this number; True where that cannot be asked without a signal."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # of another user
        return True
    return True
