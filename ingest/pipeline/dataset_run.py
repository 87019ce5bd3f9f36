"""A run of one dataset, from its request to its summary: list, plan, download, ask Yahoo, update the CSVs.

A kill leaves what was committed, and files that the next run sweeps.
"""

import importlib
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import anyio

from ingest import events
from ingest.cache import provenance, rebuild
from ingest.cache.cache import Cache
from ingest.cache.commit import claim, for_run
from ingest.cache.manifest import Answer
from ingest.errors import CacheError, EngineLost, IngestError, NotConfirmed, SourceError, Stopped
from ingest.hints import call
from ingest.lake.update import Arriving
from ingest.market.patterns import some
from ingest.market.permission import Permission, only_copies
from ingest.pipeline.deriving import Deriving
from ingest.pipeline.summary import Ending, Tally, damaged, standing
from ingest.planning.estimate import estimate, in_words
from ingest.planning.plan import Plan, limit
from ingest.planning.request import Request
from ingest.planning.survey import Survey, asking, survey
from ingest.settings import Settings
from ingest.sources import spool
from ingest.sources.resilient import Line, ResilientSource

if TYPE_CHECKING:  # what a run with nothing to do need not import
    from ingest.pipeline.committer import ExecutorFor


async def run_dataset(
    settings: Settings,
    request: Request,
    line: Line,
    sink: events.Sink,
    stop: anyio.Event,
    *,
    executor_for: "ExecutorFor | None" = None,
) -> events.Finished:
    """Bring the cache to what the request asks for, and report to `sink` meanwhile. The caller holds the cache's lock.

    Sessions are downloaded and split in this process, unless there is an `executor_for`.

    When `stop` is set, what is in flight is finished and committed. Raises SourceRefused, SourceUnavailable,
    EngineLost, NotConfirmed or CacheError, after the summary; whatever was committed until then stays.
    """
    with spool.room_told(settings.spool_path), for_run(settings, request.dataset, request.window) as cache:
        going = _Run(settings, request, cache, line, sink=sink, stop=stop, executor_for=executor_for)
        failure: IngestError | None = None
        try:
            await going.work()
        except Stopped:
            pass  # before anything was in flight: the summary says so
        except IngestError as error:
            failure = error
        try:
            finished = going.finish(failure)
        except CacheError as error:
            failure = failure or error  # the first error matters more than a summary that cannot be recorded
        if failure:
            raise failure
        return finished


class _Run:
    """A run under way: it always knows how far it has come, so that it can be summarized wherever it ends."""

    def __init__(
        self,
        settings: Settings,
        request: Request,
        cache: Cache,
        line: Line,
        *,
        sink: events.Sink,
        stop: anyio.Event,
        executor_for: "ExecutorFor | None",
    ) -> None:
        self._line, self._executor_for = line, executor_for
        self._settings, self._request, self._cache, self._stop = settings, request, cache, stop
        self._started = time.monotonic()
        self._sink = Tally(sink)
        self._plan: Plan | None = None
        self._requests = 0
        self._is_bare = False
        self._arriving: Arriving | None = None

    async def work(self) -> None:
        """Download what is planned; then update the CSVs, even if the source failed on the way."""
        provenance.refuse_other(self._cache.manifest, self._settings.source)
        window = self._request.window
        dataset, tracked = self._request.dataset.name, len(self._request.tracked)
        self._sink(events.RunStarted(self._cache.run, dataset, window.start, window.end, tracked))
        for notice in self._request.said():
            self._sink(notice)
        await self._clear()
        if words := rebuild.rebuild(self._cache):
            self._sink(events.Notice(words, "warning"))
        try:
            await self._fetch()
        except (SourceError, EngineLost):
            await self._with_what_there_is()
            raise
        await self._derive()

    async def _clear(self) -> None:
        """Remove the copies in places that the parts have left, if they are due; the run does without it."""
        if not self._cache.manifest.places.departures():
            return
        from ingest.cache.places.departures import clear

        try:
            cleared = await anyio.to_thread.run_sync(clear, self._settings, self._cache.manifest)
        except CacheError as error:
            self._sink(events.Notice(f"parts were moved away, and their copies stay: {error.message}", "warning"))
            return
        for one in cleared:
            if one.removed:
                words = f"{one.removed:,} {one.tier} parts that were moved away are gone from {one.place}"
                self._sink(events.Notice(words))

    async def _derive(self) -> None:
        """Bring up to date what is made of the sessions."""
        await Deriving(self._cache, self._settings, self._request, self._sink, self._stop).work(self._arriving)

    async def _with_what_there_is(self) -> None:
        """Update the CSVs although the source, or the workers, failed; its error is the one that ends the run."""
        try:
            await self._derive()
        except CacheError as error:
            self._sink(events.Notice(error.message, "warning", error.hints))

    def finish(self, failure: IngestError | None) -> events.Finished:
        """Make the summary, record it, and report it."""
        states = standing(self._plan, self._sink.ended)
        interrupted = self._stop.is_set()
        how = Ending(
            requests=self._requests,
            seconds=time.monotonic() - self._started,
            exit_code=failure.exit_code if failure else _exit_code(states, self._is_bare, interrupted),
            interrupted=interrupted,
        )
        finished = self._sink.finished(self._cache.run, self._request.window, states, how)
        try:
            self._cache.manifest.runs.finish(self._cache.run, finished.exit_code, asdict(finished))
        except CacheError as error:
            self._sink(replace(finished, exit_code=failure.exit_code if failure else error.exit_code))
            raise
        self._sink(finished)
        return finished

    async def _fetch(self) -> None:
        manifest, request = self._cache.manifest, self._request
        source = ResilientSource(self._line, self._settings.source, self._sink, self._stop)
        try:
            found = await survey(source, self._cache, self._settings, request)
            plan = self._plan = limit(found.plan, self._request.max_files, self._request.max_bytes)
            provenance.adopt_source(manifest, self._settings.source)
            manifest.sessions.answered(_new_answers(plan), self._cache.run)
            spool.sweep_spool(self._cache.downloads, _still_wanted(found.plan))
            self._permit(found.permission)
            self._check_size(plan)
            self._is_bare = found.is_bare
            for notice in found.outside():
                self._sink(notice)
            self._sink(events.Planned(len(plan.fetches), plan.bytes, plan.reasons()))
            await self._sweep(found, plan)
            if plan.fetches:
                await self._fetch_all(source, found.permission, plan)
            if lost := damaged(plan, self._sink.ended):
                self._sink(_not_whole(lost, self._request, self._settings))
        finally:
            self._requests = source.requests

    def _check_size(self, plan: Plan) -> None:
        """Raise NotConfirmed, with the estimate, for a large download that was not confirmed."""
        if plan.bytes > self._settings.tuning.ask_from and not self._request.confirmed:
            root = self._settings.cache.root
            raise NotConfirmed(in_words(estimate(len(plan.fetches), plan.bytes, self._cache.manifest, root)))

    async def _sweep(self, found: Survey, plan: Plan) -> None:
        """Remove what nobody needs from the object store of the parts, if there is one, before the first task."""
        cache, keep = self._cache, timedelta(hours=self._settings.store.keep_replaced_h)
        if cache.writer is None:
            return
        from ingest.cache.objects.collecting.sweep import Sweep

        sweep, spared = Sweep.of(cache.manifest, cache.parts, cache.writer), [one.session for one in plan.fetches]
        swept = await anyio.to_thread.run_sync(sweep.run, found.present, keep, spared)
        for notice in swept.said(cache.writer.bucket.described("").rstrip("/")):
            self._sink(notice)

    async def _fetch_all(self, source: ResilientSource, permission: Permission, plan: Plan) -> None:
        await _import_pipeline()
        from ingest.pipeline.committer import Committer
        from ingest.pipeline.executor import local_executor
        from ingest.pipeline.task import jobs_of

        await anyio.to_thread.run_sync(claim, self._cache)
        executor = (self._executor_for or local_executor)(source, self._settings, self._sink, self._stop)
        # Whoever splits sessions elsewhere does not send their rows.
        if self._settings.lake.enabled and self._executor_for is None:
            self._arriving = Arriving.of(self._cache, [one.session for one in plan.fetches])
        committer = Committer(self._cache, self._sink, self._settings.tuning, self._arriving)
        every = self._arriving is not None
        try:
            await committer.run(executor, jobs_of(self._cache, plan.fetches, self._request, self._settings, every))
        finally:
            self._permit(permission.learn(*_told_apart(self._sink.ended)))

    def _permit(self, permission: Permission) -> None:
        """Record what was learned of the subscription; warn once stored sessions can no longer be downloaded."""
        manifest = self._cache.manifest
        if permission == Permission():
            return
        held = manifest.sessions.committed()
        lost = permission.lost(held)
        if lost and not manifest.source.permission().lost(held):
            self._sink(events.Notice(only_copies(lost, permission), "warning"))
        manifest.source.permit(permission)


