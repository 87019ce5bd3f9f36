"""Which lines of a text are at fault if it cannot be read: found in a second pass, once it has been refused. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ingest.errors import UnreadableFile
from ingest.finding import example
from ingest.market.datasets import Dataset
from ingest.splitting.parsing import Header
from ingest.splitting.streamed import opened
from ingest.splitting.unreadable.bad_rows import RowReader, TooManyToTell, is_text

_CHUNK = 1 << 20
_LONGEST = 1 << 16
"""Bytes of a line that are kept to be shown."""

_NAMED = 5
"""Bad lines to name; the others are counted."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line, or the first of several that are one row: `number` counts from 1, which is the header's.

    All is printable and short enough for a line. `ticker` is empty if the line does not say, `column` if no single
    column is at fault; `value` is what is written there, and `why` says what is wrong with it or with the line.
    """

    number: int
    ticker: str = ""
    column: str = ""
    value: str = ""
    why: str = ""

    def __str__(self) -> str:
        ticker = f" (ticker {self.ticker})" if self.ticker else ""
        fault = f", {self.column}: '{self.value}' {self.why}" if self.column else f": {self.why}" if self.why else ""
        return f"line {self.number:,}{ticker}{fault}"


@dataclass(frozen=True, slots=True)
class Located:
    """What is at fault in a text that was read as far as possible.

    `bad` are the first lines that cannot be read, `count` how many there are (with `is_all` False: at least). `first`
    and `last` are the first line below the header and the last line, None if there is none.
    """

    bad: tuple[BadLine, ...] = ()
    count: int = 0
    is_all: bool = True
    first: BadLine | None = None
    last: BadLine | None = None


def locate(pieces: Iterable[bytes], dataset: Dataset, search: bool = True) -> Located:
    """Find the lines at fault. An unreadable header is line 1; a row that is too long is the first one not found.

    Without `search`, only find where the text ends.
    """
    try:
        header, texts = opened(pieces, dataset, _CHUNK)
    except UnreadableFile:
        return Located((BadLine(1),), 1)
    return _Locating(header, search).over(texts)


class _Locating:
    def __init__(self, header: Header, search: bool) -> None:
        self._header, self._reader, self._search = header, RowReader(header), search
        self._line = 2
        self._bad = list[BadLine]()
        self._count = 0
        self._first: BadLine | None = None
        self._last: BadLine | None = None

    def over(self, texts: Iterator[bytes]) -> Located:
        is_all = False
        try:
            for text in texts:
                self._look(text)
            is_all = True
        except TooManyToTell:
            pass
        except UnreadableFile:  # a row, or an open quote, without an end
            self._add(BadLine(self._line))
        return Located(tuple(self._bad), self._count, is_all, self._first, self._last)

    def _add(self, *bad: BadLine) -> None:
        self._count += len(bad)
        self._bad += bad[: _NAMED - len(self._bad)]

    def _look(self, text: bytes) -> None:
        edges, begin = self._reader.edges(text), len(self._header.line)
        if len(edges) > 1:
            last = text[edges[-2] : edges[-1]]
            self._first = self._first or BadLine(self._line, self._ticker(text[edges[0] : edges[1]]))
            self._last = BadLine(self._line + text.count(b"\n", begin, int(edges[-2])), self._ticker(last))
            for row in self._reader.bad(text, edges) if self._search else ():
                self._count += 1
                if self._count <= _NAMED:
                    number = self._line + text.count(b"\n", begin, int(edges[row]))
                    self._bad.append(self._described(number, text[edges[row] : edges[row + 1]]))
        self._line += text.count(b"\n", begin)

    def _described(self, number: int, row: bytes) -> BadLine:
        if row.count(b'"') % 2:
            return BadLine(number, self._ticker(row), why="a quote is not closed")
        column = next(self._reader.columns_at_fault(row), "")
        value = self._reader.field(row, column) if column else ""
        return BadLine(number, self._ticker(row), example(column), value, self._why(row, column))

    def _why(self, row: bytes, column: str) -> str:
        if not is_text(row):
            return "is not UTF-8"
        return "is not a number" if column in self._header.numbers else "cannot be read"

    def _ticker(self, row: bytes) -> str:
        return self._reader.field(row, "ticker")


def lines_near(pieces: Iterable[bytes], numbers: Iterable[int], near: int = 1) -> dict[int, bytes]:
    """These lines of a text and so many on each side, by number; the text is read no further than it has to be."""
    wanted = {one for number in numbers for one in range(max(1, number - near), number + near + 1)}
    found, number = dict[int, bytes](), 1
    for line in _lines(pieces):
        if number in wanted:
            found[number] = line
        number += 1
        if number > max(wanted, default=0):
            break
    return found


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        rest = rest[:_LONGEST]
        yield from whole
    if rest:
        yield rest
