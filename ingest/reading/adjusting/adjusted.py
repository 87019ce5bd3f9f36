"""Adjusts raw rows of many tickers, and finds the seams across which nothing is adjusted."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from ingest.cache.manifest.records import Coverage
from ingest.errors import ActionsUnknown
from ingest.market.adjust import Adjust, Days, Floats, dividend_factors, kept_shares, split_factors, unmatched
from ingest.market.corporate_actions import Actions, Dividend, StockSplit
from ingest.reading.adjusting.unapplied import lone_steps

SEAM_SESSIONS = 42
"""Two months: a ticker that returns after so many stored files without it may be another company."""

_PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True, slots=True)
class Seam:
    """Consecutive stored sessions without a ticker: their number, and the days and closes before and after them."""

    ticker: str
    before: date
    close_before: float
    after: date
    close_after: float
    sessions: int

    def __str__(self) -> str:
        """In words."""
        return (
            f"{self.ticker} did not trade in {self.sessions:,} sessions between {self.before} ({self.close_before:g}) "
            f"and {self.after} ({self.close_after:g})"
        )


@dataclass(frozen=True, slots=True)
class TickerSlice:
    """The rows of one ticker in a frame that is sorted by ticker and date."""

    ticker: str
    rows: slice


def seams(rows: pl.DataFrame, coverage: Coverage) -> list[Seam]:
    """Seams of each ticker; `rows` are sorted by ticker and date, `coverage` is that of the stored sessions."""
    days, closes = days_in(rows), rows["close"].to_numpy()
    whole = _ascending(coverage.whole)
    found = []
    for stretch in stretches(rows):
        held = _ascending(coverage.of(stretch.ticker)) if coverage.partial else whole
        mine = days[stretch.rows]
        missed = np.searchsorted(held, mine[1:]) - np.searchsorted(held, mine[:-1], side="right")
        for place in np.flatnonzero(missed >= SEAM_SESSIONS):
            n = stretch.rows.start + int(place)
            found.append(
                Seam(
                    ticker=stretch.ticker,
                    before=days[n].item(),
                    close_before=float(closes[n]),
                    after=days[n + 1].item(),
                    close_after=float(closes[n + 1]),
                    sessions=int(missed[place]),
                )
            )
    return found


def apply(rows: pl.DataFrame, actions: Mapping[str, Actions], adjust: Adjust) -> pl.DataFrame:
    """Raw rows, sorted by ticker and date, adjusted for splits, or for splits and dividends.

    Prices are divided by F and multiplied by M (see `market.adjust`), volumes multiplied by F. Raises ActionsUnknown
    for an impossible dividend.
    """
    if adjust == "none" or rows.is_empty():
        return rows
    splits = split_factors_of(rows, actions)
    scale = 1 / splits if adjust == "splits" else dividend_factors_of(rows, actions) / splits
    return rows.with_columns(
        *(pl.col(name) * pl.Series(scale) for name in _PRICES), pl.col("volume") * pl.Series(splits)
    )


def split_factors_of(rows: pl.DataFrame, actions: Mapping[str, Actions]) -> Floats:
    """F of each row (see `market.adjust`)."""
    days = days_in(rows)
    factors = np.ones(len(days))
    for stretch in stretches(rows):
        if known := actions.get(stretch.ticker):
            factors[stretch.rows] = split_factors(days[stretch.rows], known.splits)
    return factors


def dividend_factors_of(rows: pl.DataFrame, actions: Mapping[str, Actions]) -> Floats:
    """M of each row (see `market.adjust`). Raises ActionsUnknown for a multiplier that is not in (0, 1]."""
    days, factors = days_in(rows), np.ones(rows.height)
    for stretch, shares in _shares(rows, actions):
        for refused in _refusals(shares):
            raise ActionsUnknown(f"prices of {stretch.ticker} cannot be adjusted for dividends: {refused}")
        factors[stretch.rows] = dividend_factors(days[stretch.rows], shares)
    return factors


def impossible(rows: pl.DataFrame, actions: Mapping[str, Actions]) -> dict[str, str]:
    """Tickers that `dividend_factors_of` refuses, and why."""
    return {stretch.ticker: why for stretch, shares in _shares(rows, actions) for why in _refusals(shares)[:1]}


def _shares(
    rows: pl.DataFrame, actions: Mapping[str, Actions]
) -> Iterator[tuple[TickerSlice, list[tuple[Dividend, float]]]]:
    days, closes = days_in(rows), rows["close"].to_numpy()
    for stretch in stretches(rows):
        if known := actions.get(stretch.ticker):
            yield stretch, kept_shares(days[stretch.rows], closes[stretch.rows], known)


def _refusals(shares: Sequence[tuple[Dividend, float]]) -> list[str]:
    """Impossible payouts, in words: they leave nothing of the price, or more than all of it."""
    return [f"{_paid(payout)} would leave {share:.4g} of its value" for payout, share in shares if not 0 < share <= 1]


def _paid(payout: Dividend) -> str:
    close = f" on a close of {payout.close_before:g}" if payout.close_before else ""
    return f"Yahoo lists {payout.amount:g} paid on {payout.ex_date}{close}, which"


def differing(rows: pl.DataFrame, actions: Mapping[str, Actions]) -> list[tuple[str, Dividend]]:
    """Payouts after the first row that differ between Yahoo's list and its adjusted close; the latter counts."""
    days = days_in(rows)
    return [
        (stretch.ticker, payout)
        for stretch in stretches(rows)
        if stretch.ticker in actions
        for payout in actions[stretch.ticker].payouts
        if payout.kept is not None and np.datetime64(payout.ex_date, "D") > days[stretch.rows.start]
    ]


