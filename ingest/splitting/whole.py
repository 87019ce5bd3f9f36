"""Splits the text of one day at once into its tracked part and its archive part. Pure: bytes in, bytes out.

Invariant 1: both parts hold the vendor's own lines, unchanged, each under the file's header; merged in line order they
are the source. If lines and rows disagree (a line end inside quotes, blank lines), a split by lines is not safe: polars
then writes the parts, and `cut` says so.

Texts that are too large for this go through `streamed`, with the same result.
"""

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from ingest import finding
from ingest.finding import Finding
from ingest.market.datasets import Dataset, Tier
from ingest.splitting.checks import misshapen, nameless, numbers
from ingest.splitting.parsing import (
    Mask,
    ParsedText,
    chosen_lines,
    parse_text,
    rewritten,
    stamps,
    written_header,
)
from ingest.splitting.part_text import PartText
from ingest.splitting.placing import Placing
from ingest.splitting.repeats import in_one_unit, may_repeat, repeats
from ingest.splitting.result import SplitResult, SplitSpec


def split(text: bytes, spec: SplitSpec) -> SplitResult:
    """Split a day's text; raises UnreadableFile with the reason if it is not a file of this dataset and session."""
    return split_parsed(parse_text(text, spec.tracked, spec.dataset, spec.every), spec)


def split_parsed(day: ParsedText, spec: SplitSpec) -> SplitResult:
    """Split a text that has been parsed; raises UnreadableFile as `split` does."""
    return SplitResult(
        header=day.header,
        source_rows=day.rows.height,
        tracked_rows=np.flatnonzero(day.tracked).astype("<u4").tobytes(),
        cut=day.cut,
        findings=(*_findings(day, spec.dataset), *_misplaced(day, spec)),
        text_sha256=hashlib.sha256(day.text).hexdigest(),
        ordered=day.ordered and day.cut == "lines",
        texts=_parts(day, spec.keep_rest),
        numbers=_numbers(day, spec) if spec.every else None,
    )


def _numbers(day: ParsedText, spec: SplitSpec) -> pl.DataFrame | None:
    found = day.numbers
    return found if found is None or spec.keep_rest else found.filter(pl.Series(day.tracked))


def parts(text: bytes, tracked: frozenset[str], keep_rest: bool, dataset: Dataset) -> Mapping[Tier, PartText]:
    """Only the parts of a text; its rows are not checked. Raises UnreadableFile."""
    return _parts(parse_text(text, tracked, dataset), keep_rest)


def _parts(day: ParsedText, keep_rest: bool) -> dict[Tier, PartText]:
    cut = _cut_lines if day.cut == "lines" else _cut_rows
    tracked = cut(day, day.tracked)
    return {"tracked": tracked, "archive": cut(day, ~day.tracked)} if keep_rest else {"tracked": tracked}


def _findings(day: ParsedText, dataset: Dataset) -> Iterator[Finding]:
    yield from finding.finding_on(finding.UNKNOWN_COLUMN, day.header.unknown)
    keys, rows = dataset.kind.identity, in_one_unit(day.rows, dataset.kind.time)
    if may_repeat(rows, keys, day.ordered):
        yield from repeats(rows, keys, dataset.numbers)
    yield from nameless(day.rows["ticker"])
    yield from misshapen(day.text, len(day.header.columns), day.edges)
    yield from numbers(day.rows, dataset.kind, dataset.signed)


def _misplaced(day: ParsedText, spec: SplitSpec) -> Iterator[Finding]:
    """Findings on the timestamps. Raises UnreadableFile if no bar can start in the session."""
    placing = Placing(spec.dataset, spec.session)
    yield from placing.add(stamps(day.text, day.header, day.rows), day.times)
    placing.check()


def _cut_lines(day: ParsedText, mask: Mask) -> PartText:
    """Cut at line ends: neighbouring rows are joined, and nothing is reformatted."""
    first, (stretches, lengths) = day.header.line, chosen_lines(day.text, day.edges, mask)
    starts = len(first) + np.cumsum(lengths) - lengths
    return PartText(b"".join([first, *stretches]), starts, day.rows["ticker"].filter(pl.Series(mask)), day.ordered)


def _cut_rows(day: ParsedText, mask: Mask) -> PartText:
    """Write the rows again, each field with its original text; lines of such a part need not be rows."""
    lines = b"".join([written_header(day.header), *(part for _, part in rewritten(day.text, day.header, mask))])
    return PartText(lines, np.zeros(0, np.int64), day.rows["ticker"].filter(pl.Series(mask)), ordered=False)
