"""Adopts a mirror of the vendor's bucket: its files take the way of a download, from the split to the CSVs.

Each file is read where it is. Its md5 is the ETag of an object that was uploaded in one piece, so the next run compares
it with the listing and downloads only what differs. Nothing in the mirror is ever changed, and the cache does not need
it afterwards. A kill leaves what was committed; the next call continues.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from itertools import groupby

import anyio

from ingest import events
from ingest.cache import lock, rebuild
from ingest.cache.cache import Cache
from ingest.cache.commit import for_run
from ingest.cache.manifest import Held
from ingest.cache.wholeness import missing_parts
from ingest.files.hashing import md5_of
from ingest.hints import Call, call
from ingest.maintenance.adopt.adoption import Adoption, Summary, Verdict, tally
from ingest.maintenance.adopt.day_file import moment_of
from ingest.maintenance.adopt.mirror import MirroredFile
from ingest.maintenance.adopt.splitting import MirrorExecutor
from ingest.market.datasets import Dataset
from ingest.market.windows import Window
from ingest.pipeline.committer import Committer
from ingest.pipeline.task import jobs_of
from ingest.planning.plan import Decision
from ingest.planning.request import Request
from ingest.settings import Settings
from ingest.sources.base import RemoteObject
from ingest.tracked.update import bring_up_to_date

Report = Callable[[Adoption], None]
RequestOf = Callable[[Dataset, Window], Request]
"""Makes the request of a dataset for a window: only its tracked tickers count."""

_OTHERS = "another file of this session comes first"
_STORED = "the session is already stored"


def preview_mirror(settings: Settings, found: Sequence[MirroredFile], report: Report) -> Summary:
    """What `adopt_mirror` would do, by names and sizes; no file is read, and nothing is written."""
    told = _Told(report)
    for dataset, of_it in _by_dataset(found, told):
        with Cache.read(settings, dataset) as cache:
            for one in _wanted(cache, settings, of_it, told):
                told.say(one, "adopted", f"{one.size:,} bytes")
    return tally(told.all)


async def adopt_mirror(
    settings: Settings,
    found: Sequence[MirroredFile],
    request_of: RequestOf,
    stop: anyio.Event,
    *,
    report: Report,
    sink: events.Sink,
) -> Summary:
    """Adopt the sessions that are not stored, one dataset after the other; `report` gets each file as it is decided.

    `sink` gets notices, and the numbers of each dataset before its first file. When `stop` is set, what is being read
    is committed, and the CSVs are updated. Raises CacheError, CacheLocked.
    """
    told = _Told(report)
    with lock.hold(settings.cache.root):
        for dataset, of_it in _by_dataset(found, told):
            if stop.is_set():
                break
            days = [one.session for one in of_it if one.session]
            request = request_of(dataset, Window(min(days), max(days)))
            with for_run(settings, dataset, request.window) as cache:
                await _Adopting(settings, request, cache, told, sink=sink, stop=stop).work(of_it)
    return tally(told.all, interrupted=stop.is_set())


class _Told:
    """What was reported so far."""

    def __init__(self, report: Report) -> None:
        self._report, self.all = report, list[Adoption]()

    def say(self, one: MirroredFile, verdict: Verdict, reason: str, *hints: Call, md5: str | None = None) -> None:
        short = one.dataset.short if one.dataset else None
        told = Adoption(one.shown, one.session, None, verdict, reason, md5=md5, hints=hints, dataset=short)
        self.all.append(told)
        self._report(told)


class _Adopting:
    """The adoption of one dataset's files, in progress."""

    def __init__(
        self, settings: Settings, request: Request, cache: Cache, told: _Told, *, sink: events.Sink, stop: anyio.Event
    ) -> None:
        self._settings, self._request, self._cache, self._told = settings, request, cache, told
        self._sink, self._stop = sink, stop
        self._files: Mapping[date, MirroredFile] = {}
        self._states: Mapping[date, Held] = {}

    async def work(self, found: Sequence[MirroredFile]) -> None:
        before = len(self._told.all)
        if words := rebuild.rebuild(self._cache):
            self._sink(events.Notice(words, "warning"))
        self._states = self._cache.manifest.sessions.all()
        self._files = {
            one.session: one for one in _wanted(self._cache, self._settings, found, self._told) if one.session
        }
        await self._take()
        await anyio.to_thread.run_sync(self._update)
        done = tally(self._told.all[before:], interrupted=self._stop.is_set())
        self._cache.manifest.runs.finish(self._cache.run, done.exit_code, {"adopted": done.counts.get("adopted", 0)})

    async def _take(self) -> None:
        size = sum(one.size for one in self._files.values())
        self._sink(events.Planned(len(self._files), size, {"fetch: adopted": len(self._files)}))
        if self._files:
            executor = MirrorExecutor(self._files, self._settings, self._stop, self._unread)
            jobs = jobs_of(self._cache, list(map(self._decision, self._files)), self._request, self._settings)
            committer = Committer(self._cache, self._ended(executor), self._settings.tuning)
            await committer.run(executor, jobs)

    def _decision(self, session: date) -> Decision:
        one, held = self._files[session], self._states.get(session, Held())
        item = RemoteObject(self._cache.dataset.key(session), one.size, "", moment_of(one.changed))
        tracked = self._request.tracked | held.tracked
        keep_rest = self._settings.archive.save_others or held.archive_kept
        return Decision(
            session, "fetch", "adopted", "listed", item=item, held=held, tracked=tracked, keep_rest=keep_rest
        )

    def _unread(self, session: date, why: str) -> None:
        self._told.say(self._files[session], "unreadable", why, _run(self._cache.dataset, session))

    def _ended(self, executor: MirrorExecutor) -> events.Sink:
        """A sink that reports the file of each session that has ended."""

        def tell(event: events.Event) -> None:
            match event:
                case events.Committed(session=session):
                    self._told.say(self._files[session], "adopted", "a whole day", md5=executor.md5.get(session))
                case events.Quarantined(session=session, reason=reason):
                    run = _run(self._cache.dataset, session)
                    self._told.say(self._files[session], "quarantined", reason, run)

        return tell

    def _update(self) -> None:
        def say(words: str) -> None:
            anyio.from_thread.run_sync(self._sink, events.Notice(words))

        bring_up_to_date(self._cache, self._settings, self._request.tracked, say)