def odd(rows: pl.DataFrame, actions: Mapping[str, Actions]) -> dict[str, list[Dividend]]:
    """By ticker, what Yahoo's adjusted close takes out after the first row although it is not applied here."""
    days = days_in(rows)
    return {
        stretch.ticker: [one for one in actions[stretch.ticker].odd if one.ex_date > days[stretch.rows.start].item()]
        for stretch in stretches(rows)
        if stretch.ticker in actions
    }


def doubtful(rows: pl.DataFrame, actions: Mapping[str, Actions]) -> list[tuple[str, StockSplit]]:
    """Splits without a matching jump in the raw prices."""
    days, opens, closes = days_in(rows), rows["open"].to_numpy(), rows["close"].to_numpy()
    return [
        (stretch.ticker, split)
        for stretch in stretches(rows)
        if stretch.ticker in actions
        for split in unmatched(
            days[stretch.rows], opens[stretch.rows], closes[stretch.rows], actions[stretch.ticker].splits
        )
    ]


def stepping(rows: pl.DataFrame, actions: Mapping[str, Actions]) -> list[tuple[str, date, StockSplit]]:
    """Jumps by the ratio of a split on another day than its ex-date, with one of Yahoo's rows beside the jump."""
    if "yahoo" not in rows["source"]:
        return []
    return [
        (stretch.ticker, day, split)
        for stretch in stretches(rows)
        if stretch.ticker in actions
        for day, split in _steps(rows[stretch.rows], actions[stretch.ticker].splits)
    ]


def _steps(rows: pl.DataFrame, splits: Sequence[StockSplit]) -> Iterator[tuple[date, StockSplit]]:
    priced = rows.filter(pl.col("close") > 0)
    yahoos = (priced["source"] == "yahoo").to_numpy()
    found = lone_steps(days_in(priced), priced["close"].to_numpy(), splits) if splits and yahoos.any() else {}
    yield from ((priced["date"][at], one) for at, one in sorted(found.items()) if yahoos[at - 1] or yahoos[at])


def _ascending(sessions: Collection[date]) -> Days:
    return np.sort(np.array(list(sessions), dtype="datetime64[D]"))


def days_in(rows: pl.DataFrame) -> Days:
    """The date of each row."""
    return rows["date"].to_numpy().astype("datetime64[D]")


def stretches(rows: pl.DataFrame) -> Iterator[TickerSlice]:
    """The rows of each ticker; they are sorted by ticker."""
    begin = 0
    for run in rows.select(pl.col("ticker").rle()).to_series().struct.unnest().iter_rows():
        length, ticker = run
        yield TickerSlice(ticker, slice(begin, begin + length))
        begin += length
