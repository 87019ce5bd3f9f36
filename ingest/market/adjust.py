"""Splits and dividends, applied to raw prices and taken out of Yahoo's. Pure.

Massive's prices are as traded; Yahoo's are divided by every later split, through the day of the request. With F(t)
the product of the ratios of all splits whose ex-date is after t (a 4:1 split has ratio 4):

    split-adjusted price = raw ÷ F       split-adjusted volume = raw × F
    adjusted close       = split-adjusted close × M,  M(t) = product over the ex-dates after t of
                           1 − (raw payout ÷ F(ex-date)) ÷ (split-adjusted close of the session before the ex-date)

with the dividends and capital gains of an ex-date added up, as Yahoo does it
(https://help.yahoo.com/kb/SLN28256.html, after CRSP's standard). Open, high and low are scaled with
the close.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt

from ingest.market.corporate_actions import Actions, Dividend, StockSplit

Adjust = Literal["none", "splits", "all"]
Days = npt.NDArray[np.datetime64]
Floats = npt.NDArray[np.float64]

_NOISE = 1.2e-7
"""Relative error of a float32, the type of Yahoo's prices."""


def split_factors(days: Days, splits: Iterable[StockSplit]) -> Floats:
    """F of each day."""
    ordered = sorted(splits, key=lambda split: split.ex_date)
    return _product_after(days, [split.ex_date for split in ordered], [split.ratio for split in ordered])


def dividend_factors(days: Days, shares: Sequence[tuple[Dividend, float]]) -> Floats:
    """M of each day, given the payouts of later days (`kept_shares`); `days` are ascending."""
    return _product_after(days, [payout.ex_date for payout, _ in shares], [share for _, share in shares])


def kept_shares(days: Days, closes: Floats, actions: Actions) -> list[tuple[Dividend, float]]:
    """Payouts after the first of these days, each with the share of its value that a security keeps on its ex-date.

    A payout's own `close_before` is used if it is known, else the last close before its ex-date.
    """
    found, payouts = [], actions.payouts
    ex_dates = np.array([payout.ex_date for payout in payouts], dtype="datetime64[D]")
    for payout, place in zip(payouts, np.searchsorted(days, ex_dates).tolist(), strict=True):
        at = place - 1
        if at < 0:
            continue
        before, since = payout.close_before, payout.ex_date - timedelta(days=1)
        if before is None:
            before, since = float(closes[at]), days[at].astype("datetime64[D]").item()
        if payout.kept is not None:
            found.append((payout, payout.kept))
        elif before and np.isfinite(before):
            found.append((payout, float(1 - payout.amount / (before / _ratio(actions.splits, since, payout.ex_date)))))
    return found


def _ratio(splits: Iterable[StockSplit], after: date, through: date) -> float:
    return math.prod(split.ratio for split in splits if after < split.ex_date <= through)


def _product_after(days: Days, ex_dates: Sequence[date], values: Sequence[float]) -> Floats:
    """For each day the product of the values whose ex-date (ascending) is later."""
    later = np.append(np.cumprod(np.asarray(values, dtype=float)[::-1])[::-1], 1.0)
    return later[np.searchsorted(np.asarray(ex_dates, dtype="datetime64[D]"), days, side="right")]


def raw_prices(prices: Floats, factors: Floats) -> Floats:
    """Yahoo's prices as they were traded.

    Prices of up to two decimals below 65,536 come back exactly, those of four decimals mostly, others to eight digits:
    all within 2e-7 of their value.
    """
    raw = prices.astype(float) * factors
    found = _eight_digits(raw)
    for decimals in (4, 2):
        short = np.round(raw, decimals)
        with np.errstate(invalid="ignore"):
            found = np.where(np.abs(raw - short) <= _NOISE * np.abs(raw), short, found)
    return found


def _eight_digits(values: Floats) -> Floats:
    """One digit more than a float32 has, so that rounding adds less than its own error."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 10.0 ** (7 - np.floor(np.log10(np.abs(values))))
        return np.where(np.isfinite(scale) & (scale > 0), np.round(values * scale) / scale, values)


def raw_volumes(volumes: Floats, factors: Floats) -> Floats:
    """Yahoo's volumes as they were traded, in whole shares: within a ratio of the truth after reverse splits."""
    return np.round(volumes.astype(float) / factors)


def without_repeats(splits: Sequence[StockSplit], within_days: int = 7) -> tuple[StockSplit, ...]:
    """Splits (ascending) without those that repeat the ratio of one a few days before: Yahoo lists some twice.

    Splits of the same day with different ratios are one split, with the product of their ratios.
    """
    kept: list[StockSplit] = []
    for split in splits:
        twin = any(
            np.isclose(one.ratio, split.ratio) and (split.ex_date - one.ex_date).days <= within_days for one in kept
        )
        if not twin:
            kept.append(split)
    ratios: dict[date, float] = {}
    for split in kept:
        ratios[split.ex_date] = ratios.get(split.ex_date, 1.0) * split.ratio
    return tuple(StockSplit(day, ratio) for day, ratio in ratios.items())


def unmatched(days: Days, opens: Floats, closes: Floats, splits: Iterable[StockSplit]) -> list[StockSplit]:
    """Splits of at least 1.3 to one, or one to 1.3, without a matching jump in the raw prices (ascending).

    Only splits with rows on both sides within ten days are judged: one is unmatched if the jump from the close before
    to the open is nearer to no change than to the ratio.
    """
    found = []
    for split in splits:
        at = int(np.searchsorted(days, np.datetime64(split.ex_date, "D")))
        near = 0 < at < len(days) and days[at] - days[at - 1] <= np.timedelta64(10, "D")
        if not near or abs(np.log(split.ratio)) < np.log(1.3) or days[at] != np.datetime64(split.ex_date, "D"):
            continue
        jump = np.log(closes[at - 1] / opens[at]) / np.log(split.ratio)
        if jump < 0.5:
            found.append(split)
    return found