def _by_dataset(found: Sequence[MirroredFile], told: _Told) -> Iterator[tuple[Dataset, Sequence[MirroredFile]]]:
    """The files that may be opened, by dataset; reports the others."""
    for one in found:
        if one.fault:
            told.say(one, "unreadable" if one.matters else "ignored", one.fault)
    for dataset, of_it in groupby((one for one in found if not one.fault), lambda one: one.dataset):
        if dataset:
            yield dataset, list(of_it)


def _wanted(cache: Cache, settings: Settings, found: Sequence[MirroredFile], told: _Told) -> Iterator[MirroredFile]:
    """The first file of each session that is not stored whole; reports the others."""
    states = cache.manifest.sessions.all()
    missing, seen = missing_parts(cache, states), set[date]()
    for one in found:
        session = one.session or date.min
        held = states.get(session, Held())
        is_whole = held.held == "committed" and not held.is_doubtful and session not in missing
        is_whole = is_whole and not (settings.archive.save_others and _completes(one, held))
        if session in seen or is_whole:
            told.say(one, "held", _OTHERS if session in seen else _STORED)
        else:
            seen.add(session)
            yield one


def _completes(one: MirroredFile, held: Held) -> bool:
    """Whether a file is the very one of which only the tracked tickers are stored."""
    if held.archive_kept or not one.is_packed:
        return False
    with suppress(OSError):  # reported if it is read after all
        return md5_of(one.path) == held.etag
    return False


def _run(dataset: Dataset, session: date) -> Call:
    return call("run", "to download it", start=session, end=session, dataset=dataset.short)
