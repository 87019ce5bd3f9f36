"""The rows behind the charts: those of each tracked ticker as traded, and the factors that adjust them.

A factor changes only on an ex-date, so a list of steps takes a fraction of what adjusted rows would.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from typing import Any, Final

import polars as pl

from ingest.cache.cache import Cache
from ingest.cli.rendering.hints import said, told
from ingest.cli.report.words import short
from ingest.errors import CacheError, printable
from ingest.hints import Message
from ingest.market.datasets import Dataset
from ingest.reading import rows as reading
from ingest.reading.adjusting import adjusted
from ingest.reading.adjusting.actions import HistoryQuery
from ingest.reading.adjusting.adjustable import adjustable_rows
from ingest.settings import Settings

_ROWS: Final = 80_000
"""Rows of all charts together, some 45 bytes each: 60 tickers have 1,300 sessions, five years."""

_FEWEST: Final = 250
"""A chart has at least so many sessions; beyond that many rows in all, the last tickers have none."""


@dataclass(frozen=True, slots=True)
class Charts:
    """The charts of one dataset: its dates, values by ticker, and warnings in words; `left` counts tickers left out.

    `since` says whether sessions before the first date are left out.
    """

    dataset: Dataset
    dates: Sequence[str]
    tickers: Sequence[Mapping[str, Any]]
    notes: Sequence[str]
    left: int = 0
    since: bool = False


def charts(settings: Settings, datasets: Sequence[Dataset]) -> list[Charts]:
    """Charts of the tracked tickers of these datasets that have one row a session; newest sessions, within a budget.

    Yahoo is not asked. Raises CacheError.
    """
    tracked = {
        dataset: found for dataset in datasets if not dataset.kind.timed and (found := _tracked(settings, dataset))
    }
    sessions = max(_FEWEST, _ROWS // max(1, sum(map(len, tracked.values()))))
    room, made = _ROWS // sessions, list[Charts]()
    for dataset, tickers in tracked.items():
        made.append(_charts(settings, dataset, tickers[:room], sessions, len(tickers[room:])))
        room -= min(room, len(tickers))
    return made


def _tracked(settings: Settings, dataset: Dataset) -> list[str]:
    with Cache.read(settings, dataset) as cache:
        return sorted(row.ticker for row in cache.manifest.csvs.active())


def _charts(settings: Settings, dataset: Dataset, tickers: Sequence[str], sessions: int, left: int) -> Charts:
    try:
        with Cache.read(settings, dataset) as cache:
            known = cache.manifest.at_once(lambda: reading.sessions(cache))
            start = known[-sessions:][0] if known else None
            rows, notes = _rows(cache, settings, tickers if known else (), start)
    except CacheError as error:  # the report is needed most where something is damaged
        return Charts(dataset, [], [], [f"no charts of {dataset.short}: {told(error)}"], left=left + len(tickers))
    dates = rows["date"].unique().sort()
    found = [_ticker(dataset, one, dates) for one in rows.partition_by("ticker", maintain_order=True)]
    return Charts(dataset, [str(day) for day in dates], found, notes, left=left, since=len(known) > sessions)


def _rows(
    cache: Cache, settings: Settings, tickers: Sequence[str], start: date | None
) -> tuple[pl.DataFrame, Sequence[str]]:
    """Rows as traded with their factors `by` and `times` of price and volume, null where they are not known."""
    query = HistoryQuery(tickers, start, adjust="all", fetch=False, errors="skip")
    if not tickers:
        return _none(cache.dataset).with_columns(by=pl.lit(1.0), times=pl.lit(1.0)), []
    rows = reading.rows(cache, tickers, *query.window(cache.dataset))
    found = adjustable_rows(cache, settings, query, tickers)
    times = pl.Series(adjusted.split_factors_of(found.rows, found.actions))
    by = pl.Series(adjusted.dividend_factors_of(found.rows, found.actions)) / times
    factors = found.rows.select("ticker", "date").with_columns(by=by, times=times)
    return rows.join(factors, on=["ticker", "date"], how="left", maintain_order="left"), _words(found.notices)


def _none(dataset: Dataset) -> pl.DataFrame:
    return pl.DataFrame(schema=reading.rows_schema(dataset))


def _words(notices: Sequence[str | Message]) -> list[str]:
    return [
        printable(_told_of_charts(said(one.text, one.hints) if isinstance(one, Message) else one)) for one in notices
    ]


def _told_of_charts(text: str) -> str:
    """A warning of adjusted reading; a ticker that it leaves out has its chart, as traded."""
    return re.sub("^left out", "shown only as traded", text)


def _ticker(dataset: Dataset, rows: pl.DataFrame, dates: pl.Series) -> Mapping[str, Any]:
    """One ticker's values: `at` has the places of its days among the dates, or the first if all follow."""
    places = dates.search_sorted(rows["date"]).to_list()
    follows = places == list(range(places[0], places[0] + len(places)))
    return {
        **bars(rows),
        "ticker": short(rows["ticker"][0]),
        "at": places[0] if follows else places,
        "by": _steps(rows["by"]),
        "times": _steps(rows["times"]),
        "adjusts": dataset.splits and rows["by"].null_count() == 0,
    }


def bars(rows: pl.DataFrame) -> Mapping[str, Any]:
    """The values of one ticker's bars as they are, each on the date of its number, and which are Yahoo's."""
    values = {name[0]: _numbers(rows[name]) for name in ("open", "high", "low", "close", "volume")}
    yahoo = rows["source"].eq("yahoo").arg_true().to_list()
    return {"ticker": "", "at": 0, **values, "by": [], "times": [], "adjusts": False, "yahoo": yahoo}


def stamps(rows: pl.DataFrame) -> Mapping[str, Any]:
    """The dates of bars; of intraday ones `labels`, and seconds of a clock there for the scale, which must ascend.

    When the clock is set back an hour happens twice: its second hour is squeezed behind the first.
    """
    if "time" not in rows.columns:
        return {"dates": [str(day) for day in rows["date"]]}
    clock = rows["time"].dt.replace_time_zone(None)
    seconds = list(accumulate(clock.dt.epoch("s"), lambda before, now: max(before + 1, now)))
    return {"dates": seconds, "labels": clock.dt.strftime("%Y-%m-%d %H:%M").to_list()}


def _numbers(values: pl.Series) -> list[float | int | None]:
    """Numbers as JSON has them, as short as they can be; None where there is none."""
    return [None if one is None or one - one != 0 else int(one) if one == int(one) else one for one in values]


def _steps(factors: pl.Series) -> list[tuple[int, float]]:
    """The factors as (number of the first row, factor); none where all are 1 or unknown."""
    if factors.null_count() or factors.eq(1).all():
        return []
    begins = factors.ne_missing(factors.shift(1)).arg_true()
    return list(zip(begins.to_list(), factors.gather(begins).to_list(), strict=True))
