"""Splits and dividends of stored rows: kept, asked for anew where they are old, and applied."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import groupby

import polars as pl

from ingest import adjusted, fallback, reading
from ingest.adjust import Adjust
from ingest.corporate import Actions, Dividend
from ingest.datasets import days_of
from ingest.errors import AcrossSeam, ActionsUnknown, Disagreement, NotFound, SourceError
from ingest.freshness import is_known, newest_session
from ingest.manifest import Manifest
from ingest.manifest.quotes import Asking
from ingest.manifest.records import Coverage
from ingest.multipliers import likewise
from ingest.reading import Stock
from ingest.settings import Settings
from ingest.sources.yahoo import Yahoo

Notices = list[str]


def actions_of(
    stock: Stock, settings: Settings, rows: pl.DataFrame, yahoo: Yahoo | None, notices: Notices
) -> Mapping[str, Actions]:
    """Splits and dividends of the tickers of these rows through today: those kept, asked for anew where they are old.

    Without a `yahoo` nothing is asked. What is old and cannot be asked for anew is used, and a notice says so. Raises
    ActionsUnknown for tickers of which nothing was ever had.
    """
    spans = dict(_begins(rows))
    asked = stock.quotes.asked(spans)
    found = dict(stock.quotes.actions(spans))
    unknown: dict[str, str] = {}
    for ticker, first in spans.items():
        asking = asked.get(ticker)
        if is_known(asking, first, newest_session(stock.dataset)) and asking and asking.known:
            found.setdefault(ticker, Actions())
            if asking.message:
                notices.append(_old(ticker, asking, asking.message))
            continue
        try:
            asked_for = _asked(stock, settings, ticker, first, asking, yahoo, notices)
            found[ticker] = asked_for or found.get(ticker, Actions())
        except SourceError as error:
            if asking and asking.known and asking.first <= first:
                notices.append(_old(ticker, asking, str(error)))
            else:
                unknown[ticker] = str(error)
    if unknown:
        raise ActionsUnknown(_unknown(unknown))
    return found


def _asked(
    stock: Stock,
    settings: Settings,
    ticker: str,
    first: date,
    asking: Asking | None,
    yahoo: Yahoo | None,
    notices: Notices,
) -> Actions | None:
    """What Yahoo answers; None where it has no rows of a ticker that is known, to which nothing has happened since."""
    if asking and not asking.known and is_known(asking, first, first):
        raise NotFound(asking.message)
    if yahoo is None:
        raise NotFound("Yahoo was not to be asked")
    try:
        answer = fallback.ask(stock, yahoo, ticker, first)
    except (NotFound, Disagreement) as error:
        fallback.keep_refusal(settings, stock.dataset, ticker, first, error)
        if isinstance(error, NotFound) and asking and asking.known:
            return None
        raise
    fallback.keep(settings, stock.dataset, answer)
    notices.extend(answer.doubts)
    return answer.actions


def _old(ticker: str, asking: Asking, why: str) -> str:
    return f"splits and dividends of {ticker} are of {asking.last}, not newer: {why}"


def _unknown(unknown: Mapping[str, str]) -> str:
    ticker, cause = next(iter(unknown.items()))
    others = f" and {len(unknown) - 1:,} more" if len(unknown) > 1 else ""
    return (
        f"splits and dividends of {ticker}{others} are not known and cannot be had now ({cause}): nothing can be "
        'adjusted. For prices as traded take adjust="none", or auto_adjust=False'
    )


def _begins(rows: pl.DataFrame) -> Iterable[tuple[str, date]]:
    return rows.group_by("ticker", maintain_order=True).agg(pl.col("date").min()).iter_rows()


@contextmanager
def daily(stock: Stock, settings: Settings) -> Iterator[Stock]:
    """The day bars of the same market: splits and dividends are kept with them, and compared with their closes."""
    days = days_of(stock.dataset)
    if days is None or not stock.dataset.is_intraday:
        yield stock
        return
    with Manifest.read(settings.manifest_path, days.name) as manifest:
        yield reading.stock_of(manifest, settings, days)


def check_seams(rows: pl.DataFrame, coverage: Coverage, actions: Mapping[str, Actions]) -> None:
    """Raise AcrossSeam where prices would be adjusted across one."""
    for seam in adjusted.seams(rows, coverage):
        known = actions.get(seam.ticker, Actions())
        dates = [split.ex_date for split in known.splits] + [payout.ex_date for payout in known.payouts]
        if any(day > seam.before for day in dates):
            raise AcrossSeam(
                f"{seam}. Ask for one side alone (start={seam.after}), or say that it is one company "
                "(across_seams=True, --across-seams)"
            )


def adjusted_rows(
    stock: Stock,
    settings: Settings,
    tickers: Collection[str],
    start: date,
    end: date,
    adjust: Adjust,
    yahoo: Yahoo | None,
    across_seams: bool = False,
    trades: bool = False,
) -> tuple[pl.DataFrame, Notices]:
    """Rows as `stock.schema`, adjusted, with what is to be said of them. Raises IngestError.

    What has no splits and dividends (contracts, indices, currencies, coins) is handed out as traded.
    """
    notices: Notices = []
    if adjust == "none" or not stock.dataset.splits:
        return reading.rows(stock, tickers, start, end, trades), notices
    coverage = stock.manifest.coverage()  # before the rows: what a run commits meanwhile is no gap in them
    rows = reading.rows(stock, tickers, start, end, trades)
    if rows.is_empty():
        return rows, notices
    with daily(stock, settings) as days:
        actions = actions_of(days, settings, rows, yahoo, notices)
    if not across_seams:
        check_seams(rows, coverage, actions)
    notices.extend(doubts(rows, actions, payouts=adjust == "all"))
    return adjusted.apply(rows, actions, adjust), notices


def doubts(rows: pl.DataFrame, actions: Mapping[str, Actions], payouts: bool = True) -> list[str]:
    """What is to be said of splits that the raw prices show no trace of, and, with `payouts`, of odd ones."""
    splits = [
        f"{ticker}: Yahoo has a split of {split.ratio:g} for 1 on {split.ex_date}, and the prices show no such jump"
        for ticker, split in adjusted.doubtful(rows, actions)
    ]
    return [*splits, *differences(rows, actions)] if payouts else splits


def differences(rows: pl.DataFrame, actions: Mapping[str, Actions]) -> list[str]:
    """What is to be said of payouts that Yahoo's adjusted close takes out otherwise than it lists them."""
    found = groupby(adjusted.differing(rows, actions), key=lambda one: one[0])
    return [_difference(ticker, [payout for _, payout in payouts]) for ticker, payouts in found]


def _difference(ticker: str, payouts: Sequence[Dividend]) -> str:
    payout, *others = payouts
    lists = f"lists {payout.amount:g} paid" if payout.amount else "lists nothing paid"
    takes = f"keeps {payout.kept:.6g} of the value"
    what = f"{ticker}: Yahoo {lists} on {payout.ex_date}, and its adjusted close {takes}"
    return f"{what}: that is what is used{likewise(one.ex_date for one in others)}"
