"""Daily bars adjusted for splits, or for splits and dividends, as tables with the numbers of `history`.

They are made by the same code: a formula in SQL would have to follow it in what belongs to which company, in payouts
that Yahoo lists twice, and to the last bit.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice

import polars as pl

from ingest.cache.cache import Cache
from ingest.hints import Hint, Message, call
from ingest.lake.frames import lake_schema
from ingest.lake.partitions import view_name
from ingest.lake.tickers import traded
from ingest.market.adjust import Adjust
from ingest.market.datasets import Dataset
from ingest.market.patterns import some
from ingest.querying.tables import Table
from ingest.reading import known
from ingest.reading.adjusting.actions import HistoryQuery
from ingest.reading.adjusting.adjustable import Adjustable, adjustable_rows
from ingest.settings import Settings

Tell = Callable[[str | Message], None]

SUFFIXES: Mapping[Adjust, str] = {"splits": "_splits", "all": "_adjusted"}
"""Of the names of the views."""

_UNADJUSTED = pl.Schema({"adjust": pl.String(), "ticker": pl.String(), "reason": pl.String()})
_UNASKED = "Yahoo was not asked for its splits and dividends"

_MOST = 5
"""Messages about single tickers; the rest is counted."""


def adjusted_tables(settings: Settings, dataset: Dataset, tell: Tell) -> Mapping[str, Table]:
    """The tables of a dataset by their names in SQL; none without splits. `tell` gets what is left out, in words.

    They have the tickers whose splits and dividends are known, and that can be adjusted; `unadjusted` has all others,
    and why. No request is sent.
    """
    if not (dataset.splits and dataset.kind.at_yahoo):
        return {}
    tables = {_name(dataset, adjust): _table(settings, dataset, adjust, tell) for adjust in SUFFIXES}
    return {**tables, "unadjusted": Table(_UNADJUSTED, lambda: _unadjusted(settings, dataset))}


def _name(dataset: Dataset, adjust: Adjust) -> str:
    return f"{view_name(dataset)}{SUFFIXES[adjust]}"


def _table(settings: Settings, dataset: Dataset, adjust: Adjust, tell: Tell) -> Table:
    schema, name = lake_schema(dataset), _name(dataset, adjust)

    def read() -> pl.DataFrame:
        with Cache.read(settings, dataset) as cache:
            found = _adjustable(cache, settings, adjust)
            missing = [*_left_out(name, found.left_out), *_unasked(cache, name, settings.fallback.enabled)]
        for notice in (*missing, *_few(found.doubts)):
            tell(notice)
        return found.adjusted(adjust).filter(pl.col("source") == "massive").select(list(schema))

    return Table(schema, read)


def _adjustable(cache: Cache, settings: Settings, adjust: Adjust) -> Adjustable:
    """The rows of all tickers that Yahoo has answered for, as `history` has them."""
    tickers = cache.manifest.yahoo.known()
    columns = list(lake_schema(cache.dataset))
    query = HistoryQuery(tickers, adjust=adjust, columns=columns, fetch=False, errors="skip")
    return adjustable_rows(cache, settings, query, tickers)


def _left_out(name: str, left_out: Collection[str]) -> Iterator[Message]:
    """What a view does not have since it cannot be adjusted, in words."""
    if left_out:
        which = f"({len(left_out):,}): {some(sorted(left_out))}"
        yield Message(f"{name} lacks tickers that cannot be adjusted {which}; the table unadjusted says why")


def _unasked(cache: Cache, name: str, asks: bool) -> Iterator[Message]:
    """What a view does not have since nothing is known of it, in words, and how to change that if Yahoo may be asked.

    Only the newest session is looked through: it names most tickers.
    """
    for newest in cache.manifest.sessions.committed()[-1:]:
        there = known.resolved(cache, ["*"], newest, newest)
        if unknown := sorted(set(there).difference(cache.manifest.yahoo.known())):
            count = f"{len(unknown):,} of the tickers of {newest}"
            words = f"{name} lacks {count}, whose splits and dividends are not known: {some(unknown)}"
            yield Message(words, tuple(_to_ask(cache, unknown)) if asks else ())


def _to_ask(cache: Cache, unknown: Sequence[str]) -> Iterator[Hint]:
    """How to make those of a ticker known, of one that Yahoo may have."""
    refused = {ticker for ticker, _ in cache.manifest.yahoo.refusals(unknown)}
    at_yahoo = (one for one in unknown if one not in refused and cache.dataset.yahoo_symbol(one) is not None)
    for ticker in islice(at_yahoo, 1):
        purpose = "to ask Yahoo for those of one ticker; a run asks for those of all that you track"
        yield call("export", purpose, ticker=ticker, adjust="splits", out="prices")


def _few(notices: Sequence[str | Message]) -> Iterator[str | Message]:
    yield from notices[:_MOST]
    if (left := len(notices) - _MOST) > 0:
        yield f"{left:,} more such messages about adjusted prices are not shown"


def _unadjusted(settings: Settings, dataset: Dataset) -> pl.DataFrame:
    """The tickers that each of the views lacks, and why."""
    with Cache.read(settings, dataset) as cache:
        unknown = _unknown(cache)
        reasons = {adjust: {**unknown, **_adjustable(cache, settings, adjust).left_out} for adjust in SUFFIXES}
    rows = [(adjust, *one) for adjust, found in reasons.items() for one in sorted(found.items())]
    return pl.DataFrame(rows, _UNADJUSTED, orient="row")


def _unknown(cache: Cache) -> dict[str, str]:
    """The stored tickers that Yahoo has not answered for, and why, as far as it was asked."""
    stored = traded(cache, cache.manifest.sessions.committed())["ticker"].to_list()
    unknown = set(stored).difference(cache.manifest.yahoo.known())
    refused = {ticker: one.reason for (ticker, _), one in cache.manifest.yahoo.refusals(unknown).items()}
    return {ticker: refused.get(ticker, _UNASKED) for ticker in unknown}
