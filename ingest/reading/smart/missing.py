"""What is missing from a window, in words: sessions without a file, tickers without rows."""

from collections.abc import Collection, Sequence
from datetime import date, timedelta

import polars as pl

from ingest.cache.cache import Cache
from ingest.errors import warn
from ingest.hints import Hint, call
from ingest.market.calendars import FIRST_SESSION, today
from ingest.market.catalogue import foreign_tickers
from ingest.market.patterns import meant, patterns_in
from ingest.market.windows import why_empty
from ingest.reading import gaps
from ingest.reading.adjusting import fallback
from ingest.reading.adjusting.freshness import calendar_of
from ingest.reading.gaps import Span
from ingest.reading.known import known, meant_by
from ingest.reading.smart.filling import Filled
from ingest.reading.smart.query import UNFETCHED, Query, no_data

OFF = "Yahoo is not asked ([fallback] enabled = false)"


def missing_days(cache: Cache, query: Query, filled: Filled, asked: bool) -> Sequence[Span]:
    """The spans that are missing from the window; warns about each kind."""
    sessions = calendar_of(cache).between(query.start, query.end)
    days, missing = frozenset(filled.rows["date"].to_list()), frozenset(filled.missing)
    gone, newest = gaps.missing_sessions(sessions, days, missing), max(days)
    if query.start == query.dataset.first_session:
        gone = [day for day in gone if day > min(days)]
    _warn_of_missing([day for day in gone if day < newest], sessions, filled.refused or _why(query, asked))
    if newer := [day for day in gone if day > newest]:
        span = (
            f"1 session from {newer[0]} on is" if len(newer) == 1 else f"{len(newer):,} sessions from {newer[0]} on are"
        )
        warn(f"{span} missing: {filled.refused or _why(query, asked, ' yet')}")
    return [*_warn_of_ends(query, sessions, days, frozenset(sessions) - missing), *gaps.spans(gone, sessions)]


def missing_minutes(cache: Cache, query: Query, covered: Collection[date], minutes: pl.DataFrame) -> Sequence[Span]:
    """The spans that are missing from a window of minutes; warns about each kind."""
    sessions = calendar_of(cache).between(query.start, query.end)
    missing = [day for day in sessions if day not in covered]
    stretches = gaps.spans(missing, sessions)
    if missing:
        warn(
            f"{len(missing):,} of {len(sessions):,} sessions are missing ({gaps.spans_in_words(stretches)}): no file "
            f"of {query.dataset.short} is stored, and Yahoo is not asked for minutes"
        )
    days = frozenset(minutes["date"].to_list())
    return [*(_warn_of_ends(query, sessions, days, covered) if days else ()), *stretches]


def _warn_of_missing(gone: Sequence[date], sessions: Sequence[date], why: str) -> None:
    if gone:
        warn(f"{gaps.counted(gone)} missing ({gaps.spans_in_words(gaps.spans(gone, sessions))}): {why}")


def _why(query: Query, asked: bool, yet: str = "") -> str:
    if not query.fetch:
        return f"not stored ({UNFETCHED})"
    if asked:
        return f"neither Massive nor Yahoo has them{yet}"
    return f"Massive does not have them{yet}{f', and {OFF}' if query.asks_yahoo else ''}"


def _warn_of_ends(
    query: Query, sessions: Sequence[date], days: Collection[date], held: Collection[date]
) -> Sequence[Span]:
    """Warn if a ticker's rows begin late or end early although files are stored, and if a window begins too early."""
    found: list[Span] = []
    if query.start < FIRST_SESSION:
        found.append((query.start, FIRST_SESSION - timedelta(days=1)))
        warn(gaps.too_early(query.start))
    early = gaps.before(sessions, days, held)
    if early and query.start != query.dataset.first_session:  # else the user asked for all there is
        found.append((early[0], early[-1]))
        warn(
            f"{query.ticker} has no rows from {early[0]} to {early[-1]}, in {len(early):,} sessions whose files are "
            "stored: it was not listed yet, or had another ticker"
        )
    if late := gaps.after(sessions, days, held):
        found.append((late[0], late[-1]))
        warn(
            f"{query.ticker} has no rows from {late[0]} to {late[-1]}, in {len(late):,} sessions whose files are "
            "stored: it was delisted, or has another ticker"
        )
    return found


def closed(cache: Cache, query: Query) -> str:
    """That the market was closed on all days of the query, in words; empty if one is, or may be, a session."""
    why = why_empty(query.start, query.end, query.dataset, calendar_of(cache), today())
    return f"no data for {query.ticker}: {why}" if why else ""


def nothing(query: Query, asked: bool, refused: str) -> str:
    """The message that nothing was found, and why: whether Yahoo was `asked`, and why it `refused`."""
    found = no_data(query)
    if query.fetch and not query.dataset.yahoo_symbol(query.ticker):
        found = f"{found}, and {fallback.unasked(query.dataset, query.ticker)}"
    elif query.fetch:
        found = f"{found}, and {'none at Yahoo' if asked else OFF}"
    return f"{found} ({refused})" if refused else found


def spelling(cache: Cache, query: Query) -> str:
    """Tickers similar to one without data, else how tickers are spelled; empty for a known ticker."""
    if patterns_in(meant([query.ticker])):
        return f"; {query.ticker} is a pattern, and this takes one ticker: history and export take patterns"
    among = known(cache)
    if query.ticker in among:
        return ""
    if words := meant_by(cache, query.ticker, among):
        return f"; {words}"
    if foreign_tickers(query.dataset, [query.ticker]):
        return f"; all tickers of {query.dataset.short} begin with {query.dataset.sigil}"
    return "; tickers are case-sensitive and use the vendor's spelling"


def to_download(cache: Cache, query: Query, usual: tuple[str, ...]) -> tuple[Hint, ...]:
    """The run that stores what a query reads; none if sessions are stored, or if the ticker is of another dataset."""
    if cache.manifest.sessions.committed() or foreign_tickers(query.dataset, [query.ticker]):
        return ()
    return (call("run", "to download it", usual, dataset=query.dataset.short, start=query.start),)
