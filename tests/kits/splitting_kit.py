"""A day's text split at once, with its parts by name and its tracked row numbers as numbers."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ingest.finding import Finding
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.datasets import Dataset
from ingest.splitting.parsing import Cut, Header
from ingest.splitting.part_text import PartText
from ingest.splitting.result import SplitResult, SplitSpec
from ingest.splitting.whole import split

DAY = date(2023, 11, 14)
"""The date of the timestamp 1700000000000000000."""


@dataclass(frozen=True)
class Parted:
    """The result for a text."""

    result: SplitResult

    @property
    def tracked(self) -> PartText:
        return self.result.texts["tracked"]

    @property
    def archive(self) -> PartText | None:
        return self.result.texts.get("archive")

    @cached_property
    def tracked_rows(self) -> npt.NDArray[np.uint32]:
        return np.frombuffer(self.result.tracked_rows, "<u4")

    @property
    def header(self) -> Header:
        return self.result.header

    @property
    def source_rows(self) -> int:
        return self.result.source_rows

    @property
    def cut(self) -> Cut:
        return self.result.cut

    @property
    def findings(self) -> tuple[Finding, ...]:
        return self.result.findings


def parted(
    text: bytes, tracked: Iterable[str], keep_rest: bool = True, dataset: Dataset = STOCKS_DAY, session: date = DAY
) -> Parted:
    """Split a text. Raises UnreadableFile."""
    return Parted(split(text, SplitSpec(frozenset(tracked), keep_rest, dataset, session)))
