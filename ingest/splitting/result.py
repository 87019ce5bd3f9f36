"""The input and the result of a split, whatever the size of the text. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from ingest.finding import Finding
from ingest.market.datasets import Dataset, Tier
from ingest.splitting.parsing import Cut, Header
from ingest.splitting.part_text import PartText


@dataclass(frozen=True, slots=True)
class SplitSpec:
    """How to split a file, and which session and dataset it belongs to.

    `tracked` may hold patterns. Without `keep_rest` there is no archive part.
    """

    tracked: frozenset[str]
    keep_rest: bool
    dataset: Dataset
    session: date


@dataclass(frozen=True, slots=True)
class SplitResult:
    """A session's file, split.

    `tracked_rows` has the numbers of the tracked rows, as the manifest stores them. `ordered`: the rows are sorted by
    ticker, bytewise, so that a ticker can be looked up. `texts` has the parts of a text that was split at once; for one
    that was split in chunks it is empty, since the sinks have all rows.
    """

    header: Header
    source_rows: int
    tracked_rows: bytes
    cut: Cut
    findings: tuple[Finding, ...]
    text_sha256: str
    ordered: bool
    texts: Mapping[Tier, PartText] = field(default_factory=dict)
