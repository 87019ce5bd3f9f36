"""The text of a download: at once if it fits into the memory granted, otherwise piece by piece.

What a session costs depends on its text, and the packed size says nothing about that: a kilobyte may contain a million
lines. Measured: 5 bytes of memory for each byte of a text that is split at once, and 400 for each of its lines.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingest.cache.parts import members
from ingest.files import durable, opening
from ingest.finding import Finding
from ingest.settings.tuning import Tuning
from ingest.sources.base import Body
from ingest.splitting.parsing import LINE_COST, ParsedText
from ingest.splitting.streamed import Pieces

_BYTE_COST = 5

_FIELD_COST = 5
"""Bytes per line for each field that the header promises: where polars writes the rows, it fills up short ones."""


class Costly(Exception):
    """A session needs more memory than was granted: begin it again once `cost` bytes are granted."""

    def __init__(self, cost: int) -> None:
        super().__init__(cost)
        self.cost = cost


@dataclass(frozen=True, slots=True)
class SessionText:
    """The text of a session's file; whether it is large was decided once, when this was made.

    `whole` is the whole text if it may be split at once, else None. `pieces` returns it again on each call, in either
    case; it raises UnreadableFile, and CacheError for a download in a file. `cost` is the memory, in bytes, that
    splitting a whole text takes. `parsed` has its rows, if it was parsed together with others. `findings` are those on
    what was done to the file before: rows that were left out.
    """

    whole: bytes | None
    pieces: Pieces
    cost: int = 0
    parsed: ParsedText | None = None
    findings: tuple[Finding, ...] = ()


def text_of(body: Body, max_unpacked: int, tuning: Tuning, granted: int | None = None) -> SessionText:
    """Text of a download, which may take `granted` bytes of memory. Raises UnreadableFile and Costly."""
    whole, cost = _whole(body, max_unpacked, tuning, tuning.most_granted if granted is None else granted)
    return SessionText(whole, lambda: pieces_of(body, max_unpacked, tuning.piece), cost)


def _whole(body: Body, max_unpacked: int, tuning: Tuning, granted: int) -> tuple[bytes | None, int]:
    """The whole text, and its cost; None if it is to be read in chunks.

    Until the cost of a text is known, no more of it is held in memory than is granted. To know the cost of a text that
    turns out to be too large, most of it has to be unpacked for nothing, so the packed size decides where it can.
    """
    if body.path or tuning.in_chunks <= granted < len(body.data) * tuning.at_once_per_packed:
        return None, 0
    most = min(granted, tuning.at_once) // _BYTE_COST
    try:
        text = members.unpack(body.data, min(max_unpacked, most))
    except members.TooLarge:
        if max_unpacked <= most:
            raise
    else:
        if (cost := cost_of([text], tuning.at_once)) <= granted:
            return text, cost
    need = min(cost_of(pieces_of(body, max_unpacked, tuning.piece), tuning.in_chunks), tuning.in_chunks)
    if need > granted:
        raise Costly(need)
    return None, 0


def cost_of(pieces: Iterable[bytes], most: int) -> int:
    """Bytes of memory that a text needs at once; if it needs more than `most`, some number above that."""
    size = lines = columns = cost = 0
    for piece in pieces:
        columns = columns or piece.count(b",", 0, piece.find(b"\n")) + 1
        size += len(piece)
        lines += int(np.count_nonzero(np.frombuffer(piece, np.uint8) == ord("\n")))
        cost = max(_BYTE_COST * size, (LINE_COST + _FIELD_COST * columns) * lines)
        if cost > most:
            break
    return cost


def pieces_of(body: Body, max_unpacked: int, size: int) -> Iterator[bytes]:
    """Text of a download, piece by piece. Raises UnreadableFile, and CacheError for a download in a file."""
    if body.path:
        return _pieces_in(body.path, max_unpacked, size)
    return members.unpacked(body.open(), max_unpacked, size)


def _pieces_in(path: Path, max_unpacked: int, size: int) -> Iterator[bytes]:
    """The same for a packed file."""
    with durable.translated("read", path), opening.to_read(path) as file:
        yield from members.unpacked(file, max_unpacked, size)
