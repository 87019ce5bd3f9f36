"""Large objects while they are downloaded: their bytes in a file, and a note of which are complete.

The file is `spool/2025-11-11.csv.gz.part`; beside it is `….part.json` with the ETag, the size and the complete ranges.
Bytes are written before they are noted, so the note that a killed process leaves is right. Neither is fsynced: after a
crash of the machine the note may list bytes that are gone. The checksums find that (the md5 of the whole, the CRC of
each gzip member), and the object is downloaded again.
"""

import errno
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self

from ingest.errors import CacheError
from ingest.files import durable, opening
from ingest.files.hashing import md5_of
from ingest.market.datasets import is_part_name, part_name, session_of

_SUFFIX = ".part"
_NOTE = ".json"
_MOST_NOTED = 1 << 20
"""Bytes of a note: some twenty per range."""

_KEPT_S = 7 * 24 * 3600.0

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_DEEPEST = 8
"""How many causes of an error are checked."""


class ByteRange(NamedTuple):
    """Bytes of an object from `start` up to, and without, `stop`."""

    start: int
    stop: int


class ObjectVersion(NamedTuple):
    """Which object a spool file contains."""

    etag: str
    size: int


def spool_path(folder: Path, session: date) -> Path:
    """File of a session's object while it is downloaded."""
    return folder / f"{part_name(session)}{_SUFFIX}"


def missing_ranges(there: Sequence[ByteRange], size: int) -> Iterator[ByteRange]:
    """The gaps between ranges that are in order and apart, up to the size."""
    at = 0
    for one in (*there, ByteRange(size, size)):
        if one.start > at:
            yield ByteRange(at, one.start)
        at = one.stop


def merge_ranges(there: Sequence[ByteRange], new: ByteRange) -> list[ByteRange]:
    """Ranges with another one added: in order, and apart, since those that touch are merged."""
    merged: list[ByteRange] = []
    for one in sorted((*there, new)):
        if merged and one.start <= merged[-1].stop:
            merged[-1] = ByteRange(merged[-1].start, max(merged[-1].stop, one.stop))
        elif one.start < one.stop:
            merged.append(one)
    return merged


class PartialDownload:
    """The spool file of one object; its methods may be called in several threads at once, and raise CacheError."""

    def __init__(self, path: Path, known: ObjectVersion, there: Sequence[ByteRange]) -> None:
        self.path, self.known = path, known
        self._there = list(there)
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path, known: ObjectVersion) -> Self:
        """What an earlier run has left of this very object; otherwise an empty file."""
        durable.make_folder(path.parent)
        if (there := _left(path, known)) is not None:
            return cls(path, known, there)
        return cls.begin(path, known)

    @classmethod
    def begin(cls, path: Path, known: ObjectVersion) -> Self:
        """An empty file, replacing any other. It grows with the bytes that come: a listed size may be any number."""
        discard(path)
        durable.put(path, b"")
        return cls(path, known, ())

    @property
    def there(self) -> int:
        """Number of bytes that are complete."""
        with self._lock:
            return sum(stop - start for start, stop in self._there)

    def missing(self, most: int) -> Iterator[ByteRange]:
        """What is missing now, in ranges of at most so many bytes."""
        with self._lock:
            gaps = list(missing_ranges(self._there, self.known.size))
        return (ByteRange(at, min(at + most, gap.stop)) for gap in gaps for at in range(gap.start, gap.stop, most))

    def write(self, offset: int, data: bytes | bytearray) -> None:
        """Write bytes of the object, then note that they are complete."""
        durable.write_at(self.path, offset, data)
        with self._lock:
            self._there = merge_ranges(self._there, ByteRange(offset, offset + len(data)))
            durable.put(_note(self.path), json.dumps([*self.known, self._there]).encode())

    def md5(self) -> str:
        """The md5 of all its bytes, in hexadecimal."""
        with durable.translated("read", self.path):
            return md5_of(self.path)


def discard(path: Path) -> None:
    """Remove a spool file, if it exists: first its note, without which it is worthless. Raises CacheError."""
    durable.remove(_note(path))
    durable.remove(path)


def sweep_spool(folder: Path, decided: Mapping[date, ObjectVersion | None]) -> None:
    """Remove files that will not be resumed. Raises CacheError.

    `decided` are the sessions of a run's window, each with the object that is still to be downloaded. Files of sessions
    of another window are left alone for a week: a run of that window may resume them.
    """
    durable.sweep(folder, _is_name)
    with durable.translated("look into", folder):
        names = {name.removesuffix(_NOTE) for name in opening.names(folder, f"*{_SUFFIX}*")}
    for path in (folder / name for name in sorted(names)):
        session = session_of(path.name.removesuffix(_SUFFIX))
        wanted = decided.get(session) if session else None
        if not (wanted and _left(path, wanted)) and (session in decided or _is_stale(path)):
            discard(path)


def partial_downloads(folder: Path) -> list[Path]:
    """All partial downloads in a folder: files for `discard`. Raises CacheError."""
    with durable.translated("look into", folder):
        return [folder / name for name in sorted(opening.names(folder, f"*{_SUFFIX}"))]


def session_at(path: Path) -> date | None:
    """The session of a partial download; None for another file."""
    return session_of(path.name.removesuffix(_SUFFIX))


def _is_stale(path: Path) -> bool:
    with durable.translated("look at", path):
        found = opening.state(path)
    return found is None or time.time() - found.st_mtime > _KEPT_S


def _is_name(name: str) -> bool:
    return is_part_name(name.removesuffix(_NOTE).removesuffix(_SUFFIX))


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}{_NOTE}")


def _left(path: Path, known: ObjectVersion) -> list[ByteRange] | None:
    """The complete ranges of this object; None if the file or its note is of another one, or invalid."""
    with durable.translated("read", path):
        try:
            noted, length = opening.read(_note(path), _MOST_NOTED), opening.size(path)
        except (FileNotFoundError, opening.NotAFile):
            return None
    try:
        etag, size, there = json.loads(noted)
        stretches = [ByteRange(*one) for one in there]
    except (ValueError, TypeError):
        return None
    return stretches if ObjectVersion(etag, size) == known and _can_be(stretches, min(length, known.size)) else None


def _can_be(stretches: Sequence[ByteRange], size: int) -> bool:
    """Whether ranges are numbers, in order, apart, and within a file of so many bytes."""
    edges = [edge for one in stretches for edge in one]
    return (
        all(type(edge) is int for edge in edges)
        and edges == sorted(set(edges))
        and (not edges or (edges[0] >= 0 and edges[-1] <= size))
    )


@contextmanager
def room_told(folder: Path) -> Iterator[None]:
    """Raise the CacheError of a full disk, or quota, with the size of the spool folder, which nobody sees.

    Nothing is written here, and nothing removed: the next run resumes from these bytes.
    """
    try:
        yield
    except CacheError as error:
        if not any(map(_is_full, islice(_causes(error), _DEEPEST))) or not (held := _bytes_on_disk(folder)):
            raise
        raise CacheError(
            f"{error}. {folder} holds {held:,} bytes of unfinished downloads: make room, and the next run resumes "
            "them; or delete that folder, and they start over"
        ) from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error := error and (error.__cause__ or error.__context__):
        yield error


def _is_full(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in _FULL


def _bytes_on_disk(folder: Path) -> int:
    """Bytes that the files below a folder take on the disk; missing ranges are holes in them."""
    size = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # gone in the meantime
                found = os.lstat(Path(where, name))
                size += found.st_blocks * 512 if hasattr(found, "st_blocks") else found.st_size
    return size
