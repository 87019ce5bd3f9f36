"""Bars of two minutes to a month, built from minute bars or daily bars, with yfinance's edges. Pure.

Exchanges with regular hours (stocks, options, indices): bars of the regular hours are counted from 09:30 New York. So
hours begin at 09:30, 10:30 … 15:30, and the last one is half as long; on days that end at 13:00 the last one begins at
12:30. Extended hours are all others, also the time until 16:15 of options on some funds. No bar spans an edge between
regular and extended hours. Yahoo's edges in extended hours are not documented, and yfinance returns them unchanged;
here they are counted from 04:00 before the session opens and from its close after it, so the hour of 09:00 contains
half an hour.

Everything else is traded around the clock: its edges are counted from midnight UTC. So bars of up to an hour begin on
whole hours and their fractions, also in New York and London.

A day of minutes is a session. A week begins on Monday and a month on the 1st, whether these are sessions or not. Such
bars are built from days that are adjusted already, as yfinance builds them with `repair=True`: a split or a dividend
inside a week does not show as a jump of its prices.

Bars without a minute, or without a session, are left out.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from datetime import time as clock
from typing import Literal, get_args

import polars as pl

from ingest.errors import WrongArgument
from ingest.market.calendars import NEW_YORK, Calendar
from ingest.market.datasets import Dataset

BarSize = Literal["1m", "2m", "5m", "15m", "30m", "1h", "90m", "1d", "1wk", "1mo"]

MINUTES: Mapping[BarSize, int] = {"1m": 1, "2m": 2, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "90m": 90}
"""Minutes per bar. All divide a day."""

_PERIODS: Mapping[BarSize, str] = {"1wk": "1w", "1mo": "1mo"}
"""Bars of several sessions, as polars names their length: its weeks begin on Monday."""

SIZES: tuple[BarSize, ...] = get_args(BarSize)


def bar_size(interval: str) -> BarSize:
    """The bar size of an interval; yfinance's `60m` is `1h`. Raises UsageError."""
    found = next((size for size in SIZES if size == interval), None)
    if found is None and interval != "60m":
        raise WrongArgument("interval", f"{interval!r}: Massive's bars are {', '.join(SIZES)}")
    return found or "1h"


def in_periods(rows: pl.DataFrame, size: BarSize) -> pl.DataFrame:
    """Combine daily rows, sorted by ticker and date, into weeks or months; rows of any other size are returned.

    `date` is the Monday, or the 1st. Open and close are those of the first and the last session that has a row; volume,
    transactions and dollar_volume are sums. `source` names each source of the sessions, in alphabetical order.
    """
    if size not in _PERIODS:
        return rows
    begun = rows.with_columns(pl.col("date").dt.truncate(_PERIODS[size]))
    by = [name for name in ("ticker", "date") if name in rows.columns]
    made = [_MADE.get(name, pl.col(name).last()) for name in rows.columns if name not in (*by, "source")]
    origins = [pl.col("source").unique().sort().str.join(", ")] if "source" in rows.columns else []
    return begun.group_by(by, maintain_order=True).agg(*made, *origins).select(rows.columns)


_FIRST_TRADES = 4 * 60
"""The minute of the day at which exchanges begin to trade, long before regular hours."""


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
    "dollars": _sum("dollars"),
    "source": pl.col("source").first(),
    "dividend": pl.col("dividend").sum(),
    "split": pl.col("split").product(),
}


def aggregate(rows: pl.DataFrame, size: BarSize, dataset: Dataset, prepost: bool = False) -> pl.DataFrame:
    """Combine minute bars, with ticker, date and time, sorted by ticker and time, into bars of up to a day.

    The result has the same columns; `time` is the start of a bar, and bars of a day have none. Open and close are those
    of the first and the last minute; volume, transactions and dollar_volume are sums, null if no minute has a value.
    For any other column the last value counts. Extended hours are left out without `prepost`; markets around the clock
    have none. A minute in the file of another day is left out if sessions have hours, else only if the file of its own
    day has it, too.
    """
    calendar = Calendar.of(dataset.calendar)
    rows = _in_place(rows, calendar)
    marked = rows.with_columns(regular=_is_regular(rows, calendar))
    kept = marked if prepost or calendar.hours is None else marked.filter("regular")
    if size == "1d":
        return _combined(kept, ("ticker", "date"), [name for name in rows.columns if name != "time"])
    begun = kept.with_columns(time=_begin(size, rows, calendar))
    if size != "1m":
        begun = _combined(begun, _NAMING if calendar.hours is not None else ("ticker", "time"), rows.columns)
    return begun.select(rows.columns)


def _combined(rows: pl.DataFrame, by: Sequence[str], columns: Sequence[str]) -> pl.DataFrame:
    bars = rows.group_by(by, maintain_order=True)
    made = bars.agg(_MADE.get(name, pl.col(name).last()) for name in columns if name not in by)
    return made.select(columns)


def _in_place(rows: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    own = pl.col("time").dt.date() == pl.col("date")
    if calendar.hours is not None:
        return rows.filter(own)
    if not rows.select(pl.struct("ticker", "time").is_duplicated().any()).item():
        return rows
    return rows.sort("ticker", "time", ~own).unique(["ticker", "time"], keep="first", maintain_order=True)


def _begin(size: BarSize, rows: pl.DataFrame, calendar: Calendar) -> pl.Expr:
    """The start of the bar that contains a minute."""
    if calendar.hours is None:
        minute, origin = pl.col("time").dt.epoch("s") // 60, pl.lit(0)
    else:
        minute, close = _minute_of_day(), _closing(rows, calendar)
        after = pl.when(minute >= close).then(close).otherwise(_FIRST_TRADES)
        origin = pl.when("regular").then(_minute(calendar.hours[0])).otherwise(after)
    return pl.col("time").dt.truncate("1m") - pl.duration(minutes=(minute - origin) % MINUTES[size])


def _is_regular(rows: pl.DataFrame, calendar: Calendar) -> pl.Expr:
    if calendar.hours is None:
        return pl.lit(value=False)
    return _minute_of_day().is_between(_minute(calendar.hours[0]), _closing(rows, calendar), closed="left")


def _minute_of_day() -> pl.Expr:
    local = pl.col("time").dt.convert_time_zone(NEW_YORK.key)
    return local.dt.hour().cast(pl.Int32) * 60 + local.dt.minute()


def _closing(rows: pl.DataFrame, calendar: Calendar) -> pl.Expr:
    """The minute of the day at which a row's session closes."""
    if calendar.hours is None:
        raise AssertionError("a market around the clock does not close")
    usual = _minute(calendar.hours[1])
    return pl.col("date").replace_strict(_closes(rows, calendar), default=usual, return_dtype=pl.Int32)


def _closes(rows: pl.DataFrame, calendar: Calendar) -> Mapping[date, int]:
    """Early closes of these sessions, in minutes after midnight."""
    sessions = rows["date"].unique().to_list()
    return {day: _minute(calendar.early[day]) for day in sessions if day in calendar.early}


def _minute(time: clock) -> int:
    return time.hour * 60 + time.minute
