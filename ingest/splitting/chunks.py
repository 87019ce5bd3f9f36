"""Regroups a text that arrives in pieces of any size into chunks that end at a line end outside quotes."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from ingest.errors import UnreadableFile

_MOST_LINES = 1 << 17
"""Most lines in a chunk: a parser's memory grows with each line, even an empty one."""

_MAX_LINE = 64 << 20
"""Most bytes in a row or an open quote; otherwise a file without a line end would be held in memory as a whole."""


def chunks(pieces: Iterable[bytes], size: int, head: bytes = b"", most: int = _MAX_LINE) -> Iterator[bytes]:
    """Chunks of at least `size` bytes, except the last; only that one may end without a line end.

    Each begins with `head`. Raises UnreadableFile for a line, or an open quote, of more than `most` bytes.
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
        # If no line end was found, wait for twice as much before searching again.
        wanted = size if whole else 2 * length
        _check(length, most)
    if length:
        yield from of_few_lines(b"".join([head, *waiting]), len(head))


def ahead(texts: Iterable[bytes]) -> Iterator[bytes]:
    """The same texts, each produced in a second thread while the one before is processed.

    A single large file would otherwise leave a core idle. An error in producing a text is raised where it is taken.
    """
    each = iter(texts)
    with ThreadPoolExecutor(1, "chunks") as maker:
        waiting = maker.submit(next, each, None)
        while (text := waiting.result()) is not None:
            waiting = maker.submit(next, each, None)
            yield text


def _divided(pieces: list[bytes]) -> list[bytes]:
    """The same text, in which the last piece is exactly what follows the last line end outside quotes."""
    if any(b'"' in piece for piece in pieces) or b"\n" not in pieces[-1]:
        text = b"".join(pieces)
        end = last_end(text)
        return [text[:end], text[end:]] if end else [text]
    *others, last = pieces
    end = last.rfind(b"\n") + 1
    return [*others, last[:end], last[end:]]


def of_few_lines(text: bytes, begin: int, most: int = _MOST_LINES) -> Iterator[bytes]:
    """The same text, halved until no piece has too many lines; its first `begin` bytes are put before each piece."""
    lines = np.count_nonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    half = last_end(text[: (begin + len(text)) // 2]) if lines > most else 0
    if half > begin:
        yield from of_few_lines(text[:half], begin, most)
        yield from of_few_lines(text[:begin] + text[half:], begin, most)
    else:
        yield text


def last_end(text: bytes) -> int:
    """Offset after the last line end outside quotes; 0 if there is none."""
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
