"""What is missing of rows of many tickers, by dates and in words. Pure.

Between the first and the last day that were asked for (of all that is held where none was) a session is missing of a
ticker where no file that can tell of it is held, and no row of Yahoo's. Tickers without any row are none of this.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from ingest import gaps
from ingest.manifest.records import Coverage
from ingest.sessions import FIRST_SESSION
from ingest.tickers import some

_GROUPS = 5
"""Tickers that lack the same are named together, in so many groups at most."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A window: `sessions` of it that are over; `start` and `end` where they were given."""

    sessions: Sequence[date]
    start: date | None
    end: date | None


def absences(rows: pl.DataFrame, coverage: Coverage, asked: Asked) -> Iterator[str]:
    """What is to be said of the rows of a window."""
    if asked.start and asked.start < FIRST_SESSION:
        yield gaps.too_early(asked.start)
    yield from _missing(rows, coverage, asked.sessions)
    if asked.start or asked.end:
        yield from _ends(rows, coverage, asked)


def _missing(rows: pl.DataFrame, coverage: Coverage, sessions: Sequence[date]) -> Iterator[str]:
    unheld = [day for day in sessions if day not in coverage.whole]
    if not unheld or rows.is_empty():
        return
    theirs = rows.filter(pl.col("date").is_in(unheld)).select("ticker", "date").unique()
    had = dict(theirs.group_by("ticker").agg("date").iter_rows())
    lacking: dict[tuple[date, ...], list[str]] = {}
    for ticker in rows["ticker"].unique().sort():
        days = frozenset(had.get(ticker, ()))
        gone = tuple(day for day in unheld if day not in days and not coverage.has(ticker, day))
        lacking.setdefault(gone, []).append(ticker)
    for gone, tickers in _first({gone: tickers for gone, tickers in lacking.items() if gone}):
        dates = gaps.in_words(gaps.spans(gone, sessions))
        yield f"{gaps.counted(gone)} missing for {some(tickers)} ({dates}): no file is held"


def _first(groups: Mapping[tuple[date, ...], list[str]]) -> Iterator[tuple[tuple[date, ...], list[str]]]:
    """The groups with most tickers; of the others all that any of them lacks."""
    ordered = sorted(groups.items(), key=lambda one: -len(one[1]))
    yield from ordered[:_GROUPS]
    if others := ordered[_GROUPS:]:
        yield tuple(sorted({day for gone, _ in others for day in gone})), [one for _, some in others for one in some]


def _ends(rows: pl.DataFrame, coverage: Coverage, asked: Asked) -> Iterator[str]:
    """Tickers whose rows begin late or end early though files are held."""
    sides = rows.group_by("ticker").agg(pl.col("date").min().alias("first"), pl.col("date").max().alias("last"))
    early, late = dict[str, date](), dict[str, date]()
    for ticker, first, last in sides.sort("ticker").iter_rows():
        held = coverage.of(ticker)
        if asked.start and gaps.before(asked.sessions, (first,), held):
            early[ticker] = first
        if asked.end and gaps.after(asked.sessions, (last,), held):
            late[ticker] = last
    if early:
        yield f"no rows of {_dated(early, 'before')} though files are held: not listed yet, or under another ticker"
    if late:
        yield f"no rows of {_dated(late, 'after')} though files are held: not listed any more, or under another ticker"


def _dated(tickers: Mapping[str, date], word: str) -> str:
    return some([f"{ticker} {word} {day}" for ticker, day in tickers.items()])
