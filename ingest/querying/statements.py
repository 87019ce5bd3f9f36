"""What a statement does, from its kind and its keywords: a query may only read.

DuckDB has no mode for that where the database is in memory: COPY writes files wherever it stands, even in a WITH,
EXPLAIN ANALYZE runs what it explains, even INSTALL, and among the functions that stand where a table does are some that
run a text, write a log, or take an address in memory.
"""

from collections.abc import Iterator, Sequence
from itertools import dropwhile, pairwise

from ingest.errors import UsageError

_READING = frozenset({"SELECT", "EXPLAIN", "MULTI"})
"""Kinds of statements that only read; PIVOT is several in one."""

_QUESTIONS = frozenset(
    ["select", "from", "with", "pivot", "unpivot", "values", "describe", "show", "summarize", "table", "("]
)
"""How a query begins that EXPLAIN may explain."""

_DOING = frozenset(
    {
        "add_grammar_extension",
        "arrow_scan",
        "arrow_scan_dumb",
        "checkpoint",
        "create_external_resource",
        "deregister_external_resource",
        "destroy_external_resource",
        "disable_logging",
        "disable_profiling",
        "enable_logging",
        "enable_profiling",
        "force_checkpoint",
        "json_execute_serialized_sql",
        "pandas_scan",
        "python_arrow_scan",
        "python_map_function",
        "query",
        "register_external_resource",
        "register_external_resource_type",
        "remove_grammar_extension",
        "seq_scan",
        "test_vector_types",
        "truncate_duckdb_logs",
        "which_secret",
    }
)
"""Functions in place of a table that do more than read, or take an address; a test knows all that DuckDB has."""

_EXPLAINING = frozenset({"explain", "analyze", "analyse", "verbose"})


def as_query(query: object) -> str:
    """A query. Raises UsageError if it is no text, or has characters that no text has."""
    if not isinstance(query, str):
        raise UsageError(f"the query: {query!r} is not text")
    try:
        query.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"the query has a character that is not text, at {error.start + 1}") from error
    return query


def check_query(kinds: Sequence[str], words: Sequence[str]) -> None:
    """Raise UsageError unless these are one statement that only reads, of these words without texts and comments.

    A column that is named like a keyword, `copy`, is a word only if it has no quotes.
    """
    if not kinds:
        raise UsageError('the query is empty: write one, such as "from tickers limit 5"')
    if len(kinds) > 1:
        raise UsageError(f"the query has {len(kinds)} statements: write one")
    kind = kinds[0]
    if "copy" in words:
        kind = "COPY"
    elif kind == "EXPLAIN":
        explained = _explained(words)
        kind = "SELECT" if explained in _QUESTIONS else explained.upper()
    if kind not in _READING:
        raise UsageError(f"a query only reads: {kind} is refused, and nothing is written")
    if called := next(_called(words), None):
        raise UsageError(f"a query only reads: {called}() is refused, and nothing is written")


def _called(words: Sequence[str]) -> Iterator[str]:
    """The functions that a query calls and that do more than read."""
    names = ((word.strip('"'), then) for word, then in pairwise(words))
    return (name for name, then in names if name in _DOING and then.startswith("("))


def _explained(words: Sequence[str]) -> str:
    """The first word of what EXPLAIN explains, after its options: `explain analyze …`, `explain (format json) …`."""
    rest = _after(words)
    if rest[:1] == ["("] and ")" in rest and rest[1] not in _QUESTIONS:
        rest = _after(rest[rest.index(")") + 1 :])
    return next(iter(rest), "")


def _after(words: Sequence[str]) -> list[str]:
    return list(dropwhile(_EXPLAINING.__contains__, words))
