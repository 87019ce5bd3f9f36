"""Patterns of tickers: a name in a list that stands for all tickers that match it.

In `O:SPY*` and `X:???-USD`, `*` matches any characters and `?` any one. No ticker contains either, which distinguishes
patterns. `O:SPY` is the root of options, not a ticker itself: it means all of its contracts, whose tickers continue
with exactly fifteen characters (OCC's expiry, C or P, and strike), so SPYD and SPY1 are not among them. It is stored as
that pattern (`meant`), and shown as it was written.
"""

import fnmatch
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

_AT_ONCE = 500
"""Patterns per regular expression: with thousands, its automaton no longer fits into its cache."""


_ROOT = re.compile(r"O:[A-Z][A-Z0-9]{0,5}")


_CONTRACT = "?" * len("251219C00650000")


def meant(names: Iterable[str]) -> list[str]:
    """Names as they are stored: a root of options as the pattern of its contracts."""
    return [f"{name}{_CONTRACT}" if _ROOT.fullmatch(name) else name for name in names]


def written(name: str) -> str:
    """A name as people write it: inverse of `meant`."""
    root = name.removesuffix(_CONTRACT)
    return root if root != name and _ROOT.fullmatch(root) else name


def is_pattern(name: str) -> bool:
    """Whether a name in a list stands for all tickers that match it."""
    return "*" in name or "?" in name


def patterns_in(names: Iterable[str]) -> frozenset[str]:
    """The patterns among names in lists."""
    return frozenset(filter(is_pattern, names))


@lru_cache(maxsize=64)
def covered(names: frozenset[str], wanted: frozenset[str]) -> frozenset[str]:
    """The wanted names that are among `names`, or that a pattern among these matches.

    A wanted name may be a pattern: it is covered if all its tickers are certain to be.
    """
    there = wanted & names
    if matches := _matcher(names):
        return there | {name for name in wanted - there if matches(name)}
    return there


def covers(names: frozenset[str], name: str) -> bool:
    """Whether a name is among `names`, or a pattern among these matches it as a whole, respecting case."""
    return name in names or bool((matches := _matcher(names)) and matches(name))


def matching(pattern: str, ordered: Sequence[str]) -> Sequence[str]:
    """The tickers (ascending) that a pattern matches; it checks only those with the pattern's prefix."""
    prefix, matches = prefix_of(pattern), _matcher(frozenset({pattern}))
    first = bisect_left(ordered, prefix)
    end = bisect_right(ordered, prefix, first, key=lambda ticker: ticker[: len(prefix)])
    return [ticker for ticker in ordered[first:end] if matches and matches(ticker)]


@lru_cache(maxsize=64)
def regexes(names: frozenset[str]) -> tuple[str, ...]:
    """The patterns among names, for an engine without backtracking, such as polars': a ticker matches one of these."""
    parts = [
        "".join({"*": "(?s:.*)", "?": "[^*]"}.get(char, re.escape(char)) for char in pattern)
        for pattern in sorted(patterns_in(names))
    ]
    return tuple(f"^(?:{'|'.join(parts[at : at + _AT_ONCE])})$" for at in range(0, len(parts), _AT_ONCE))


def prefix_of(pattern: str) -> str:
    """The common prefix of all tickers that match a pattern."""
    return re.split(r"[*?]", pattern, maxsplit=1)[0]


@lru_cache(maxsize=64)
def _matcher(names: frozenset[str]) -> Callable[[str], bool] | None:
    """The patterns among names, for Python; None if there are none.

    Nearly all are a prefix and a star: many of those are looked up instead of tried one after the other.
    """
    patterns = patterns_in(names)
    simple = frozenset(one for one in patterns if one == f"{prefix_of(one)}*")
    beginnings = frozenset(map(prefix_of, simple))
    lengths = sorted(set(map(len, beginnings)))
    expression = _expression(patterns - simple)

    def matches(name: str) -> bool:
        return any(name[:length] in beginnings for length in lengths) or bool(expression and expression.match(name))

    return matches if patterns else None


def _expression(patterns: Iterable[str]) -> re.Pattern[str] | None:
    """Any of these patterns: `translate` makes expressions that never backtrack over a star.

    A `?` does not match a star, so a pattern that is matched is one whose tickers all match.
    """
    literal = [one.replace("[", "[[]").replace("?", "[!*]") for one in sorted(patterns)]
    return re.compile("|".join(map(fnmatch.translate, literal))) if literal else None


def some(tickers: Sequence[str], most: int = 5) -> str:
    """Tickers in words: the first ones by name, and how many more there are."""
    more = f" and {len(tickers) - most:,} more" if len(tickers) > most else ""
    return f"{', '.join(map(written, tickers[:most]))}{more}"
