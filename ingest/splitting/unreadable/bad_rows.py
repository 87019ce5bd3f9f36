"""Which rows of a text cannot be read: those that make a split of it fail. Pure, and only used once one has failed.

polars stops at the first such row and does not number it. So the numbers are read once more with all that is no number
left empty; where that does not tell, halves of the text are read until a half is a single row.
"""

import csv
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from ingest.errors import UnreadableFile
from ingest.finding import example
from ingest.splitting.chunks import line_edges
from ingest.splitting.parsing import Header, Mask, read_rows
from ingest.splitting.part_text import Offsets

_MOST_READ = 20_000
"""Attempts at a file, of a millisecond each."""


class TooManyToTell(UnreadableFile):
    """So much of a text cannot be read that its bad rows are not told apart."""


class RowReader:
    """Reads rows below a header as a split does, and finds those that it cannot read."""

    def __init__(self, header: Header) -> None:
        self._header, self._left = header, _MOST_READ
        stamp = (header.stamp,) if header.stamp in header.columns else ()
        self._needed = tuple(dict.fromkeys(("ticker", *header.numbers, *header.marks, *stamp)))

    def edges(self, text: bytes) -> Offsets:
        """Where rows begin and end: at line ends outside quotes; at all of them if a quote is not closed.

        Two stray quotes look like a field that contains all lines between them. So what extends over several lines and
        cannot be read is taken line by line: else one bad row would take the good ones with it.
        """
        lines = line_edges(text, len(self._header.line))
        if b'"' not in text or text.count(b'"') % 2:
            return lines
        within = np.logical_xor.accumulate(np.frombuffer(text, np.uint8) == ord('"'))
        rows = lines[~within[lines - 1]]
        return np.union1d(rows, lines[self._in_bad_rows(text, lines, rows)])

    def _in_bad_rows(self, text: bytes, lines: Offsets, rows: Offsets) -> Mask:
        """Which line ends are inside rows that cannot be read."""
        row_of = np.searchsorted(rows, lines) - 1
        inside = ~np.isin(lines, rows)
        long = np.unique(row_of[inside])
        texts = [text[rows[row] : rows[row + 1]] for row in long]
        if not texts or self._reads(texts, self._needed):
            return np.zeros(len(lines), np.bool_)
        bad = [row for row, one in zip(long, texts, strict=True) if not self._reads([one], self._needed)]
        return inside & np.isin(row_of, bad)

    def bad(self, text: bytes, edges: Offsets) -> Iterator[int]:
        """The rows that cannot be read, ascending. Raises TooManyToTell."""
        return self._bad(text, edges, 0, len(edges) - 1)

    def columns_at_fault(self, row: bytes) -> Iterator[str]:
        """The columns of one row that are no text, or cannot be read by themselves."""
        if not is_text(row):  # polars then names none
            return (
                name for name, field in zip(self._header.columns, row.split(b","), strict=False) if not is_text(field)
            )
        return (name for name in self._needed if not self._reads([row], (name,)))

    def field(self, row: bytes, column: str) -> str:
        """What a row says in a column, as far as its fields can be told apart."""
        text = row.decode(errors="backslashreplace").rstrip("\r\n")
        plain = text.count('"') % 2  # an open quote would swallow what follows
        try:
            fields = text.split(",") if plain else next(csv.reader([text]), [])
        except csv.Error:
            fields = text.split(",")
        place = self._header.columns.index(column)
        return example(fields[place]) if place < len(fields) else ""

    def _bad(self, text: bytes, edges: Offsets, first: int, end: int) -> Iterator[int]:
        rows = [text[edges[row] : edges[row + 1]] for row in range(first, end)]
        if self._reads(rows, self._needed):
            return
        if len(rows) == 1:
            yield first
            return
        bad = self._suspects(rows)
        if bad.any() and self._reads([row for row, is_bad in zip(rows, bad, strict=True) if not is_bad], self._needed):
            yield from (first + int(row) for row in np.flatnonzero(bad))
            return
        middle = (first + end) // 2
        yield from self._bad(text, edges, first, middle)
        yield from self._bad(text, edges, middle, end)

    def _reads(self, rows: Sequence[bytes], columns: Sequence[str]) -> bool:
        self._left -= 1
        if self._left < 0:
            raise TooManyToTell("too many rows cannot be read")
        kinds = {name: pl.Float64 if name in self._header.numbers else pl.String for name in self._header.columns}
        try:
            read_rows(b"".join([self._header.line, *rows]), kinds, columns)
        except UnreadableFile:
            return False
        return True

    def _suspects(self, rows: Sequence[bytes]) -> Mask:
        """Rows that are no text, and rows with a number that is none, as far as lines are rows."""
        bad = np.array([not is_text(row) for row in rows])
        text = b"".join([self._header.line, *(row for row, is_bad in zip(rows, bad, strict=True) if not is_bad)])
        wrong = self._wrong_numbers(text)
        if len(wrong) == np.count_nonzero(~bad):
            bad[~bad] = wrong
        return bad

    def _wrong_numbers(self, text: bytes) -> Mask:
        names = list(self._header.numbers)
        try:
            written = read_rows(text, dict.fromkeys(self._header.columns, pl.String), names)
            kinds = {name: pl.Float64 if name in names else pl.String for name in self._header.columns}
            numbers = pl.scan_csv(text, schema=kinds, ignore_errors=True).select(names).collect()
        except (UnreadableFile, pl.exceptions.PolarsError, pl.exceptions.PanicException):
            return np.zeros(0, np.bool_)
        wrong = [(written[name].fill_null("") != "") & numbers[name].is_null() for name in names]
        found: Mask = np.logical_or.reduce([one.to_numpy() for one in wrong])
        return found


def is_text(row: bytes) -> bool:
    """Whether a row is UTF-8."""
    try:
        row.decode()
    except UnicodeDecodeError:
        return False
    return True
