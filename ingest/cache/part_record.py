"""Parts that describe themselves: a tracked part carries the manifest's record of its session.

So a lost manifest can be rebuilt from the parts, and nothing that is stored has to be downloaded again. The note is the
record as it was before the note was added, with the hashes of both parts: they show, byte for byte, whether the parts
are unchanged.
"""

import hashlib
import json
import struct
import zlib
from dataclasses import dataclass, replace
from typing import BinaryIO

from ingest.cache.layout import MemberIndex
from ingest.cache.manifest import SessionRecord
from ingest.cache.manifest.integrity import codec
from ingest.cache.manifest.integrity.kinds import strings, text
from ingest.cache.parts import note as stamp

_VERSION = 1
_PIECE = 1 << 20
_MAX_NESTED = 1 << 16
"""Lists and objects in a note: each takes many times its text in memory, and a record has only a few."""


@dataclass(frozen=True, slots=True)
class Stamped:
    """What a tracked part says of its session.

    `tickers` is the set that the session was split by. `record` has no number for that set, and no time of publication
    for the source's file.
    """

    dataset: str
    tickers: frozenset[str]
    record: SessionRecord


def stamped(record: SessionRecord, data: bytes, dataset: str, tickers: frozenset[str]) -> tuple[SessionRecord, bytes]:
    """A tracked part with its record added as a note, and the record of the result.

    A note too long for the first header (tens of thousands of tracked tickers, say) is put at the end.
    """
    note = note_of(record, dataset, tickers)
    if note is None:
        return record, data
    if len(note) <= stamp.MAX_BYTES:
        return _noted(record, data, note)
    with_note = data + stamp.tail(note)
    return replace(record, tracked_sha256=hashlib.sha256(with_note).hexdigest()), with_note


def note_of(record: SessionRecord, dataset: str, tickers: frozenset[str]) -> bytes | None:
    """The note for a tracked part; `record` describes the part without it.

    None if the note would be too long: such a part carries no note.
    """
    # The time of upload stays out: equal files make equal parts.
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
    """What a tracked part says of its session; None if it has no note, or the note does not match the part.

    If the note is at the end, as in large parts, only one piece of the file is held in memory at a time.
    """
    try:
        found = stamp.take_tail(file)
        return _with_tail(file, *found) if found else _with_front(file)
    # A note may contain anything: from another version or tool, or damaged.
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
    """The text of a note, never unpacked beyond the longest allowed. Raises ValueError if it is not a note of ours."""
    packed = zlib.decompressobj()
    said = packed.decompress(note, stamp.MAX_UNPACKED)
    if not packed.eof or said.count(b"[") + said.count(b"{") > _MAX_NESTED:
        raise ValueError("too long for a note, or cut short")
    return said
