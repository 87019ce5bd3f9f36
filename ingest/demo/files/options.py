"""Made-up bars of option contracts: `O:`, root, expiry as yymmdd, C or P, strike × 1000 in eight digits.

The session determines the listed contracts: they expire on that day or later, and their strikes are around the price
that the stocks' files have of it. Of those far from the money or far from expiry only some trade on a day. A price is
the intrinsic value plus a bell-shaped time value, which roughly looks like an option's price; it is no pricing model.
"""

from dataclasses import dataclass
from datetime import date, time, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from ingest.demo.files.maker import Hours, Maker, Tape, candle, nanoseconds
from ingest.demo.files.market import KNOWN_PRICES, Market
from ingest.demo.files.walk import Floats, Ints, day_number, dice

UNSTAMPED = date(2025, 11, 12)
"""A session whose rows all have a wrong timestamp, as in one of the vendor's files."""

WRONG_STAMP = -68400000000000

ADJUSTED_ROOTS = ("SPY1", "NVDA1", "GE1", "T1", "AMD2")
"""Roots of contracts that no longer stand for a hundred shares, because of a split or a merger."""

_TRACKED = ("AAPL", "NVDA", "QQQ", "SPY", "TSLA")
_DAILY = ("SPY", "QQQ", "IWM", "NVDA", "TSLA")  # roots with daily expiries
_ROWS = 235_000  # contracts that trade on a day, in a real file of 4 MB
_PER_ROOT = 44
_FAR = timedelta(days=200)
_WIDE, _NARROW = np.arange(-24, 25), np.arange(-12, 13)  # strikes around the money, in steps


@dataclass(frozen=True, slots=True)
class _Listed:
    """Contracts: indices of their roots, expiries as days since 1970, strikes, and whether they are calls."""

    root: Ints
    expiry: Ints
    strike: Floats
    call: npt.NDArray[np.bool_]

    def only(self, chosen: npt.NDArray[np.bool_]) -> "_Listed":
        return _Listed(self.root[chosen], self.expiry[chosen], self.strike[chosen], self.call[chosen])


