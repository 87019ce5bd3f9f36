"""Raw rows of one ticker as the DataFrame that yfinance's `Ticker.history` would return."""

from bisect import bisect
from collections.abc import Mapping, Sequence
from datetime import date
from datetime import time as clock
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ingest.errors import ActionsUnknown, warn
from ingest.hints import call
from ingest.market.adjust import Floats, split_factors
from ingest.market.calendars import NEW_YORK, Calendar
from ingest.market.corporate_actions import Actions
from ingest.market.datasets import Dataset
from ingest.market.patterns import some
from ingest.market.row_kinds import made_of
from ingest.reading import gaps
from ingest.reading.adjusting import adjusted
from ingest.reading.gaps import Span
from ingest.reading.smart.periods import resampled
from ingest.reading.smart.query import Query, TickerRows
from ingest.splitting.checks import MOST_VOLUME

if TYPE_CHECKING:
    import pandas as pd


MISSING = "missing"
"""The key in `attrs["sources"]` for dates that no source has."""


def frame(found: TickerRows, query: Query) -> "pd.DataFrame":
    """Daily rows or intraday bars as yfinance would return them. Raises ActionsUnknown.

    If `actions` are None prices are as traded. A corporate action on a day without a row is shown at the next row, with
    a warning. Weeks and months are made of adjusted days. Volume is rounded half to even, 0 if there is none; for coins
    it is unchanged. `attrs["sources"]` maps each source to spans of consecutive rows, as pairs of ISO dates, and
    "missing" to the spans without rows.
    """
    import pandas as pd

    rows, actions = found.rows, found.actions or Actions()
    known = {query.ticker: found.actions} if found.actions else {}
    splits = adjusted.split_factors_of(rows, known)
    kind = made_of(query.interval)
    columns = _prices_of_bars(rows, splits, query) if kind.timed else _prices_of_days(rows, known, splits, query)
    columns["Volume"] = _volume(rows, splits, query.dataset)
    if query.with_actions:
        columns |= _events(actions, _places(rows, actions, _opening(query)), rows.height)
    index = (_times if kind.timed else _dates)(rows, query.dataset.yahoo_zone)
    frame = resampled(pd.DataFrame(columns, index=index.rename(kind.index)), query.interval)
    frame.attrs["sources"] = sources(rows, found.missing)
    return frame


def _prices_of_days(rows: pl.DataFrame, known: Mapping[str, Actions], splits: Floats, query: Query) -> dict[str, Any]:
    """Prices divided by later splits, like Yahoo's; with `auto_adjust` for dividends, too, else with `Adj Close`.

    `Adj Close` is nan if corporate actions are unknown and, with a warning, if a dividend is impossible; with
    `auto_adjust` that raises ActionsUnknown.
    """
    auto_adjust = query.auto_adjust
    dividends = _dividends(rows, known, auto_adjust)
    scale = dividends / splits if auto_adjust else 1 / splits
    columns = {name.title(): rows[name].to_numpy() * scale for name in ("open", "high", "low", "close")}
    if not auto_adjust:
        columns["Adj Close"] = rows["close"].to_numpy() * dividends / splits
    return columns


def _dividends(rows: pl.DataFrame, actions: Mapping[str, Actions], needed: bool) -> Floats:
    """M of each row; nan if corporate actions are unknown or impossible, and the factors are not `needed`."""
    if not actions and not needed:
        return np.full(rows.height, np.nan)
    try:
        return adjusted.dividend_factors_of(rows, actions)
    except ActionsUnknown as error:
        if needed:
            raise
        warn(f"Adj Close is missing: {error.message}")
        return np.full(rows.height, np.nan)


def _prices_of_bars(bars: pl.DataFrame, splits: Floats, query: Query) -> dict[str, Any]:
    """Prices of intraday bars divided by later splits, with or without `auto_adjust`.

    Yahoo has no adjusted close of such bars, so yfinance uses the close, and nothing is adjusted for dividends.
    """
    columns = {name.title(): bars[name].to_numpy() / splits for name in ("open", "high", "low", "close")}
    if not query.auto_adjust:
        columns["Adj Close"] = columns["Close"]
    return columns


def _dates(rows: pl.DataFrame, zone: str) -> "pd.DatetimeIndex":
    """Midnight of each date in the zone; made from date objects, as in yfinance, so that pandas picks the same unit."""
    import pandas as pd

    return pd.DatetimeIndex(pd.to_datetime(rows["date"].to_list())).tz_localize(zone)


