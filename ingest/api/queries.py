"""SQL over what is stored."""

from pathlib import Path
from typing import TYPE_CHECKING

from ingest import settings
from ingest.settings.arguments import parse_file

if TYPE_CHECKING:
    import duckdb
    import polars as pl


def sql(query: str, config: Path | str | None = None) -> "pl.DataFrame":
    """The answer to a query in DuckDB's SQL over what is stored.

    There is a view for each dataset with stored sessions, such as stocks_day, with the columns of `scan` except for
    source, as traded, and the tables tickers, sessions, findings, corrections and actions. A query may read other files
    ('mine.csv', 'mine.parquet') and writes none. Views read the lake where it is up to date, else the parts,
    which is slower. Needs the extra `sql`. Raises UsageError for a query that DuckDB does not take, NotFound
    for a view of a dataset of which nothing is stored, and CacheError.
    """
    from ingest.querying.asking import ask

    return ask(settings.load(parse_file(config)), query)


def connect(config: Path | str | None = None) -> "duckdb.DuckDBPyConnection":
    """A DuckDB connection with the views of `sql`, in memory and all yours: it may make tables, and write files.

    The views are as of now: make another connection after a run, and one for each thread, since a `cursor()` of this
    one does not have the tables that they read. Needs the extra `sql`. Raises UsageError, CacheError.
    """
    from ingest.querying.connection import connect

    return connect(settings.load(parse_file(config)))
