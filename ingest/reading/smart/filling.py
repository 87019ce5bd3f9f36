"""Stored daily rows, with Yahoo's for sessions whose files are not stored.

After a kill either all of Yahoo's answer is stored or nothing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date

import polars as pl

from ingest.cache.cache import Cache
from ingest.errors import Disagreement, NotFound, SourceError, warn
from ingest.reading import rows as reading
from ingest.reading.adjusting import fallback
from ingest.reading.adjusting.fallback import Answer
from ingest.reading.adjusting.freshness import ASKS_AGAIN, calendar_of, has_rows, still_stands
from ingest.reading.smart.query import Query, no_data
from ingest.settings import Settings
from ingest.sources.yahoo import Yahoo


@dataclass(frozen=True, slots=True)
class Filled:
    """Stored rows, with Yahoo's for sessions that are not stored.

    `answer` is Yahoo's, if it was asked; `refused` says why there is none, now or from an earlier request.
    """

    rows: pl.DataFrame
    missing: Sequence[date] = ()
    answer: Answer | None = None
    refused: str = ""


def fill(cache: Cache, settings: Settings, query: Query, covered: Collection[date], yahoo: Yahoo | None) -> Filled:
    """The rows of the window; Yahoo, if given, is asked for sessions that no stored file covers.

    `covered` are the sessions that a stored file covers, as read before the rows.
    """
    rows = reading.rows(cache, [query.ticker], query.start, query.end)
    missing = _untold(cache, query, rows, covered)
    stored = Filled(rows, missing)
    if not missing or yahoo is None:
        return stored
    first = min([missing[0], *rows["date"].head(1)])
    if has_rows(cache.manifest.yahoo.asked([query.ticker]).get(query.ticker), first, missing[-1]):
        return stored
    refusal = cache.manifest.yahoo.refusals([query.ticker]).get((query.ticker, first))
    if refusal and still_stands(refusal, query.dataset):
        return replace(stored, refused=f"{refusal.reason} ({ASKS_AGAIN})")
    return _asked(cache, settings, query, yahoo, stored=stored, first=first)


def _asked(cache: Cache, settings: Settings, query: Query, yahoo: Yahoo, *, stored: Filled, first: date) -> Filled:
    """Yahoo's answer since `first`, stored, and its rows of missing sessions beside those stored before."""
    try:
        answer = fallback.ask(cache, yahoo, query.ticker, first)
    except (NotFound, Disagreement) as error:
        fallback.keep_refusal(settings, query.dataset, query.ticker, first, error)
        return _refused(stored, error)
    except SourceError as error:
        return _refused(stored, error)
    fallback.keep(settings, query.dataset, first, answer)
    for doubt in answer.doubts:
        warn(doubt)
    rows, missing = stored.rows, stored.missing
    theirs = answer.rows.filter(pl.col("date").is_in(missing) & ~pl.col("date").is_in(rows["date"].to_list()))
    refused = answer.refused if answer.start > first else ""
    return replace(stored, rows=pl.concat([rows, theirs]).sort("date"), answer=answer, refused=refused)


def believed(cache: Cache, query: Query, filled: Filled) -> pl.DataFrame:
    """The rows without those of Yahoo's that its answer has withdrawn since they were read. Raises NotFound."""
    kept = {day for _, day, *_ in cache.manifest.yahoo.rows([query.ticker], query.start, query.end)}
    answered = filled.answer.rows["date"].to_list() if filled.answer else []
    rows = filled.rows.filter((pl.col("source") != "yahoo") | pl.col("date").is_in([*kept, *answered]))
    if rows.is_empty():
        raise NotFound(f"{no_data(query)}: the rows stored from Yahoo disagree with Massive ({filled.refused})")
    return rows


def _refused(stored: Filled, error: SourceError) -> Filled:
    if stored.rows.is_empty():
        warn(error.message, *error.hints)  # else it is the reason why sessions are missing
    return replace(stored, refused=error.message)


def _untold(cache: Cache, query: Query, rows: pl.DataFrame, covered: Collection[date]) -> Sequence[date]:
    """Sessions that no stored file covers: all of them, for a ticker that Massive does not know."""
    sessions = calendar_of(cache).between(query.start, query.end)
    wanted = frozenset([query.ticker])
    if rows.is_empty() and reading.massive(cache, wanted, cache.manifest.sessions.committed()).is_empty():
        return sessions
    return [day for day in sessions if day not in covered]
