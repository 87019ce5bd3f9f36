"""Plain gzip, fast inside: a file of many small gzip members, each cut at a line end.

Any gzip reader reads the whole as one text (RFC 1952, section 2.2: members follow one another). A reader that knows
where a member begins reads that member alone.
"""

import gzip
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from isal import igzip, igzip_lib, isal_zlib

from ingest.errors import UnreadableFile

BLOCK = 32 * 1024
"""Bytes of text per member: one ticker of one day is one small read. Each member costs its packer a turn at the GIL;
with half the size a whole run takes 4 % longer."""

LEVEL = 1
"""Used with isal's small working memory, which for blocks this small gives the same bytes a tenth faster."""

_HIGHEST_RATIO = 1032
"""Deflate's highest ratio: two bits stand for 258 bytes at most. Data that cannot exceed the limit is unpacked in one
go, which is a twentieth faster, and takes twice its text for a moment."""

_CHUNK = 1 << 20
_Fault: type[Exception] = isal_zlib.error  # type: ignore[assignment]  # its stub has an instance

_BIT = 256

_GZIP = 31
"""zlib's code for a window of 32 KB and a gzip header."""


@dataclass(frozen=True, slots=True)
class Packed:
    """The compressed file; `offsets[i]` is where member i begins, `rows[i]` the number of its first row."""

    data: bytes
    offsets: tuple[int, ...]
    rows: tuple[int, ...]


def pack(text: bytes, starts: npt.NDArray[np.int64], block: int = BLOCK) -> Packed:
    """Compress a text in members of about `block` bytes.

    `starts` contains the offset of each row in the text, ascending; the header before the first row goes into the first
    member. The members carry no time, so equal text gives equal bytes, except that isal packs one member in some
    hundred thousand a byte longer or shorter.
    """
    rows = _first_rows(starts, block)
    edges = [0, *(int(starts[row]) for row in rows[1:]), len(text)]
    view = memoryview(text)
    members = [
        igzip_lib.compress(view[a:b], LEVEL, igzip_lib.COMP_GZIP, igzip_lib.MEM_LEVEL_SMALL) for a, b in pairwise(edges)
    ]
    offsets = np.cumsum([0, *(len(member) for member in members[:-1])])
    return Packed(b"".join(members), tuple(offsets.tolist()), tuple(rows))


def _first_rows(starts: npt.NDArray[np.int64], block: int) -> list[int]:
    """Numbers of the rows at which a new member begins: the first row at or after each multiple of `block`."""
    if not len(starts):
        return [0]
    targets = np.arange(block, int(starts[-1]) + 1, block)
    later = np.unique(np.searchsorted(starts, targets))
    return [0, *(row for row in later.tolist() if row > 0)]


def unpack(data: bytes, max_bytes: int | None = None) -> bytes:
    """Text of a whole file or of some of its members; raises UnreadableFile if it is damaged, cut short or not gzip.

    A text of more than `max_bytes` is not unpacked to its end, and raises UnreadableFile, too.
    """
    try:
        if max_bytes is None or len(data) * _HIGHEST_RATIO <= max_bytes // 2:
            text: bytes = igzip.decompress(data)  # type: ignore[no-untyped-call]
        else:
            text = _unpacked(data, max_bytes)
    except (OSError, EOFError, _Fault) as error:
        raise UnreadableFile(f"not a whole gzip file: {error}") from error
    return text


def unpacked(file: BinaryIO, max_bytes: int, size: int) -> Iterator[bytes]:
    """Text of a whole file in pieces of at most `size` bytes; raises UnreadableFile as `unpack` does."""
    total = 0
    try:
        with igzip.IGzipFile(fileobj=file) as packed:  # type: ignore[no-untyped-call]
            while piece := packed.read(size):
                total += len(piece)
                if total > max_bytes:
                    raise too_large(max_bytes)
                yield piece
    except (gzip.BadGzipFile, EOFError, _Fault) as error:
        raise UnreadableFile(f"not a whole gzip file: {error}") from error


def member(text: bytes | bytearray | memoryview) -> bytes:
    """One member, as in `pack` except for the working memory: with more of it, larger members are packed faster."""
    memory = igzip_lib.MEM_LEVEL_DEFAULT if len(text) > 2 * BLOCK else igzip_lib.MEM_LEVEL_SMALL
    return bytes(igzip_lib.compress(text, LEVEL, igzip_lib.COMP_GZIP, memory))


def opening(data: bytes, max_bytes: int) -> bytes:
    """The first bytes of a text, as far as they can be unpacked; empty if the data is not gzip.

    At most `max_bytes` of the packed data are read: a file may begin with a million members without text.
    """
    text, rest = bytearray(), data[:max_bytes]
    with suppress(_Fault):
        while rest and len(text) < max_bytes:
            member = isal_zlib.decompressobj(_GZIP)
            # In small steps: text before any damage is unpacked, text beyond the limit is not.
            while rest and not member.eof and len(text) < max_bytes:
                text += member.decompress(rest[:_BIT], max_bytes - len(text))
                rest = member.unconsumed_tail + (member.unused_data if member.eof else b"") + rest[_BIT:]
    return bytes(text)


def readable(file: BinaryIO, max_bytes: int) -> Iterator[bytes]:
    """The text of a file in small pieces, as far as it can be unpacked, and at most so many bytes."""
    left = max_bytes
    unpacking = isal_zlib.decompressobj(_GZIP)
    with suppress(_Fault):
        while left and (block := file.read(_CHUNK)):
            for at in range(0, len(block), 2 * _BIT):
                rest = block[at : at + 2 * _BIT]
                while rest and left:
                    text = unpacking.decompress(rest, left)
                    left -= len(text)
                    if text:
                        yield text
                    rest = unpacking.unconsumed_tail + unpacking.unused_data
                    if unpacking.eof:
                        unpacking = isal_zlib.decompressobj(_GZIP)


class TooLarge(UnreadableFile):
    """A text larger than allowed."""


def too_large(max_bytes: int) -> TooLarge:
    """The error for a text larger than the setting allows."""
    allowed = f"{max_bytes:,} bytes, the most that [limits] max_unpacked_bytes allows"
    return TooLarge(f"it unpacks to more than {allowed}")


def _unpacked(data: bytes, max_bytes: int) -> bytes:
    """The text of all members, in pieces: nothing beyond the limit is unpacked."""
    text = BytesIO()
    for piece in unpacked(BytesIO(data), max_bytes, min(_CHUNK, max_bytes + 1)):
        text.write(piece)
    return text.getvalue()
