"""The input of a split and its result, whatever the size of the text. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from ingest.finding import Finding
from ingest.market.datasets import Dataset, Tier
from ingest.splitting.parsing import Cut, Header
from ingest.splitting.part_text import PartText


@dataclass(frozen=True, slots=True)
class SplitSpec:
    """How a file is to be cut, and of which session and dataset it is.

    `tracked` may hold patterns. Without `keep_rest` there is no archive part.
    """

    tracked: frozenset[str]
    keep_rest: bool
    dataset: Dataset
    session: date


@dataclass(frozen=True, slots=True)
class SplitResult:
    """A session's file, cut.

    `tracked_rows` are the numbers of its tracked rows, as the manifest keeps them. `ordered`: the rows are sorted by
    ticker, bytewise, so that one can be looked up. `texts` are the parts of a text that was cut at once; of one that
    was cut in chunks they are empty, since the sinks have all its rows.
    """

    header: Header
    source_rows: int
    tracked_rows: bytes
    cut: Cut
    findings: tuple[Finding, ...]
    text_sha256: str
    ordered: bool
    texts: Mapping[Tier, PartText] = field(default_factory=dict)
