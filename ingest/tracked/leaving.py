"""The CSVs of tickers that no list names or matches any more: which they are, and their removal.

They can be made again from the parts. A kill leaves CSVs whose tickers the manifest still knows; the same command,
given again, removes the rest.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.cache.cache import Cache
from ingest.files import durable
from ingest.lake.top import followed
from ingest.market.datasets import Dataset
from ingest.market.patterns import covered
from ingest.settings import Settings
from ingest.settings.lists import meaning, tracked


@dataclass(frozen=True, slots=True)
class Leaving:
    """The CSVs of tickers that are followed no more: `files` of them (a month of minutes is one), `bytes` together."""

    tickers: tuple[str, ...]
    files: int
    bytes: int


def unfollowed(cache: Cache, names: Collection[str]) -> list[str]:
    """Tickers that have a CSV, or had one, and that these names of the lists do not cover."""
    known = frozenset(cache.manifest.csvs.states())
    return sorted(known - covered(frozenset(names), known))


def sized(cache: Cache, tickers: Sequence[str]) -> Leaving:
    """The CSVs of these tickers. Raises CacheError."""
    paths = [path for ticker in tickers for path in cache.csvs.files_of(ticker)]
    size = sum(size for path in paths for size in durable.sizes(path.parent, [path]))
    return Leaving(tuple(tickers), len(paths), size)


def leaving(settings: Settings, dataset: Dataset, file: Path, tickers: Collection[str]) -> Leaving:
    """The CSVs that nobody follows once these names have left a list. Raises UsageError, CacheError."""
    with Cache.read(settings, dataset) as cache:
        return sized(cache, gone_with(cache, settings, file, tickers))


def gone_with(cache: Cache, settings: Settings, file: Path, tickers: Collection[str]) -> list[str]:
    """Tickers among these names, or that match one, which no list covers once these have left that list."""
    lists, extra = settings.lists_of(cache.dataset), settings.tickers_of(cache.dataset)
    staying = tracked(cache.dataset.csv_name, lists, extra=extra, without=(file, tickers))
    going = followed(settings, cache.dataset, meaning(file, tickers))
    mine = covered(going, frozenset(cache.manifest.csvs.states()))
    return sorted(mine - covered(followed(settings, cache.dataset, staying), mine))


def remove_csvs(cache: Cache, tickers: Iterable[str]) -> None:
    """Remove all CSVs of tickers, then forget them; the caller holds the lock. Raises CacheError."""
    if gone := list(tickers):
        for ticker in gone:
            cache.csvs.drop(ticker)
        durable.sync_folder(cache.csvs.path)
        cache.manifest.csvs.drop(gone)
