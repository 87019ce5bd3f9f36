"""`ingest.track`: the tickers that get a CSV of their own.

ingest.track.add("MSFT")       follow it; its CSV is made from what is stored
ingest.track.remove("MSFT")    follow it no longer; its CSV stays
ingest.track.list()            what is followed, and how far its history reaches
"""

from collections.abc import Iterable
from pathlib import Path

from ingest import settings
from ingest.errors import warn
from ingest.market.catalogue import STOCKS_DAY, named, of_tickers
from ingest.market.datasets import Dataset
from ingest.settings import arguments
from ingest.settings.arguments import parse_file
from ingest.settings.lists import is_reference
from ingest.tracked import lists
from ingest.tracked.lists import TrackedTicker


def add(
    tickers: str | Iterable[str],
    dataset: str | None = None,
    list_file: Path | str | None = None,
    config: Path | str | None = None,
) -> tuple[TrackedTicker, ...]:
    """Add tickers, patterns ("X:*-USD", "O:SPY") or "@top:500" to a list; their CSVs are made from what is stored.

    Returns what is stored for each. Those that are in the list already stay where they are. `dataset` is the one of the
    tickers' prefix by default, `list_file` the first list of the dataset in the settings; it is made if it does not
    exist. Asks no source. Warns if the settings do not name `list_file`, since runs do not read it then.

    Raises UsageError for an invalid ticker, or if the settings name no list; CacheLocked during a run, and CacheError.
    """
    chosen, wanted = settings.load(parse_file(config)), arguments.parse_tickers("tickers", tickers)
    kind = _dataset(dataset, wanted)
    file = lists.chosen_list(chosen, kind, parse_file(list_file))
    _, found = lists.add(chosen, kind, file, wanted, _silent)
    if file not in chosen.lists_of(kind):
        warn(f"{file} is not among {lists.setting_of(kind)}: name it there, or runs do not read it")
    return tuple(found)


def remove(
    tickers: str | Iterable[str],
    dataset: str | None = None,
    list_file: Path | str | None = None,
    config: Path | str | None = None,
) -> tuple[str, ...]:
    """Remove tickers from a list; returns those that were in it. Their CSVs stay, and new rows go to the archive.

    Arguments and errors are those of `add`; a list that does not exist is a UsageError.
    """
    chosen, wanted = settings.load(parse_file(config)), arguments.parse_tickers("tickers", tickers)
    kind = _dataset(dataset, wanted)
    file = lists.chosen_list(chosen, kind, parse_file(list_file))
    return tuple(lists.remove_tickers(chosen, kind, file, wanted, _silent))


def list(dataset: str = STOCKS_DAY.short, config: Path | str | None = None) -> tuple[TrackedTicker, ...]:
    """The tickers and patterns on a dataset's lists, and what is stored for each; see `TrackedTicker`.

    Raises UsageError for an invalid list, and CacheError.
    """
    return tuple(lists.held(settings.load(parse_file(config)), named(dataset)))


def _dataset(name: str | None, tickers: Iterable[str]) -> Dataset:
    return named(name) if name else of_tickers(one for one in tickers if not is_reference(one))


def _silent(message: str) -> None:
    """Changes to other CSVs are the next run's to report."""
