"""A run from settings to summary: take the cache, list, plan, fetch in waves, bring the tracked CSVs up to date."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date

import anyio

from ingest import events, lock
from ingest.calendars import calendar_of, compute_years
from ingest.errors import IngestError, SourceError
from ingest.manifest import Answer, Held, Manifest
from ingest.outcomes import Outcome
from ingest.plan import Plan, Wishes, make_plan, next_wave
from ingest.request import Request
from ingest.settings import Settings
from ingest.sources.asking import Asker
from ingest.sources.base import Source
from ingest.store import Store
from ingest.tally import Tally, standing
from ingest.tiers import durable
from ingest.tiers.layout import TIERS, PartFolders


@dataclass(slots=True)
class _Progress:
    """How far a run has come: kept beside it, so that the summary can be made wherever it ends."""

    plan: Plan | None = None
    outcomes: dict[date, Outcome] = field(default_factory=dict)
    requests: int = 0


async def run(settings: Settings, request: Request, sink: events.Sink, stop: anyio.Event) -> events.Finished:
    """Bring the cache to what the request asks for; reports to `sink` all the while.

    When `stop` is set, what is in flight is finished and committed. Raises UsageError, SourceRefused,
    SourceUnavailable, CacheError or CacheLocked, after the summary; whatever was committed until then stays.
    """
    started, tally, progress = time.monotonic(), Tally(sink), _Progress()
    failure: IngestError | None = None
    with lock.hold(settings.cache.root), _store(settings, request) as store:
        tally(_started(request, store.run))
        try:
            await _work(settings, request, store, tally, stop, progress)
        except IngestError as error:
            failure = error
        states = standing(progress.plan, progress.outcomes)
        finished = tally.finished(
            run=store.run,
            window=request.window,
            states=states,
            requests=progress.requests,
            seconds=time.monotonic() - started,
            exit_code=failure.exit_code if failure else _exit_code(states, stop.is_set()),
            interrupted=stop.is_set(),
        )
        store.manifest.finish_run(store.run, finished.exit_code, asdict(finished))
        tally(finished)
    if failure:
        raise failure
    return finished


async def preview(settings: Settings, request: Request, sink: events.Sink) -> Plan:
    """The plan of such a run, from a fresh listing; nothing is written or downloaded. Raises SourceError."""
    for notice in request.window.notices:
        sink(events.Notice(notice))
    with Manifest.read(settings.manifest_path, request.dataset.name) as manifest:
        async with _connected(settings) as source:
            asker = Asker(source, settings.source, sink, anyio.Event())
            return await _plan(asker, manifest, settings, request)


def _exit_code(states: dict[str, int], interrupted: bool) -> int:
    if interrupted:
        return 130
    return 3 if states.get("failed") or states.get("quarantined") else 0


def _started(request: Request, run: int) -> events.RunStarted:
    window = request.window
    return events.RunStarted(run, request.dataset.name, window.start, window.end, len(request.tracked))


@contextmanager
def _store(settings: Settings, request: Request) -> Iterator[Store]:
    """The cache, opened for writing, with whatever a killed run left behind put right."""
    folders = _folders(settings)
    folders.create()
    with Manifest.open(settings.manifest_path, request.dataset.name) as manifest:
        run = manifest.begin_run(request.window.start, request.window.end)
        store = Store(manifest, folders, settings.quarantine_path, run)
        store.recover()
        durable.sweep(settings.tracked_path)
        yield store


def _folders(settings: Settings) -> PartFolders:
    return PartFolders.below(settings.tracked_path, settings.archive_path)


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[Source]:
    from ingest.sources.massive import connect  # aioboto3: 0.4 s, and not for who only reads

    async with connect(settings.source) as source:
        yield source


async def _work(
    settings: Settings, request: Request, store: Store, tally: Tally, stop: anyio.Event, progress: _Progress
) -> None:
    for notice in request.window.notices:
        tally(events.Notice(notice))
    try:
        async with _connected(settings) as source:
            asker = Asker(source, settings.source, tally, stop)
            try:
                await _fetch(asker, settings, request, store, tally, stop, progress)
            finally:
                progress.requests = asker.requests
    except SourceError:
        await _project(settings, request, store, tally)
        raise
    await _project(settings, request, store, tally)


async def _fetch(
    asker: Asker,
    settings: Settings,
    request: Request,
    store: Store,
    tally: Tally,
    stop: anyio.Event,
    progress: _Progress,
) -> None:
    """List, plan, and fetch wave by wave: a forbidden span that turns out to have opened adds another wave."""
    plan = progress.plan = await _plan(asker, store.manifest, settings, request)
    store.manifest.answered(_new_answers(plan), store.run)
    tally(events.Planned(len(plan.fetches), plan.bytes, plan.reasons()))
    wave = list(plan.fetches)
    if not wave:
        return
    from ingest.pipeline import Pipeline  # polars and numpy: 0.3 s that a run with nothing to do does without

    pipeline = Pipeline(asker, store, request.dataset, settings.limits.max_bytes_in_flight, tally, stop)
    progress.outcomes = pipeline.outcomes
    while wave and not stop.is_set():
        await pipeline.run(wave)
        opened = {day for day, outcome in pipeline.outcomes.items() if outcome.kind != "forbidden"}
        wave = [more for span in plan.spans for more in next_wave(span, opened, pipeline.outcomes)]
        if wave:
            tally(events.WaveAdded(len(wave), sum(decision.item.size for decision in wave if decision.item)))


async def _plan(asker: Asker, manifest: Manifest, settings: Settings, request: Request) -> Plan:
    window, dataset = request.window, request.dataset
    years = range(window.start.year, window.end.year + 1)
    async with anyio.create_task_group() as group:
        group.start_soon(compute_years, manifest, dataset, years)
        items = await asker.listing([dataset.year_prefix(year) for year in years])
    listing = {session: item for item in items if (session := dataset.session_of(item.key))}
    held = manifest.sessions()
    return make_plan(
        window=(window.start, window.end),
        listing=listing,
        held=held,
        is_session=calendar_of(manifest, dataset).is_session,
        wishes=Wishes(request.tracked, settings.archive.save_others, request.refresh),
        missing_parts=_missing_parts(_folders(settings), held),
    )


def _missing_parts(folders: PartFolders, held: dict[date, Held]) -> set[date]:
    """Committed sessions of which a part's file is gone."""
    present = {tier: folders.present(tier) for tier in TIERS}
    return {
        day
        for day, state in held.items()
        if state.held == "committed"
        and any(
            folders.path(day, tier).name not in present[tier] for tier in (TIERS if state.archive_kept else TIERS[:1])
        )
    }


def _new_answers(plan: Plan) -> list[Answer]:
    """What the listing says that the manifest does not say yet."""
    return [
        (decision.session, decision.remote, None, None)
        for decision in plan.decisions
        if decision.remote != decision.held.remote
    ]


async def _project(settings: Settings, request: Request, store: Store, tally: Tally) -> None:
    """Bring the tracked CSVs up to date; with what a source that failed half way has left, too."""
    from ingest.projecting import project

    store.manifest.follow(request.tracked)
    projected = await anyio.to_thread.run_sync(project, store.manifest, store.folders, settings.tracked_path)
    if projected:
        tally(projected)
