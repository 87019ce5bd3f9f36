"""The catalogue of datasets: where a dataset's objects lie in the bucket, what its rows hold, and what they mean.

Adding a dataset is adding an entry: everything else asks the entry. Columns and first dates are those of the vendor's
pages on flat files; where they are silent a comment says what else is known. The source's listing has the last word on
which days exist.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from ingest.errors import UsageError
from ingest.symbols import Spelling, crypto_symbol, forex_symbol, index_symbol, stock_symbol
from ingest.tickers import MAX_NAME_BYTES, file_stem, prefix_of, ticker_of

Interval = Literal["1d", "1m"]
Unit = Literal["shares", "contracts", "coins", "quotes"]

PRICES = ("open", "close", "high", "low")

Plans = tuple[tuple[int, str], ...]
"""Years of history, each with the vendor's plan that has them: plans are per kind of security."""

_UTC_DAY = timedelta(hours=25)
"""A day of UTC is over, and an hour more."""

_NO_SIGIL = "__"
"""What no stem begins with: a ticker that lacks its dataset's sigil."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """One kind of daily file.

    `name` is also the prefix of its keys, `short` what people call it. `interval` is what one row covers. `calendar`
    names its sessions (see `sessions.Calendar.of`), `zone` is the time zone of their dates; a session is over, and its
    prices settled, when `settled` has passed since its date began there. Times of day are told in `clock`, and in
    `yahoo_clock` where a frame is to look like yfinance's; None: in the zone.

    `required` names the columns without which a file cannot be read (of bars within a day see `needed`), `optional`
    those that are known and may be lacking; any other column is kept in the parts and reported once. `extras` are those
    of them that hold numbers and are handed out beside prices, volume and trades. `stamp` names the column that tells
    the date of a row: it is held against the key's. `unit` is what the volume counts, None where there is none. Where
    `signed`, prices may be zero or negative.

    `sigil` begins each of its tickers, and is left out of file names, since the folder says it. `spelling` gives
    Yahoo's symbol of a ticker, None where Yahoo is never asked; `tolerance` is how far the closes of one session may
    lie apart there (the smallest splits change prices by more than a fiftieth). `plans` are those that are known not to
    have all of the history. `splits` says whether there are
    splits and dividends to adjust for. The `primary` dataset lies in the tiers themselves, all others in a folder of
    their own below each.
    """

    name: str
    short: str
    interval: Interval
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

    @property
    def time_zone(self) -> str:
        """Zone in which times of day are told."""
        return self.clock or self.zone

    @property
    def yahoo_zone(self) -> str:
        """Zone in which yfinance tells times of day of such tickers."""
        return self.yahoo_clock or self.time_zone

    @property
    def prefix(self) -> str:
        """Prefix of all its keys, without a slash at the end."""
        return self.name

    @property
    def flag(self) -> str:
        """What a command is to be called with for it, after a blank; nothing for the one that commands take anyway."""
        return "" if self.primary else f" --dataset {self.short}"

    def key(self, session: date) -> str:
        """Key of the object that holds a session."""
        return f"{self.prefix}/{session:%Y/%m}/{session.isoformat()}.csv.gz"

    def year_prefix(self, year: int) -> str:
        """Prefix of all objects of a year: a year of sessions fits in one page of a listing."""
        return f"{self.prefix}/{year:04d}/"

    def session_of(self, key: str) -> date | None:
        """Session that a key stands for, or None where the key is not one of this dataset's.

        The date of a session comes from its key alone: stamps inside the files have been wrong.
        """
        found = re.search(r"/(\d{4}-\d\d-\d\d)\.csv\.gz\Z", key)
        try:
            session = date.fromisoformat(found[1]) if found else None
        except ValueError:
            return None
        return session if session and key == self.key(session) else None

    @property
    def evenings(self) -> int:
        """Days before its date on which a session may open: of futures up to five, over the longest weekend."""
        return 0 if self.stamp == "window_start" else 5

    @property
    def has_volume(self) -> bool:
        """Whether its rows have a volume: those of indices have none."""
        return "volume" in self.required

    @property
    def counts_contracts(self) -> bool:
        """Whether its volume is a whole number in each row: of shares, coins and quotes there may be fractions."""
        return self.unit == "contracts"

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns that hold a number in each row: the prices, and the volume where there is one."""
        return tuple(name for name in ("open", "high", "low", "close", "volume") if name in self.required)

    @property
    def needed(self) -> tuple[str, ...]:
        """Columns without which a file cannot be read: a bar within a day is none without its time."""
        return (*self.required, "window_start") if self.is_intraday else self.required

    @property
    def is_intraday(self) -> bool:
        """Whether a ticker has many rows a session."""
        return self.interval != "1d"

    def folder(self, tier: Path) -> Path:
        """Its folder in that of a tier, or of the quarantine."""
        return tier if self.primary else tier / self.name

    def stem(self, ticker: str) -> str:
        """How a ticker's files begin: `O:SPY` is `SPY` among the options. Raises UsageError for what is no text."""
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
        """How the name of a tracked ticker's CSV, or of its folder of CSVs, goes on after the stem."""
        return f"_{self.interval}_data" if self.is_intraday else f"_{self.interval}_data.csv"

    def csv_name(self, ticker: str) -> str | None:
        """Name of a ticker's CSV (of its folder of CSVs, a month each, where rows are minutes).

        None where it would have more bytes than file systems take (255). Raises UsageError as `stem` does.
        """
        name = f"{self.stem(ticker)}{self.csv_suffix}"
        return name if len(name) <= MAX_NAME_BYTES else None

    @property
    def is_filled_from_yahoo(self) -> bool:
        """Whether Yahoo is asked for sessions that Massive lacks: for days, where it has the same securities."""
        return self.spelling is not None and not self.is_intraday

    def yahoo_symbol(self, ticker: str) -> str | None:
        """How Yahoo spells a ticker; None where it is not asked, or where no spelling is known to mean the same."""
        return self.spelling(ticker) if self.spelling else None


