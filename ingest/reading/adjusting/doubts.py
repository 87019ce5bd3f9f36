"""Warnings about corporate actions that do not fit the prices, in words. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import groupby

import polars as pl

from ingest.market.corporate_actions import Actions, Dividend, StockSplit
from ingest.market.yahoo.multipliers import likewise, unfollowed
from ingest.reading.adjusting import adjusted


def doubts(rows: pl.DataFrame, actions: Mapping[str, Actions], payouts: bool = True) -> list[str]:
    """Warnings about splits that raw prices show on another day or not at all; with `payouts`, about odd payouts."""
    splits = [
        *(_unseen(ticker, split) for ticker, split in adjusted.doubtful(rows, actions)),
        *(_elsewhere(ticker, day, split) for ticker, day, split in adjusted.stepping(rows, actions)),
    ]
    return [*splits, *differences(rows, actions)] if payouts else splits


def _unseen(ticker: str, split: StockSplit) -> str:
    reported = f"{ticker}: Yahoo reports a {split.ratio:g}-for-1 split on {split.ex_date}"
    return f"{reported}, but prices show no matching jump"


def _elsewhere(ticker: str, day: date, split: StockSplit) -> str:
    return (
        f"{ticker}: prices jump on {day} as for the {split.ratio:g}-for-1 split on {split.ex_date}, which Yahoo may "
        "not have applied to all of its rows"
    )


def differences(rows: pl.DataFrame, actions: Mapping[str, Actions]) -> list[str]:
    """Warnings about payouts that differ between Yahoo's list and its adjusted close."""
    found = groupby(adjusted.differing(rows, actions), key=lambda one: one[0])
    taken = [_difference(ticker, [payout for _, payout in payouts]) for ticker, payouts in found]
    odd = {ticker: unfollowed(some) for ticker, some in adjusted.odd(rows, actions).items()}
    return [*taken, *(f"{ticker}: {words}" for ticker, words in odd.items() if words)]


def _difference(ticker: str, payouts: Sequence[Dividend]) -> str:
    payout, *others = payouts
    lists = f"lists {payout.amount:g} paid" if payout.amount else "lists nothing paid"
    takes = f"keeps {payout.kept:.6g} of the value"
    what = f"{ticker}: Yahoo {lists} on {payout.ex_date}, and its adjusted close {takes}"
    return f"{what}: the latter is used{likewise(one.ex_date for one in others)}"