def _times(bars: pl.DataFrame, zone: str) -> "pd.DatetimeIndex":
    """The start of each bar in the zone; made from seconds, like yfinance's, so that pandas picks the same unit."""
    import pandas as pd

    return pd.to_datetime(bars["time"].dt.epoch("s").to_list(), unit="s").tz_localize("UTC").tz_convert(zone)


def _opening(query: Query) -> clock | None:
    """The opening time if actions are shown at its bar, as yfinance does for hours; None: at the first bar."""
    hours = Calendar.of(query.dataset.calendar).hours if query.interval == "1h" else None
    return hours[0] if hours else None


def _volume(rows: pl.DataFrame, splits: "np.ndarray[tuple[int], np.dtype[np.float64]]", dataset: Dataset) -> Any:
    volume = rows["volume"].cast(pl.Float64).to_numpy() * splits
    if dataset.unit == "coins":
        return volume
    impossible = np.abs(volume) >= MOST_VOLUME
    if impossible.any():
        days = [str(day) for day in rows["date"].filter(pl.Series(impossible)).unique(maintain_order=True)]
        hint = call("findings", "to see them", dataset=dataset.short)
        warn(f"impossible volumes were replaced by 0: {some(days)}", hint)
    return np.round(np.where(impossible | np.isnan(volume), 0, volume)).astype(np.int64)


def _places(rows: pl.DataFrame, actions: Actions, opening: clock | None = None) -> Mapping[date, int]:
    """For each ex-date from the first row on, the row at which its corporate actions are shown."""
    days = rows["date"].to_numpy().astype("datetime64[D]")
    found = {}
    for day in sorted({*(one.ex_date for one in actions.splits), *(one.ex_date for one in actions.payouts)}):
        first, end = (int(np.searchsorted(days, np.datetime64(day, "D"), side)) for side in ("left", "right"))
        if first == len(days) or end == 0:
            continue
        if first == end:
            warn(f"{rows['ticker'][0]}: no row on {day}; its corporate actions are shown at {days[first]}")
        found[day] = first + (_opened(rows["time"][first:end], opening) if opening else 0)
    return found


def _opened(begins: pl.Series, opening: clock) -> int:
    """The last of a day's bars that begins by the opening of the session, or the first one if none does."""
    local = begins.dt.convert_time_zone(NEW_YORK.key).dt.time()
    return max(int((local <= opening).sum()) - 1, 0)


def _events(actions: Actions, places: Mapping[date, int], height: int) -> Mapping[str, Floats]:
    """The columns of corporate actions, amounts per share of today; for funds with `Capital Gains`, as in yfinance."""
    found = {"Dividends": np.zeros(height), "Stock Splits": np.zeros(height)}
    if actions.is_fund:
        found["Capital Gains"] = np.zeros(height)
    gains = actions.gains if actions.is_fund else ()
    for name, payouts in (("Dividends", actions.dividends), ("Capital Gains", gains)):
        for payout in payouts:
            if (at := places.get(payout.ex_date)) is not None:
                ex_date = np.array([payout.ex_date], dtype="datetime64[D]")
                found[name][at] += payout.amount / split_factors(ex_date, actions.splits)[0]
    for split in actions.splits:
        if (at := places.get(split.ex_date)) is not None:
            found["Stock Splits"][at] = (found["Stock Splits"][at] or 1) * split.ratio
    return found


def sources(rows: pl.DataFrame, missing: Sequence[Span] = ()) -> dict[str, list[tuple[str, str]]]:
    """For each source the spans of consecutive rows that came from it, and the spans that are "missing"."""
    found: dict[str, list[tuple[str, str]]] = {}
    stretches = gaps.merge_spans(missing)
    begins = [first for first, _ in stretches]

    def stretch(row: tuple[str, date]) -> tuple[str, int]:
        return row[0], bisect(begins, row[1])  # rows on both sides of a gap are not consecutive

    for (source, _), group in groupby(rows.select("source", "date").iter_rows(), key=stretch):
        days = [day for _, day in group]
        found.setdefault(source, []).append((days[0].isoformat(), days[-1].isoformat()))
    if stretches:
        found[MISSING] = [(first.isoformat(), last.isoformat()) for first, last in stretches]
    return found
