"""The input and the result of a split, whatever the size of the text. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from ingest.finding import Finding
from ingest.market.datasets import Dataset, Tier
from ingest.splitting.parsing import Cut, Header
from ingest.splitting.part_text import PartText


@dataclass(frozen=True, slots=True)
class SplitSpec:
    """How to split a file, and which session and dataset it belongs to.

    `tracked` may hold patterns. Without `keep_rest` there is no archive part. With `every` number the result has the
    rows, too, if that is certain and takes no other pass over the text.
    """

    tracked: frozenset[str]
    keep_rest: bool
    dataset: Dataset
    session: date
    every: bool = False


@dataclass(frozen=True, slots=True)
class SplitResult:
    """A session's file, split.

    `tracked_rows` has the numbers of the tracked rows, as the manifest stores them. `ordered`: the rows are sorted by
    ticker, bytewise, so that a ticker can be looked up. `texts` has the parts of a text that was split at once; for one
    that was split in chunks it is empty, since the sinks have all rows. `numbers` has the ticker and all numbers of
    the rows of all parts, in their order in the text.
    """

    header: Header
    source_rows: int
    tracked_rows: bytes
    cut: Cut
    findings: tuple[Finding, ...]
    text_sha256: str
    ordered: bool
    texts: Mapping[Tier, PartText] = field(default_factory=dict)
    numbers: pl.DataFrame | None = field(default=None, compare=False)
