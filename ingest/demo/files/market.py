"""Made-up flat files of stocks, with the shape, the size and the oddities of the vendor's.

A day is a pure function of (seed, rows, session): days may be generated in any order, and a longer window has the same
days. Prices still follow a random walk (see `walk`). Nothing in here is a real price.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import date, time

import numpy as np
import polars as pl

from ingest.demo.files.maker import Hours, Maker, Tape, candle, nanoseconds
from ingest.demo.files.text import csv_text, pack, with_repeats
from ingest.demo.files.walk import PINNED, SPAN, Floats, Ints, Walks, day_number, dice
from ingest.market.catalogue import STOCKS_DAY

DEMO_TICKERS = ("AAPL", "AMZN", "BRK.B", "GOOGL", "JPM", "META", "MSFT", "NVDA", "SPY", "TSLA")
"""Tickers that a demo may track: each trades on every day."""

REUSED_TICKER = "TWTR"
"""Delisted, then reused by another company: 210 days of trading, a gap of 120 days, and so on."""

FRACTIONAL_SINCE = date(2026, 2, 23)
"""First session whose volumes have six decimals in every row, whole numbers too."""

STAMPED_A_DAY_LATE = date(2019, 8, 12)
"""A session whose rows all have the next day's timestamp."""

HOSTILE_TICKERS = tuple(
    """
    NA NAN TRUE FALSE NULL INF E 1E5 CON PRN CON.A BACpL BCpC BCPC TpC TPC AMpB AMPB ADSw AIIAr Xw BRK.A ABC.WS NE.WS.A
    RCF.U MTBpC.CL FTV.WD PTEST.X ZVZZT
    """.split()  # noqa: SIM905 - a list of words reads better than a page of quotes
)
"""All shapes of tickers that are known to break a parser, a file name or a mapping; each is in every file."""

KNOWN_PRICES = {
    ticker: float(price)
    for ticker, price in re.findall(
        r"(\S+) ([\d.]+)",
        """
        AAPL 255 AMD 165 AMZN 222 ARKK 78 AVGO 340 BA 215 BABA 160 BAC 50 BRK.B 495 C 98 CAT 480 COST 930 CRM 245
        CSCO 70 CVX 156 DIA 465 DIS 112 F 12.2 GE 300 GLD 365 GM 58 GOOG 246 GOOGL 245 GS 795 HD 405 IBM 282 INTC 36
        IWM 242 JNJ 186 JPM 315 KO 66 LLY 765 LOW 251 MA 570 MCD 304 META 735 MRK 84 MS 159 MSFT 515 MU 168 NFLX 1190
        NIO 7.4 NKE 70 NVDA 183 ORCL 290 PEP 141 PFE 25 PG 152 PLTR 180 PYPL 68 QCOM 168 QQQ 598 SBUX 84 SNAP 8.3
        SOFI 28 SPY 664 T 28.3 TLT 89 TQQQ 101 TSLA 436 UBER 97 UNH 349 V 338 VOO 610 VZ 44 WFC 82 WMT 103 XLF 54
        XOM 114
        """,
    )
}
"""Well-known tickers and their approximate prices in autumn 2025, where their walks are pinned."""

_MEAN_LIFE = 5500  # days that a listing lasts: about two of 10,500 come and go each day
_IDLE = 0.015  # share of the listings without a row on a day
_SUFFIXES = np.array(["", ".A", ".B", ".U", ".WS", "pA", "pB", "r", "w"], dtype="S3")
_SUFFIX_SHARES = (0.88, 0.01, 0.01, 0.02, 0.02, 0.02, 0.02, 0.01, 0.01)
_VOLATILITY = 0.011  # standard deviation of a day's change in price
_OPTIONABLE = 5  # the least price of a share, in dollars, for which options are written
_ROOT = "^[A-Z]{1,4}$"  # tickers that are roots of options as they are


