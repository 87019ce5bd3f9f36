"""The text of a body: at once, where it costs no more memory than was granted, else piece by piece.

What a session costs is what its text costs, of which its packed size says nothing: a kilobyte may stand for a million
lines. Measured are 5 bytes for each byte of a text that is split at once, and 400 for each of its lines.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingest.cache.parts import members
from ingest.files import durable, opening
from ingest.sources.base import Body
from ingest.splitting.parsing import LINE_COST, MAX_LINES
from ingest.splitting.streamed import Pieces

_BYTE_COST = 5

_FIELD_COST = 5
"""For each field that the header promises: where polars writes the rows, it fills up those that are too short."""

AT_ONCE = LINE_COST * MAX_LINES
"""What a text that is split at once may cost, in bytes of memory: one of 32 MiB; a day of options has some 20 MiB."""

ORDINARY = 8 << 20
"""What a day of stocks costs, and more: so much no worker has to ask for."""

IN_CHUNKS = 64 << 20
"""What a text costs that is split in chunks, however large."""

_PIECE = 1 << 20


class Costly(Exception):
    """A session costs more memory than was granted: it is to be begun again when `cost` bytes are."""

    def __init__(self, cost: int) -> None:
        super().__init__(f"{cost:,} bytes")
        self.cost = cost


@dataclass(frozen=True, slots=True)
class SessionText:
    """The text of a session's file: whether it is large was decided once, as this was made.

    `whole` is all of it where it may be split at once, else None. `pieces` gives it again each time, in any case; it
    raises UnreadableFile, and CacheError for a body in a file.
    """

    whole: bytes | None
    pieces: Pieces


def text_of(body: Body, max_unpacked: int, granted: int = AT_ONCE) -> SessionText:
    """Text of a body. Raises UnreadableFile, and Costly."""
    return SessionText(_whole(body, max_unpacked, granted), lambda: pieces_of(body, max_unpacked))


def _whole(body: Body, max_unpacked: int, granted: int) -> bytes | None:
    """All of it; None where it is to be read in chunks.

    Until it is known what a text costs, no more of it is held than is granted.
    """
    if body.path:
        return None
    most = min(granted, AT_ONCE) // _BYTE_COST
    try:
        text = members.unpack(body.data, min(max_unpacked, most))
    except members.TooLarge:
        if max_unpacked <= most:
            raise
    else:
        if cost_of([text]) <= granted:
            return text
    need = cost_of(pieces_of(body, max_unpacked))
    if (need := need if need <= AT_ONCE else IN_CHUNKS) > granted:
        raise Costly(need)
    return None


def cost_of(pieces: Iterable[bytes]) -> int:
    """Bytes of memory that a text costs at once; of one that costs more than `AT_ONCE`, something above that."""
    size = lines = columns = cost = 0
    for piece in pieces:
        columns = columns or piece.count(b",", 0, piece.find(b"\n")) + 1
        size += len(piece)
        lines += int(np.count_nonzero(np.frombuffer(piece, np.uint8) == ord("\n")))
        cost = max(_BYTE_COST * size, (LINE_COST + _FIELD_COST * columns) * lines)
        if cost > AT_ONCE:
            break
    return cost


def pieces_of(body: Body, max_unpacked: int) -> Iterator[bytes]:
    """Text of a body, piece by piece. Raises UnreadableFile, and CacheError for a body in a file."""
    if body.path:
        return pieces_in(body.path, max_unpacked)
    return members.unpacked(body.open(), max_unpacked, _PIECE)


def pieces_in(path: Path, max_unpacked: int) -> Iterator[bytes]:
    """The same of a packed file."""
    with durable.translated("read", path), opening.to_read(path) as file:
        yield from members.unpacked(file, max_unpacked, _PIECE)
