"""The output of a split: a part of a session's text as a whole, or rows for a sink that packs them on arrival. Pure."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import polars as pl


Offsets = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PartText:
    """One part before it is packed: `starts[i]` is the offset of row i, `tickers` has one entry per row.

    `ordered`: the rows are sorted by ticker, bytewise, so that a ticker can be looked up.
    """

    text: bytes
    starts: Offsets
    tickers: "pl.Series"
    ordered: bool

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.tickers)


class PartSink(Protocol):
    """Takes the rows of a part, in order."""

    def add(self, text: bytes, edges: Offsets, tickers: "pl.Series") -> None:
        """Take lines that each are one row: n lines have n + 1 `edges` in the text, and a ticker each."""

    def add_rows(self, text: bytes, rows: int) -> None:
        """Take rows whose line boundaries are unknown; no ticker can be looked up in such a part."""
