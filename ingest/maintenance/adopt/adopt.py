"""Adopts what other tools downloaded: whole daily files of the vendor, as far as they can be recognized.

Another tool's folder has `massive_cache/2025-11-11.csv.gz` (or `.csv`, or below `2025/11/`) and `data_cache/AAPL.csv`.
A whole day is treated like a file that a run downloaded: split, staged, committed. If a tool took its own tickers out
of a day, rows are missing that nothing can restore, since a CSV of a ticker does not have all columns of the source;
such a day, and whatever cannot be read, is reported and left alone. A day counts as one if half or more of the tickers
that have a CSV with a row of that day are not in it. Nothing in the folder is ever changed.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import date
from pathlib import Path

from ingest.cache import lock
from ingest.cache.cache import Cache
from ingest.cache.commit import commit, for_run
from ingest.cache.manifest import Held
from ingest.errors import CacheError, UnreadableFile
from ingest.hints import Call, Hint, call
from ingest.maintenance.adopt import ticker_csv
from ingest.maintenance.adopt.adoption import Adoption, Summary, Verdict, tally
from ingest.maintenance.adopt.day_file import Day, bars_by_ticker, read_bytes, read_day
from ingest.maintenance.adopt.folder import TheirFile, checked_folder, files_in
from ingest.maintenance.adopt.ticker_csv import TickerCsv, Witnesses
from ingest.market.windows import Window
from ingest.pipeline.task import Job
from ingest.pipeline.worker import prepare
from ingest.planning.plan import Decision
from ingest.planning.request import Request
from ingest.reading import rows as reading
from ingest.reading.adjusting.freshness import calendar_of
from ingest.settings import Settings
from ingest.splitting.result import SplitSpec
from ingest.splitting.whole import split
from ingest.tracked.update import Say, bring_up_to_date


def adopt(
    settings: Settings, request: Request, folder: Path, *, dry_run: bool, report: Callable[[Adoption], None], say: Say
) -> Summary:
    """Adopt what can be trusted in the caches below a folder; `report` gets an Adoption for each file as it is decided.

    `say` gets further messages. Of the request only the tracked tickers count. With `dry_run` nothing is written, and
    "adopted" means "would be adopted". Committed days stay, however this ends; another call continues. Raises
    UsageError if the folder has no such caches or overlaps with this cache, CacheError, CacheLocked.
    """
    top = checked_folder(folder, settings)
    with Cache.read(settings, request.dataset) as known:
        found = files_in(top, calendar_of(known))
    told: list[Adoption] = []

    def tell(one: Adoption) -> None:
        told.append(one)
        report(one)

    with _cache(settings, _spanning(request, found), dry_run) as cache:
        _Adopting(settings, request, cache, dry_run=dry_run, tell=tell, say=say).work(found)
        summary = tally(told)
        if not dry_run:
            cache.manifest.runs.finish(cache.run, summary.exit_code, {"adopted": summary.counts.get("adopted", 0)})
    return summary


@contextmanager
def _cache(settings: Settings, request: Request, dry_run: bool) -> Iterator[Cache]:
    """The user's own cache: locked and opened for writing, or for a dry run opened for reading."""
    if dry_run:
        with Cache.read(settings, request.dataset) as cache:
            yield cache
    else:
        with lock.hold(settings.cache.root), for_run(settings, request.dataset, request.window) as cache:
            yield cache


