"""One run at a time: a lock on the cache that dies with its holder, and a note of who holds it."""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from ingest.errors import CacheError, CacheLocked
from ingest.manifest.database import now
from ingest.tiers import durable

_NOTE = "ingest.lock.json"


def note_of(root: Path) -> bool:
    """Whether a run says that it holds the cache; one that was killed may still say so."""
    return (root / _NOTE).exists()


@contextmanager
def hold(root: Path, wait_s: float = 0) -> Iterator[None]:
    """Hold a cache's lock; raises CacheLocked, naming the holder, where another has it for longer than `wait_s`.

    The operating system drops the lock when its holder ends, however it ends: a stale one never blocks. The note
    beside it is for people and may be out of date, so it decides nothing.
    """
    durable.make_folder(root)
    lock = filelock.FileLock(root / "ingest.lock", timeout=wait_s)
    note = root / _NOTE
    _acquire(lock, note)
    try:
        yield
    finally:
        with suppress(OSError):  # it decides nothing, and must not hide what the run met
            note.unlink(missing_ok=True)
        lock.release()


def _acquire(lock: filelock.BaseFileLock, note: Path) -> None:
    root = note.parent
    try:
        lock.acquire()
        note.write_text(json.dumps({"pid": os.getpid(), "host": platform.node(), "started": now()}))
    except filelock.Timeout as error:
        raise CacheLocked(f"another run holds the cache {root}: {_holder(note)}. Wait for it, or end it.") from error
    except OSError as error:
        raise CacheError(f"cannot lock the cache {root}: {error.strerror or error}") from error


def _holder(note: Path) -> str:
    try:
        holder = json.loads(note.read_text())
        return f"pid {holder['pid']} on {holder['host']}, since {holder['started']}"
    except (OSError, ValueError, TypeError, KeyError):
        return "no note of its pid"
