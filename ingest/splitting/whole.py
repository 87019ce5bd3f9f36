"""The text of one day, cut into its tracked part and its archive part. Pure: bytes in, bytes out.

Invariant 1: both parts hold the vendor's own lines, unchanged, each under the file's header; put together in line
order they are the source. Where lines and rows disagree (a line end inside quotes, blank lines) no cut by lines is
safe: polars writes the parts then, and `cut` says so.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial, reduce
from operator import or_
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from ingest import finding
from ingest.errors import UnreadableFile
from ingest.finding import Finding
from ingest.market.datasets import Dataset
from ingest.market.epochs import TIME, of_text
from ingest.market.patterns import regexes
from ingest.splitting.checks import numbers
from ingest.splitting.chunks import line_edges, of_few_lines
from ingest.splitting.part_text import Offsets, PartText
from ingest.splitting.repeats import in_one_unit, keys_of, may_repeat, repeats

Cut = Literal["lines", "polars"]
Mask = npt.NDArray[np.bool_]

_MAX_COLUMNS = 1000
MAX_HEADER_BYTES = 1 << 20
LINE_COST = 400
"""Bytes of memory for each line of a text that is split at once, however short it is."""

MAX_LINES = (160 << 20) // LINE_COST
"""Of a text that is split at once, which is what so many lines cost. What has more is split in chunks."""

_MAX_CELLS = 500_000
"""Fields that are held as texts at once, some 20 bytes each, be they empty: a header may name a thousand columns."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first line: its bytes with a BOM and the line end as they came, and the columns that it names.

    `numbers` are those that hold a number in each row, `stamp` is the one that tells the date of a row.
    """

    line: bytes
    columns: tuple[str, ...]
    unknown: tuple[str, ...]
    numbers: tuple[str, ...]
    stamp: str


@dataclass(frozen=True, slots=True)
class Split:
    """A day, cut. `archive` is None where the rest was not to be kept; `tracked_rows` are row numbers, ascending.

    `stamps` counts the rows that have each stamp, as text, unless these are the beginnings of intraday bars. `times`
    has those as numbers. `findings` tell of all but these.
    """

    header: Header
    tracked: PartText
    archive: PartText | None
    source_rows: int
    tracked_rows: npt.NDArray[np.uint32]
    cut: Cut
    stamps: Mapping[str, int]
    findings: tuple[Finding, ...]
    times: pl.Series | None = None


def split(text: bytes, tracked: frozenset[str], keep_rest: bool, dataset: Dataset) -> Split:
    """Cut a day's text; raises UnreadableFile, saying why, where it is not a file of this dataset."""
    header = read_header(text, dataset)
    frame = parse(text, header, tracked, timed=dataset.is_intraday)
    tickers, mask = frame["ticker"], frame["tracked"].to_numpy()
    ordered = not tickers.has_nulls() and tickers.is_sorted()
    edges = line_edges(text, len(header.line))
    by_lines = len(edges) - 1 == frame.height
    cut = (
        partial(_cut_lines, text, header, edges, tickers, ordered)
        if by_lines
        else partial(_cut_rows, text, header, tickers)
    )
    return Split(
        header=header,
        tracked=cut(mask),
        archive=cut(~mask) if keep_rest else None,
        source_rows=frame.height,
        tracked_rows=np.flatnonzero(mask).astype(np.uint32),
        cut="lines" if by_lines else "polars",
        stamps={} if dated_by_time(header, frame) else stamps(text, header, frame.height),
        times=frame[TIME] if TIME in frame.columns else None,
        findings=(
            *finding.finding_on(finding.UNKNOWN_COLUMN, header.unknown),
            *_repeats(frame, ordered, dataset),
            *nameless(tickers),
            *misshapen(text, header, edges),
            *numbers(frame, dataset.signed),
        ),
    )


