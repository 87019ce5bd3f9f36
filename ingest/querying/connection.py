"""The DuckDB connection with the views, and queries that may only read. The module that knows the library."""

import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import polars as pl

from ingest.errors import UsageError, warn
from ingest.lake.partitions import view_name
from ingest.market.catalogue import CATALOGUE
from ingest.market.datasets import Dataset
from ingest.querying.adjusted import SUFFIXES, Tell, adjusted_tables
from ingest.querying.advice import advice
from ingest.querying.objects import register
from ingest.querying.parts.table import PartsTable, Scans
from ingest.querying.statements import check_query
from ingest.querying.tables import of_manifest, of_tickers
from ingest.querying.times import check_times
from ingest.querying.views import View, views
from ingest.settings import Settings

if TYPE_CHECKING:
    import duckdb

MISSING = "SQL needs DuckDB and pyarrow: pip install 'ingest[sql]'"

_QUIET = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
"""No query downloads anything."""

_FILTERING = "2.0."
"""Versions of the library whose scans give a table their filters; that is no public part of it."""

_FOREIGN = re.compile(r"\b(INTERVAL|BIGNUM|BIT|UNION|UHUGEINT|VARIANT|TIME WITH TIME ZONE)\b")
"""Types that polars does not have, or takes for others: it reads large UHUGEINT as negative, and loses offsets."""

_MOST_ROWS = 2**63 - 1
"""The largest number that LIMIT may have."""

_NAMED = re.compile("\"[^\"]*\"|'[^']*'")
"""The names of fields and values in a type."""


def connect(
    settings: Settings,
    found: Iterable[View] | None = None,
    tell: Tell = warn,
    frames: bool = True,
    scans: Scans | None = None,
) -> "duckdb.DuckDBPyConnection":
    """A connection, in memory, with the views; `tell` gets what an adjusted one leaves out, when it is read.

    With `frames` a query may name frames that are variables where it is asked; `scans` is told of those of `tickers`.
    Raises UsageError without the libraries, and CacheError.
    """
    if any(find_spec(name) is None for name in ("duckdb", "pyarrow")):
        raise UsageError(MISSING)
    import duckdb

    chosen = views(settings) if found is None else list(found)
    connection = duckdb.connect(config={**_QUIET, "temp_directory": _spilled()})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"SET python_enable_replacements = {str(frames).lower()}")
    datasets = [one.dataset for one in chosen]
    for name, table in {**of_manifest(settings, datasets), "tickers": of_tickers(settings, datasets, scans)}.items():
        connection.register(name, table)
    register(connection, {path: one for view in chosen for path, one in view.objects.items()})
    for view in chosen:
        if view.parts:
            connection.register(view.parts_name, _scanned(view.parts))
        connection.execute(view.statement)
        for name, table in adjusted_tables(settings, view.dataset, tell).items():
            connection.register(name, table)
    return connection


def _scanned(parts: PartsTable) -> object:
    """A table that reads what a query filters for, where the library says it in a way that is known; else all."""
    import duckdb

    if not duckdb.__version__.startswith(_FILTERING):
        return parts
    from ingest.querying.parts.pushdown import Filtered

    return Filtered(parts)


def _spilled() -> str:
    """Where what does not fit in memory goes; the default is the working folder. Each user has one."""
    user = os.getuid() if hasattr(os, "getuid") else "own"
    return f"{tempfile.gettempdir()}/ingest-duckdb-{user}"


def mentioned(chosen: Iterable[View], query: str) -> list[View]:
    """The views of datasets that a query may read, by their names in its text."""
    words = _words(query)
    return [one for one in chosen if _names(one) & words]


def without(chosen: Iterable[View], query: str) -> list[Dataset]:
    """The datasets that a query names and that have no view, since nothing of them is stored."""
    words, there = _words(query), {one.name for one in chosen}
    return [one for one in CATALOGUE.values() if view_name(one) not in there and _ends(view_name(one)) & words]


def _ends(name: str) -> frozenset[str]:
    return frozenset(f"{name}{end}" for end in ("", *SUFFIXES.values()))


def _names(view: View) -> frozenset[str]:
    """The names of what has a view's rows."""
    named = _ends(view.name) if view.dataset.splits else {view.name}
    return frozenset([*named, view.parts_name, *([] if view.dataset.kind.timed else ["tickers"])])


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of an answer, and how many `more` it has."""

    rows: pl.DataFrame
    more: int = 0


def run(connection: "duckdb.DuckDBPyConnection", query: str, most: int | None = None) -> Answer:
    """The answer to one query that only reads; with `most`, no more rows than that are kept, and the rest is counted.

    Raises UsageError, with what the library says, and KeyboardInterrupt once the connection is interrupted.
    """
    import duckdb

    try:
        statements = connection.extract_statements(query)
        check_query([one.type.name for one in statements], _tokens(query))
        return _answer(connection.sql(statements[0].query), most)
    except duckdb.InterruptException as error:
        raise KeyboardInterrupt from error
    except (duckdb.Error, pl.exceptions.PolarsError) as error:
        raise UsageError(f"the query: {error}{advice(error, query)}") from error


def _answer(found: Any, most: int | None) -> Answer:
    if found is None:
        return Answer(pl.DataFrame())
    if twice := [name for name, count in Counter(found.columns).items() if count > 1]:
        raise UsageError(f"the query: two columns of the answer are named {twice[0]}: give one another name with AS")
    found = _importable(found)
    rows = pl.DataFrame(found if most is None else found.limit(min(most + 1, _MOST_ROWS)))
    check_times(rows)
    if most is None:
        return Answer(rows)
    more = found.count("*").fetchall()[0][0] - most if rows.height > most else 0
    return Answer(rows.head(min(most, rows.height)), more)


def _importable(found: Any) -> Any:
    """The answer with what polars does not have as text: it panics at an interval."""
    types = zip(found.columns, map(str, found.types), strict=True)
    odd = ['"' + name.replace('"', '""') + '"' for name, kind in types if _FOREIGN.search(_NAMED.sub("", kind))]
    texts = ", ".join(f"CAST({name} AS VARCHAR) AS {name}" for name in odd)
    return found.project(f"* REPLACE ({texts})") if odd else found


def _tokens(query: str) -> list[str]:
    """The words and signs of a query in lower case, without texts and comments, as the library reads them.

    Places in a text are bytes in one version and characters in another: so all is made ASCII, and other blanks blanks.
    """
    import duckdb

    plain = "".join(one if one.isascii() else "x" if one.isalnum() else " " for one in query)
    found = duckdb.tokenize(plain)
    ends = [at for at, _ in found[1:]] + [len(plain)]
    texts = (duckdb.token_type.string_const, duckdb.token_type.comment)
    return [plain[at:end].strip().lower() for (at, kind), end in zip(found, ends, strict=False) if kind not in texts]


def _words(query: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", query.lower()))
