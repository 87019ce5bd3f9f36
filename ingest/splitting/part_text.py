"""What a cut makes: one part of a session's text as a whole, or rows for a sink that packs them as they come. Pure."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import polars as pl


Offsets = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PartText:
    """One part before it is packed: `starts[i]` is the offset of row i, `tickers` has one entry a row.

    `ordered`: the rows are sorted by ticker, bytewise, so that one can be looked up.
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
    """Who takes the rows of a part, in their order."""

    def add(self, text: bytes, edges: Offsets, tickers: "pl.Series") -> None:
        """Take lines that are rows: n of them have n + 1 `edges` in the text, and a ticker each."""

    def add_rows(self, text: bytes, rows: int) -> None:
        """Take rows whose lines are not known: nothing can be looked up in such a part."""
