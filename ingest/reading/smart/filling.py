"""Stored rows of days, with Yahoo's for sessions whose files are not held.

A kill leaves what was stored of Yahoo's whole, or nothing of it.
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
    """Rows stored, with Yahoo's for sessions that are not held.

    `answer` is Yahoo's where it was asked; `refused` says why nothing came of it, now or when it was asked before.
    """

    rows: pl.DataFrame
    lacking: Sequence[date] = ()
    answer: Answer | None = None
    refused: str = ""


def fill(cache: Cache, settings: Settings, query: Query, covered: Collection[date], yahoo: Yahoo | None) -> Filled:
    """The rows of the window; of sessions that no file held can tell of Yahoo is asked, where there is one.

    `covered` are the sessions that a file held can tell of, as of before.
    """
    rows = reading.rows(cache, [query.ticker], query.start, query.end)
    lacking = _untold(cache, query, rows, covered)
    stored = Filled(rows, lacking)
    if not lacking or yahoo is None:
        return stored
    first = min([lacking[0], *rows["date"].head(1)])
    if has_rows(cache.manifest.yahoo.asked([query.ticker]).get(query.ticker), first, lacking[-1]):
        return stored
    refusal = cache.manifest.yahoo.refusals([query.ticker]).get((query.ticker, first))
    if refusal and still_stands(refusal, query.dataset):
        return replace(stored, refused=f"{refusal.reason} ({ASKS_AGAIN})")
    return _asked(cache, settings, query, yahoo, stored=stored, first=first)


def _asked(cache: Cache, settings: Settings, query: Query, yahoo: Yahoo, stored: Filled, first: date) -> Filled:
    """Yahoo's answer since `first`, kept, and its rows of sessions that are lacking beside those stored."""
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
    rows, lacking = stored.rows, stored.lacking
    theirs = answer.rows.filter(pl.col("date").is_in(lacking) & ~pl.col("date").is_in(rows["date"].to_list()))
    refused = answer.refused if answer.start > first else ""
    return replace(stored, rows=pl.concat([rows, theirs]).sort("date"), answer=answer, refused=refused)


def believed(cache: Cache, query: Query, filled: Filled) -> pl.DataFrame:
    """The rows without those of Yahoo's that were read, and that its answer has taken back since. Raises NotFound."""
    kept = {day for _, day, *_ in cache.manifest.yahoo.rows([query.ticker], query.start, query.end)}
    answered = filled.answer.rows["date"].to_list() if filled.answer else []
    rows = filled.rows.filter((pl.col("source") != "yahoo") | pl.col("date").is_in([*kept, *answered]))
    if rows.is_empty():
        raise NotFound(f"{no_data(query)}: the rows kept from Yahoo disagree with Massive ({filled.refused})")
    return rows


def _refused(stored: Filled, error: SourceError) -> Filled:
    if stored.rows.is_empty():
        warn(error.message, *error.hints)  # else it is the reason why sessions are missing
    return replace(stored, refused=error.message)


def _untold(cache: Cache, query: Query, rows: pl.DataFrame, covered: Collection[date]) -> Sequence[date]:
    """Sessions of which no file held can tell: all of them for a ticker that Massive does not know."""
    sessions = calendar_of(cache).between(query.start, query.end)
    wanted = frozenset([query.ticker])
    if rows.is_empty() and reading.massive(cache, wanted, cache.manifest.sessions.committed()).is_empty():
        return sessions
    return [day for day in sessions if day not in covered]