class Market(Maker):
    """A market of about `rows` tickers a day; the same (seed, rows) gives the same bytes (with the same numpy)."""

    zone = STOCKS_DAY.zone
    tape = Tape(busy=0.18, outside=0.04, grain=1e-6)

    def __init__(self, seed: int = 7, rows: int = 10_500) -> None:
        self._seed = seed
        steady = _steady()
        slots = len(steady) + round(max(20, rows - len(steady)) / (1 - _IDLE))
        self._listings = _listings(np.random.default_rng([seed, rows]), steady, slots)
        self._walks = Walks(seed, slots)

    def day(self, session: date) -> bytes:
        """Text of a session's flat file (CSV, LF), for a date from 2000 to 2044."""
        rng = dice(self._seed, session)
        bars = self._bars(session, rng).with_columns(pl.lit(self.stamp(session)).alias("window_start"))
        return csv_text(
            with_repeats(self.dressed(bars, session), session, rng), (*STOCKS_DAY.required, *STOCKS_DAY.optional)
        )

    def bars(self, session: date) -> pl.DataFrame:
        """The rows of that file, each once and without a timestamp."""
        return self._bars(session, dice(self._seed, session))

    @property
    def optionable(self) -> pl.DataFrame:
        """Listings that options are written on: one a `ticker`, with its `slot`, `first` and `last` day and `price`.

        Those of `KNOWN_PRICES` are the same in a market of any size.
        """
        pinned = (pl.col("first") <= PINNED) & (pl.col("last") > PINNED) & (pl.col("price") >= _OPTIONABLE)
        plain = pl.col("ticker").is_in(list(KNOWN_PRICES)) | pl.col("ticker").str.contains(_ROOT)
        return self._listings.filter(pinned & plain).select("ticker", "slot", "first", "last", "price")

    def moved(self, slot: Ints, price: Floats, session: date) -> Floats:
        """Prices on a day, of listings with these slots and prices on the pinned day."""
        return price * np.exp(_VOLATILITY * self._walks.at(session)[slot])

    def stamp(self, session: date) -> int:
        """Midnight in New York; one file has the next day's timestamp, like the vendor's."""
        return nanoseconds(self.at(session, time(), days=int(session == STAMPED_A_DAY_LATE)))

    def hours(self, session: date) -> Hours:
        """04:00 to 20:00 in New York, with the regular session from 09:30 to 16:00."""
        return Hours(self.at(session, time(4)), self.at(session, time(20)), (330, 720))

    def always(self, last: date) -> tuple[str, ...]:
        """The tickers that a demo may track."""
        return DEMO_TICKERS

    def dressed(self, rows: pl.DataFrame, session: date) -> pl.DataFrame:
        """Write volumes as the vendor does in that session."""
        if session < FRACTIONAL_SINCE:
            return rows
        return rows.with_columns(pl.col("volume").cast(pl.Decimal(38, 6)).cast(pl.String))

    def _bars(self, session: date, rng: np.random.Generator) -> pl.DataFrame:
        trading = self._trading(day_number(session), rng)
        close = self.moved(trading["slot"].to_numpy(), trading["price"].to_numpy(), session)
        bars = trading.select(
            "ticker", _volume(trading["shares"].to_numpy(), session, rng), *_prices(np.maximum(close, 0.002), rng)
        )
        return _with_trades(bars, trading["steady"], rng)

    def days(self, sessions: Iterable[date]) -> Iterator[tuple[date, bytes]]:
        """Each session and the text of its file, generated lazily."""
        return ((session, self.day(session)) for session in sessions)

    def objects(self, sessions: Iterable[date]) -> Iterator[tuple[str, bytes]]:
        """Each session's key in the vendor's bucket, and its compressed file."""
        return ((STOCKS_DAY.key(session), pack(text)) for session, text in self.days(sessions))

    def _trading(self, number: int, rng: np.random.Generator) -> pl.DataFrame:
        """Listings that have a row on a day, sorted by ticker."""
        listings = self._listings
        active = pl.Series(rng.random(len(listings), dtype=np.float32) >= _IDLE)
        alive = (listings["first"] <= number) & (listings["last"] > number)
        return listings.filter(alive & (active | listings["steady"]))


def _steady() -> list[str]:
    """Tickers that are in every file."""
    return sorted({*KNOWN_PRICES, *HOSTILE_TICKERS})


def _listings(rng: np.random.Generator, steady: list[str], slots: int) -> pl.DataFrame:
    """All listings of all times, sorted by ticker as bytes.

    Each trades from day `first` until before day `last`; `slot` is the price path it follows, shared by successive
    listings; `price` is its price on the pinned day, `shares` its usual volume. The steady listings, which have a row
    every day, come first, then the reused ticker's companies, then chains of made-up listings.
    """
    own = len(steady)
    slot, first, last = _lives(rng, slots - own - 1)
    again = np.arange(0, SPAN, 330)
    named = [*steady, *[REUSED_TICKER] * len(again)]
    price = _asking_prices(rng, len(named) + len(slot), steady)
    columns = {
        "ticker": [*named, *_made_up_tickers(rng, len(slot), named)],
        "slot": np.concatenate([np.arange(own), np.full(len(again), own), slot + own + 1]),
        "first": np.concatenate([np.zeros(own, np.int64), again, first]),
        "last": np.concatenate([np.full(own, SPAN), again + 210, last]),
        "price": price,
        "shares": _typical_volumes(rng, price, steady),
        "steady": np.arange(len(price)) < own,
    }
    return pl.DataFrame(columns).sort("ticker", "first")