def _minutes(day: Dataset, short: str, **more: Any) -> Dataset:
    """The minute bars of a market: what holds for its days, but for what is said."""
    name = f"{day.name.partition('/')[0]}/minute_aggs_v1"
    return replace(day, name=name, short=short, interval="1m", primary=False, **more)


def _futures(venue: str) -> tuple[Dataset, Dataset]:
    """The session and the minute bars of a venue: their date is that of the session's end, in Chicago.

    A session opens on the evening before, so `window_start` is of another date; an older page's example has it in
    milliseconds. Both kinds of file are given all columns that either page names, since the pages have changed. Spreads
    between contracts have prices of either sign, and oil had on 2020-04-20.
    """
    own = ("dollar_volume", "session_end_date", "settlement_price", "exchange")
    day = Dataset(
        name=f"us_futures_{venue}/session_aggs_v1",
        short=f"futures-{venue}-day",
        interval="1d",
        calendar="CMES",
        zone="America/Chicago",
        clock="America/New_York",
        first_session=date(2017, 4, 3),
        optional=("window_start", "transactions", *own),
        extras=("settlement_price", "dollar_volume"),
        stamp="session_end_date",
        unit="contracts",
        signed=True,
        settled=timedelta(hours=18),
    )
    return day, _minutes(day, f"futures-{venue}-minute", extras=("dollar_volume",))


STOCKS_DAY = Dataset(
    name="us_stocks_sip/day_aggs_v1",
    short="stocks-day",
    interval="1d",
    calendar="XNYS",
    zone="America/New_York",
    first_session=date(2003, 9, 10),
    plans=((5, "Starter"), (10, "Developer")),
    spelling=stock_symbol,
    splits=True,
    primary=True,
)
STOCKS_MINUTE = _minutes(STOCKS_DAY, "stocks-minute")

# Contracts are adjusted by the exchange, which gives them other names; Yahoo has no history of them.
_OPTIONS_DAY = Dataset(
    name="us_options_opra/day_aggs_v1",
    short="options-day",
    interval="1d",
    calendar="XNYS",
    zone="America/New_York",
    first_session=date(2014, 6, 2),
    unit="contracts",
    plans=((2, "Starter"), (4, "Developer")),
    sigil="O:",
)

# Indices of coins and of Asia are among them, and have files on weekdays alone: a guess.
_INDICES_DAY = Dataset(
    name="us_indices/day_aggs_v1",
    short="indices-day",
    interval="1d",
    calendar="XNYS",
    zone="America/New_York",
    first_session=date(2023, 2, 14),
    required=("ticker", *PRICES),
    optional=("window_start",),
    unit=None,
    sigil="I:",
    spelling=index_symbol,
)

# Bars of quotes: no page says what the volume counts. Listings have a file for each day but Saturdays; that its days
# are those of UTC is how others read them. Yahoo's days are London's, an hour off in summer.
_FOREX_DAY = Dataset(
    name="global_forex/day_aggs_v1",
    short="forex-day",
    interval="1d",
    calendar="forex",
    zone="UTC",
    first_session=date(2009, 9, 25),
    unit="quotes",
    settled=_UTC_DAY,
    sigil="C:",
    spelling=forex_symbol,
    yahoo_clock="Europe/London",
)

