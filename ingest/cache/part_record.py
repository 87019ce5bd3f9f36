"""Parts that speak for themselves: the tracked part carries what the manifest says of its session.

So a lost manifest can be built again from the parts, and what is there need not be downloaded again. The note is
the record as it was before the note was put in, with the hashes of both parts: whether they are still what they were
is seen byte for byte.
"""

import hashlib
import json
import struct
import zlib
from dataclasses import dataclass, replace
from typing import BinaryIO

from ingest.cache.layout import MemberIndex
from ingest.cache.manifest import SessionRecord, codec
from ingest.cache.manifest.integrity.kinds import strings, text
from ingest.cache.parts import note as stamp

_VERSION = 1
_PIECE = 1 << 20
_MAX_NESTED = 1 << 16
"""Lists and objects in a note: each takes many times its text in memory, and a record has a few."""


@dataclass(frozen=True, slots=True)
class Stamped:
    """A tracked part's own word on its session.

    `tickers` is the set that it was split by, and `record` has no number for it; when the source's file was published
    is not said.
    """

    dataset: str
    tickers: frozenset[str]
    record: SessionRecord


def stamped(record: SessionRecord, data: bytes, dataset: str, tickers: frozenset[str]) -> tuple[SessionRecord, bytes]:
    """A tracked part with its record put in, and the record of that.

    A note too long for the first header (tens of thousands of tracked tickers, say) stands at the end.
    """
    note = note_of(record, dataset, tickers)
    if note is None:
        return record, data
    if len(note) <= stamp.MAX_BYTES:
        return _noted(record, data, note)
    with_note = data + stamp.tail(note)
    return replace(record, tracked_sha256=hashlib.sha256(with_note).hexdigest()), with_note


def note_of(record: SessionRecord, dataset: str, tickers: frozenset[str]) -> bytes | None:
    """What a tracked part is to say of itself; `record` is that of the part without it.

    None where that would be longer than a note can be: such a part says nothing.
    """
    # What depends on when it was uploaded stays out: equal files make equal parts.
    told = codec.to_json(replace(record, tracked_set=0, last_modified=""))
    said = json.dumps([_VERSION, dataset, sorted(tickers), told]).encode()
    return zlib.compress(said) if len(said) <= stamp.MAX_UNPACKED else None


def _noted(record: SessionRecord, data: bytes, note: bytes) -> tuple[SessionRecord, bytes]:
    with_note = stamp.put_note(data, note)
    longer = len(with_note) - len(data)
    index = MemberIndex.decode(record.tracked_index)
    offsets = (0, *(offset + longer for offset in index.offsets[1:]))
    shifted = replace(index, offsets=offsets).encode()
    return replace(record, tracked_sha256=hashlib.sha256(with_note).hexdigest(), tracked_index=shifted), with_note


def read_record(file: BinaryIO) -> Stamped | None:
    """What a tracked part says of itself; None where it says nothing, or is not what it says.

    Where the note is at the end, as it is in large parts, no more than a piece of the file is held in memory.
    """
    try:
        found = stamp.take_tail(file)
        return _with_tail(file, *found) if found else _with_front(file)
    # A note may hold anything: of another version, of another tool, damaged.
    except (zlib.error, struct.error, ValueError, RecursionError):
        return None


def _with_front(file: BinaryIO) -> Stamped | None:
    file.seek(0)
    if not stamp.may_begin(file.read(stamp.OPENING_BYTES)):
        return None
    file.seek(0)
    if (taken := stamp.take_note(file.read())) is None:
        return None
    note, plain = taken
    said = _understood(note)
    if said is None or hashlib.sha256(plain).hexdigest() != said.record.tracked_sha256:
        return None
    return replace(said, record=_noted(said.record, plain, note)[0])


def _with_tail(file: BinaryIO, note: bytes, length: int) -> Stamped | None:
    said = _understood(note)
    file.seek(0)
    found = hashlib.sha256()
    while length and (piece := file.read(min(length, _PIECE))):
        found.update(piece)
        length -= len(piece)
    if said is None or found.hexdigest() != said.record.tracked_sha256:
        return None
    found.update(file.read())
    return replace(said, record=replace(said.record, tracked_sha256=found.hexdigest()))


def _understood(note: bytes) -> Stamped | None:
    raw = json.loads(_unpacked(note))
    if type(raw) is not list or len(raw) != 4 or raw[0] != _VERSION:
        return None
    _, dataset, tickers, told = raw
    return Stamped(text(dataset), frozenset(strings(tickers)), codec.session_record(told))


def _unpacked(note: bytes) -> bytes:
    """The text of a note. Raises ValueError for one that no part is given, of which no more is unpacked than may be."""
    packed = zlib.decompressobj()
    said = packed.decompress(note, stamp.MAX_UNPACKED)
    if not packed.eof or said.count(b"[") + said.count(b"{") > _MAX_NESTED:
        raise ValueError("too long for a note, or cut short")
    return said