class Options(Maker):
    """Option contracts, of which about `rows` trade on a day."""

    zone = "America/New_York"
    tape = Tape(busy=0.19)

    def __init__(self, seed: int = 7, rows: int = _ROWS) -> None:
        self._seed, self._rows = seed, rows
        self._market = Market(seed)
        self._roots = _roots(self._market, np.random.default_rng([seed, rows]), rows // _PER_ROOT)

    def bars(self, session: date) -> pl.DataFrame:
        """The contracts that trade in a session."""
        rng = dice(self._seed, session, purpose=2)
        spot = self._market.moved(self._roots["slot"].to_numpy(), self._roots["price"].to_numpy(), session)
        steady, others = self._steady(session), self._listed(session, spot)
        odds = self._odds(others, spot, session)
        some = others.only(rng.random(len(odds)) < odds * (self._rows - len(steady.root)) / odds.sum())
        frames = [self._bars(listed, spot, session, rng) for listed in (steady, some)]
        return pl.concat(frames).unique("ticker", keep="first").sort("ticker")

    def always(self, last: date) -> tuple[str, ...]:
        """Calls and puts of well-known roots, for the January expiry half a year or more after `last`.

        They are at the money of the pinned day: each day lists the same ones.
        """
        found = self._tickers(self._at_the_money([_january(last + _FAR)]))
        return tuple(found.sort().to_list())

    def stamp(self, session: date) -> int:
        """Midnight in New York, except on one day."""
        return WRONG_STAMP if session == UNSTAMPED else nanoseconds(self.at(session, time()))

    def hours(self, session: date) -> Hours:
        """Only the regular session."""
        return Hours.between(self.at(session, time(9, 30)), self.at(session, time(16)))

    def _steady(self, session: date) -> _Listed:
        """Contracts that trade every day: those that expire in the coming Januaries, at the money of the pinned day."""
        first = _january(session + timedelta(days=1))
        return self._at_the_money([_january(date(first.year + years, 1, 1)) for years in range(4)])

    def _at_the_money(self, expiries: list[date]) -> _Listed:
        tracked = np.flatnonzero(self._roots["name"].is_in(_TRACKED).to_numpy())
        return self._contracts(tracked, expiries, np.zeros(1, np.int64), self._roots["price"].to_numpy())

    def _listed(self, session: date, spot: Floats) -> _Listed:
        """All contracts that could trade in a session, on what trades at `spot` in it."""
        day, roots = day_number(session), self._roots
        known, daily = roots["known"].to_numpy(), roots["daily"].to_numpy()
        lives = ((roots["first"] <= day) & (roots["last"] > day)).to_numpy()
        weekly, monthly = _fridays(session, 6), _third_fridays(session)
        parts = [
            self._contracts(np.flatnonzero(lives & ~known), monthly, _NARROW, spot),
            self._contracts(np.flatnonzero(known), sorted({*monthly, *weekly}), _WIDE, spot),
            self._contracts(np.flatnonzero(daily), _weekdays(session, 8), _WIDE, spot),
        ]
        return _Listed(*(np.concatenate([getattr(part, name) for part in parts]) for name in _Listed.__slots__))

    def _contracts(self, roots: Ints, expiries: list[date], places: Ints, spot: Floats) -> _Listed:
        """All combinations of roots, expiries, strikes (`places` steps from `spot`), and calls and puts."""
        days = np.array([(expiry - date(1970, 1, 1)).days for expiry in expiries])
        axes = np.meshgrid(roots, days, places, np.array([True, False]), indexing="ij")
        root, expiry, place, call = (axis.ravel() for axis in axes)
        step = self._roots["step"].to_numpy()[root]
        strike = (np.round(spot[root] / step) + place) * step
        return _Listed(root, expiry, strike, call).only(strike > 0)

    def _odds(self, listed: _Listed, spot: Floats, session: date) -> Floats:
        """How likely each contract is to trade."""
        near = np.exp(-((np.log(listed.strike / spot[listed.root]) / 0.25) ** 2))
        soon = 1 / (1 + _years(listed, session))
        odds: Floats = self._roots["share"].to_numpy()[listed.root] * near * soon
        return odds

    def _bars(self, listed: _Listed, spot: Floats, session: date, rng: np.random.Generator) -> pl.DataFrame:
        worth = np.where(listed.call, 1, -1) * (spot[listed.root] - listed.strike)
        price = np.maximum(worth, 0) + _time_value(listed, spot[listed.root], session)
        liquid = self._odds(listed, spot, session) ** 2
        trades = np.ceil(rng.exponential(3 + 200 * liquid)).astype(np.int64)
        grid = np.full(len(price), 100.0)
        bar = candle(price, rng, np.where(trades > 1, 0.08, 0.0), grid)
        columns = {"volume": trades * np.ceil(rng.exponential(4, len(trades))), "transactions": trades, "grid": grid}
        return pl.DataFrame({"ticker": self._tickers(listed), **columns, **bar})

    def _tickers(self, listed: _Listed) -> pl.Series:
        frame = pl.DataFrame(
            {
                "root": self._roots["name"].gather(listed.root),
                "expiry": pl.Series(listed.expiry, dtype=pl.Int32).cast(pl.Date),
                "kind": pl.Series(listed.call).replace_strict({True: "C", False: "P"}),
                "strike": pl.Series(np.round(listed.strike * 1000).astype(np.int64)).cast(pl.String).str.zfill(8),
            }
        )
        expiry = pl.col("expiry").dt.strftime("%y%m%d")
        return frame.select(ticker=pl.concat_str(pl.lit("O:"), "root", expiry, "kind", "strike"))["ticker"]


def _roots(market: Market, rng: np.random.Generator, count: int) -> pl.DataFrame:
    """Roots, each with the stock that it is on: its slot, life and price on the pinned day.

    And the step between strikes, the share of contracts that trade, whether well known, whether expiring daily.
    """
    stocks = market.optionable
    first = [*_TRACKED, *ADJUSTED_ROOTS, *(name for name in KNOWN_PRICES if name not in _TRACKED and "." not in name)]
    others = rng.permutation(stocks.filter(~pl.col("ticker").is_in(list(KNOWN_PRICES)))["ticker"].to_numpy())
    names = pl.Series("name", [*first, *others.tolist()][: max(count, len(_TRACKED) + 1)])
    known = pl.col("name").is_in(list(KNOWN_PRICES))
    roots = names.to_frame().with_columns(ticker=pl.col("name").str.strip_chars_end("12"))
    return roots.join(stocks, on="ticker", how="left", maintain_order="left").with_columns(
        step=pl.col("price").map_elements(_step, pl.Float64),
        share=pl.when(known).then(1.0).otherwise(pl.Series(rng.beta(0.8, 3.0, len(roots)))),
        known=known,
        daily=pl.col("name").is_in(_DAILY),
    )


def _step(price: float) -> float:
    """The step between strikes for an underlying at this price."""
    return next((step for below, step in ((25, 0.5), (60, 1.0), (200, 2.5), (700, 5.0)) if price < below), 10.0)


def _years(listed: _Listed, session: date) -> Floats:
    years: Floats = (listed.expiry - (session - date(1970, 1, 1)).days) / 365
    return years


def _time_value(listed: _Listed, spot: Floats, session: date) -> Floats:
    width = 0.35 * np.sqrt(_years(listed, session) + 0.002)
    value: Floats = 0.4 * spot * width * np.exp(-((np.log(listed.strike / spot) / width) ** 2) / 2)
    return value


def _weekdays(session: date, count: int) -> list[date]:
    days = (session + timedelta(days=number) for number in range(2 * count))
    return [day for day in days if day.weekday() < 5][:count]


def _fridays(session: date, count: int) -> list[date]:
    first = session + timedelta(days=(4 - session.weekday()) % 7)
    return [first + timedelta(weeks=number) for number in range(count)]


def _third_fridays(session: date) -> list[date]:
    """Third Fridays of coming months: the next four, two quarter ends, and two Januaries."""
    months = [divmod(session.year * 12 + session.month - 1 + number, 12) for number in (0, 1, 2, 3, 6, 9)]
    found = {_third_friday(year, month + 1) for year, month in months}
    ahead = {day for day in found if day >= session}
    return sorted(ahead | {_january(session + timedelta(days=wait)) for wait in (1, 366)})


def _third_friday(year: int, month: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(4 - first.weekday()) % 7 + 14)


def _january(day: date) -> date:
    """The next third Friday of January, on or after `day`."""
    here = _third_friday(day.year, 1)
    return here if here >= day else _third_friday(day.year + 1, 1)