# The vendor's page begins on 2013-11-01; a listing was seen that goes back to 2010. Yahoo's prices are a mean of more
# exchanges than Massive has.
_CRYPTO_DAY = Dataset(
    name="global_crypto/day_aggs_v1",
    short="crypto-day",
    interval="1d",
    calendar="daily",
    zone="UTC",
    first_session=date(2010, 1, 1),
    unit="coins",
    settled=_UTC_DAY,
    sigil="X:",
    spelling=crypto_symbol,
    tolerance=0.05,
)

_ENTRIES = (
    *(STOCKS_DAY, STOCKS_MINUTE),
    *(_OPTIONS_DAY, _minutes(_OPTIONS_DAY, "options-minute")),
    *(_INDICES_DAY, _minutes(_INDICES_DAY, "indices-minute")),
    *(_FOREX_DAY, _minutes(_FOREX_DAY, "forex-minute")),
    *(_CRYPTO_DAY, _minutes(_CRYPTO_DAY, "crypto-minute")),
    *(dataset for venue in ("cme", "cbot", "comex", "nymex") for dataset in _futures(venue)),
)

CATALOGUE: Mapping[str, Dataset] = {dataset.short: dataset for dataset in _ENTRIES}
"""All datasets by their short names, in the order in which they are offered."""


def named(text: str) -> Dataset:
    """The dataset of a short name (`options-day`) or of a full one (`us_options_opra/day_aggs_v1`).

    Raises UsageError, which names those that come near.
    """
    for dataset in CATALOGUE.values():
        if text in (dataset.short, dataset.name):
            return dataset
    near = get_close_matches(str(text), [*CATALOGUE, *(one.name for one in CATALOGUE.values())], 3)
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    raise UsageError(f"there is no dataset {str(text)[:60]!r}: {meant}there are {', '.join(CATALOGUE)}")


def minutes_of(dataset: Dataset) -> Dataset | None:
    """The minute bars of the same market; None where the catalogue has none."""
    return _of_market(dataset, is_intraday=True)


def days_of(dataset: Dataset) -> Dataset | None:
    """The day bars of the same market; None where the catalogue has none."""
    return _of_market(dataset, is_intraday=False)


def _of_market(dataset: Dataset, is_intraday: bool) -> Dataset | None:
    market = f"{dataset.name.partition('/')[0]}/"
    fitting = (one for one in CATALOGUE.values() if one.is_intraday is is_intraday and one.name.startswith(market))
    return next(fitting, None)


def of_ticker(ticker: str, interval: str = "1d") -> Dataset:
    """The dataset that a ticker's sigil names (`X:BTC-USD` is crypto), of stocks where it has none.

    A sigil stands before a capital, a digit or a pattern, not in a path of Windows. Its day bars for the interval "1d";
    for any other its minute bars, of which longer ones are made.
    """
    is_intraday = interval != "1d"
    fitting = [one for one in CATALOGUE.values() if one.sigil and one.is_intraday is is_intraday]
    plain = STOCKS_MINUTE if is_intraday else STOCKS_DAY
    return next((one for one in fitting if re.match(re.escape(one.sigil) + "[A-Z0-9*?]", ticker)), plain)


def of_tickers(tickers: Iterable[str], interval: str = "1d") -> Dataset:
    """The one dataset that these tickers' sigils name. Raises UsageError where they name several."""
    found = {of_ticker(ticker, interval): ticker for ticker in tickers}
    if len(found) > 1:
        told = " and ".join(f"{ticker} is of {dataset.short}" for dataset, ticker in found.items())
        raise UsageError(f"{told}: one command for each, or name one dataset with --dataset")
    return next(iter(found), STOCKS_MINUTE if interval != "1d" else STOCKS_DAY)


def bars_of(dataset: Dataset, interval: str) -> Dataset:
    """The bars of a dataset's market that those of an interval are made of: its days, or its minutes.

    Raises UsageError where the catalogue has none.
    """
    if dataset.is_intraday is (interval != "1d"):
        return dataset
    found = days_of(dataset) if interval == "1d" else minutes_of(dataset)
    if found is None:
        raise UsageError(f"interval {interval!r}: the catalogue has no such bars of the market of {dataset.short}")
    return found


def interval_of(dataset: str | None, interval: str | None) -> str:
    """The interval that was named, else that of the dataset that was, else a day. Raises UsageError."""
    return interval or (named(dataset).interval if dataset else "1d")


def strangers(dataset: Dataset, names: Iterable[str]) -> list[str]:
    """Tickers and patterns that no ticker of a dataset can be: all of its own begin with its sigil."""
    return [name for name in names if not _may_begin(prefix_of(name), name, dataset.sigil)]


def _may_begin(prefix: str, name: str, sigil: str) -> bool:
    return prefix.startswith(sigil) or (prefix != name and sigil.startswith(prefix))
