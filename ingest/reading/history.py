"""What the Python functions return from the cache: history, a session, a scan."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date

import polars as pl

from ingest import events
from ingest.cache.cache import Cache
from ingest.cache.manifest.records import Coverage
from ingest.errors import NotFound, WrongArgument, warn
from ingest.hints import Hint, Option, call
from ingest.market.calendars import Calendar, today
from ingest.market.contracts import CONTRACT
from ingest.market.datasets import Dataset
from ingest.market.patterns import meant
from ingest.market.windows import span
from ingest.reading import known
from ingest.reading import rows as reading
from ingest.reading import scan as scanning
from ingest.reading.adjusting.actions import HistoryQuery
from ingest.reading.adjusting.adjustable import adjusted_rows
from ingest.reading.adjusting.freshness import calendar_of, newest_session
from ingest.reading.gaps import Asked, absences
from ingest.settings import Settings

_MASSIVE = frozenset({"massive"})


def history(
    settings: Settings, dataset: Dataset, query: HistoryQuery, on_event: events.Sink = events.ignore
) -> pl.DataFrame:
    """See `ingest.api.rows.history`."""
    chosen, names = _checked(query.columns, query.adjust, dataset), meant(query.tickers)
    if query.errors not in ("raise", "skip"):
        raise WrongArgument("errors", f'{query.errors!r}: "raise" or "skip"')
    span(query.start, query.end)
    asked, window = (query.start, query.end), query.window(dataset)
    with Cache.read(settings, dataset) as cache:
        coverage = cache.manifest.sessions.coverage()  # before the rows: a session committed meanwhile is no gap
        wanted = known.resolved(cache, names, *window)
        rows, notices = adjusted_rows(cache, settings, replace(query, columns=chosen), wanted, on_event)
        within = _asked(cache, coverage, rows, *asked)
        found = set(rows["ticker"].unique())
        if query.errors == "skip" and (left := set(wanted) - found):  # some may have been left out with a warning
            found.update(reading.rows(cache, left, *window)["ticker"].unique())
        missing = list(known.missing_names(cache, names, found, asked, settings.run.datasets))
    for notice in (*notices, *absences(rows, coverage, within), *missing):
        warn(notice)
    return rows.select(chosen)


def _asked(cache: Cache, coverage: Coverage, rows: pl.DataFrame, start: date | None, end: date | None) -> Asked:
    """The requested window; without a start or an end, that of the stored sessions."""
    held = sorted({*coverage.whole, *coverage.partial, *rows["date"].unique()})
    if not held:
        return Asked((), start, end)
    calendar = calendar_of(cache)
    final = min(end, newest_session(cache.dataset, listed=calendar.listed)) if end else held[-1]
    return Asked(calendar.between(start or held[0], final), start, end)


def _checked(columns: Sequence[str] | None, adjust: str, dataset: Dataset) -> Sequence[str]:
    known = reading.rows_schema(dataset).names()
    if adjust not in ("none", "splits", "all"):
        raise WrongArgument("adjust", f'{adjust!r}: "none", "splits" or "all"')
    unknown = [name for name in columns or () if not isinstance(name, str) or name not in known]
    if columns is not None and len(set(map(str, columns))) < len(columns):
        raise WrongArgument("columns", f"{', '.join(map(str, columns))!r}: one is named twice")
    if unknown:
        raise WrongArgument("columns", f"{unknown[0]!r} is unknown; choose from {', '.join(known)}")
    usual = [name for name in known if name not in ("transactions", *CONTRACT)]
    return usual if columns is None else columns


def day_rows(settings: Settings, dataset: Dataset, session: date, partial: bool = False) -> pl.DataFrame:
    """See `ingest.api.rows.day`."""
    with Cache.read(settings, dataset) as cache:
        calendar = calendar_of(cache)
        is_held = bool(cache.manifest.sessions.committed(session, session))  # its file may have no rows
        if not partial and is_held:
            scanning.warn_of_partial(cache, [session], usual=settings.run.datasets)
        rows = reading.session(cache, session, reading.SOURCES if partial or not is_held else _MASSIVE)
        if rows.is_empty():  # it may have been removed meanwhile
            is_held = bool(cache.manifest.sessions.committed(session, session))
    if is_held or (partial and rows.height):
        return rows
    raise not_there(settings, dataset, calendar, session, rows.height)


def not_there(settings: Settings, dataset: Dataset, calendar: Calendar, session: date, rows: int = 0) -> NotFound:
    """Why a session's file cannot be read, of which `rows` are stored from Yahoo."""
    why = why_never(dataset, calendar, session)
    return NotFound(why) if why else _not_stored(settings, dataset, session, rows)


def why_never(dataset: Dataset, calendar: Calendar, session: date) -> str:
    """Why a day cannot have a file, in words; empty if it may have one."""
    if session > today():
        return f"{session} is not over yet"
    if (calendar.is_session(session) and session >= dataset.first_session) or calendar.doubtful(session, session):
        return ""
    if session < dataset.first_session:
        return f"{session}: the first files of {dataset.short} are from {dataset.first_session}"
    return f"{session} is not a session of {dataset.short}: the market was closed"


def _not_stored(settings: Settings, dataset: Dataset, session: date, rows: int) -> NotFound:
    window = {"start": session, "end": session}
    hints: list[Hint] = [call("run", "to download it", settings.run.datasets, dataset=dataset.short, **window)]
    others = f"; {rows:,} of its rows are stored from Yahoo" if rows else ""
    hints += [Option("partial", True, "to read those")] if rows else []
    return NotFound(f"the file of {session} is not stored{others}", *hints)


def scan(
    settings: Settings,
    dataset: Dataset,
    start: date | None,
    end: date | None,
    sources: Iterable[str] = _MASSIVE,
) -> pl.LazyFrame:
    """See `ingest.api.rows.scan`."""
    chosen = frozenset(sources)
    span(start, end)
    if not chosen or (unknown := chosen - reading.SOURCES):
        raise WrongArgument("sources", f'{sorted(unknown) if chosen else []}: "massive", "yahoo", or both')
    what = scanning.Scanned(settings, dataset, start or dataset.first_session, end or today(), chosen)
    return scanning.lazy_rows(what)
