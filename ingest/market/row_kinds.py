"""What one row is: how it is told from others, whether it has a time of its own, what it becomes in a CSV. Pure.

A dataset's entry names its kind, and whoever treats rows asks for the one fact that it needs. So rows of another kind
(trades, quotes) are another value here, not another case in each place that treats rows.
"""

from dataclasses import dataclass
from typing import Literal

from ingest.market.epochs import TIME

Interval = Literal["1d", "1m"]

CsvShape = Literal["file", "months"]
"""What a tracked ticker has: one CSV of all its rows, or a folder with a CSV a month."""


@dataclass(frozen=True, slots=True)
class RowKind:
    """What holds of all rows of some datasets.

    `name` is what people call such rows, `interval` what one of them covers. In the vendor's files no two rows of a
    session have the same `identity`; read back, rows are told apart, and sorted, by `order`. `time` is the column that
    says when a row begins. Where rows are `timed`, each has a time of its own: it cannot do without, and may be wrong;
    all others are of their whole session. `rows_a_day` is how many a ticker has in a session at most, as a rule.

    `numbers` are the columns that hold a number, in the order in which they are handed out; a dataset's rows have those
    that it requires. `counts` are handed out as whole numbers, where a file has them.

    `index` is the first column of a CSV, as yfinance names it. `csv_shape` says which files a tracked ticker has, and
    `csv_suffix` how their name goes on after its stem. Yahoo is asked for rows that it has, too: those `at_yahoo`.
    """

    name: str
    interval: Interval
    identity: tuple[str, ...]
    order: tuple[str, str]
    timed: bool
    rows_a_day: int
    index: str
    csv_shape: CsvShape
    csv_suffix: str
    at_yahoo: bool
    time: str = TIME
    numbers: tuple[str, ...] = ("open", "high", "low", "close", "volume")
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

# Yahoo has minutes of the last weeks alone, and those of a day are some hundreds a ticker: a file of all sessions would
# have to be written anew for each of them.
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
    """The rows that bars of an interval are made of: those of days are at hand, all others are made of minutes."""
    return DAY_BARS if interval == DAY_BARS.interval else MINUTE_BARS
