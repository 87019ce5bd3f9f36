"""Texts of days, parsed: one alone, or several in one query. Pure.

A query of polars costs almost a millisecond, whatever it reads: as much as parsing 5,000 rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
import polars as pl

from ingest.errors import UnreadableFile
from ingest.market.datasets import Dataset
from ingest.splitting.chunks import line_edges
from ingest.splitting.parsing import Cut, Header, Mask, parse, read_header
from ingest.splitting.part_text import Offsets


@dataclass(frozen=True, slots=True)
class ParsedText:
    """A text with its rows, those of them that are tracked, and the offsets of its lines.

    `ordered`: the rows are sorted by ticker, bytewise.
    """

    text: bytes
    header: Header
    rows: pl.DataFrame
    tracked: Mask
    edges: Offsets
    ordered: bool

    @property
    def cut(self) -> Cut:
        """How it is cut: by lines, if each line is a row."""
        return "lines" if len(self.edges) - 1 == self.rows.height else "polars"

    @property
    def times(self) -> pl.Series | None:
        """When rows begin, if they have times of their own."""
        return self.rows[self.header.time] if self.header.time in self.rows.columns else None


def parsed(text: bytes, tracked: frozenset[str], dataset: Dataset) -> ParsedText:
    """Parse one text. Raises UnreadableFile."""
    header = read_header(text, dataset)
    rows = parse(text, header, tracked, timed=dataset.kind.timed)
    return _parsed(text, header, rows, line_edges(text, len(header.line)))


def _parsed(text: bytes, header: Header, rows: pl.DataFrame, edges: Offsets) -> ParsedText:
    tickers = rows["ticker"]
    ordered = not tickers.has_nulls() and tickers.is_sorted()
    return ParsedText(text, header, rows, rows["tracked"].to_numpy(), edges, ordered)


def parsed_together(texts: Sequence[bytes], tracked: frozenset[str], dataset: Dataset) -> list[ParsedText] | None:
    """Parse several texts in one query: equal to what `parsed` makes of each.

    None if that is not certain: if their headers differ, if a line may not be a row, or if one of them is unreadable.
    """
    try:
        header = read_header(texts[0], dataset)
        if not all(_is_plain(text, header.line) for text in texts):
            return None
        begin = len(header.line)
        together = b"".join([header.line, *(memoryview(text)[begin:] for text in texts)])
        rows = parse(together, header, tracked, timed=dataset.kind.timed)
    except UnreadableFile:
        return None
    edges = line_edges(together, begin)
    return list(_apart(texts, header, rows, edges)) if len(edges) - 1 == rows.height else None


def _is_plain(text: bytes, header: bytes) -> bool:
    """Whether a text has this header, and lines that are rows wherever they stand.

    A quote may contain a line end, and whether polars skips a blank line depends on the lines before it.
    """
    is_whole = header.endswith(b"\n") and text.startswith(header) and text.endswith(b"\n")
    return is_whole and not any(odd in text for odd in (b'"', b"\r", b"\n\n"))


def _apart(texts: Sequence[bytes], header: Header, rows: pl.DataFrame, edges: Offsets) -> Iterator[ParsedText]:
    begin = len(header.line)
    bounds = accumulate((len(text) - begin for text in texts), initial=begin)
    lines = np.searchsorted(edges, list(bounds)).tolist()
    for text, (first, last) in zip(texts, pairwise(lines), strict=True):
        yield _parsed(text, header, rows[first:last], edges[first : last + 1] - (edges[first] - begin))
