"""Daily bars adjusted for splits, or for splits and dividends, as tables with the numbers of `history`.

They are made by the same code: a formula in SQL would have to follow it in what belongs to which company, in payouts
that Yahoo lists twice, and to the last bit.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import polars as pl

from ingest.cache.cache import Cache
from ingest.hints import Message
from ingest.lake.frames import lake_schema
from ingest.lake.partitions import view_name
from ingest.market.adjust import Adjust
from ingest.market.datasets import Dataset
from ingest.querying.tables import Table
from ingest.reading.adjusting.actions import HistoryQuery, adjusted_rows
from ingest.settings import Settings

Tell = Callable[[str | Message], None]

SUFFIXES: Mapping[Adjust, str] = {"splits": "_splits", "all": "_adjusted"}
"""Of the names of the views."""

_MOST = 5
"""Messages about single tickers; the rest is counted."""


def adjusted_tables(settings: Settings, dataset: Dataset, tell: Tell) -> Mapping[str, Table]:
    """The tables of a dataset by their names in SQL; none without splits. `tell` gets what is left out, in words.

    They have the tickers whose splits and dividends are known, and that can be adjusted. No request is sent.
    """
    if not (dataset.splits and dataset.kind.at_yahoo):
        return {}
    return {f"{view_name(dataset)}{end}": _table(settings, dataset, adjust, tell) for adjust, end in SUFFIXES.items()}


def _table(settings: Settings, dataset: Dataset, adjust: Adjust, tell: Tell) -> Table:
    schema = lake_schema(dataset)

    def read() -> pl.DataFrame:
        with Cache.read(settings, dataset) as cache:
            tickers = cache.manifest.yahoo.known()
            query = HistoryQuery(tickers, adjust=adjust, columns=list(schema), fetch=False, errors="skip")
            rows, notices = adjusted_rows(cache, settings, query, tickers)
        for notice in _few(notices):
            tell(notice)
        return rows.filter(pl.col("source") == "massive").select(list(schema))

    return Table(schema, read)


def _few(notices: Sequence[str | Message]) -> Iterator[str | Message]:
    yield from notices[:_MOST]
    if (left := len(notices) - _MOST) > 0:
        yield f"{left:,} more such messages about adjusted prices are not shown"
