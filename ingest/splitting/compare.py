"""Compares a republished file with the stored version, row by row, whatever their order.

Small versions are compared at once, line by line. Large ones are compared by hashes, in two passes over both versions:
the first hashes each line to 64 bits, the second picks the lines whose hash is rarer in the other version. Memory holds
the hashes, 8 bytes a row, and the lines that differ; so only one session at a time is compared in this way.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from ingest.splitting import diff
from ingest.splitting.diff import Difference, Rows

Hashes = npt.NDArray[np.uint64]

TURN = threading.Lock()
"""Held while large versions are compared: one session at a time."""

_BUCKETS = np.arange(1, 64, dtype=np.uint64) << np.uint64(58)


@dataclass(frozen=True, slots=True)
class Room:
    """How many lines of a difference are kept, removed and added each, and how many characters."""

    lines: int
    characters: int


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a session; each call of `texts` gives its text from the start, in pieces with the header.

    The values of `numeric` columns are compared as numbers.
    """

    columns: tuple[str, ...]
    numeric: frozenset[str]
    texts: Callable[[], Iterator[bytes]]

    def at_once(self) -> Rows:
        """All of its rows."""
        return diff.rows_of(self.columns, self.texts())

    def lines(self, columns: tuple[str, ...]) -> Iterator[pl.Series]:
        """Its rows as lines without line ends, piece by piece; in the order of `columns` if only the order differs."""
        if self.columns == columns or sorted(self.columns) != sorted(columns):
            yield from map(_lines, self.texts())
            return
        for text in self.texts():
            yield _series(diff.arranged(diff.rows_of(self.columns, [text]), columns))

    def tickers(self) -> Counter[str]:
        """Rows by ticker."""
        counts: Counter[str] = Counter()
        for text in self.texts():
            counts.update(_tickers(text, self.columns))
        return counts


def compare(before: Version, after: Version, room: Room | None) -> Difference:
    """The difference between two versions: all of it, or for large ones as much as there is `room` for.

    If only the order of the columns changed, the old rows are given in the new order. Numbers such as `150` and
    `150.000000` are equal: years of files may be republished with other digits.
    """
    if room is None:
        return diff.difference(before.at_once(), after.at_once(), after.numeric)
    old, new = (_hashes(version, after.columns) for version in (before, after))
    gone, come = _surplus(old, new), _surplus(new, old)
    removed = tuple(_picked(before, after.columns, *gone, room))
    added = tuple(_picked(after, after.columns, *come, room))
    left_out = int(gone[1].sum() + come[1].sum()) - len(removed) - len(added)
    return diff.of_lines((before.columns, after.columns), removed, added, after.numeric, left_out)


def _tickers(text: bytes, columns: tuple[str, ...]) -> Mapping[str, int]:
    if not _is_plain(text):
        return diff.rows_of(columns, [text]).tickers
    place = columns.index("ticker")
    fields = _lines(text).str.splitn(",", place + 2).struct.field(f"field_{place}")
    return dict(fields.fill_null("").value_counts().iter_rows())


def _is_plain(text: bytes) -> bool:
    """Whether each line is a row, and each comma separates fields."""
    return b'"' not in text and text.count(b"\r") == text.count(b"\r\n")


def _lines(text: bytes) -> pl.Series:
    if not _is_plain(text):
        return _series(diff.rows_of((), [text]))
    lines = pl.read_lines(text).to_series()[1:]
    return lines.filter(lines.str.strip_chars(",") != "")


def _series(rows: Rows) -> pl.Series:
    return pl.Series(list(rows.lines.elements()), dtype=pl.String)


def _hashes(version: Version, columns: tuple[str, ...]) -> Hashes:
    """64 bits of each line, sorted."""
    found = [np.zeros(0, np.uint64), *(_bits(lines) for lines in version.lines(columns))]
    hashes: Hashes = np.concatenate(found)
    hashes.sort()
    return hashes


def _bits(lines: pl.Series) -> Hashes:
    return lines.hash().to_numpy()


def _surplus(ours: Hashes, theirs: Hashes) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """Hashes that are more frequent in `ours` than in `theirs`, sorted, and by how much. In slices, to bound memory."""
    cuts = [(np.searchsorted(some, _BUCKETS), some) for some in (ours, theirs)]
    slices = [np.split(some, at) for at, some in cuts]
    found = [_surplus_of(one, other) for one, other in zip(*slices, strict=True)]
    return np.concatenate([one for one, _ in found]), np.concatenate([count for _, count in found])


def _surplus_of(ours: Hashes, theirs: Hashes) -> tuple[Hashes, npt.NDArray[np.int64]]:
    values, counts = np.unique(ours, return_counts=True)
    left = np.searchsorted(theirs, values, "left")
    more = counts - (np.searchsorted(theirs, values, "right") - left)
    return values[more > 0], more[more > 0]


def _picked(
    version: Version, columns: tuple[str, ...], hashes: Hashes, counts: npt.NDArray[np.int64], room: Room
) -> Iterator[str]:
    """The lines with these hashes, each as often as `counts` says, while there is room."""
    left, characters = min(int(counts.sum()), room.lines), room.characters
    counts = counts.copy()
    for lines in version.lines(columns) if left else ():
        bits = _bits(lines)
        places = np.minimum(np.searchsorted(hashes, bits), len(hashes) - 1)
        for row in np.flatnonzero(hashes[places] == bits).tolist():
            if counts[places[row]] > 0:
                counts[places[row]] -= 1
                line = lines[row]
                left, characters = left - 1, characters - len(line)
                if characters < 0:
                    return
                yield line
            if not left:
                return
