"""Options contracts: what a ticker like `O:SPY251219C00650000` says. Pure.

After `O:` comes the root, of up to six characters, then OCC's fifteen: expiry as yymmdd, C or P, and the strike in
thousandths of a dollar. An adjusted contract (after a split, a merger, a special dividend) has a root of its own, such
as `SPY1`, and stands for something else than a hundred shares: so it is another underlying here. A ticker of any other
form, or with an expiry that is no date, is no contract.
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal, cast

from ingest.market.datasets import Dataset

if TYPE_CHECKING:
    import polars as pl

Right = Literal["C", "P"]

CONTRACT = ("underlying", "expiry", "right", "strike", "dte")
"""The columns that a contract's ticker stands for, the last one with the date of its row."""

_CENTURY = "20"
_SIGIL = "O:"
_FORM = _SIGIL + "[A-Z0-9]{1,6}[0-9]{6}[CP][0-9]{8}"
_EXPIRY, _RIGHT, _STRIKE = 15, 9, 8
"""Where these parts begin, counted from the end."""


@dataclass(frozen=True, slots=True)
class Contract:
    """The right to buy (C) or to sell (P) the underlying, until the day of expiry, at the strike, in dollars."""

    underlying: str
    expiry: date
    right: Right
    strike: float

    def dte(self, day: date) -> int:
        """Calendar days from a day to the expiry."""
        return (self.expiry - day).days


def contract_of(ticker: str) -> Contract | None:
    """The contract that a ticker stands for; None if it is no contract."""
    if not re.fullmatch(_FORM, ticker):
        return None
    try:
        expiry = date.fromisoformat(f"{_CENTURY}{ticker[-_EXPIRY:-_RIGHT]}")
    except ValueError:
        return None
    right = cast(Right, ticker[-_RIGHT])
    return Contract(ticker[len(_SIGIL) : -_EXPIRY], expiry, right, int(ticker[-_STRIKE:]) / 1000)


def contracts_of(root: str) -> str:
    """The pattern of all contracts with a root."""
    return f"{_SIGIL}{root}{'?' * _EXPIRY}"


def contract_schema(dataset: Dataset) -> "dict[str, pl.DataType]":
    """The columns `CONTRACT`, with their types, in a dataset of contracts; none in any other."""
    import polars as pl

    kinds = (pl.String(), pl.Date(), pl.String(), pl.Float64(), pl.Int64())
    return dict(zip(CONTRACT, kinds, strict=True)) if dataset.contracts else {}


def with_contracts(rows: "pl.DataFrame", dataset: Dataset) -> "pl.DataFrame":
    """Rows, with `ticker` and `date`, and the columns of `contract_schema` at their end; null where there is none."""
    import polars as pl

    if not dataset.contracts:
        return rows
    # Minutes of a ticker are beside each other: it is parsed once.
    runs = rows.select(pl.col("ticker").rle()).unnest("ticker")
    found = _parsed(runs["value"])
    if found.height < rows.height:
        found = found.select(pl.all().repeat_by(runs["len"]).explode())
    dte = (pl.col("expiry") - pl.col("date")).dt.total_days().alias("dte")
    return rows.hstack(found).with_columns(dte)


def _parsed(tickers: "pl.Series") -> "pl.DataFrame":
    """The columns `CONTRACT`, except `dte`, of tickers."""
    import polars as pl

    ticker, expiry = pl.col("ticker"), pl.col("expiry")
    fitting = tickers.to_frame("ticker").select(pl.when(ticker.str.contains(f"^{_FORM}$")).then(ticker))
    day = pl.concat_str(pl.lit(_CENTURY), ticker.str.slice(-_EXPIRY, _EXPIRY - _RIGHT))
    dated = fitting.with_columns(day.str.to_date("%Y%m%d", strict=False).alias("expiry"))
    if dated["expiry"].null_count() > dated["ticker"].null_count():
        dated = dated.with_columns(pl.when(expiry.is_not_null()).then(ticker))
    # As text: polars divides by multiplying with 0.001, which makes 262.14300000000003 of 262143.
    strike = pl.concat_str(ticker.str.slice(-_STRIKE, _STRIKE - 3), pl.lit("."), ticker.str.tail(3))
    return dated.select(
        ticker.str.head(-_EXPIRY).str.slice(len(_SIGIL)).alias("underlying"),
        expiry,
        ticker.str.slice(-_RIGHT, 1).alias("right"),
        strike.cast(pl.Float64).alias("strike"),
    )
