"""A snapshot of the manifest as one file: SQLite's own copy, packed with zlib, a piece in memory at a time."""

import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from ingest.cache.manifest.database import Database
from ingest.files import durable, opening

_PIECE = 1 << 20
_COPY, _PACKED = ".snapshot", ".snapshot.z"


class Damaged(Exception):
    """A snapshot is not what was stored; the message says why."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A packed snapshot, and the hexadecimal sha256 of its bytes."""

    path: Path
    sha256: str


@contextmanager
def packed(database: Database) -> Iterator[Packed]:
    """The manifest as it is now, packed in a file that is removed at the end of the block. Raises CacheError.

    The files have fixed names beside the manifest: what a kill leaves is replaced by the next snapshot.
    """
    path = database.path
    copy, into = path.with_name(path.name + _COPY), path.with_name(path.name + _PACKED)
    _remove(copy, into)
    try:
        database.copy_to(copy)
        with durable.translated("pack", into), opening.to_read(copy) as file, opening.created(into) as descriptor:
            sha256 = _pack(iter(lambda: file.read(_PIECE), b""), descriptor)
        yield Packed(into, sha256)
    finally:
        _remove(copy, into)


def unpack(pieces: Iterable[bytes], path: Path) -> str:
    """Write the copy that these pieces contain, packed, as a new file; returns the sha256 of the packed bytes.

    Raises Damaged if they are not a packed file, CacheError if the copy cannot be written.
    """
    seen, stream = hashlib.sha256(), zlib.decompressobj()
    with durable.translated("write", path), opening.created(path) as descriptor:
        for piece in pieces:
            seen.update(piece)
            for text in _unpacked(stream, piece):
                opening.write_all(descriptor, text)
        os.fsync(descriptor)
    if not stream.eof or stream.unused_data:
        raise Damaged("it does not end where it should")
    return seen.hexdigest()


def _unpacked(stream: "zlib._Decompress", piece: bytes) -> Iterator[bytes]:
    """The text of a piece, in pieces: a few packed bytes may have much text."""
    try:
        while piece and not stream.eof:
            yield stream.decompress(piece, _PIECE)
            piece = stream.unconsumed_tail
    except zlib.error as error:
        raise Damaged(f"it cannot be unpacked ({error})") from error


def _pack(pieces: Iterable[bytes], descriptor: int) -> str:
    seen, stream = hashlib.sha256(), zlib.compressobj()
    for packed in chain(map(stream.compress, pieces), map(stream.flush, [zlib.Z_FINISH])):
        seen.update(packed)
        opening.write_all(descriptor, packed)
    return seen.hexdigest()


def _remove(*paths: Path) -> None:
    for path in paths:
        durable.remove(path)
