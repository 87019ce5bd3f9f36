"""Which tickers a cache has: those that match a pattern, and those that are similar to an unknown name."""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date

import polars as pl

from ingest.cache.cache import Cache
from ingest.cache.layout import PartsOf
from ingest.cache.steady import steadily
from ingest.errors import printable
from ingest.hints import Message, Option, call
from ingest.market.calendars import today
from ingest.market.catalogue import of_ticker
from ingest.market.datasets import Dataset
from ingest.market.patterns import covered, is_pattern, patterns_in, some, written
from ingest.market.windows import why_empty
from ingest.reading.adjusting.freshness import calendar_of
from ingest.tracked.expand import found_in

_EVERYTHING = frozenset({"*"})
_SHOWN = 40


def resolved(cache: Cache, names: Sequence[str], start: date, end: date) -> list[str]:
    """The names, with each pattern replaced by the matching tickers of sessions from `start` to `end`, both inclusive.

    A ticker that is really called `*` stays in the result: vendors may use any name. Raises CacheError.
    """
    patterns = patterns_in(names)
    if not patterns:
        return list(names)
    found = _in_parts(cache, cache.manifest.sessions.committed(start, end), patterns) | covered(
        patterns, cache.manifest.yahoo.tickers()
    )
    plain = [name for name in names if name not in patterns or name in found]
    return [*plain, *sorted(covered(patterns - found, found) - set(plain))]


def missing_names(
    cache: Cache,
    names: Sequence[str],
    found: Collection[str],
    window: tuple[date | None, date | None],
    usual: tuple[str, ...] = (),
) -> Iterator[Message]:
    """Warnings about names without any row, with suggestions; none if all have rows."""
    without = [name for name in dict.fromkeys(names) if not covered(frozenset([name]), frozenset(found))]
    strange = [name for name in without if of_ticker(name).sigil not in ("", cache.dataset.sigil)]
    yield from (_of_another(cache.dataset, name) for name in strange[:1])
    without = [name for name in without if name not in strange]
    if without and not cache.manifest.sessions.committed() and not cache.manifest.yahoo.tickers():
        hint = call("run", "to download it", usual, dataset=cache.dataset.short)
        yield Message(f"no data for {cache.dataset.short}", (hint,))
    elif without and (why := why_empty(*window, cache.dataset, calendar_of(cache), today())):
        yield Message(f"no data for {some([printable(written(name)[:_SHOWN]) for name in without])}: {why}")
    elif without:
        yield Message(f"no data for {some(_suggested(cache, without))}{_in_words(window)}")


def _in_words(window: tuple[date | None, date | None]) -> str:
    start, end = window
    return (f" from {start} on" if start and not end else f" from {start}" if start else "") + (
        f" to {end}" if end else ""
    )


def _of_another(dataset: Dataset, name: str) -> Message:
    of = of_ticker(name, dataset.interval)
    shown = printable(written(name)[:_SHOWN])
    hint = Option("dataset", of.short, "to read it")
    return Message(f"{shown} belongs to {of.short}, not to {dataset.short}", (hint,))


def _suggested(cache: Cache, names: Sequence[str]) -> Sequence[str]:
    """Names as the user wrote them, each with its suggestions."""
    return [f"{printable(written(name)[:_SHOWN])}{words}" for name, words in suggestions(cache, names).items()]


def suggestions(cache: Cache, names: Sequence[str]) -> dict[str, str]:
    """For each name the similar tickers, as ` (did you mean AAPL?)` to append to it; empty if none is similar."""
    spellings = Spellings(known(cache), cache.dataset.yahoo_symbol)
    return {name: did_you_mean(spellings.near(name)) for name in names}


def did_you_mean(tickers: Sequence[str]) -> str:
    """A question after a name about the tickers that it may mean; empty if there is none."""
    return f" (did you mean {_either(tickers)}?)" if tickers else ""


def _either(tickers: Sequence[str]) -> str:
    *others, last = [printable(ticker) for ticker in tickers] or [""]
    return f"{', '.join(others)} or {last}" if others else last


def meant_by(cache: Cache, name: str, among: Collection[str]) -> str:
    """The tickers that a name may mean, in words; empty if none is similar."""
    near = _either(Spellings(among, cache.dataset.yahoo_symbol).near(name))
    return f"did you mean {near}?" if near else ""


def known(cache: Cache) -> frozenset[str]:
    """Tickers of the newest stored session, those that have a CSV, and those known from Yahoo."""
    return _in_parts(cache, cache.manifest.sessions.committed()[-1:], _EVERYTHING) | _prominent(cache)


def beginning(cache: Cache, text: str) -> frozenset[str]:
    """Known tickers that begin with a text, cheaply: without a text only those that have a CSV, or rows from Yahoo."""
    pattern = frozenset([f"{text}*"]) if text and not is_pattern(text) else frozenset[str]()
    newest = _in_parts(cache, cache.manifest.sessions.committed()[-1:] if pattern else (), pattern)
    return newest | {ticker for ticker in _prominent(cache) if ticker.startswith(text)}


def _prominent(cache: Cache) -> frozenset[str]:
    with_csv = {ticker for ticker, row in cache.manifest.csvs.states().items() if row.rows}
    return cache.manifest.yahoo.tickers() | with_csv


def _in_parts(cache: Cache, days: Collection[date], patterns: frozenset[str]) -> frozenset[str]:
    """Tickers of stored sessions that match, while a run may be replacing them."""

    def read(parts: Sequence[PartsOf]) -> pl.DataFrame:
        rows = [(one.session, ticker) for one in parts for ticker in found_in(cache, one, patterns)]
        return pl.DataFrame(rows, {"date": pl.Date, "ticker": pl.String}, orient="row")

    if not days:
        return frozenset()
    return frozenset(pl.concat(steadily(cache, days, read))["ticker"].to_list())


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_LEAST = 3
"""Shorter names always have neighbours one letter away."""

_LONGEST = 14
"""Longer names, of contracts, are not matched one letter off: another strike or day is another contract."""

_MOST = 3


class Spellings:
    """Known tickers, looked up by similar names."""

    def __init__(self, known: Collection[str], symbol: Callable[[str], str | None] = lambda ticker: None) -> None:
        """`symbol` returns another vendor's spelling of a ticker, by which it is found as well."""
        self._known = frozenset(known)
        self._folded = defaultdict[str, set[str]](set)
        for ticker in self._known:
            for spelled in (ticker, ticker.partition(":")[2], symbol(ticker)):
                self._folded[_folded(spelled or "")].add(ticker)

    def near(self, name: str) -> Sequence[str]:
        """The tickers most similar to a name, three at most; none if it is known itself."""
        folded = _folded(name)
        if name in self._known or not folded:
            return []
        same = self._folded.get(folded, ())
        return sorted(same)[:_MOST] or self._a_letter_off(folded)

    def _a_letter_off(self, folded: str) -> Sequence[str]:
        if not _LEAST <= len(folded) <= _LONGEST:
            return []
        found = {ticker for other in _edits(folded) for ticker in self._folded.get(other, ())}
        # Typing errors swap or repeat letters more often than they bring in others.
        return sorted(found, key=lambda one: (set(_folded(one)) != set(folded), one))[:_MOST]


def _folded(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", name.upper())


def _edits(name: str) -> Iterator[str]:
    """All texts that are one insertion, deletion, substitution or swap of neighbours away (Damerau, 1964)."""
    for at in range(len(name) + 1):
        before, after = name[:at], name[at:]
        if after:
            yield before + after[1:]
            yield from (before + letter + after[1:] for letter in _LETTERS)
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
        yield from (before + letter + after for letter in _LETTERS)