def _lives(rng: np.random.Generator, slots: int) -> tuple[Ints, Ints, Ints]:
    """Slot, first day and last day of listings that follow one another in each slot."""
    lengths = np.ceil(rng.exponential(_MEAN_LIFE, (slots, 16))).astype(np.int64)
    last = np.cumsum(lengths, axis=1)
    last[:, -1] = SPAN
    first = last - lengths
    first[:, -1] = last[:, -2]
    slot, turn = np.nonzero(first < SPAN)
    return slot, np.where(turn == 0, 0, first[slot, turn]), last[slot, turn]


def _made_up_tickers(rng: np.random.Generator, count: int, used: list[str]) -> list[str]:
    """Distinct tickers of one to five letters, some with a suffix, none of them in `used`."""
    draws = count + count // 2 + 1000
    letters = rng.integers(ord("A"), ord("Z") + 1, (draws, 5), dtype=np.uint8)
    lengths = rng.choice(5, draws, p=(0.002, 0.02, 0.228, 0.6, 0.15)) + 1
    letters[np.arange(5) >= lengths[:, None]] = 0  # numpy's bytes end at the zeros
    suffixes = _SUFFIXES[rng.choice(len(_SUFFIXES), draws, p=_SUFFIX_SHARES)]
    tickers = np.setdiff1d(np.char.add(letters.view("S5").ravel(), suffixes), np.array(used, dtype="S"))
    drawn: list[str] = rng.permutation(tickers)[:count].astype(str).tolist()
    return drawn


def _asking_prices(rng: np.random.Generator, count: int, steady: list[str]) -> Floats:
    """Approximate price of each listing on the pinned day: mostly 5 to 100, with a tail of penny stocks."""
    prices = np.exp(rng.normal(3.0, 1.1, count))
    prices = np.where(rng.random(count) < 0.07, rng.uniform(0.02, 0.9, count), prices)
    for i, ticker in enumerate(steady):
        prices[i] = KNOWN_PRICES.get(ticker, prices[i])
    return prices


def _typical_volumes(rng: np.random.Generator, price: Floats, steady: list[str]) -> Floats:
    """Shares that a listing trades on a usual day; the well-known ones trade most."""
    shares = np.exp(rng.normal(10.6, 2.2, len(price)))
    known = [i for i, ticker in enumerate(steady) if ticker in KNOWN_PRICES]
    shares[known] = 4e9 / (price[known] + 20)
    return shares


def _prices(close: Floats, rng: np.random.Generator) -> list[pl.Series]:
    """Open, close, high and low, with four decimals below a dollar, else two; and that grid."""
    grid = np.where(close < 1, 1e4, 1e2)
    bar = candle(close, rng, _VOLATILITY, grid, least=10)
    return [pl.Series(name, values) for name, values in {**bar, "grid": grid}.items()]


def _volume(shares: Floats, session: date, rng: np.random.Generator) -> pl.Series:
    """Shares traded in the day: whole numbers before `FRACTIONAL_SINCE`, fractions in most rows since."""
    volume = np.ceil(shares * np.exp(rng.standard_normal(len(shares)) * 0.4))
    if session >= FRACTIONAL_SINCE:
        fraction = np.floor(rng.random(len(shares)) * 1e6) / 1e6
        volume += np.where(rng.random(len(shares)) < 0.6, fraction, 0)
    return pl.Series("volume", volume)


def _with_trades(bars: pl.DataFrame, steady: pl.Series, rng: np.random.Generator) -> pl.DataFrame:
    """Add the number of trades; three rows in a thousand have none, and so a single price and zero volume."""
    quiet = pl.Series(rng.random(len(bars)) < 0.003) & ~steady
    lot = pl.Series(rng.uniform(40, 160, len(bars)))
    flat = [pl.when(quiet).then("close").otherwise(name).alias(name) for name in ("open", "high", "low")]
    return bars.with_columns(
        *flat,
        pl.when(quiet).then(0.0).otherwise("volume").alias("volume"),
        pl.when(quiet).then(0).otherwise((pl.col("volume") / lot).ceil().cast(pl.Int64)).alias("transactions"),
    )
