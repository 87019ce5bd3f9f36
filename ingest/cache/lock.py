"""One run at a time: a lock on the cache that dies with its holder, and a note of who holds it."""

import json
import os
import platform
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from ingest.cache.manifest.database import now
from ingest.errors import CacheError, CacheLocked
from ingest.files import durable, opening, rights

_LOCK, _NOTE = "ingest.lock", "ingest.lock.json"
_MOST_NOTED = 1 << 16


def is_claimed(root: Path) -> bool:
    """Whether a run says that it holds the cache; one that was killed may still say so."""
    with durable.translated("look at", root):
        return opening.is_there(root / _NOTE)


@contextmanager
def hold(root: Path, wait_s: float = 0) -> Iterator[None]:
    """Hold a cache's lock; raises CacheLocked, naming the holder, where another has it for longer than `wait_s`.

    The operating system drops the lock when its holder ends, however it ends: a stale one never blocks. The note
    beside it is for people and may be out of date, so it decides nothing.
    """
    durable.make_folder(root)
    note = root / _NOTE
    lock = _acquired(root / _LOCK, note, wait_s)
    try:
        yield
    finally:
        with suppress(OSError):  # it decides nothing, and must not hide what the run met
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
    """Mode of the lock's file, which is made here where it is not there.

    filelock would give it a mode of its own, whatever the umask says, and a group could not share the lock.
    """
    if opening.is_no_file(path):
        raise opening.NotAFile(f"{path.name} is a link, a folder or a pipe, not a file: move it away")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    try:
        return stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


def _write(note: Path, words: bytes) -> None:
    """Anew, whatever is under the name: what somebody put there is not written into."""
    if opening.is_there(note):
        note.unlink()
    with opening.created(note) as descriptor:
        opening.write_all(descriptor, words)


def _holder(note: Path) -> str:
    try:
        holder = json.loads(opening.read(note, _MOST_NOTED))
        return f"pid {holder['pid']} on {holder['host']}, since {holder['started']}"
    except (OSError, ValueError, TypeError, KeyError):
        return "no note of its pid"