def read_header(text: bytes, dataset: Dataset) -> Header:
    """Read the header by name; raises UnreadableFile naming the columns that are missing or repeated."""
    end = text.find(b"\n", 0, MAX_HEADER_BYTES) + 1 or len(text)
    if end > MAX_HEADER_BYTES:
        raise UnreadableFile(f"the first line is longer than {MAX_HEADER_BYTES:,} bytes, which no header is")
    line = text[:end]
    try:
        columns = next(csv.reader([line.decode("utf-8-sig").rstrip("\r\n")], strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnreadableFile(f"the header is not text: {error}") from error
    if any('"' in name for name in columns):  # the parser would take it for an open quote, and rows for a part of it
        raise UnreadableFile(f"the header has a quote within a name: {','.join(columns)[:200]!r}")
    if len(columns) > _MAX_COLUMNS:
        raise UnreadableFile(f"the header names {len(columns):,} columns; a file of days has {_MAX_COLUMNS:,} at most")
    missing = [name for name in dataset.needed if name not in columns]
    if missing:
        raise UnreadableFile(f"the header is missing {', '.join(missing)}: it reads {','.join(columns)[:200]!r}")
    if len(set(columns)) < len(columns):
        raise UnreadableFile(f"the header names a column twice: {','.join(columns)[:200]!r}")
    known = {*dataset.required, *dataset.optional}
    unknown = tuple(name for name in columns if name not in known)
    return Header(line, tuple(columns), unknown, dataset.numbers, dataset.stamp)


def parse(text: bytes, header: Header, tracked: frozenset[str], timed: bool = False) -> pl.DataFrame:
    """Parse the rows: ticker, prices and volume as floats (it may have decimals), and whether tracked.

    Where it is `timed`, the beginnings of the bars, too, as integers, null where one is none. A full schema keeps
    tickers such as NA, TRUE and 1E5 what they are.
    """
    schema = {name: pl.Float64 if name in header.numbers else pl.String for name in header.columns}
    columns: list[str | pl.Expr] = ["ticker", *header.numbers, is_tracked(tracked).alias("tracked")]
    if not timed or TIME not in header.columns:
        return read_rows(text, schema, columns)
    try:
        return read_rows(text, {**schema, TIME: pl.Int64}, [*columns, TIME])
    except UnreadableFile:  # a time that is no number must not make a file unreadable
        return read_rows(text, schema, [*columns, of_text(pl.col(TIME))])


def is_tracked(tracked: frozenset[str]) -> pl.Expr:
    """Whether the column `ticker` holds one of these names, or one that a pattern among them matches; never null."""
    ticker = pl.col("ticker")
    matches = [ticker.str.contains(regex) for regex in regexes(tracked)]
    return reduce(or_, matches, ticker.is_in(_as_series(tracked))).fill_null(value=False)


def stamps(text: bytes, header: Header, rows: int) -> Mapping[str, int]:
    """Rows by stamp, as text: one that is no number must not make a file unreadable.

    Nearly always all rows of a session have the same one, which is seen without parsing.
    """
    if header.stamp not in header.columns or not rows:
        return {}
    end = text.find(b"\n", len(header.line))
    first = text[len(header.line) : end if end >= 0 else len(text)].split(b",")
    stamp = first[place] if (place := header.columns.index(header.stamp)) < len(first) else b""
    inside = 0 < place < len(header.columns) - 1
    if inside and stamp.replace(b"-", b"").isdigit() and b'"' not in text and text.count(b",%b," % stamp) == rows:
        return {stamp.decode(): rows}
    found = read_rows(text, dict.fromkeys(header.columns, pl.String), [pl.col(header.stamp).fill_null("")])
    return dict(found.to_series().value_counts().iter_rows())


def dated_by_time(header: Header, frame: pl.DataFrame) -> bool:
    """Whether the beginnings of the bars, parsed, are what tells the dates of the rows."""
    return header.stamp == TIME and TIME in frame.columns


def read_rows(text: bytes, schema: Mapping[str, type[pl.DataType]], columns: Sequence[str | pl.Expr]) -> pl.DataFrame:
    """Parse these columns of a text with its header; raises UnreadableFile with polars' own words."""
    if (
        b'"' in text and text.count(b'"') % 2
    ):  # at the end of a text polars panics at such a quote, or takes the last digit for its pair
        raise UnreadableFile("the rows cannot be parsed: a quote is not closed")
    try:
        return pl.scan_csv(text, schema=schema).select(columns).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, UnicodeDecodeError) as error:
        raise UnreadableFile(f"the rows cannot be parsed: {str(error).splitlines()[0][:300]}") from error


def _cut_lines(text: bytes, header: Header, edges: Offsets, tickers: pl.Series, ordered: bool, mask: Mask) -> PartText:
    """Cut at line ends: the stretches of neighbouring rows are joined, nothing is formatted anew."""
    view = memoryview(text)
    bounds = edges[np.flatnonzero(np.diff(mask, prepend=False, append=False))].tolist()
    stretches = [view[a:b] for a, b in zip(bounds[::2], bounds[1::2], strict=True)]
    lengths = np.diff(edges)[mask]
    starts = len(header.line) + np.cumsum(lengths) - lengths
    return PartText(b"".join([header.line, *stretches]), starts, tickers.filter(pl.Series(mask)), ordered)


def _cut_rows(text: bytes, header: Header, tickers: pl.Series, mask: Mask) -> PartText:
    """Write rows anew, each field as the text that it was; no line of such a part is known to be a row."""
    lines = b"".join([written_header(header), *(part for _, part in rewritten(text, header, mask))])
    return PartText(lines, np.zeros(0, np.int64), tickers.filter(pl.Series(mask)), ordered=False)


def written_header(header: Header) -> bytes:
    """The header as polars writes it."""
    return pl.DataFrame(schema=dict.fromkeys(header.columns, pl.String)).write_csv().encode()


def rewritten(text: bytes, header: Header, mask: Mask) -> Iterator[tuple[int, bytes]]:
    """The rows that are chosen, as polars writes them, and how many; few rows at a time are texts in memory."""
    done, most = 0, max(1, _MAX_CELLS // len(header.columns))
    for piece in of_few_lines(text, len(header.line), most):
        rows = read_rows(piece, dict.fromkeys(header.columns, pl.String), header.columns)
        kept = rows.filter(pl.Series(mask[done : done + rows.height]))
        done += rows.height
        yield kept.height, kept.write_csv(include_header=False).encode()


def misshapen(text: bytes, header: Header, edges: Offsets) -> tuple[Finding, ...]:
    """Rows with too few or too many fields: polars fills up the one and cuts the other without a word.

    Commas and line ends in quotes are none that count.
    """
    if len(edges) < 2:
        return ()
    chars = np.frombuffer(text, np.uint8)
    commas = chars == ord(",")
    if b'"' in text:
        quoted = np.logical_xor.accumulate(chars == ord('"'))
        commas, edges = commas & ~quoted, edges[~quoted[edges - 1]]
    misfit = np.add.reduceat(commas.view(np.uint8), edges[:-1], dtype=np.uint32) != len(header.columns) - 1
    if not misfit.any():
        return ()
    blank = np.isin(chars[edges[:-1]], list(b"\r\n"))  # a row without a ticker
    wrong = np.count_nonzero(misfit & ~blank)
    return (Finding(finding.MISFITS, int(wrong)),) if wrong else ()


def nameless(tickers: pl.Series) -> tuple[Finding, ...]:
    """Rows without a ticker."""
    return (Finding(finding.NAMELESS, tickers.null_count()),) if tickers.null_count() else ()


@lru_cache(maxsize=8)
def _as_series(tracked: frozenset[str]) -> pl.Series:
    """The tickers as polars wants them to look others up in; made once for all sessions of a run."""
    return pl.Series(sorted(tracked), dtype=pl.String).implode()


def _repeats(frame: pl.DataFrame, ordered: bool, dataset: Dataset) -> tuple[Finding, ...]:
    """Findings on tickers that have more than one row, or more than one of the same time."""
    keys, frame = keys_of(dataset), in_one_unit(frame)
    return repeats(frame, keys, dataset.numbers) if may_repeat(frame, keys, ordered) else ()
