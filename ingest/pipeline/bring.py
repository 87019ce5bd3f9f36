"""Downloads what a query needs and the cache is missing: a run of its own, within limits, before the answer."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from ingest.cache.cache import Cache
from ingest.cache.manifest import Manifest
from ingest.errors import CacheLocked, IngestError, NotConfirmed, OtherWriter, StoreRefused, StoreUnavailable, warn
from ingest.events import Sink, ignore
from ingest.hints import Call, call
from ingest.market.calendars import Calendar
from ingest.market.datasets import Dataset
from ingest.planning.request import Flags, Request, request_of
from ingest.reading.adjusting.freshness import calendar_of
from ingest.reading.smart.query import Query
from ingest.settings import Settings
from ingest.tracked.projection import brought_over

_ASKED_LATELY = timedelta(minutes=15)
"""For this long a file that a run did not find is not looked for again, whether Massive does not have it or is out of
reach."""

_IMPATIENT = {"attempts": 3, "down_after_s": 15.0}
"""A caller who waits for a frame should not wait as long as a nightly job."""


def bring(settings: Settings, query: Query, sink: Sink = ignore) -> None:
    """Download missing sessions into the cache, each daily file once; warn if that fails or would be a lot.

    `sink` gets the events of the run. Nothing is downloaded for a query with `fetch=False`.
    """
    if not query.fetch:
        return
    with Cache.read(settings, query.dataset) as cache:
        missing = _missing(cache, query)
        old_csvs = brought_over(cache.manifest) if missing else ""
    if not missing:
        return
    if len(missing) > settings.fallback.max_implicit_files:
        limit = "more than [fallback] max_implicit_files"
        warn(f"{len(missing):,} daily files are missing, {limit} allows", _hint(settings, query, missing))
        return
    try:
        _run(settings, query.dataset, missing, sink)
        if old_csvs:
            warn(old_csvs)
    except NotConfirmed as error:
        text = f"the download from Massive was skipped because it is too large: {error.estimate}"
        warn(text, _hint(settings, query, missing))
    except IngestError as error:
        warn(_failure(error), *error.hints)


def _failure(error: IngestError) -> str:
    """Why nothing was downloaded: a rival at the object store, and a store that fails, are not Massive's doing."""
    match error:
        case OtherWriter() | StoreUnavailable() | StoreRefused():
            return f"nothing was downloaded: {error.message}"
        case CacheLocked():
            return "another run is in progress, so nothing was downloaded from Massive"
    return f"downloading from Massive failed: {error.message}"


def _hint(settings: Settings, query: Query, missing: Sequence[date]) -> Call:
    window = {"start": missing[0], "end": missing[-1]}
    return call("run", "to download them", settings.run.datasets, dataset=query.dataset.short, **window)


def _run(settings: Settings, dataset: Dataset, missing: Sequence[date], sink: Sink) -> None:
    from ingest.pipeline import run  # only here: a query that is missing nothing needs no run

    quick = settings.model_copy(update={"source": settings.source.model_copy(update=_IMPATIENT)})
    request: Request = request_of(
        Flags(start=missing[0], end=missing[-1], confirmed=False, fallback=False), settings, ignore, dataset
    )
    run.run_sync(quick, [request], sink).only()


def _missing(cache: Cache, query: Query) -> Sequence[date]:
    """Sessions not stored, unless a run has just looked for all of them, and days that may be sessions."""
    manifest, calendar = cache.manifest, calendar_of(cache)
    held = set(manifest.sessions.committed())
    sessions = [day for day in calendar.between(query.start, query.end) if day not in held]
    missing = sorted([*sessions, *_doubtful(manifest, calendar, query)])
    since = datetime.now(UTC) - _ASKED_LATELY
    return [] if missing and manifest.runs.looked_for(missing[0], missing[-1], since) else missing


def _doubtful(manifest: Manifest, calendar: Calendar, query: Query) -> Sequence[date]:
    """Closures that may be sessions after all: no listing covers them, or its listing may have been too early."""
    days = calendar.doubtful(query.start, query.end)
    told, newest = manifest.sessions.told_of(query.start, query.end), max(calendar.listed, default=date.min)
    return [day for day in days if day not in told or day > newest]
