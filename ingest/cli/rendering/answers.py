"""Where sentences and tables for people are printed: nothing is cut, and without a terminal nothing is wrapped.

A number that is cut off reads as another number, and a path or a command that a line end breaks cannot be copied.
Without a terminal (a pipe, a file, cron) a row is a line, however wide. Nothing here touches the cache.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from ingest.cli.rendering.wrapping import fitted, wrapped
from ingest.errors import printable

_GAP = "  "
_INDENT = "    "
_TOGETHER = 500
"""Lines that are printed at once: rich takes some 70 µs each time."""

_NARROW = 30
"""Prose in a narrower column is hard to read: it gets lines of its own."""


class Answers(Console):
    """A console that takes texts as they are; on a terminal, lines end between words, paths and commands."""

    def __init__(self, **how: Any) -> None:
        super().__init__(highlight=False, markup=False, **how)

    def print(self, *objects: Any, **how: Any) -> None:
        """Print texts; whatever else rich knows it prints itself."""
        if any(isinstance(one, str | Text) for one in objects):
            how["soft_wrap"] = True
        width = self._width_seen
        super().print(*(Text(fitted(one, width)) if isinstance(one, str) else one for one in objects), **how)

    def print_beside(self, label: Text, text: str, style: str = "") -> None:
        """Print a text beside its label; further lines of it stand below its first one."""
        width = self._width_seen
        lines = fitted(text, width and max(width - label.cell_len, _NARROW)).split("\n")
        further = "".join(f"\n{' ' * label.cell_len}{line}" for line in lines[1:])
        self.print(Text.assemble(label, (f"{lines[0]}{further}", style)))

    def print_table(
        self, headers: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = (), prose: bool = False
    ) -> None:
        """Print rows below their headers, nothing if there are none; `right` names the columns of numbers.

        With `prose` the last column is a sentence: on a terminal it wraps or, if little space is left, stands below its
        row. Without any header the first column has labels.
        """
        cells = [[printable(cell) for cell in row] for row in rows]
        if not cells:
            return
        widths = [max(map(cell_len, column)) for column in zip(headers, *cells, strict=True)]
        ends = [name in right for name in headers]
        width = self._width_seen if prose else None
        if not any(headers):
            for row in cells:
                self.print(*_told(_lines(row, widths, ends, width), widths[0]), sep="\n")
            return
        self.print(Text("".join(_lines(headers, widths, ends, None)), style="bold"))
        lines = (line for row in cells for line in _lines(row, widths, ends, width))
        while some := list(islice(lines, _TOGETHER)):
            self.print(Text("\n".join(some)))

    @property
    def _width_seen(self) -> int | None:
        """The width of the terminal that shows the lines; None if none does, whatever rich takes it for."""
        return self.width if self.file.isatty() else None


def _told(lines: Iterable[str], bold: int) -> Iterator[Text]:
    for number, line in enumerate(lines):
        text = Text(line)
        if not number:
            text.stylize("bold", 0, bold)
        yield text


def _lines(row: Sequence[str], widths: Sequence[int], ends: Sequence[bool], width: int | None) -> Iterator[str]:
    padded = [_padded(*one) for one in zip(row, widths, ends, strict=True)]
    before = "".join(f"{cell}{_GAP}" for cell in padded[:-1])
    left = 0 if width is None else width - cell_len(before)
    if width is None or widths[-1] <= left:
        yield f"{before}{padded[-1]}".rstrip()
    elif left < _NARROW:
        yield before.rstrip()
        yield from (f"{_INDENT}{line}" for line in wrapped(row[-1], width - len(_INDENT)))
    else:
        yield from (
            f"{before if not number else ' ' * cell_len(before)}{line}".rstrip()
            for number, line in enumerate(wrapped(row[-1], left) or [""])
        )


def _padded(cell: str, width: int, right: bool) -> str:
    space = " " * (width - cell_len(cell))
    return f"{space}{cell}" if right else f"{cell}{space}"
