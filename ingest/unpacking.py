"""The text of a body: at once, where it is as small as a file of days, else piece by piece."""

from collections.abc import Iterator
from pathlib import Path

from ingest.sources.base import Body
from ingest.split import has_many_lines
from ingest.tiers import blockgzip, durable

_MAX_TEXT = 32 << 20
"""Bytes of text that are split at once: a day of options has some 20 MiB."""

_PIECE = 1 << 20


def text_of(body: Body, max_unpacked: int) -> bytes | None:
    """Text of a body; None where it is so large that it is to be read in chunks. Raises UnreadableFile."""
    if body.path:
        return None
    try:
        text = blockgzip.unpack(body.data, min(max_unpacked, _MAX_TEXT))
    except blockgzip.TooLarge:
        if max_unpacked <= _MAX_TEXT:
            raise
        return None
    return None if has_many_lines(text) else text


def pieces_of(body: Body, max_unpacked: int) -> Iterator[bytes]:
    """Text of a body, piece by piece. Raises UnreadableFile, and CacheError for a body in a file."""
    if body.path:
        return pieces_in(body.path, max_unpacked)
    return blockgzip.unpacked(body.open(), max_unpacked, _PIECE)


def pieces_in(path: Path, max_unpacked: int) -> Iterator[bytes]:
    """The same of a packed file."""
    with durable.translated("read", path), path.open("rb") as file:
        yield from blockgzip.unpacked(file, max_unpacked, _PIECE)
