"""A text that comes in pieces of any size, in chunks that end where a line does and no quote is open."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from ingest.errors import UnreadableFile

_MOST_LINES = 1 << 17
"""Lines in a chunk: a parser's memory grows with each of them, also with those that are empty."""

_MAX_LINE = 64 << 20
"""No row is longer, and no quote is open for longer: else a file without a line end would be in memory as a whole."""


def chunks(pieces: Iterable[bytes], size: int, head: bytes = b"", most: int = _MAX_LINE) -> Iterator[bytes]:
    """Chunks of at least `size` bytes, but for the last one; that alone may end without a line end.

    `head` stands before each of them. Raises UnreadableFile for a line that is longer than `most` bytes, or a
    quote that is open for so long.
    """
    waiting: list[bytes] = []
    length, wanted = 0, size
    for piece in pieces:
        waiting.append(piece)
        length += len(piece)
        if length < wanted:
            continue
        *whole, rest = _divided(waiting)
        if whole:
            yield from of_few_lines(b"".join([head, *whole]), len(head))
        waiting, length = [rest], len(rest)
        # Where no end was found, twice as much is to come before it is looked for again.
        wanted = size if whole else 2 * length
        _check(length, most)
    if length:
        yield from of_few_lines(b"".join([head, *waiting]), len(head))


def ahead(texts: Iterable[bytes]) -> Iterator[bytes]:
    """The same texts, each made in a second thread while the one before is worked upon.

    A large file that is alone would leave a core idle. What making one raises is raised where it would be taken.
    """
    each = iter(texts)
    with ThreadPoolExecutor(1, "chunks") as maker:
        waiting = maker.submit(next, each, None)
        while (text := waiting.result()) is not None:
            waiting = maker.submit(next, each, None)
            yield text


def _divided(pieces: list[bytes]) -> list[bytes]:
    """The same text, of which the last piece, and no other, is what comes behind the last line end outside quotes."""
    if any(b'"' in piece for piece in pieces) or b"\n" not in pieces[-1]:
        text = b"".join(pieces)
        end = last_end(text)
        return [text[:end], text[end:]] if end else [text]
    *others, last = pieces
    end = last.rfind(b"\n") + 1
    return [*others, last[:end], last[end:]]


def of_few_lines(text: bytes, begin: int, most: int = _MOST_LINES) -> Iterator[bytes]:
    """The same text, in halves of halves where it has too many lines; up to `begin` is what stands before each."""
    lines = np.count_nonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    half = last_end(text[: (begin + len(text)) // 2]) if lines > most else 0
    if half > begin:
        yield from of_few_lines(text[:half], begin, most)
        yield from of_few_lines(text[:begin] + text[half:], begin, most)
    else:
        yield text


def last_end(text: bytes) -> int:
    """Offset behind the last line end outside quotes; 0 where there is none."""
    if b'"' not in text:
        return text.rfind(b"\n") + 1
    data = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(data == ord("\n")) + 1
    outside = np.searchsorted(np.flatnonzero(data == ord('"')), ends) % 2 == 0
    return int(ends[outside].max(initial=0))


def line_edges(text: bytes, begin: int) -> npt.NDArray[np.int64]:
    """Offsets of the lines from `begin` on: n lines have n + 1 edges; a missing last newline makes no difference."""
    ends = np.flatnonzero(np.frombuffer(text, np.uint8)[begin:] == ord("\n")) + (begin + 1)
    edges = np.concatenate(([begin], ends))
    return edges if edges[-1] == len(text) else np.append(edges, len(text))


def _check(length: int, most: int) -> None:
    if length > most:
        raise UnreadableFile(f"a line or an unclosed quote exceeds {most >> 20} MiB")
