"""Parses the text of one day: its header by name, its rows as numbers, and its lines as written. Pure."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from itertools import accumulate, pairwise
from operator import or_
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from ingest.errors import UnreadableFile
from ingest.market.datasets import Dataset
from ingest.market.epochs import of_text
from ingest.market.patterns import regexes
from ingest.splitting.chunks import line_edges, of_few_lines
from ingest.splitting.part_text import Offsets

Cut = Literal["lines", "polars"]
Mask = npt.NDArray[np.bool_]

_MAX_COLUMNS = 1000
MAX_HEADER_BYTES = 1 << 20
LINE_COST = 400
"""Bytes of memory per line of a text that is split at once, however short the line is."""

MAX_LINES = (160 << 20) // LINE_COST
"""Most lines of a text that is split at once; longer texts are split in chunks."""

_STAMP = "stamp"
"""The column of `parse` with the stamps of rows that have no times of their own, if all of them are numbers."""

_MAX_CELLS = 500_000
"""Most fields held as text at once, some 20 bytes each even if empty: a header may name a thousand columns."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first line: its bytes as received, with any BOM and the line end, and the columns that it names.

    `numbers` are the columns with a number in each row, `others` those with one in some rows. `stamp` is the column
    with a row's date, `time` the one with its start. `marks` distinguish rows of the same ticker and time.
    """

    line: bytes
    columns: tuple[str, ...]
    unknown: tuple[str, ...]
    numbers: tuple[str, ...]
    stamp: str
    time: str
    marks: tuple[str, ...] = ()
    others: Mapping[str, type[pl.DataType]] = field(default_factory=dict)


def read_header(text: bytes, dataset: Dataset) -> Header:
    """Read the header by name. Raises UnreadableFile, which names the missing or repeated columns."""
    end = text.find(b"\n", 0, MAX_HEADER_BYTES) + 1 or len(text)
    if end > MAX_HEADER_BYTES:
        raise UnreadableFile(f"the first line is longer than {MAX_HEADER_BYTES:,} bytes: not a header")
    line = text[:end]
    try:
        columns = next(csv.reader([line.decode("utf-8-sig").rstrip("\r\n")], strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnreadableFile(f"the header is not text: {error}") from error
    if any('"' in name for name in columns):  # the parser would read it as an open quote that swallows rows
        raise UnreadableFile(f"the header has a quote within a name: {','.join(columns)[:200]!r}")
    if len(columns) > _MAX_COLUMNS:
        raise UnreadableFile(f"the header names {len(columns):,} columns; a daily file has at most {_MAX_COLUMNS:,}")
    missing = [name for name in dataset.needed if name not in columns]
    if missing:
        raise UnreadableFile(f"the header is missing {', '.join(missing)}: it reads {','.join(columns)[:200]!r}")
    if len(set(columns)) < len(columns):
        raise UnreadableFile(f"the header names a column twice: {','.join(columns)[:200]!r}")
    known = {*dataset.required, *dataset.optional}
    unknown = tuple(name for name in columns if name not in known)
    kind = dataset.kind
    marks = tuple(name for name in kind.identity if name not in ("ticker", kind.time))
    return Header(
        line,
        tuple(columns),
        unknown,
        numbers=dataset.numbers,
        stamp=dataset.stamp,
        time=kind.time,
        marks=marks,
        others=_others(columns, dataset),
    )


def _others(columns: Sequence[str], dataset: Dataset) -> dict[str, type[pl.DataType]]:
    counts = dict.fromkeys(dataset.kind.counts, pl.Int64)
    extras = dict.fromkeys(dataset.extras, pl.Float64)
    return {name: kind for name, kind in {**counts, **extras}.items() if name in columns}


def parse(
    text: bytes, header: Header, tracked: frozenset[str], timed: bool = False, every: bool = False
) -> pl.DataFrame:
    """Parse the rows: ticker, prices and volume as floats (volumes may have decimals), and whether tracked.

    With `timed`, also the start of each bar as an integer, null if it is not a number; with `every`, also the other
    numbers, unless one of them is oddly written. A full schema keeps tickers such as NA, TRUE and 1E5 as they are.
    """
    if every and header.others:
        with suppress(UnreadableFile):
            return _parsed(text, header, tracked, timed, header.others)
    return _parsed(text, header, tracked, timed, {})


def _parsed(
    text: bytes, header: Header, tracked: frozenset[str], timed: bool, others: Mapping[str, type[pl.DataType]]
) -> pl.DataFrame:
    texts = {name: pl.Float64 if name in header.numbers else pl.String for name in header.columns}
    schema: dict[str, type[pl.DataType]] = {**texts, **others}
    columns: list[str | pl.Expr] = [
        "ticker",
        *header.numbers,
        *others,
        *header.marks,
        is_tracked(tracked).alias("tracked"),
    ]
    time = header.time
    if time not in header.columns or not (timed or header.stamp == time):
        return read_rows(text, schema, columns)
    try:
        return read_rows(text, {**schema, time: pl.Int64}, [*columns, pl.col(time).alias(time if timed else _STAMP)])
    except UnreadableFile:  # a time that is not a number must not make the file unreadable
        return read_rows(text, schema, [*columns, of_text(pl.col(time))] if timed else columns)


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
    def numbers(self) -> pl.DataFrame | None:
        """The ticker and all numbers of each row; None if a number is oddly written, or a line may be no row."""
        names = ["ticker", *self.header.numbers, *self.header.others]
        return self.rows.select(names) if self.cut == "lines" and set(names) <= set(self.rows.columns) else None

    @property
    def times(self) -> pl.Series | None:
        """When rows begin, if they have times of their own."""
        return self.rows[self.header.time] if self.header.time in self.rows.columns else None


def parse_text(text: bytes, tracked: frozenset[str], dataset: Dataset, every: bool = False) -> ParsedText:
    """Parse one text; `every` as for `parse`. Raises UnreadableFile."""
    header = read_header(text, dataset)
    rows = parse(text, header, tracked, timed=dataset.kind.timed, every=every)
    return _with_lines(text, header, rows, line_edges(text, len(header.line)))


def _with_lines(text: bytes, header: Header, rows: pl.DataFrame, edges: Offsets) -> ParsedText:
    tickers = rows["ticker"]
    ordered = not tickers.has_nulls() and tickers.is_sorted()
    return ParsedText(text, header, rows, tracked=rows["tracked"].to_numpy(), edges=edges, ordered=ordered)


def parse_together(
    texts: Sequence[bytes], tracked: frozenset[str], dataset: Dataset, every: bool = False
) -> list[ParsedText] | None:
    """Parse several texts in one query: equal to what `parse_text` makes of each.

    A query costs almost a millisecond, whatever it reads: as much as parsing 5,000 rows. None if that is not
    certain: if their headers differ, if a line may not be a row, or if one of them is unreadable.
    """
    try:
        header = read_header(texts[0], dataset)
        if not all(_is_plain(text, header.line) for text in texts):
            return None
        begin = len(header.line)
        together = b"".join([header.line, *(memoryview(text)[begin:] for text in texts)])
        edges = line_edges(together, begin)
        if (np.diff(edges) == 1).any():  # whether polars skips a blank line depends on the lines before it
            return None
        rows = parse(together, header, tracked, timed=dataset.kind.timed, every=every)
    except UnreadableFile:
        return None
    return list(_apart(texts, header, rows, edges)) if len(edges) - 1 == rows.height else None


def _is_plain(text: bytes, header: bytes) -> bool:
    """Whether a text has this header, and lines that each end with a plain line end: a quote may contain others."""
    is_whole = header.endswith(b"\n") and text.startswith(header) and text.endswith(b"\n")
    return is_whole and b'"' not in text and b"\r" not in text


def _apart(texts: Sequence[bytes], header: Header, rows: pl.DataFrame, edges: Offsets) -> Iterator[ParsedText]:
    begin = len(header.line)
    bounds = accumulate((len(text) - begin for text in texts), initial=begin)
    lines = np.searchsorted(edges, list(bounds)).tolist()
    for text, (first, last) in zip(texts, pairwise(lines), strict=True):
        yield _with_lines(text, header, rows[first:last], edges[first : last + 1] - (edges[first] - begin))


def is_tracked(tracked: frozenset[str]) -> pl.Expr:
    """Whether the column `ticker` has one of these names, or matches a pattern among them; never null."""
    ticker = pl.col("ticker")
    matches = [ticker.str.contains(regex) for regex in regexes(tracked)]
    return reduce(or_, matches, ticker.is_in(_as_series(tracked))).fill_null(value=False)


def stamps(text: bytes, header: Header, frame: pl.DataFrame) -> Mapping[str, int]:
    """Number of rows by timestamp, as text: one that is not a number must not make the file unreadable.

    Nearly always all rows of a session share one timestamp, which shows without parsing. Nothing is counted if the
    parsed start times of the bars give the rows' dates.
    """
    rows = frame.height
    if dated_by_time(header, frame) or header.stamp not in header.columns or not rows:
        return {}
    if _STAMP in frame.columns and (only := _only_value(frame[_STAMP])) is not None:
        return {str(only): rows}
    end = text.find(b"\n", len(header.line))
    first = text[len(header.line) : end if end >= 0 else len(text)].split(b",")
    stamp = first[place] if (place := header.columns.index(header.stamp)) < len(first) else b""
    inside = 0 < place < len(header.columns) - 1
    if inside and stamp.replace(b"-", b"").isdigit() and b'"' not in text and text.count(b",%b," % stamp) == rows:
        return {stamp.decode(): rows}
    found = read_rows(text, dict.fromkeys(header.columns, pl.String), [pl.col(header.stamp).fill_null("")])
    return dict(found.to_series().value_counts().iter_rows())


def _only_value(numbers: pl.Series) -> int | None:
    """The number that all of them are."""
    least = numbers.min()
    return least if isinstance(least, int) and least == numbers.max() and not numbers.null_count() else None


def chosen_lines(text: bytes, edges: Offsets, chosen: Mask) -> tuple[list[memoryview], Offsets]:
    """The chosen lines, neighbouring ones joined, and the length of each; n lines have n + 1 `edges`."""
    view = memoryview(text)
    bounds = edges[np.flatnonzero(np.diff(chosen, prepend=False, append=False))].tolist()
    return [view[a:b] for a, b in zip(bounds[::2], bounds[1::2], strict=True)], np.diff(edges)[chosen]


def dated_by_time(header: Header, frame: pl.DataFrame) -> bool:
    """Whether the parsed start times of the bars give the rows' dates."""
    return header.stamp == header.time and header.time in frame.columns


