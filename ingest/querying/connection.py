"""The DuckDB connection with the views, and queries that may only read. The one module that knows the library."""

import re
import tempfile
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import polars as pl

from ingest.errors import UsageError
from ingest.querying.tables import of_manifest
from ingest.querying.views import View, views
from ingest.settings import Settings

if TYPE_CHECKING:
    import duckdb

MISSING = "SQL needs DuckDB: pip install 'ingest[sql]'"

_QUIET = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
"""No query downloads anything."""

_READING = frozenset({"SELECT", "EXPLAIN", "MULTI"})
"""Kinds of statements that only read; PIVOT is several in one."""


def connect(settings: Settings, found: Iterable[View] | None = None) -> "duckdb.DuckDBPyConnection":
    """A connection, in memory, with the views. Raises UsageError without the library, and CacheError."""
    if find_spec("duckdb") is None:
        raise UsageError(MISSING)
    import duckdb

    chosen = views(settings) if found is None else list(found)
    connection = duckdb.connect(config={**_QUIET, "temp_directory": f"{tempfile.gettempdir()}/ingest-duckdb"})
    connection.execute("SET TimeZone = 'UTC'")
    for name, table in of_manifest(settings, [one.dataset for one in chosen]).items():
        connection.register(name, table)
    for view in chosen:
        if view.parts:
            connection.register(view.parts_name, view.parts)
        connection.execute(view.statement)
    connection.execute(_tickers(chosen))
    return connection


def _tickers(chosen: Sequence[View]) -> str:
    """The view `tickers`: one row for each ticker of a dataset of daily bars."""
    daily = [one for one in chosen if not one.dataset.kind.timed]
    return f"CREATE VIEW tickers AS {' UNION ALL '.join(one.tickers for one in daily) or View.NO_TICKERS}"


def mentioned(chosen: Iterable[View], query: str) -> list[View]:
    """The views of datasets that a query may read, by their names in its text."""
    words = frozenset(re.findall(r"\w+", query.lower()))
    return [one for one in chosen if one.name in words or ("tickers" in words and not one.dataset.kind.timed)]


def run(connection: "duckdb.DuckDBPyConnection", query: str) -> pl.DataFrame:
    """The answer to one query that only reads. Raises UsageError, with what the library says."""
    import duckdb

    try:
        statements = connection.extract_statements(query)
        _check([one.type.name for one in statements])
        answer: Any = connection.sql(statements[0].query)
        return pl.DataFrame(answer) if answer is not None else pl.DataFrame()
    except duckdb.InterruptException as error:
        raise KeyboardInterrupt from error
    except duckdb.Error as error:
        raise UsageError(f"the query: {error}") from error


def _check(kinds: Sequence[str]) -> None:
    if not kinds:
        raise UsageError('the query is empty: write one, such as "from tickers limit 5"')
    if len(kinds) > 1:
        raise UsageError(f"the query has {len(kinds)} statements: write one")
    if kinds[0] not in _READING:
        raise UsageError(f"the query is no question but a {kinds[0]} statement: nothing is written here")
