"""Raw rows of one ticker as the DataFrame that yfinance's `Ticker.history` would give."""

from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ingest import adjusted
from ingest.corporate import Actions
from ingest.datasets import STOCKS_DAY, Dataset

if TYPE_CHECKING:
    import pandas as pd


def frame_of(
    rows: pl.DataFrame,
    actions: Actions | None,
    auto_adjust: bool,
    with_actions: bool,
    dataset: Dataset = STOCKS_DAY,
) -> "pd.DataFrame":
    """Prices divided by later splits, as Yahoo's are; with `auto_adjust` for dividends, too, else with `Adj Close`.

    Without `actions` prices are as traded, and `Adj Close` is missing. `rows` are as `reading.ROWS`, of one ticker.
    Volume is rounded half to even, 0 where there is none; of coins it is as it came. Index: `Date`, midnight in the
    time zone that yfinance has for the dataset. `attrs["sources"]` says which dates came from where: spans of
    neighbouring rows, as ISO dates.
    """
    import pandas as pd

    splits, dividends = adjusted.factors(rows, {ticker: actions for ticker in rows["ticker"].unique() if actions})
    scale = dividends / splits if auto_adjust else 1 / splits
    columns = {name.title(): rows[name].to_numpy() * scale for name in ("open", "high", "low", "close")}
    if not auto_adjust:
        adjusted_close = rows["close"].to_numpy() * dividends / splits
        columns["Adj Close"] = adjusted_close if actions else np.full(rows.height, np.nan)
    columns["Volume"] = _volume(rows, splits, dataset)
    if with_actions:
        columns |= _events(rows, actions or Actions(), splits)
    # By way of date objects, as yfinance does, so that the unit is the one of the installed pandas.
    days = pd.DatetimeIndex(pd.to_datetime(rows["date"].to_list()))
    frame = pd.DataFrame(columns, index=days.tz_localize(dataset.yahoo_zone).rename("Date"))
    frame.attrs["sources"] = sources(rows)
    return frame


def intraday_frame_of(
    bars: pl.DataFrame, actions: Actions | None, auto_adjust: bool, with_actions: bool, dataset: Dataset
) -> "pd.DataFrame":
    """Bars of one ticker within days: prices divided by later splits, whether `auto_adjust` or not.

    Yahoo has no adjusted close of such bars, so yfinance takes the close for it, and nothing is adjusted for dividends.
    Without `actions` prices are as traded. Events stand at the first bar of their date. Index: `Datetime`, when a bar
    begins, in the zone that yfinance has for the dataset; `attrs["sources"]` as of `frame_of`.
    """
    import pandas as pd

    splits, _ = adjusted.factors(bars, {ticker: actions for ticker in bars["ticker"].unique() if actions})
    columns = {name.title(): bars[name].to_numpy() / splits for name in ("open", "high", "low", "close")}
    if not auto_adjust:
        columns["Adj Close"] = columns["Close"]
    columns["Volume"] = _volume(bars, splits, dataset)
    if with_actions:
        columns |= _events(bars, actions or Actions(), splits)
    # By way of seconds, as yfinance does, so that the unit is the one of the installed pandas.
    index = pd.to_datetime(bars["time"].dt.epoch("s").to_list(), unit="s").tz_localize("UTC")
    frame = pd.DataFrame(columns, index=index.tz_convert(dataset.yahoo_zone).rename("Datetime"))
    frame.attrs["sources"] = sources(bars)
    return frame


def _volume(rows: pl.DataFrame, splits: "np.ndarray[tuple[int], np.dtype[np.float64]]", dataset: Dataset) -> Any:
    volume = rows["volume"].cast(pl.Float64).to_numpy() * splits
    return volume if dataset.unit == "coins" else np.round(np.nan_to_num(volume)).astype(np.int64)


def _events(
    rows: pl.DataFrame, actions: Actions, splits: "np.ndarray[tuple[int], np.dtype[np.float64]]"
) -> Mapping[str, "np.ndarray[tuple[int], np.dtype[np.float64]]"]:
    days = rows["date"].to_list()
    found = {"Dividends": np.zeros(len(days)), "Stock Splits": np.zeros(len(days))}
    place = {day: at for at, day in reversed(list(enumerate(days)))}
    for dividend in actions.dividends:
        if (at := place.get(dividend.ex_date)) is not None:
            found["Dividends"][at] += dividend.amount / splits[at]
    for split in actions.splits:
        if (at := place.get(split.ex_date)) is not None:
            found["Stock Splits"][at] = (found["Stock Splits"][at] or 1) * split.ratio
    return found


def sources(rows: pl.DataFrame) -> dict[str, list[tuple[str, str]]]:
    """For each source the spans of neighbouring rows that came from it."""
    found: dict[str, list[tuple[str, str]]] = {}
    for source, group in groupby(rows.select("source", "date").iter_rows(), key=lambda row: row[0]):
        days = [day for _, day in group]
        found.setdefault(source, []).append((days[0].isoformat(), days[-1].isoformat()))
    return found
