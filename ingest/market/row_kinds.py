"""What one row is: its identity, whether it has a time of its own, its form in a CSV. Pure.

A dataset's entry names its kind, and code that handles rows asks for the one fact that it needs. So rows of another
kind (trades, quotes) are another value here, not another case in each place that handles rows.
"""

from dataclasses import dataclass
from typing import Literal

from ingest.market.epochs import TIME

Interval = Literal["1d", "1m"]

OF_DAYS = ("1d", "1wk", "1mo")
"""Intervals of a day and longer, as yfinance names them: their bars are built from daily bars."""

CsvShape = Literal["file", "months"]
"""The files of a tracked ticker: one CSV with all its rows, or a folder with one CSV per month."""


@dataclass(frozen=True, slots=True)
class RowKind:
    """What is true of all rows of some datasets.

    `name` is the everyday name of such rows, `interval` what one of them covers. In the vendor's files no two rows of a
    session have the same `identity`; on reading, rows are distinguished, and sorted, by `order`. `time` is the column
    with the start of a row. If rows are `timed`, each has a time of its own, which is required and may be wrong; all
    others cover their whole session. `rows_a_day` is how many a ticker has in a session at most, as a rule.

    `numbers` are the columns that hold a number, in the order in which they are returned; a dataset's rows have those
    that it requires. `prices` are those of them that must be above zero, `amount` counts what was traded. If `spans`,
    the prices are the open, high, low and close of what a row covers. `counts` are returned as whole numbers, if a file
    has them.

    `index` is the first column of a CSV, as yfinance names it. `csv_shape` says which files a tracked ticker has, and
    `csv_suffix` what follows its stem in their names. Yahoo is asked for rows that it also has: those `at_yahoo`.
    """

    name: str
    interval: Interval
    identity: tuple[str, ...]
    order: tuple[str, ...]
    timed: bool
    rows_a_day: int
    index: str
    csv_shape: CsvShape
    csv_suffix: str
    at_yahoo: bool
    time: str = TIME
    numbers: tuple[str, ...] = ("open", "high", "low", "close", "volume")
    prices: tuple[str, ...] = ("open", "high", "low", "close")
    amount: str = "volume"
    spans: bool = True
    counts: tuple[str, ...] = ("transactions",)


DAY_BARS = RowKind(
    name="day bars",
    interval="1d",
    identity=("ticker",),
    order=("ticker", "date"),
    timed=False,
    rows_a_day=1,
    index="Date",
    csv_shape="file",
    csv_suffix="_1d_data.csv",
    at_yahoo=True,
)

# Yahoo has minutes of only the last weeks. A day has some hundreds of minutes per ticker: a file of all sessions would
# have to be rewritten for each day.
MINUTE_BARS = RowKind(
    name="minute bars",
    interval="1m",
    identity=("ticker", TIME),
    order=("ticker", "time"),
    timed=True,
    rows_a_day=24 * 60,
    index="Datetime",
    csv_shape="months",
    csv_suffix="_1m_data",
    at_yahoo=False,
)


def made_of(interval: str) -> RowKind:
    """The rows from which bars of an interval are built: daily bars, or minutes for what is shorter than a day."""
    return DAY_BARS if interval in OF_DAYS else MINUTE_BARS
