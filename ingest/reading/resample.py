"""Bars of five minutes to an hour, built from minute bars, with yfinance's edges. Pure.

Exchanges with regular hours (stocks, options, indices): bars of the regular hours are counted from 09:30 New York. So
hours begin at 09:30, 10:30 … 15:30, and the last one is half as long; on days that end at 13:00 the last one begins at
12:30. Extended hours are all others, also the time until 16:15 of options on some funds. No bar spans an edge between
regular and extended hours. Yahoo's edges in extended hours are not documented, and yfinance returns them unchanged;
here these hours begin on whole hours, so the bar of 09:00 contains half an hour.

Everything else is traded around the clock: its edges are whole hours of UTC and their fractions, and so they are in New
York and London.

Bars without a minute are left out, as in yfinance.
"""

from collections.abc import Mapping
from datetime import date
from datetime import time as clock
from typing import Literal

import polars as pl

from ingest.errors import UsageError
from ingest.market.calendars import NEW_YORK, Calendar
from ingest.market.datasets import Dataset

BarSize = Literal["1m", "5m", "15m", "30m", "1h"]

MINUTES: Mapping[BarSize, int] = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60}
"""Minutes per bar. All divide an hour, so finer bars nest in coarser ones."""


def bar_size(interval: str) -> BarSize:
    """The bar size of an interval; yfinance's `60m` is `1h`. Raises UsageError."""
    found = next((size for size in MINUTES if size == interval), None)
    if found is None and interval != "60m":
        raise UsageError(f"interval {interval!r}: Massive's bars are 1d, {', '.join(MINUTES)}")
    return found or "1h"


def _sum(name: str) -> pl.Expr:
    return pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).alias(name)


_NAMING = ("ticker", "date", "time")
_MADE: Mapping[str, pl.Expr] = {
    "open": pl.col("open").first(),
    "high": pl.col("high").max(),
    "low": pl.col("low").min(),
    "close": pl.col("close").last(),
    "volume": _sum("volume"),
    "transactions": _sum("transactions"),
    "dollar_volume": _sum("dollar_volume"),
    "source": pl.col("source").first(),
}


def aggregate(rows: pl.DataFrame, size: BarSize, dataset: Dataset, prepost: bool = False) -> pl.DataFrame:
    """Combine minute bars, with ticker, date and time, sorted by ticker and time, into bars of a size.

    The result has the same columns; `time` is the start of a bar. Open and close are those of the first and the last
    minute; volume, transactions and dollar_volume are sums, null if no minute has a value. For any other column the
    last value counts. Extended hours are left out without `prepost`; markets around the clock have none. A minute in
    the file of another day is left out if sessions have hours, else only if the file of its own day has it, too.
    """
    calendar = Calendar.of(dataset.calendar)
    rows = _in_place(rows, calendar)
    marked = rows.with_columns(regular=_is_regular(rows, calendar))
    kept = marked if prepost or calendar.hours is None else marked.filter("regular")
    begun = kept.with_columns(time=_begin(size, calendar))
    if size != "1m":
        by = _NAMING if calendar.hours is not None else ("ticker", "time")
        bars = begun.group_by(by, maintain_order=True)
        begun = bars.agg(_MADE.get(name, pl.col(name).last()) for name in rows.columns if name not in by)
    return begun.select(rows.columns)


def _in_place(rows: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    own = pl.col("time").dt.date() == pl.col("date")
    if calendar.hours is not None:
        return rows.filter(own)
    if not rows.select(pl.struct("ticker", "time").is_duplicated().any()).item():
        return rows
    return rows.sort("ticker", "time", ~own).unique(["ticker", "time"], keep="first", maintain_order=True)


def _begin(size: BarSize, calendar: Calendar) -> pl.Expr:
    """The start of the bar that contains a minute. New York is whole hours off UTC."""
    opening = _minute(calendar.hours[0]) if calendar.hours else 0
    minute = pl.col("time").dt.epoch("s") // 60
    into = (minute - pl.when("regular").then(opening).otherwise(0)) % MINUTES[size]
    return pl.col("time").dt.truncate("1m") - pl.duration(minutes=into)


def _is_regular(rows: pl.DataFrame, calendar: Calendar) -> pl.Expr:
    if calendar.hours is None:
        return pl.lit(value=False)
    local = pl.col("time").dt.convert_time_zone(NEW_YORK.key)
    minute = local.dt.hour().cast(pl.Int32) * 60 + local.dt.minute()
    closes = _closes(rows, calendar)
    close = pl.col("date").replace_strict(closes, default=_minute(calendar.hours[1]), return_dtype=pl.Int32)
    return minute.is_between(_minute(calendar.hours[0]), close, closed="left")


def _closes(rows: pl.DataFrame, calendar: Calendar) -> Mapping[date, int]:
    """Early closes of these sessions, in minutes after midnight."""
    sessions = rows["date"].unique().to_list()
    return {day: _minute(calendar.early[day]) for day in sessions if day in calendar.early}


def _minute(time: clock) -> int:
    return time.hour * 60 + time.minute
