"""What a dataset is: its place in the bucket, its columns, its tickers' names, and the names of its sessions' files."""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

from ingest.market.row_kinds import RowKind
from ingest.market.tickers import MAX_NAME_BYTES, file_stem, ticker_of
from ingest.market.yahoo.symbols import Spelling

Unit = Literal["shares", "contracts", "coins", "quotes"]

Tier = Literal["tracked", "archive"]
TIERS: tuple[Tier, Tier] = ("tracked", "archive")

_END = ".csv.gz"

PRICES = ("open", "close", "high", "low")

Plans = tuple[tuple[int, str], ...]
"""Years of history, each with the vendor's subscription that has them: these are per kind of security."""


_NO_SIGIL = "__"
"""No stem begins with this: it marks a ticker without its dataset's sigil."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """One kind of daily file.

    `name` is also the prefix of its keys, `short` its everyday name. `kind` is what its rows are. `calendar` names its
    sessions (see `calendars.Calendar.of`), `zone` is the time zone of their dates; a session is complete, and its
    prices are settled, when `settled` has passed since its date began there. Times of day are given in the zone
    `clock`, and in `yahoo_clock` in frames that look like yfinance's; None stands for `zone`.

    `required` names the columns without which a file cannot be read (for timed rows see `needed`), `optional` those
    that are known and may be missing; any other column stays in the parts and is reported once. `extras` are those of
    them that hold numbers and are returned with prices, volume and transactions. `stamp` names the column with the date
    of a row, which is checked against the key. `unit` is what the volume counts, None where there is no volume. If
    `signed`, prices may be zero or negative.

    Every ticker begins with `sigil`, which is left out of file names, since the folder implies it. `spelling` gives
    Yahoo's symbol of a ticker; it is None if Yahoo is never asked. `tolerance` is how far the closes of one session may
    differ between the two sources (the smallest splits change prices by more than a fiftieth). `plans` are the
    subscriptions known to include only a part of the history. `splits` says whether there are splits and dividends to
    adjust for. A `wide` one has hundreds of thousands of tickers in a session. The `primary` dataset is stored directly
    in the tiers, all others in a folder of their own below each. If tickers are `contracts`, rows are returned with
    what these say (see `market/contracts.py`).
    """

    name: str
    short: str
    kind: RowKind
    calendar: str
    zone: str
    first_session: date
    required: tuple[str, ...] = ("ticker", "volume", *PRICES)
    optional: tuple[str, ...] = ("window_start", "transactions")
    extras: tuple[str, ...] = ()
    stamp: str = "window_start"
    unit: Unit | None = "shares"
    signed: bool = False
    settled: timedelta = timedelta(hours=17)
    sigil: str = ""
    plans: Plans = ()
    spelling: Spelling | None = None
    tolerance: float = 0.02
    splits: bool = False
    primary: bool = False
    clock: str | None = None
    yahoo_clock: str | None = None
    wide: bool = False
    contracts: bool = False

    @property
    def by_month(self) -> bool:
        """Whether a month of sessions fits in one file of the lake; otherwise each session has a file of its own."""
        return not (self.kind.timed or self.wide)

    @property
    def time_zone(self) -> str:
        """The zone in which times of day are given."""
        return self.clock or self.zone

    @property
    def yahoo_zone(self) -> str:
        """The zone in which yfinance gives times of day for such tickers."""
        return self.yahoo_clock or self.time_zone

    @property
    def prefix(self) -> str:
        """Prefix of all its keys, without a slash at the end."""
        return self.name

    def key(self, session: date) -> str:
        """Key of the object that holds a session."""
        return f"{self.prefix}/{session:%Y/%m}/{part_name(session)}"

    def year_prefix(self, year: int) -> str:
        """Prefix of all objects of a year: a year of sessions fits in one page of a listing."""
        return f"{self.prefix}/{year:04d}/"

    def session_of(self, key: str) -> date | None:
        """The session that a key stands for, or None if the key does not belong to this dataset.

        The date of a session comes only from its key: timestamps inside the files have been wrong.
        """
        found = re.search(r"/(\d{4}-\d\d-\d\d)\.csv\.gz\Z", key)
        try:
            session = date.fromisoformat(found[1]) if found else None
        except ValueError:
            return None
        return session if session and key == self.key(session) else None

    @property
    def evenings(self) -> int:
        """How many days before its date a session may open: for futures up to five, over the longest weekend."""
        return 0 if self.stamp == self.kind.time else 5

    @property
    def has_volume(self) -> bool:
        """Whether its rows have a volume; indices have none."""
        return "volume" in self.required

    @property
    def counts_contracts(self) -> bool:
        """Whether its volume is a whole number in each row; shares, coins and quotes may have fractions."""
        return self.unit == "contracts"

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns that hold a number in each row: the prices, and the volume where there is one."""
        return tuple(name for name in self.kind.numbers if name in self.required)

    @property
    def numeric(self) -> frozenset[str]:
        """All columns whose values are numbers, where they have one: `150` and `150.000000` are equal in these."""
        kind = self.kind
        return frozenset((*kind.numbers, *kind.counts, kind.time, *self.extras))

    @property
    def needed(self) -> tuple[str, ...]:
        """Columns without which a file cannot be read: a row with a time of its own is useless without it."""
        return (*self.required, self.kind.time) if self.kind.timed else self.required

    @property
    def interval(self) -> str:
        """What one row covers."""
        return self.kind.interval

    def folder(self, tier: Path) -> Path:
        """Its folder in the folder of a tier, or of the quarantine."""
        return tier if self.primary else tier / self.name

    def stem(self, ticker: str) -> str:
        """How a ticker's files begin: `O:SPY` is `SPY` among the options. Raises UsageError if it is not text."""
        if not self.sigil:
            return file_stem(ticker)
        bare = ticker.removeprefix(self.sigil)
        return file_stem(bare) if bare and bare != ticker else f"{_NO_SIGIL}{file_stem(ticker)}"

    def ticker_of(self, stem: str) -> str:
        """Inverse of `stem`. Raises UsageError."""
        if self.sigil and not stem.startswith(_NO_SIGIL):
            return f"{self.sigil}{ticker_of(stem)}"
        return ticker_of(stem.removeprefix(_NO_SIGIL) if self.sigil else stem)

    @property
    def csv_suffix(self) -> str:
        """What follows the stem in the name of a tracked ticker's CSV, or of its folder of CSVs."""
        return self.kind.csv_suffix

    def csv_name(self, ticker: str) -> str | None:
        """Name of a ticker's CSV (or of its folder, if it has one CSV per month).

        None if it would exceed the 255 bytes that file systems allow. Raises UsageError as `stem` does.
        """
        name = f"{self.stem(ticker)}{self.kind.csv_suffix}"
        return name if len(name) <= MAX_NAME_BYTES else None

    @property
    def is_filled_from_yahoo(self) -> bool:
        """Whether Yahoo fills sessions that Massive does not have: it has such rows of the same securities."""
        return self.spelling is not None and self.kind.at_yahoo

    def yahoo_symbol(self, ticker: str) -> str | None:
        """Yahoo's spelling of a ticker; None if it is not asked, or if no spelling is known to be right."""
        return self.spelling(ticker) if self.spelling else None


def part_name(session: date) -> str:
    """Name of a session's file, in any folder."""
    return f"{session.isoformat()}{_END}"


def session_of(name: str) -> date | None:
    """Inverse of `part_name`; None for any other name."""
    try:
        return date.fromisoformat(name.removesuffix(_END))
    except ValueError:
        return None


def is_part_name(name: str) -> bool:
    """Whether a session's file has this name."""
    session = session_of(name)
    return session is not None and part_name(session) == name
