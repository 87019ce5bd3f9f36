"""The text of a body: at once, where it is as small as a file of days, else in chunks."""

from collections.abc import Iterator
from pathlib import Path

from ingest.chunks import CHUNK, chunks
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


def chunks_of(body: Body, max_unpacked: int) -> Iterator[bytes]:
    """Text of a body in chunks that end at line ends. Raises UnreadableFile, and CacheError for a file of its own."""
    if body.path:
        return chunks_in(body.path, max_unpacked)
    return chunks(blockgzip.unpacked(body.open(), max_unpacked, _PIECE), CHUNK)


def chunks_in(path: Path, max_unpacked: int) -> Iterator[bytes]:
    """The same of a packed file."""
    with durable.translated("read", path), path.open("rb") as file:
        yield from chunks(blockgzip.unpacked(file, max_unpacked, _PIECE), CHUNK)
