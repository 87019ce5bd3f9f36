"""Which sessions without a row of a ticker are missing, and in which the ticker did not trade. Pure.

If the file of a session is stored and does not contain the ticker, that is not a gap: the ticker did not trade. More
than a week of such sessions before its first row or after its last one gives a warning: then it more likely had another
name, was not listed yet, or was delisted.

A session is missing for a ticker if no stored file covers the ticker and Yahoo has no row. Sessions count between the
first and the last requested day (by default, of all that are stored). Tickers without any row are not handled here.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from ingest.cache.manifest.records import Coverage
from ingest.market.calendars import FIRST_SESSION
from ingest.market.patterns import some

Span = tuple[date, date]

_WEEK = 5
_SHOWN = 5


def too_early(start: date) -> str:
    """The warning that a window begins before the first file."""
    return f"the window begins on {start}, but the first files are from {FIRST_SESSION}"


def missing_sessions(sessions: Sequence[date], rows: Collection[date], missing: Collection[date]) -> list[date]:
    """Sessions (ascending) that are `missing` and have no row."""
    return [day for day in sessions if day in missing and day not in rows]


def before(sessions: Sequence[date], rows: Collection[date], held: Collection[date]) -> list[date]:
    """Sessions before the first row whose files are stored; empty if they are at most a week."""
    first = min(rows, default=date.min)
    return _long([day for day in sessions if day < first and day in held])


def after(sessions: Sequence[date], rows: Collection[date], held: Collection[date]) -> list[date]:
    """The same after the last row."""
    last = max(rows, default=date.max)
    return _long([day for day in sessions if day > last and day in held])


def _long(days: list[date]) -> list[date]:
    return days if len(days) > _WEEK else []


def spans(days: Iterable[date], sessions: Sequence[date]) -> list[Span]:
    """First and last day of each run of consecutive sessions."""
    wanted, found, open_ = set(days), list[Span](), False
    for session in sessions:
        if session in wanted:
            found[-1:] = [(found[-1][0], session)] if open_ else [*found[-1:], (session, session)]
        open_ = session in wanted
    return found


def merge_spans(stretches: Iterable[Span]) -> list[Span]:
    """The same dates in spans that don't overlap, ascending."""
    found: list[Span] = []
    for first, last in sorted(stretches):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


def spans_in_words(stretches: Sequence[Span]) -> str:
    """The dates of the first few spans, in words, and how many more there are."""
    shown = [f"{first}" if first == last else f"{first} to {last}" for first, last in stretches[:_SHOWN]]
    more = f" and {len(stretches) - _SHOWN:,} more stretches" if len(stretches) > _SHOWN else ""
    return ", ".join(shown) + more


def counted(days: Sequence[date]) -> str:
    """The number of sessions in words, with its verb."""
    return "1 session is" if len(days) == 1 else f"{len(days):,} sessions are"


_GROUPS = 5
"""The most groups of tickers in warnings; a group is missing the same sessions."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A window: its completed `sessions`, and its `start` and `end` if they were given."""

    sessions: Sequence[date]
    start: date | None
    end: date | None


def absences(rows: pl.DataFrame, coverage: Coverage, asked: Asked) -> Iterator[str]:
    """Warnings about sessions that are missing from a window, and tickers that begin late or end early in it."""
    if asked.start and asked.start < FIRST_SESSION:
        yield too_early(asked.start)
    yield from _missing(rows, coverage, asked.sessions)
    if asked.start or asked.end:
        yield from _ends(rows, coverage, asked)


def _missing(rows: pl.DataFrame, coverage: Coverage, sessions: Sequence[date]) -> Iterator[str]:
    unheld = [day for day in sessions if day not in coverage.whole]
    if not unheld or rows.is_empty():
        return
    theirs = rows.filter(pl.col("date").is_in(unheld)).select("ticker", "date").unique()
    had = dict(theirs.group_by("ticker").agg("date").iter_rows())
    missing: dict[tuple[date, ...], list[str]] = {}
    for ticker in rows["ticker"].unique().sort():
        days = frozenset(had.get(ticker, ()))
        gone = tuple(day for day in unheld if day not in days and not coverage.has(ticker, day))
        missing.setdefault(gone, []).append(ticker)
    for gone, tickers in _first({gone: tickers for gone, tickers in missing.items() if gone}):
        dates = spans_in_words(spans(gone, sessions))
        yield f"{counted(gone)} missing for {some(tickers)} ({dates}): no file is stored"


def _first(groups: Mapping[tuple[date, ...], list[str]]) -> Iterator[tuple[tuple[date, ...], list[str]]]:
    """The groups with most tickers; all others as one, with the sessions that any of them is missing."""
    ordered = sorted(groups.items(), key=lambda one: -len(one[1]))
    yield from ordered[:_GROUPS]
    if others := ordered[_GROUPS:]:
        yield tuple(sorted({day for gone, _ in others for day in gone})), [one for _, some in others for one in some]


def _ends(rows: pl.DataFrame, coverage: Coverage, asked: Asked) -> Iterator[str]:
    """Tickers whose rows begin late or end early although files are stored."""
    sides = rows.group_by("ticker").agg(pl.col("date").min().alias("first"), pl.col("date").max().alias("last"))
    early, late = dict[str, date](), dict[str, date]()
    for ticker, first, last in sides.sort("ticker").iter_rows():
        held = coverage.of(ticker)
        if asked.start and before(asked.sessions, (first,), held):
            early[ticker] = first
        if asked.end and after(asked.sessions, (last,), held):
            late[ticker] = last
    if early:
        yield f"no rows of {_dated(early, 'before')} although files are stored: not listed yet, or under another ticker"
    if late:
        yield f"no rows of {_dated(late, 'after')} although files are stored: delisted, or under another ticker"


def _dated(tickers: Mapping[str, date], word: str) -> str:
    return some([f"{ticker} {word} {day}" for ticker, day in tickers.items()])