async def _import_pipeline() -> None:
    """Import polars and numpy: 0.3 s that a run with nothing to do saves.

    polars takes over SIGINT when it is imported, to abort queries: the previous handler is restored.
    """
    handler = signal.getsignal(signal.SIGINT)
    await anyio.to_thread.run_sync(importlib.import_module, "ingest.pipeline.executor")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, handler)


def _not_whole(days: Sequence[date], request: Request, settings: Settings) -> events.Notice:
    which = some([str(day) for day in days])
    text = f"{which}: a part is missing or damaged, and the source cannot supply it again now"
    hint = call("verify", "to see which", settings.run.datasets, dataset=request.dataset.short)
    return events.Notice(text, "warning", (hint,))


async def preview(settings: Settings, request: Request, sink: events.Sink) -> Plan:
    """The plan of such a run, from a fresh listing; nothing is written or downloaded. Raises SourceError."""
    for notice in request.said():
        sink(notice)
    with Cache.read(settings, request.dataset) as cache:
        provenance.refuse_other(cache.manifest, settings.source)
        async with asking(settings, sink, anyio.Event()) as source:
            found = await survey(source, cache, settings, request)
            for notice in found.outside():
                sink(notice)
            return replace(limit(found.plan, request.max_files, request.max_bytes), is_bare=found.is_bare)


def _told_apart(ended: Mapping[date, events.Ended]) -> tuple[list[date], list[date]]:
    """Sessions that are allowed, and those that are refused: a file that was read is allowed, whatever is in it."""
    allowed = [day for day, one in ended.items() if isinstance(one, events.Committed | events.Quarantined)]
    return allowed, [day for day, one in ended.items() if isinstance(one, events.Forbidden)]


def _exit_code(states: dict[str, int], is_bare: bool, interrupted: bool) -> int:
    if interrupted:
        return 130
    return 3 if is_bare or any(map(states.get, ("failed", "quarantined", "damaged"))) else 0


def _still_wanted(plan: Plan) -> dict[date, spool.ObjectVersion | None]:
    """For each session of the plan, the object that this run or a later one is to download, if there is one."""
    return {
        one.session: spool.ObjectVersion(one.item.etag, one.item.size) if one.action == "fetch" and one.item else None
        for one in plan.decisions
    }


def _new_answers(plan: Plan) -> list[Answer]:
    """What the listing says that the manifest does not contain yet."""
    return [
        (decision.session, decision.remote, None, None)
        for decision in plan.decisions
        if decision.remote != decision.held.remote
    ]
