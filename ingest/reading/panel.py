"""A wide frame of many tickers: a row for each date, a column for each ticker (pandas)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ingest.errors import WrongArgument
from ingest.market.patterns import is_pattern, matching, meant
from ingest.market.row_kinds import RowKind

if TYPE_CHECKING:
    import pandas as pd

_AXES = ("ticker", "date", "time")


def checked_columns(columns: Sequence[str]) -> Sequence[str]:
    """Columns. Raises UsageError for none, and for one that is named twice."""
    if not columns:
        raise WrongArgument("columns", "must name at least one")
    if len(set(columns)) < len(columns):
        raise WrongArgument("columns", f"{', '.join(columns)} names one twice")
    return columns


def checked_values(columns: Sequence[str]) -> Sequence[str]:
    """The columns of a panel. Raises UsageError as `checked_columns`, and for those that its axes are made of."""
    checked_columns(columns)
    if axes := [name for name in columns if name in _AXES]:
        raise WrongArgument("columns", f"{axes[0]!r} is an axis of a panel, not a value in it")
    return columns


def panels(rows: pl.DataFrame, tickers: Sequence[str], kind: RowKind) -> "Mapping[str, pd.DataFrame]":
    """A panel for each column of rows, which have a ticker and a date or a time.

    Tickers come in the order in which they were asked for, those of a pattern in alphabetical order. What has no row is
    missing.
    """
    import pandas as pd

    order = in_order(tickers, rows["ticker"].unique().sort().to_list())
    axis = "time" if kind.timed else "date"
    moments = rows[axis].unique().sort()
    places = {ticker: place for place, ticker in enumerate(order)}
    across = np.array([places[ticker] for ticker in rows["ticker"]], dtype=np.int64)
    down = np.searchsorted(moments.to_numpy(), rows[axis].to_numpy())
    names = pd.Index(order, name="ticker")
    index = _index(moments, kind)
    return {
        name: pd.DataFrame(_spread(rows[name], (down, across), (len(index), len(names))), index, names)
        for name in rows.columns
        if name not in _AXES
    }


def side_by_side(found: "Mapping[str, pd.DataFrame]") -> "pd.DataFrame":
    """Panels as one frame, whose columns are pairs of (column, ticker), as `yfinance.download` has them."""
    import pandas as pd

    return pd.concat(found, axis=1, names=["column", "ticker"])


def in_order(asked: Sequence[str], found: Sequence[str]) -> list[str]:
    """Tickers in the order in which they were asked for, those of a pattern as they were found."""
    named = (matching(name, found) if is_pattern(name) else [name] for name in meant(asked))
    return list(dict.fromkeys(ticker for names in named for ticker in names))


def _spread(values: pl.Series, places: tuple[Any, Any], shape: tuple[int, int]) -> Any:
    is_number = values.dtype.is_numeric()
    table = np.full(shape, np.nan if is_number else None, dtype=np.float64 if is_number else object)
    table[places] = values.cast(pl.Float64).to_numpy() if is_number else values.to_numpy()
    return table


def _index(moments: pl.Series, kind: RowKind) -> "pd.DatetimeIndex":
    """Made from dates, or from seconds, like yfinance's, so that pandas picks the same unit."""
    import pandas as pd

    if not kind.timed:
        return pd.DatetimeIndex(pd.to_datetime(moments.to_list()), name=kind.index)
    stamps = pd.to_datetime(moments.dt.epoch("s").to_list(), unit="s").tz_localize("UTC")
    return stamps.tz_convert(moments.dtype.time_zone).rename(kind.index)  # type: ignore[attr-defined]
