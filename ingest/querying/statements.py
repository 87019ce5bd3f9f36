"""What a statement does, from its kind and its keywords: a query may only read.

DuckDB has no mode for that where the database is in memory: COPY writes files wherever it stands, even in a WITH, and
EXPLAIN ANALYZE runs what it explains, even INSTALL.
"""

from collections.abc import Sequence
from itertools import dropwhile

from ingest.errors import UsageError

_READING = frozenset({"SELECT", "EXPLAIN", "MULTI"})
"""Kinds of statements that only read; PIVOT is several in one."""

_QUESTIONS = frozenset(
    ["select", "from", "with", "pivot", "unpivot", "values", "describe", "show", "summarize", "table", "("]
)
"""How a query begins that EXPLAIN may explain."""

_EXPLAINING = frozenset({"explain", "analyze", "analyse", "verbose"})


def check(kinds: Sequence[str], words: Sequence[str]) -> None:
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
        raise UsageError(f"the query is no question but a {kind} statement: nothing is written here")


def _explained(words: Sequence[str]) -> str:
    """The first word of what EXPLAIN explains, after its options: `explain analyze …`, `explain (format json) …`."""
    rest = _after(words)
    if rest[:1] == ["("] and ")" in rest and rest[1] not in _QUESTIONS:
        rest = _after(rest[rest.index(")") + 1 :])
    return next(iter(rest), "")


def _after(words: Sequence[str]) -> list[str]:
    return list(dropwhile(_EXPLAINING.__contains__, words))
