"""Dividends and splits beside prices, in the rows of their ex-dates."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from ingest import events
from ingest.cache.cache import Cache
from ingest.errors import ActionsUnknown, warn
from ingest.hints import Option
from ingest.market.adjust import Adjust, split_factors
from ingest.market.corporate_actions import Actions
from ingest.market.datasets import Dataset
from ingest.reading.adjusting.actions import HistoryQuery, Inquiry, actions_of, daily, seams_crossed
from ingest.reading.adjusting.adjusted import days_in, stretches
from ingest.settings import Settings
from ingest.sources.yahoo import shared

DIVIDEND, SPLIT = "dividend", "split"


def known_actions(
    settings: Settings, dataset: Dataset, rows: pl.DataFrame, query: HistoryQuery, on_event: events.Sink
) -> Mapping[str, Actions]:
    """The splits and dividends of the tickers of these rows; those whose are unknown are left out, with a warning.

    Raises ActionsUnknown for such a ticker, unless the query's `errors` is "skip". Warns if they are old, and if a
    symbol may have belonged to another company, whose are not known.
    """
    if not dataset.splits or rows.is_empty():
        return {ticker: Actions() for ticker in rows["ticker"].unique()}
    yahoo = shared() if query.fetch and settings.fallback.enabled else None
    with Cache.read(settings, dataset) as cache, daily(cache, settings) as days:
        coverage, inquiry = cache.manifest.sessions.coverage(), Inquiry(days, settings, yahoo, on_event)
        known, notices = actions_of(inquiry, rows, errors="skip")
    if inquiry.unknown and query.errors == "raise":
        raise _unknown(inquiry.unknown)
    actions = {ticker: one.actions for ticker, one in known.items()}
    if query.adjust == "none" and not query.across_gaps:  # adjusted prices are refused, or warned about, before
        begins = {ticker: one.begins for ticker, one in known.items()}
        crossed, doubtful = seams_crossed(rows, coverage, actions, begins)
        notices = [*notices, *crossed.values(), *doubtful]
    for notice in notices:
        warn(notice)
    return actions


def _unknown(unknown: Mapping[str, str]) -> ActionsUnknown:
    ticker, cause = next(iter(unknown.items()))
    others = f" and {len(unknown) - 1:,} more" if len(unknown) > 1 else ""
    return ActionsUnknown(
        f"no splits or dividends are known for {ticker}{others} and they could not be fetched ({cause})",
        Option("errors", "skip", "to leave such tickers out"),
    )


def beside(rows: pl.DataFrame, actions: Mapping[str, Actions], adjust: Adjust) -> pl.DataFrame:
    """Rows of tickers with known actions, sorted by ticker and date, with the columns `dividend` and `split`.

    `dividend` is the cash that a share pays (capital gains included), 0 if none; `split` the number of new shares for
    an old one, 1 if none. Amounts are per share as the prices are: as traded, or of today if these are adjusted. What
    falls on a day without a row is in the next one, and a warning says so; what comes after the last row is in none.
    """
    kept = rows.filter(pl.col("ticker").is_in(list(actions)))
    days, paid, ratios = days_in(kept), np.zeros(kept.height), np.ones(kept.height)
    for stretch in stretches(kept):
        known, mine = actions[stretch.ticker], days[stretch.rows]
        for payout in known.payouts:
            ex_date = np.array([payout.ex_date], dtype="datetime64[D]")
            per_share = 1.0 if adjust == "none" else float(split_factors(ex_date, known.splits)[0])
            if (at := _place(stretch.ticker, mine, ex_date[0])) is not None:
                paid[stretch.rows.start + at] += payout.amount / per_share
        for split in known.splits:
            if (at := _place(stretch.ticker, mine, np.datetime64(split.ex_date, "D"))) is not None:
                ratios[stretch.rows.start + at] *= split.ratio
    return kept.with_columns(pl.Series(DIVIDEND, paid), pl.Series(SPLIT, ratios))


def _place(ticker: str, days: "np.ndarray[tuple[int], np.dtype[np.datetime64]]", ex_date: np.datetime64) -> int | None:
    at = int(np.searchsorted(days, ex_date))
    if at == len(days) or (at == 0 and days[0] != ex_date):
        return None
    if days[at] != ex_date:
        warn(f"{ticker}: no row on {ex_date}; its dividend or split is in the row of {days[at]}")
    return at
