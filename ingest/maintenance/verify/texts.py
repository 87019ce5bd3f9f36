"""The texts of a session's parts, unpacked member by member, and put together as their source."""

import hashlib
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from ingest.cache.layout import MemberIndex, PartKey
from ingest.cache.parts import members
from ingest.cache.parts.store import Readable
from ingest.settings.tuning import DEFAULT
from ingest.splitting.chunks import chunks, line_edges
from ingest.splitting.row_numbers import Runs


class PartLines:
    """The lines of a part in their order; one member of its text at a time is in memory.

    `header` is the first line with its end, `firsts` are the first lines of the members read so far, `rows` counts the
    lines taken.
    """

    def __init__(self, store: Readable, part: PartKey, index: MemberIndex) -> None:
        """Raises OSError, UnreadableFile."""
        self.index = index
        self.header, self.firsts, self.rows = b"", list[bytes](), 0
        self._members = self._unpacked(store, part)
        self._text, self._edges, self._at = b"", np.zeros(1, np.int64), 0
        self._next()

    def take(self, count: int) -> Iterator[memoryview]:
        """The next lines, in runs; fewer if there are no more. Raises OSError, UnreadableFile."""
        while count:
            if not (here := min(count, len(self._edges) - 1 - self._at)):
                if not self._next():
                    return
                continue
            begin, end = int(self._edges[self._at]), int(self._edges[self._at + here])
            self._at += here
            self.rows += here
            count -= here
            yield memoryview(self._text)[begin:end]

    def _next(self) -> bool:
        """Go on to the next member; False after the last one."""
        text = next(self._members, None)
        if text is None:
            return False
        self._text, self._edges, self._at = text, line_edges(text, 0), 0
        self.firsts.append(text[: self._edges[1]] if text else b"")
        return True

    def _unpacked(self, store: Readable, part: PartKey) -> Iterator[bytes]:
        with store.open(part) as file:
            for number, (begin, end) in enumerate(pairwise(self.index.offsets)):
                file.seek(begin)
                text = members.unpack(file.read(end - begin))
                if number == 0:
                    self.header = text[: text.find(b"\n") + 1 or len(text)]
                    text = text[len(self.header) :]
                yield text

    def chunks(self) -> Iterator[bytes]:
        """The rest of the text, in chunks that end where no quote is open."""
        return chunks((bytes(stretch) for stretch in self.take(1 << 62)), DEFAULT.chunk)

    def count(self) -> int:
        """Read all that is left; returns the total number of lines taken."""
        for _ in self.take(1 << 62):
            pass
        return self.rows


def sha256_together(tracked: PartLines, archive: PartLines, runs: Runs, rows: int) -> str:
    """sha256 of the source's text from both parts (invariant 1): `runs` are the rows of the tracked part."""
    found = hashlib.sha256(tracked.header)
    for inside, count in runs.each(rows):
        for stretch in (tracked if inside else archive).take(count):
            found.update(stretch)
    return found.hexdigest()
