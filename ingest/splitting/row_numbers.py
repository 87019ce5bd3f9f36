"""Which rows of a session's text are in its tracked part, as stored in the manifest.

Two forms: the number of each row (uint32, little-endian, ascending; the first row is 0), or for large files the runs of
neighbouring rows, of which a file sorted by ticker has few: a byte 1, then the first and last row of each run, also as
uint32. The length of the first form is a multiple of four, that of the second is not.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ingest.errors import UnreadableFile

Numbers = npt.NDArray[np.int64]

_RUNS = b"\x01"
_WIDTH = 4
_MAX_ROWS = 1 << 32


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of rows: `firsts[i]` to `lasts[i]`, both inclusive."""

    firsts: Numbers
    lasts: Numbers

    @property
    def rows(self) -> int:
        """Number of rows in all runs."""
        return int((self.lasts - self.firsts + 1).sum())

    def ascend_below(self, rows: int) -> bool:
        """Whether each run follows the one before, and all lie within the first `rows` rows."""
        edges = np.column_stack([self.firsts, self.lasts + 1]).ravel()
        return bool((self.lasts >= self.firsts).all() and (np.diff(edges) >= 0).all() and (edges[-1:] <= rows).all())

    def each(self, rows: int) -> Iterator[tuple[bool, int]]:
        """Cover `rows` rows with stretches, in order: whether each is in the runs, and how many rows it has."""
        at = 0
        for first, last in zip(self.firsts.tolist(), self.lasts.tolist(), strict=True):
            if first > at:
                yield False, first - at
            yield True, last - first + 1
            at = last + 1
        if at < rows:
            yield False, rows - at


def decode(blob: bytes) -> Runs:
    """Decode either form; raises ValueError for anything else."""
    if blob[:1] == _RUNS and len(blob) % _WIDTH == 1:
        pairs = np.frombuffer(blob, "<u4", offset=1).astype(np.int64).reshape(-1, 2)
        return Runs(pairs[:, 0], pairs[:, 1])
    numbers = np.frombuffer(blob, "<u4").astype(np.int64)
    ends = np.flatnonzero(np.diff(numbers) != 1)
    at = np.arange(len(numbers))[:1]
    return Runs(numbers[np.concatenate([at, ends + 1])], numbers[np.concatenate([ends, at + len(numbers) - 1])])


@dataclass(slots=True)
class Collector:
    """Collects the tracked rows of a text that arrives in chunks; `rows` counts all rows so far."""

    rows: int = 0
    _edges: list[Numbers] = field(default_factory=list)

    def add(self, mask: npt.NDArray[np.bool_]) -> None:
        """Take the next rows: whether each is in the tracked part. Raises UnreadableFile for too many rows."""
        self._edges.append(np.flatnonzero(np.diff(mask, prepend=False, append=False)) + self.rows)
        self.rows += len(mask)
        if self.rows > _MAX_ROWS:
            raise UnreadableFile(f"it has more than {_MAX_ROWS:,} rows")

    def encode(self) -> bytes:
        """The runs, as the manifest stores them."""
        edges = np.concatenate([np.zeros(0, np.int64), *self._edges])
        # A run that continues in the next chunk ends and begins at the same row.
        same = np.flatnonzero(np.diff(edges) == 0)
        pairs = np.delete(edges, np.concatenate([same, same + 1])).reshape(-1, 2)
        return _RUNS + (pairs - [0, 1]).astype("<u4").tobytes()
