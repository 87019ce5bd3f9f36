"""The tickers that a line `@top:500` of a list stands for: the most traded ones of what is stored.

Worked out again whenever CSVs are to be brought up to date: when a run begins, or a list changes. Nothing of it is
stored, so nothing of it can be outdated. What was stored with only the tracked tickers has no say, since these would
vote for themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from ingest.cache.cache import Cache
from ingest.errors import CacheError
from ingest.market.catalogue import days_of
from ingest.market.datasets import Dataset
from ingest.settings import Settings
from ingest.settings.lists import TrackedLists

SESSIONS = 60
"""How many of the newest sessions are counted: a quarter of a year, so that a week of news changes little."""


@dataclass(frozen=True, slots=True)
class Top:
    """The tickers, ascending, and what there is to say of them, "" if nothing."""

    tickers: tuple[str, ...] = ()
    notice: str = ""
    is_warning: bool = False


def top_tickers(settings: Settings, dataset: Dataset, count: int) -> Top:
    """The `count` tickers with the highest median dollar volume of the newest sessions that are stored as a whole.

    For minutes they are those of the daily files of the same market. If these cannot be read, the tickers that are
    tracked now stay so, and a warning says it: a run has to be able to put right what is damaged.
    """
    if not count:
        return Top()
    of = days_of(dataset)
    if of is None or not of.has_volume:
        return Top(notice=f"@top:{count}: {dataset.short} has no volume, so it stands for no ticker", is_warning=True)
    try:
        return _of(settings, dataset, of, count)
    except CacheError as error:
        words = f"@top:{count} cannot be worked out, so the tickers tracked now stay: {error.message}"
        return Top(_active(settings, dataset), words, is_warning=True)


def followed(settings: Settings, dataset: Dataset, lists: TrackedLists) -> frozenset[str]:
    """All tickers and patterns that lists stand for now."""
    return frozenset((*lists.tickers, *top_tickers(settings, dataset, lists.top).tickers))


def _of(settings: Settings, dataset: Dataset, of: Dataset, count: int) -> Top:
    with Cache.read(settings, of) as cache:
        days = sorted(cache.manifest.sessions.coverage().whole)[-SESSIONS:]
        if not days:
            told = f"no session of {of.short} is stored with all its tickers"
            return Top(notice=f"@top:{count} stands for no ticker in this run: {told} yet")
        found = _ranked(cache, days, count)
    return Top(tuple(sorted(name for name in found if dataset.csv_name(name) is not None)))


def _ranked(cache: Cache, days: Sequence[date], count: int) -> Sequence[str]:
    from ingest.lake.tickers import most_traded, traded  # polars, which a run with nothing to do does not import

    return most_traded(traded(cache, days), count)["ticker"].to_list()


def _active(settings: Settings, dataset: Dataset) -> tuple[str, ...]:
    """Tickers that have a CSV that is kept up to date; none if the manifest cannot be read."""
    try:
        with Cache.read(settings, dataset) as cache:
            return tuple(row.ticker for row in cache.manifest.csvs.active())
    except CacheError:
        return ()