def read_rows(text: bytes, schema: Mapping[str, type[pl.DataType]], columns: Sequence[str | pl.Expr]) -> pl.DataFrame:
    """Parse these columns of a text that has a header; raises UnreadableFile with polars' message."""
    if (
        b'"' in text and text.count(b'"') % 2
    ):  # at such a quote at the end of a text polars panics, or takes the last digit for the closing one
        raise UnreadableFile("the rows cannot be parsed: a quote is not closed")
    try:
        return pl.scan_csv(text, schema=schema).select(columns).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, UnicodeDecodeError) as error:
        raise UnreadableFile(f"the rows cannot be parsed: {str(error).splitlines()[0][:300]}") from error


def written_header(header: Header) -> bytes:
    """The header as polars writes it."""
    return pl.DataFrame(schema=dict.fromkeys(header.columns, pl.String)).write_csv().encode()


def rewritten(text: bytes, header: Header, mask: Mask) -> Iterator[tuple[int, bytes]]:
    """The chosen rows as polars writes them, a few at a time to save memory, with their number."""
    done, most = 0, max(1, _MAX_CELLS // len(header.columns))
    for piece in of_few_lines(text, len(header.line), most):
        rows = read_rows(piece, dict.fromkeys(header.columns, pl.String), header.columns)
        kept = rows.filter(pl.Series(mask[done : done + rows.height]))
        done += rows.height
        yield kept.height, kept.write_csv(include_header=False).encode()


@lru_cache(maxsize=8)
def _as_series(tracked: frozenset[str]) -> pl.Series:
    """The tickers as a polars series for lookups, made once for all sessions of a run."""
    return pl.Series(sorted(tracked), dtype=pl.String).implode()