class _Adopting:
    """One adoption in progress: days first, one at a time, then the tickers' CSVs, compared with them."""

    def __init__(
        self,
        settings: Settings,
        request: Request,
        cache: Cache,
        *,
        dry_run: bool,
        tell: Callable[[Adoption], None],
        say: Say,
    ) -> None:
        self._settings, self._request = settings, request
        self._max_unpacked = settings.limits.max_unpacked_bytes
        self._cache, self._manifest, self._dry_run = cache, cache.manifest, dry_run
        self._tell, self._say = tell, say
        self._states = self._manifest.sessions.all()
        self._before = self._manifest.sessions.committed()
        self._held = set(self._before)

    def work(self, found: Sequence[TheirFile]) -> None:
        for one in found:
            if one.fault:
                self._tell(_report(one, "unreadable" if one.known else "ignored", one.fault))
        readable = [one for one in found if not one.fault]
        files, witnesses = self._witnesses([one for one in readable if one.ticker])
        for one in readable:
            if one.session:
                self._tell(self._day(one, one.session, witnesses))
        self._project()
        self._compare(witnesses)
        for number, one in enumerate(files):
            self._tell(self._csv(one, number, witnesses))

    def _witnesses(self, files: Sequence[TheirFile]) -> tuple[Sequence[TheirFile], Witnesses]:
        """The CSVs that can be read, and what they say."""
        read: list[tuple[TheirFile, TickerCsv]] = []
        for one in files:
            try:
                read.append((one, ticker_csv.read_ticker_csv(one.shown, one.ticker or "", read_bytes(one.path)[0])))
            except UnreadableFile as error:
                self._tell(_report(one, "unreadable", error.message))
        csvs = [csv for _, csv in read]
        actions = self._manifest.yahoo.actions([csv.ticker for csv in csvs])
        splits = {ticker: known.splits for ticker, known in actions.items()}
        return [one for one, _ in read], Witnesses(csvs, splits)

    def _day(self, one: TheirFile, session: date, witnesses: Witnesses) -> Adoption:
        if session in self._held:
            return _report(one, "held", "the session is already stored")
        try:
            day = read_day(one.path, session, self._max_unpacked)
            missing, expected = _missing(day, session, witnesses)
            if 2 * len(missing) >= max(1, expected):
                return _report(one, "others only", _lacks(missing, expected), _run(session))
            self._take(session, day)
        except UnreadableFile as error:
            return _report(one, "unreadable", error.message, _run(session))
        self._held.add(session)
        witnesses.compare(session, day.bars)
        reason = "a whole day" + (f", though {_lacks(missing, expected)}" if missing else "")
        return _report(one, "adopted", reason, md5=day.body.etag if day.packed else None)

    def _take(self, session: date, day: Day) -> None:
        """Commit a day, as a run does; in a dry run check whether it could be. Raises UnreadableFile."""
        state = self._states.get(session, Held())
        tracked = self._request.tracked | state.tracked
        keep_rest = self._settings.archive.save_others
        if self._dry_run:
            split(day.text, SplitSpec(tracked, keep_rest, self._request.dataset, session))
            return
        decision = Decision(session, "fetch", "adopted", "listed", held=state, tracked=tracked, keep_rest=keep_rest)
        number = self._manifest.tracked_sets.number(tracked)
        replaced = self._manifest.replacements.held([session]).get(session)
        cache, limit, tuning = self._cache, self._max_unpacked, self._settings.tuning
        job = Job(decision, number, cache.dataset, cache.parts, limit, replaced=replaced, tuning=tuning)
        commit(cache, [prepare(job, day.body)])

    def _project(self) -> None:
        if not self._dry_run:
            bring_up_to_date(self._cache, self._settings, self._request.tracked, self._say)

    def _compare(self, witnesses: Witnesses) -> None:
        """Compare the CSVs with the sessions that were stored before."""
        for day in self._before:
            if tickers := witnesses.plain(day):
                with suppress(CacheError):  # a damaged part: the next run finds and repairs it
                    rows = reading.massive(self._cache, frozenset(tickers), [day], trades=True)
                    witnesses.compare(day, bars_by_ticker(rows))

    def _csv(self, one: TheirFile, number: int, witnesses: Witnesses) -> Adoption:
        if why := witnesses.verdict(number, self._held):
            return _report(one, "not raw", why.text, *why.hints)
        return _report(one, "held", f"its {witnesses.agreed(number)} sessions are stored and agree")


def _report(one: TheirFile, verdict: Verdict, reason: str, *hints: Hint, md5: str | None = None) -> Adoption:
    """The Adoption of a file."""
    return Adoption(one.shown, one.session, one.ticker, verdict, reason, md5=md5, hints=hints)


def _missing(day: Day, session: date, witnesses: Witnesses) -> tuple[Sequence[str], int]:
    """Tickers that have a CSV with a row of this day but are missing from its file, and how many have such a CSV."""
    expected = witnesses.tickers(session)
    return sorted(expected - day.bars.keys()), len(expected)


def _lacks(missing: Sequence[str], expected: int) -> str:
    shown = ", ".join(ticker[:20] for ticker in missing[:3]) + (", …" if len(missing) > 3 else "")
    return f"{len(missing):,} of {expected:,} tickers with a CSV of that day are missing ({shown})"


def _run(session: date) -> Call:
    return call("run", "to download it", start=session, end=session)


def _spanning(request: Request, found: Sequence[TheirFile]) -> Request:
    """The request with the window of the days found, for the record of runs."""
    days = [one.session for one in found if one.session and not one.fault]
    return replace(request, window=Window(min(days), max(days))) if days else request
