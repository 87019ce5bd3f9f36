"""Queries, answered, with what there is to say of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from ingest.errors import CacheError, IngestError, NotFound, UsageError, warn
from ingest.hints import Message, call
from ingest.lake.partitions import view_name
from ingest.market.patterns import some
from ingest.querying.connection import Answer, connect, mentioned, run, without
from ingest.querying.parts.table import Scans
from ingest.querying.statements import as_query
from ingest.querying.views import View, views
from ingest.querying.waiting import waited
from ingest.reading.scan import to_download_the_rest
from ingest.settings import Settings

if TYPE_CHECKING:
    import duckdb


_TRIES = 3
"""Runs replace a file once, so the second time it is current."""


@dataclass(frozen=True, slots=True)
class Queries:
    """A connection for one query after another, and the views as of when it was made."""

    views: Sequence[View]
    connection: "duckdb.DuckDBPyConnection"
    scans: Scans
    root: Path
    """The cache that is asked."""
    told: list[str | Message] = field(default_factory=list)
    """What adjusted views have left out, which is said once the query has ended."""

    def answer(self, query: str, most: int | None = None) -> Answer:
        """The answer to a query that only reads, as `run` gives it. Ctrl-C ends the query alone.

        Warns of tickers that an adjusted view leaves out.
        """
        self.scans.stop.clear()
        self.scans.failed.clear()
        self.told.clear()
        try:
            found = waited(lambda: run(self.connection, query, most), self._end)
        except UsageError as error:
            raise next(iter(self.scans.failed), self._explained(error, query)) from error
        for notice in dict.fromkeys(self.told):
            warn(notice)
        return found

    def outcome(self, query: str, most: int | None = None) -> Answer | IngestError:
        """The answer, or why there is none."""
        try:
            return self.answer(query, most)
        except IngestError as error:
            return error

    def _explained(self, error: UsageError, query: str) -> IngestError:
        """An error that a file of the lake is the reason of: it is damaged, though it looks as it should.

        Or that a dataset is the reason of: nothing of it is stored.
        """
        for view in self.views:
            if any(path in error.message for path in view.named_files):
                hint = call("verify", "to write it again", (), dataset=view.dataset.short, repair=True)
                return CacheError(f"a file of the lake cannot be read; {error.message}", hint)
        for dataset in without(self.views, query) if "does not exist" in error.message else ():
            hint = call("run", "to download some", (), dataset=dataset.short)
            none = f"no session of {dataset.short} is stored in {self.root}"
            return NotFound(f"there is no {view_name(dataset)}: {none}", hint)
        return error

    def mentioned(self, query: str) -> list[View]:
        """The views of datasets that a query may read."""
        return mentioned(self.views, query)

    def tables(self) -> dict[str, list[str]]:
        """The columns of each table and view."""
        columns = self.answer(
            "SELECT table_name, list(column_name) FROM duckdb_columns() WHERE NOT internal GROUP BY 1"
        )
        return {
            name: names for name, names in columns.rows.sort("table_name").iter_rows() if not name.endswith("_parts")
        }

    def _end(self) -> None:
        self.scans.stop.set()
        self.connection.interrupt()


@contextmanager
def asking(settings: Settings) -> Iterator[Queries]:
    """A connection with the views of all that is stored. Raises UsageError without DuckDB, and CacheError."""
    scans, told = Scans(), list[str | Message]()
    found = views(settings, scans)
    with connect(settings, found, told.append, frames=False, scans=scans) as connection:
        yield Queries(found, connection, scans, settings.cache.root, told)


def ask(settings: Settings, query: str) -> pl.DataFrame:
    """The answer to a query that only reads; warns as `warn_of` does. Raises UsageError, NotFound and CacheError."""
    return answered(settings, query, lambda questions: warn_of(questions.mentioned(query))).rows


def answered(
    settings: Settings, query: str, begin: Callable[[Queries], None] = lambda _: None, most: int | None = None
) -> Answer:
    """The answer to one query, as `Queries.answer` gives it; `begin` is called before it is waited for.

    If a run replaced or removed a file of the lake meanwhile, it is asked again, of what is stored by then: DuckDB
    opens a file more than once.
    """
    query = as_query(query)
    for _ in range(_TRIES):
        with asking(settings) as questions:
            begin(questions)
            outcome = questions.outcome(query, most)
            if all(view.is_current() for view in questions.mentioned(query)):
                break
    if isinstance(outcome, IngestError):
        raise outcome
    return outcome


def warn_of(chosen: Iterable[View]) -> None:
    """Warn of sessions of which some tickers were not stored."""
    for words, view in _partial(chosen):
        warn(words, to_download_the_rest(view.dataset, view.partial))


def _partial(chosen: Iterable[View]) -> Iterator[tuple[str, View]]:
    for view in chosen:
        if view.partial:
            which = some([str(day) for day in view.partial])
            yield f"{view.name}: only the tickers tracked at the time were stored: {which}", view
