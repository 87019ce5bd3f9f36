"""Splits a large file's text into its two parts chunk by chunk: the chunks bound the memory, not the file.

The parts are those that `whole.split` makes: the vendor's own lines, unchanged (invariant 1). If lines turn out not to
be rows, the split starts over, and polars writes the rows.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain

import numpy as np
import polars as pl

from ingest import finding
from ingest.finding import Finding, Findings
from ingest.market.datasets import Dataset, Tier
from ingest.splitting.checks import misshapen, nameless, numbers
from ingest.splitting.chunks import ahead, chunks, line_edges
from ingest.splitting.parsing import (
    MAX_HEADER_BYTES,
    Cut,
    Header,
    Mask,
    chosen_lines,
    dated_by_time,
    parse,
    read_header,
    rewritten,
    stamps,
    written_header,
)
from ingest.splitting.part_text import Offsets, PartSink
from ingest.splitting.placing import Placing
from ingest.splitting.repeats import Repeats
from ingest.splitting.result import SplitResult, SplitSpec
from ingest.splitting.row_numbers import Collector

Pieces = Callable[[], Iterator[bytes]]
"""Returns a text in pieces of any size, from the start each time."""

Sinks = Callable[[bytes], Mapping[Tier, PartSink]]
"""Opens the sinks of the parts, which begin with a first line; sinks opened before are discarded."""

_CUTS: tuple[Cut, Cut] = ("lines", "polars")


class NotLines(Exception):
    """Lines are not rows: the file must be split by rows, from the start."""


def split(pieces: Pieces, spec: SplitSpec, sinks: Sinks, chunk: int) -> SplitResult:
    """Split a text, `chunk` bytes at a time; raises UnreadableFile with the reason, like `whole.split`."""
    for cut in _CUTS:
        with suppress(NotLines):
            return _split(opened(pieces(), spec.dataset, chunk), spec, cut, sinks)
    raise AssertionError("rows that polars writes are not asked for their lines")


def _split(found: tuple[Header, Iterator[bytes]], spec: SplitSpec, cut: Cut, sinks: Sinks) -> SplitResult:
    header, texts = found
    cutter = Cutter(header, spec, cut, sinks(part_header(header, cut)))
    for text in ahead(texts):
        cutter.add(text)
    cutter.check()
    return cutter.end()


class Cutter:
    """Splits chunks as they arrive into `sinks`; that of the archive exists only if the rest is kept."""

    def __init__(self, header: Header, spec: SplitSpec, cut: Cut, sinks: Mapping[Tier, PartSink]) -> None:
        self._header, self._spec, self._cut, self._sinks = header, spec, cut, sinks
        self._findings = Findings()
        self._findings.add(finding.finding_on(finding.UNKNOWN_COLUMN, header.unknown))
        self._repeats = Repeats(spec.dataset.kind, spec.dataset.numbers)
        self._placing = Placing(spec.dataset, spec.session)
        self._rows = Collector()
        self._hash = hashlib.sha256(header.line)
        self._last: str | None = ""

    def add(self, text: bytes) -> None:
        """Take the next lines, below the header. Raises UnreadableFile, NotLines."""
        self._hash.update(memoryview(text)[len(self._header.line) :])
        frame = parse(text, self._header, self._spec.tracked, timed=True)
        edges = line_edges(text, len(self._header.line))
        self._find(text, frame, edges)
        mask = frame["tracked"].to_numpy()
        self._rows.add(mask)
        if self._cut == "polars":
            self._cut_rows(text, mask)
        elif len(edges) - 1 != frame.height:
            raise NotLines
        else:
            self._cut_lines(text, edges, frame["ticker"], mask)

    def check(self) -> None:
        """Raise UnreadableFile if none of the bars added can start in the session."""
        self._placing.check()

    def end(self) -> SplitResult:
        """The result for the whole file."""
        self._findings.add(self._repeats.end())
        if not self._rows.rows:
            self._findings.add([Finding(finding.NO_ROWS)])
        return SplitResult(
            header=self._header,
            source_rows=self._rows.rows,
            tracked_rows=self._rows.encode(),
            cut=self._cut,
            findings=self._findings.all(),
            text_sha256=self._hash.hexdigest(),
            ordered=self._last is not None and self._cut == "lines",
        )

    def _find(self, text: bytes, frame: pl.DataFrame, edges: Offsets) -> None:
        if frame.is_empty():
            return
        self._follow(frame["ticker"])
        found = [
            self._repeats.add(frame, self._last is not None),
            nameless(frame["ticker"]),
            misshapen(text, len(self._header.columns), edges),
            numbers(frame, self._spec.dataset.kind, self._spec.dataset.signed),
            self._placing.add(stamps(text, self._header, frame), self._begins(frame)),
        ]
        self._findings.add(chain.from_iterable(found))

    def _begins(self, frame: pl.DataFrame) -> pl.Series | None:
        """The rows' start times, if rows have times of their own or these give their dates."""
        timed = self._spec.dataset.kind.timed or dated_by_time(self._header, frame)
        return frame[self._header.time] if timed else None

    def _follow(self, tickers: pl.Series) -> None:
        """Remember the last ticker while all are sorted; None once they are not."""
        if self._last is not None:
            whole = not tickers.has_nulls() and tickers.is_sorted() and tickers[0] >= self._last
            self._last = tickers[-1] if whole else None

    def _cut_lines(self, text: bytes, edges: Offsets, tickers: pl.Series, mask: Mask) -> None:
        for tier, sink in self._sinks.items():
            chosen = mask if tier == "tracked" else ~mask
            if chosen.all():
                sink.add(text, edges, tickers)
            elif chosen.any():
                stretches, lengths = chosen_lines(text, edges, chosen)
                within = np.concatenate(([0], np.cumsum(lengths)))
                sink.add(b"".join(stretches), within, tickers.filter(pl.Series(chosen)))

    def _cut_rows(self, text: bytes, mask: Mask) -> None:
        for tier, sink in self._sinks.items():
            chosen = mask if tier == "tracked" else ~mask
            for rows, lines in rewritten(text, self._header, chosen):
                sink.add_rows(lines, rows)


def opened(pieces: Iterable[bytes], dataset: Dataset, size: int) -> tuple[Header, Iterator[bytes]]:
    """The header of a text that arrives in pieces, and its rows in chunks that each begin with the header.

    `size` is that of a chunk in bytes. Raises UnreadableFile.
    """
    each = iter(pieces)
    first = b""
    while b"\n" not in first and len(first) <= MAX_HEADER_BYTES and (piece := next(each, b"")):
        first += piece
    header = read_header(first, dataset)
    rest = first[len(header.line) :]
    return header, chunks(chain([rest] if rest else [], each), size, header.line)


def part_header(header: Header, cut: Cut) -> bytes:
    """The first line of both parts: the file's own, or as polars writes it if polars writes the rows."""
    return header.line if cut == "lines" else written_header(header)
