"""A note inside a gzip file: what is to be known of its content, in a field that readers of gzip pass over.

RFC 1952, section 2.3.1.1: the header of a member may have an extra field of subfields, each with two letters of its
own. The text, and where each member begins after it, stay what they were.
"""

import struct

_ID = b"IN"
_EXTRA = 4
_PLAIN_HEADER = 10
_SUBFIELD = struct.Struct("<H2sH")
"""Length of all extra fields, then letters and length of ours."""

MAX_BYTES = 0xFFFF - 4


def put(data: bytes, note: bytes) -> bytes:
    """A gzip file with a note in its first member, which must have a plain header; at most `MAX_BYTES` of note."""
    if data[:4] != b"\x1f\x8b\x08\x00":
        raise ValueError("not a gzip file with a plain header")
    if len(note) > MAX_BYTES:
        raise ValueError(f"a note of {len(note):,} bytes does not fit")
    field = _SUBFIELD.pack(len(note) + 4, _ID, len(note))
    return b"".join([data[:3], bytes([_EXTRA]), data[4:_PLAIN_HEADER], field, note, data[_PLAIN_HEADER:]])


def take(data: bytes) -> tuple[bytes, bytes] | None:
    """The note of a file and the file as it was without; None where there is none."""
    start = _PLAIN_HEADER + _SUBFIELD.size
    if data[:4] != b"\x1f\x8b\x08\x04" or len(data) < start:
        return None
    total, letters, length = _SUBFIELD.unpack(data[_PLAIN_HEADER:start])
    if letters != _ID or total != length + 4 or len(data) < start + length:
        return None
    plain = b"".join([data[:3], b"\x00", data[4:_PLAIN_HEADER], data[start + length :]])
    return data[start : start + length], plain
