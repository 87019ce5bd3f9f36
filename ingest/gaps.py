"""Sessions of a window without a row of a ticker, told apart: those that are missing, and those without a trade. Pure.

A session whose file is held and does not have the ticker is no gap: it did not trade. Where that is so in more than a
week of sessions before its first row or after its last one, it more likely had another name then, was not listed yet,
or is not any more: that is said, too.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import date

from ingest.sessions import FIRST_SESSION

Span = tuple[date, date]

_WEEK = 5
_SHOWN = 5


def too_early(start: date) -> str:
    """In words, that a window begins before the first of all files."""
    return f"asked from {start} on, and the first files are of {FIRST_SESSION}"


def missing(sessions: Sequence[date], rows: Collection[date], lacking: Collection[date]) -> list[date]:
    """Sessions (ascending) that are `lacking` and have no row."""
    return [day for day in sessions if day in lacking and day not in rows]


def before(sessions: Sequence[date], rows: Collection[date], held: Collection[date]) -> list[date]:
    """Sessions before the first row, of which files are held; none where they are a week's at most."""
    first = min(rows, default=date.min)
    return _long([day for day in sessions if day < first and day in held])


def after(sessions: Sequence[date], rows: Collection[date], held: Collection[date]) -> list[date]:
    """The same after the last row."""
    last = max(rows, default=date.max)
    return _long([day for day in sessions if day > last and day in held])


def _long(days: list[date]) -> list[date]:
    return days if len(days) > _WEEK else []


def spans(days: Iterable[date], sessions: Sequence[date]) -> list[Span]:
    """First and last day of each stretch of neighbouring sessions."""
    wanted, found, open_ = set(days), list[Span](), False
    for session in sessions:
        if session in wanted:
            found[-1:] = [(found[-1][0], session)] if open_ else [*found[-1:], (session, session)]
        open_ = session in wanted
    return found


def apart(stretches: Iterable[Span]) -> list[Span]:
    """The same dates in stretches that don't overlap, ascending."""
    found: list[Span] = []
    for first, last in sorted(stretches):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


def in_words(stretches: Sequence[Span]) -> str:
    """The stretches by date, the first ones of many."""
    shown = [f"{first}" if first == last else f"{first} to {last}" for first, last in stretches[:_SHOWN]]
    more = f" and {len(stretches) - _SHOWN:,} more stretches" if len(stretches) > _SHOWN else ""
    return ", ".join(shown) + more


def counted(days: Sequence[date]) -> str:
    """In words, how many sessions."""
    return "1 session is" if len(days) == 1 else f"{len(days):,} sessions are"
