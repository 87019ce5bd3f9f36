"""A note inside a gzip file: what to know about its content, in a field that gzip readers skip.

RFC 1952, section 2.3.1.1: the header of a member may have an extra field of subfields, each with two letters of its
own. Neither the text nor the other members change. A note is in the first header; if that was written before the note
is known, or has no room, the note is in members without text at the end of the file.
"""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

_ID, _END_ID = b"IN", b"IE"
_EXTRA = 4
_PLAIN_HEADER = 10
_SUBFIELD = struct.Struct("<H2sH")
"""Length of all extra fields, then the letters and the length of ours."""

MAX_BYTES = 0xFFFF - 4

_OPENING = b"\x1f\x8b\x08\x04" + bytes(4) + b"\x00\xff"
_NO_TEXT = b"\x03\x00" + bytes(8)
"""An empty deflate stream, and the checksum and length of an empty text."""

_PIECE = 30_000
"""Bytes of note in each member at the end: DuckDB does not read headers of more than 32,768 bytes there."""

_LENGTH = struct.Struct("<Q")
_LAST = len(_OPENING) + _SUBFIELD.size + _LENGTH.size + len(_NO_TEXT)
MAX_UNPACKED = 1 << 24
"""Bytes of a note's text: anything longer is not a note. Half a million tickers take less. A note is read as a whole,
so this limits its memory."""

_MAX_TAIL = MAX_UNPACKED + (1 << 16)
"""Packing makes a note no longer than its text, apart from the headers."""


def put_note(data: bytes, note: bytes) -> bytes:
    """A gzip file with a note of at most `MAX_BYTES` in its first member, which must have a plain header."""
    if data[:4] != b"\x1f\x8b\x08\x00":
        raise ValueError("not a gzip file with a plain header")
    if len(note) > MAX_BYTES:
        raise ValueError(f"a note of {len(note):,} bytes does not fit")
    field = _SUBFIELD.pack(len(note) + 4, _ID, len(note))
    return b"".join([data[:3], bytes([_EXTRA]), data[4:_PLAIN_HEADER], field, note, data[_PLAIN_HEADER:]])


OPENING_BYTES = 4


def may_begin(opening: bytes) -> bool:
    """Whether a file that begins with these `OPENING_BYTES` bytes may have a note in its first member."""
    return opening == b"\x1f\x8b\x08\x04"


def take_note(data: bytes) -> tuple[bytes, bytes] | None:
    """The note of a file, and the file without it; None if there is none."""
    start = _PLAIN_HEADER + _SUBFIELD.size
    if data[:4] != b"\x1f\x8b\x08\x04" or len(data) < start:
        return None
    total, letters, length = _SUBFIELD.unpack(data[_PLAIN_HEADER:start])
    if letters != _ID or total != length + 4 or len(data) < start + length:
        return None
    plain = b"".join([data[:3], b"\x00", data[4:_PLAIN_HEADER], data[start + length :]])
    return data[start : start + length], plain


def tail(note: bytes) -> bytes:
    """Members without text that carry a note of any length, to be appended to a gzip file.

    The last one has a fixed length and says how many bytes the others have.
    """
    pieces = b"".join(_member(_ID, note[at : at + _PIECE]) for at in range(0, len(note), _PIECE))
    return pieces + _member(_END_ID, _LENGTH.pack(len(pieces)))


def _member(letters: bytes, value: bytes) -> bytes:
    return b"".join([_OPENING, _SUBFIELD.pack(len(value) + 4, letters, len(value)), value, _NO_TEXT])


def take_tail(file: BinaryIO) -> tuple[bytes, int] | None:
    """The note at the end of a file, and the length of the file without it; None if there is none.

    Nothing else of the file is read.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LAST))
    found = _value(file.read(_LAST), _END_ID)
    length = _LENGTH.unpack(found)[0] if found and len(found) == _LENGTH.size else _MAX_TAIL + 1
    if length > min(_MAX_TAIL, size - _LAST):
        return None
    file.seek(size - _LAST - length)
    pieces = list(_pieces(file.read(length)))
    return None if None in pieces else (b"".join(piece for piece in pieces if piece), size - _LAST - length)


def _pieces(members: bytes) -> Iterator[bytes | None]:
    """The pieces of a note in consecutive members; None for anything else."""
    at, start = 0, len(_OPENING) + _SUBFIELD.size
    while at < len(members):
        if len(members) < at + start:
            yield None
            return
        length = _SUBFIELD.unpack(members[at + len(_OPENING) : at + start])[2]
        end = at + start + length + len(_NO_TEXT)
        yield _value(members[at:end], _ID)
        at = end


def _value(member: bytes, letters: bytes) -> bytes | None:
    start = len(_OPENING) + _SUBFIELD.size
    value = member[start : -len(_NO_TEXT)]
    return value if member == _member(letters, value) and len(member) > start else None
