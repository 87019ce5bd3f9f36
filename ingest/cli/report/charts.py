"""The rows behind the charts: those of each tracked ticker as traded, and the factors that adjust them.

A factor changes only on an ex-date, so a list of steps takes a fraction of what adjusted rows would.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from ingest.cache.cache import Cache
from ingest.cli.rendering.hints import said
from ingest.errors import printable
from ingest.hints import Message
from ingest.market.datasets import Dataset
from ingest.reading import rows as reading
from ingest.reading.adjusting.actions import HistoryQuery, adjusted_rows
from ingest.settings import Settings

_ROWS: Final = 80_000
"""Rows of all charts together, some 45 bytes each: 60 tickers have 1,300 sessions, five years."""

_FEWEST: Final = 250
"""A chart has at least so many sessions; beyond that many rows in all, the last tickers have none."""

_SURE: Final = 10
"""Digits to which two factors are compared: beyond that they differ by rounding."""


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
    with Cache.read(settings, dataset) as cache:
        known = cache.manifest.at_once(lambda: reading.sessions(cache))
        start = known[-sessions:][0] if known else None
        query = HistoryQuery(tickers, start, adjust="all", fetch=False, errors="skip")
        rows = reading.rows(cache, tickers, *query.window(dataset)) if known and tickers else _none(dataset)
        adjusted, notices = adjusted_rows(cache, settings, query, tickers) if rows.height else (rows, [])
    dates = rows["date"].unique().sort()
    found = [
        _ticker(dataset, one, dates)
        for one in _with_factors(rows, adjusted).partition_by("ticker", maintain_order=True)
    ]
    return Charts(dataset, [str(day) for day in dates], found, _words(notices), left=left, since=len(known) > sessions)


def _none(dataset: Dataset) -> pl.DataFrame:
    return pl.DataFrame(schema=reading.rows_schema(dataset))


def _words(notices: Sequence[str | Message]) -> list[str]:
    return [printable(said(one.text, one.hints) if isinstance(one, Message) else one) for one in notices]


def _with_factors(rows: pl.DataFrame, adjusted: pl.DataFrame) -> pl.DataFrame:
    """The rows with the factors `by` and `times` of price and volume, null in tickers that cannot be adjusted."""
    key, others = ["ticker", "date"], adjusted.select("ticker", "date", by="close", times="volume")
    joined = rows.join(others, on=key, how="left", maintain_order="left")
    ratios = joined.with_columns(_ratio("by", "close"), _ratio("times", "volume"))
    filled = [pl.col(name).forward_fill().backward_fill().over("ticker") for name in ("by", "times")]
    return ratios.with_columns(*filled)


def _ratio(adjusted: str, raw: str) -> pl.Expr:
    ratio = pl.col(adjusted) / pl.col(raw)
    return pl.when(ratio.is_finite() & (ratio > 0)).then(ratio.round_sig_figs(_SURE)).alias(adjusted)


def _ticker(dataset: Dataset, rows: pl.DataFrame, dates: pl.Series) -> Mapping[str, Any]:
    """One ticker's values: `at` has the places of its days among the dates, or the first if all follow."""
    places = dates.search_sorted(rows["date"]).to_list()
    follows = places == list(range(places[0], places[0] + len(places)))
    return {
        **bars(rows),
        "ticker": printable(rows["ticker"][0]),
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


def stamps(rows: pl.DataFrame) -> list[str] | list[int]:
    """What the time scale shows of each bar: its date, or the seconds of its time as the clock there shows it."""
    if "time" not in rows.columns:
        return [str(day) for day in rows["date"]]
    return rows["time"].dt.replace_time_zone(None).dt.epoch("s").to_list()


def _numbers(values: pl.Series) -> list[float | int | None]:
    """Numbers as JSON has them, as short as they can be; None where there is none."""
    return [None if one is None or one - one != 0 else int(one) if one == int(one) else one for one in values]


def _steps(factors: pl.Series) -> list[tuple[int, float]]:
    """The factors as (number of the first row, factor); none where all are 1 or unknown."""
    if factors.null_count() or factors.eq(1).all():
        return []
    begins = factors.ne_missing(factors.shift(1)).arg_true()
    return list(zip(begins.to_list(), factors.gather(begins).to_list(), strict=True))
