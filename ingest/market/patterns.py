"""Patterns of tickers: a name of a list that stands for all tickers that match it.

In `O:SPY*` and `X:???-USD` a `*` is any run of characters and a `?` any one. No ticker holds either, so a pattern is
told by them. `O:SPY` is the root of options, which is no ticker itself: it means all of its contracts, whose tickers go
on with exactly fifteen characters (OCC's expiry, C or P, and strike), and none of SPYD or SPY1. It is kept as that
pattern (`meant`), and told as it was written.
"""

import fnmatch
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

_AT_ONCE = 500
"""Patterns in one regular expression: with thousands its automaton does not fit into its cache any more."""


_ROOT = re.compile(r"O:[A-Z][A-Z0-9]{0,5}")


_CONTRACT = "?" * len("251219C00650000")


def meant(names: Iterable[str]) -> list[str]:
    """Names as they are kept: a root of options as the pattern of its contracts."""
    return [f"{name}{_CONTRACT}" if _ROOT.fullmatch(name) else name for name in names]


def written(name: str) -> str:
    """A name as people write it: inverse of `meant`."""
    root = name.removesuffix(_CONTRACT)
    return root if root != name and _ROOT.fullmatch(root) else name


def is_pattern(name: str) -> bool:
    """Whether a name of a list stands for all tickers that match it."""
    return "*" in name or "?" in name


def patterns_in(names: Iterable[str]) -> frozenset[str]:
    """The patterns among names of lists."""
    return frozenset(filter(is_pattern, names))


@lru_cache(maxsize=64)
def covered(names: frozenset[str], wanted: frozenset[str]) -> frozenset[str]:
    """Those of the wanted names that are among `names`, or that a pattern among these matches.

    A wanted name may be a pattern: it is covered where all its tickers are sure to be.
    """
    there = wanted & names
    if matches := _matcher(names):
        return there | {name for name in wanted - there if matches(name)}
    return there


def covers(names: frozenset[str], name: str) -> bool:
    """Whether a name is among `names`, or a pattern among these matches it, as a whole and with its case."""
    return name in names or bool((matches := _matcher(names)) and matches(name))


def matching(pattern: str, ordered: Sequence[str]) -> Sequence[str]:
    """Those of the tickers, ascending, that a pattern matches; only those that begin as it does are looked at."""
    prefix, matches = prefix_of(pattern), _matcher(frozenset({pattern}))
    first = bisect_left(ordered, prefix)
    end = bisect_right(ordered, prefix, first, key=lambda ticker: ticker[: len(prefix)])
    return [ticker for ticker in ordered[first:end] if matches and matches(ticker)]


@lru_cache(maxsize=64)
def regexes(names: frozenset[str]) -> tuple[str, ...]:
    """The patterns among names for an engine that knows no way back, such as polars': a ticker matches one of these."""
    parts = [
        "".join({"*": "(?s:.*)", "?": "[^*]"}.get(char, re.escape(char)) for char in pattern)
        for pattern in sorted(patterns_in(names))
    ]
    return tuple(f"^(?:{'|'.join(parts[at : at + _AT_ONCE])})$" for at in range(0, len(parts), _AT_ONCE))


def prefix_of(pattern: str) -> str:
    """How all tickers begin that match a pattern."""
    return re.split(r"[*?]", pattern, maxsplit=1)[0]


@lru_cache(maxsize=64)
def _matcher(names: frozenset[str]) -> Callable[[str], bool] | None:
    """The patterns among names for Python; None where there are none.

    Nearly all are a beginning and a star: many of those are looked up, and not tried one after the other.
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
    """Any of these patterns: `translate` makes what never goes back over a star.

    A `?` does not match a star: so a pattern that is matched is one of which all tickers are.
    """
    literal = [one.replace("[", "[[]").replace("?", "[!*]") for one in sorted(patterns)]
    return re.compile("|".join(map(fnmatch.translate, literal))) if literal else None


def some(tickers: Sequence[str], most: int = 5) -> str:
    """Tickers in words: the first ones by name, and how many more there are."""
    more = f" and {len(tickers) - most} more" if len(tickers) > most else ""
    return f"{', '.join(map(written, tickers[:most]))}{more}"
