"""One query, answered, with what there is to say of it."""

from collections.abc import Iterable, Iterator

import polars as pl

from ingest.errors import warn
from ingest.hints import call
from ingest.market.patterns import some
from ingest.querying.connection import connect, mentioned, run
from ingest.querying.views import View, views
from ingest.settings import Settings


def ask(settings: Settings, query: str) -> pl.DataFrame:
    """The answer to a query that only reads. Raises UsageError and CacheError, and warns as `warn_of` does."""
    found = views(settings)
    warn_of(mentioned(found, query))
    with connect(settings, found) as connection:
        return run(connection, query)


def warn_of(chosen: Iterable[View]) -> None:
    """Warn of sessions of which some tickers were not stored."""
    for words, view in _partial(chosen):
        hint = call("run", "to download the rest", (), dataset=view.dataset.short, save_others=True)
        warn(words, hint)


def _partial(chosen: Iterable[View]) -> Iterator[tuple[str, View]]:
    for view in chosen:
        if view.partial:
            which = some([str(day) for day in view.partial])
            yield f"{view.name}: only the tickers tracked at the time were stored: {which}", view
