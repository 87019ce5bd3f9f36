"""Which tickers are stored, chosen by how much they were traded and by a session on which they were listed."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from ingest.cache.cache import Cache
from ingest.errors import NotFound, UsageError, WrongArgument
from ingest.hints import Option, call
from ingest.lake.tickers import most_traded, traded
from ingest.market.catalogue import days_of
from ingest.market.datasets import Dataset
from ingest.reading.adjusting.freshness import calendar_of
from ingest.reading.history import why_never
from ingest.reading.scan import warn_of_none, warn_of_partial
from ingest.settings import Settings


@dataclass(frozen=True, slots=True)
class TickersQuery:
    """Which tickers: None leaves a condition out.

    Numbers are those of all stored sessions; with `listed_on` of those up to that day, so that what came later has no
    say; with `newest` of the last ones of these.
    """

    min_dollar_volume: float | None = None
    listed_on: date | None = None
    top: int | None = None
    newest: int | None = None


def tickers(settings: Settings, dataset: Dataset, query: TickersQuery) -> pl.DataFrame:
    """See `ingest.api.rows.tickers`."""
    _check(dataset, query)
    with Cache.read(settings, dataset) as cache:
        held = cache.manifest.sessions.committed()
        if query.listed_on and query.listed_on not in held:
            raise _not_stored(settings, cache, query.listed_on, held)
        days = _chosen(held, query)
        if days:
            warn_of_partial(cache, days, usual=settings.run.datasets)
        found = traded(cache, days)
        followed = [row.ticker for row in cache.manifest.csvs.active()]
    if not held:
        warn_of_none(settings, dataset)
    return _passing(found, query).with_columns(tracked=pl.col("ticker").is_in(followed))


def _chosen(held: Sequence[date], query: TickersQuery) -> Sequence[date]:
    days = held[: bisect_right(held, query.listed_on)] if query.listed_on else held
    return days if query.newest is None else days[-query.newest :]


def _passing(found: pl.DataFrame, query: TickersQuery) -> pl.DataFrame:
    if query.listed_on:
        found = found.filter(pl.col("last") == query.listed_on)
    if query.min_dollar_volume is not None:
        found = found.filter(pl.col("median_dollar_volume") >= query.min_dollar_volume)
    return found if query.top is None else most_traded(found, query.top)


def _check(dataset: Dataset, query: TickersQuery) -> None:
    """Raise UsageError for what cannot be asked of a dataset."""
    if dataset.kind.timed:
        days = days_of(dataset)
        hints = [Option("dataset", days.short, "for the same market")] if days else []
        raise UsageError(f"{dataset.short} has several rows a session: tickers are told of daily files", *hints)
    ranking = {"min_dollar_volume": query.min_dollar_volume, "top": query.top}
    if (named := [name for name, value in ranking.items() if value is not None]) and not dataset.has_volume:
        raise WrongArgument(named, f"cannot be told: {dataset.short} has no volume")
    for name, count in (("top", query.top), ("newest", query.newest)):
        if count is not None and count < 1:
            raise WrongArgument(name, f"{count}: must be 1 or more")


def _not_stored(settings: Settings, cache: Cache, day: date, held: Sequence[date]) -> NotFound:
    if why := why_never(cache.dataset, calendar_of(cache), day):
        return NotFound(f"{why}{_stored(day, held)}")
    window = {"start": day, "end": day}
    hint = call("run", "to download it", settings.run.datasets, dataset=cache.dataset.short, **window)
    return NotFound(f"{day} of {cache.dataset.short} is not stored{_stored(day, held)}", hint)


def _stored(day: date, held: Sequence[date]) -> str:
    """What is stored instead: how many sessions, from when to when, and those beside the day."""
    if not held:
        return "; no session is stored"
    at = bisect_left(held, day)
    near = " and ".join(str(one) for one in held[max(0, at - 1) : at + 1])
    return f"; {len(held):,} sessions from {held[0]} to {held[-1]} are stored: the nearest {near}"
