"""Takes over what other tools have downloaded: whole days of the vendor's, as far as they can be told to be whole.

A folder of theirs has `massive_cache/2025-11-11.csv.gz` (or `.csv`, or below `2025/11/`) and `data_cache/AAPL.csv`. A
whole day goes the way of a day that a run has fetched: split, staged, committed. A day from which a tool took its own
tickers out lacks rows that nothing can bring back, since a CSV of a ticker has not all columns of the source; such a
day, and whatever cannot be read, is reported and left alone. A day counts as one when half or more of the tickers that
have a CSV with a row of that day are not in it. Nothing in the folder is ever changed.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Literal

from ingest.cache import lock
from ingest.cache.cache import Cache
from ingest.cache.commit import commit, for_run
from ingest.cache.manifest import Held
from ingest.errors import CacheError, UnreadableFile, UsageError, printable
from ingest.files import durable
from ingest.files import opening as files
from ingest.hints import Call, Hint, call
from ingest.maintenance.adopt import ticker_csv
from ingest.maintenance.adopt.day_file import Day, bars_by_ticker, read_bytes, read_day
from ingest.maintenance.adopt.ticker_csv import TickerCsv, Witnesses, ticker_named
from ingest.market.calendars import Calendar
from ingest.market.catalogue import STOCKS_DAY
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

Verdict = Literal["adopted", "held", "others only", "not raw", "unreadable", "ignored"]

LEFT_ALONE: Collection[Verdict] = ("others only", "not raw", "unreadable")
"""What a day or a ticker of theirs may come to and is then not in the cache; what is ignored is neither."""

_DAYS, _TICKERS = "massive_cache", "data_cache"
_DAY = re.compile(r"(\d{4}-\d\d-\d\d)\.csv(\.gz)?")

_LINK = "a link: links are not followed"


@dataclass(frozen=True, slots=True)
class Adoption:
    """What became of one file. `path` counts from the folder, made printable; `session` or `ticker` is what it holds.

    `md5` is the ETag of an adopted day, where its bytes are packed as the vendor's are.
    """

    path: str
    session: date | None
    ticker: str | None
    verdict: Verdict
    reason: str
    md5: str | None = None
    hints: tuple[Hint, ...] = ()


@dataclass(frozen=True, slots=True)
class Summary:
    """How many files came to which verdict; `with_md5` of those adopted have an ETag to compare with a listing.

    `left` is the first and the last session of the days that were left alone.
    """

    counts: Mapping[Verdict, int]
    with_md5: int
    left: tuple[date, date] | None

    @property
    def exit_code(self) -> int:
        """3 where a day or a ticker was left alone, else 0."""
        return 3 if any(self.counts.get(verdict) for verdict in LEFT_ALONE) else 0


@dataclass(frozen=True, slots=True)
class _File:
    """A file of theirs that is not opened yet; `fault` says why it must not be."""

    path: Path
    shown: str
    session: date | None = None
    ticker: str | None = None
    fault: str | None = None

    @property
    def known(self) -> bool:
        """Whether its name says that it should have been adopted."""
        return self.fault == _LINK or self.session is not None or self.ticker is not None

    def came_to(self, verdict: Verdict, reason: str, *hints: Hint, md5: str | None = None) -> Adoption:
        """Its report."""
        return Adoption(self.shown, self.session, self.ticker, verdict, reason, md5, hints)


def adopt(
    settings: Settings, request: Request, folder: Path, dry_run: bool, report: Callable[[Adoption], None], say: Say
) -> Summary:
    """Adopt what can be trusted of the caches below a folder; `report` gets one Adoption a file, as it is known.

    `say` is told what else follows. Of the request the tracked tickers count. With `dry_run` nothing is written, and
    "adopted" is what would be. What is committed stays, however this ends; called again it goes on. Raises UsageError
    where the folder has no such caches or has to do with our own, CacheError, CacheLocked.
    """
    top = _checked(folder, settings)
    with Cache.read(settings, request.dataset) as known:
        found = _found(top, calendar_of(known))
    told: list[Adoption] = []

    def tell(one: Adoption) -> None:
        told.append(one)
        report(one)

    with _cache(settings, _spanning(request, found), dry_run) as cache:
        _Adopting(settings, request, cache, dry_run, tell, say).work(found)
        summary = _summary(told)
        if not dry_run:
            cache.manifest.runs.finish(cache.run, summary.exit_code, {"adopted": summary.counts.get("adopted", 0)})
    return summary


@contextmanager
def _cache(settings: Settings, request: Request, dry_run: bool) -> Iterator[Cache]:
    """Our own cache: locked and opened for writing, or for a dry run to be read."""
    if dry_run:
        with Cache.read(settings, request.dataset) as cache:
            yield cache
    else:
        with lock.hold(settings.cache.root), for_run(settings, request.dataset, request.window) as cache:
            yield cache


class _Adopting:
    """One adoption under way: days first, one at a time, then what the tickers' CSVs have come to beside them."""

    def __init__(
        self,
        settings: Settings,
        request: Request,
        cache: Cache,
        dry_run: bool,
        tell: Callable[[Adoption], None],
        say: Say,
    ) -> None:
        self._settings, self._request = settings, request
        self._max_unpacked = settings.limits.max_unpacked_bytes
        self._cache, self._manifest, self._dry_run = cache, cache.manifest, dry_run
        self._tell, self._say = tell, say
        self._states = self._manifest.sessions()
        self._before = self._manifest.committed()
        self._held = set(self._before)

    def work(self, found: Sequence[_File]) -> None:
        for one in found:
            if one.fault:
                self._tell(one.came_to("unreadable" if one.known else "ignored", one.fault))
        readable = [one for one in found if not one.fault]
        files, witnesses = self._witnesses([one for one in readable if one.ticker])
        for one in readable:
            if one.session:
                self._tell(self._day(one, one.session, witnesses))
        self._project()
        self._compare(witnesses)
        for number, one in enumerate(files):
            self._tell(self._csv(one, number, witnesses))

    def _witnesses(self, files: Sequence[_File]) -> tuple[Sequence[_File], Witnesses]:
        """The CSVs that can be read, and what they say."""
        read: list[tuple[_File, TickerCsv]] = []
        for one in files:
            try:
                read.append((one, ticker_csv.read_ticker_csv(one.shown, one.ticker or "", read_bytes(one.path)[0])))
            except UnreadableFile as error:
                self._tell(one.came_to("unreadable", error.message))
        csvs = [csv for _, csv in read]
        actions = self._manifest.yahoo.actions([csv.ticker for csv in csvs])
        splits = {ticker: known.splits for ticker, known in actions.items()}
        return [one for one, _ in read], Witnesses(csvs, splits)

    def _day(self, one: _File, session: date, witnesses: Witnesses) -> Adoption:
        if session in self._held:
            return one.came_to("held", "the session is committed already")
        try:
            day = read_day(one.path, session, self._max_unpacked)
            lacking, expected = _lacking(day, session, witnesses)
            if 2 * len(lacking) >= max(1, expected):
                return one.came_to("others only", _lacks(lacking, expected), _run(session))
            self._take(session, day)
        except UnreadableFile as error:
            return one.came_to("unreadable", error.message, _run(session))
        self._held.add(session)
        witnesses.compare(session, day.bars)
        reason = "a whole day" + (f", though {_lacks(lacking, expected)}" if lacking else "")
        return one.came_to("adopted", reason, md5=day.body.etag if day.packed else None)

    def _take(self, session: date, day: Day) -> None:
        """Make a day one of ours, as a run does; in a dry run see whether it could be. Raises UnreadableFile."""
        state = self._states.get(session, Held())
        tracked = self._request.tracked | state.tracked
        keep_rest = self._settings.archive.save_others
        if self._dry_run:
            split(day.text, SplitSpec(tracked, keep_rest, self._request.dataset, session))
            return
        decision = Decision(session, "fetch", "adopted", "listed", None, state, tracked, keep_rest)
        number = self._manifest.tracked_set(tracked)
        replaced = self._manifest.replacements.held([session]).get(session)
        job = Job(decision, number, self._cache, self._max_unpacked, replaced, tuning=self._settings.tuning)
        commit(self._cache, [prepare(job, day.body)])

    def _project(self) -> None:
        if not self._dry_run:
            bring_up_to_date(self._cache, self._settings, self._request.tracked, self._say)

    def _compare(self, witnesses: Witnesses) -> None:
        """Hold the CSVs against the sessions that were held before."""
        for day in self._before:
            if tickers := witnesses.plain(day):
                with suppress(CacheError):  # a part that is damaged: the next run finds and mends it
                    rows = reading.massive(self._cache, frozenset(tickers), [day], trades=True)
                    witnesses.compare(day, bars_by_ticker(rows))

    def _csv(self, one: _File, number: int, witnesses: Witnesses) -> Adoption:
        if why := witnesses.verdict(number, self._held):
            return one.came_to("not raw", why.text, *why.hints)
        return one.came_to("held", f"its {witnesses.agreed(number)} sessions are held and say the same")


# The folder


def _checked(folder: Path, settings: Settings) -> Path:
    """The folder itself; raises UsageError where it is none, or where adopting would change it."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    top = folder.resolve()
    for own in (settings.cache.root, settings.tracked_path, settings.archive_path, settings.quarantine_path):
        # Many file systems take Data and data for one folder; on the others nothing is lost by refusing it too.
        mine, theirs = Path(str(own.resolve()).casefold()), Path(str(top).casefold())
        if mine.is_relative_to(theirs) or theirs.is_relative_to(mine):
            raise UsageError(
                f"{folder} is, contains or is inside {own}, which is this cache itself: name a folder apart from it, "
                "or set [cache] root to another one"
            )
    with durable.translated("look into", top):
        has_any = any(files.is_there(top / name) for name in (_DAYS, _TICKERS))
    if not has_any:
        raise UsageError(f"{folder} has neither {_DAYS} nor {_TICKERS} in it: there is nothing to adopt")
    return top


def _found(top: Path, calendar: Calendar) -> Sequence[_File]:
    """All files of both caches; days by date, the packed one of a date first."""
    days = [_named(path, top, fault, calendar) for path, fault in _walk(top / _DAYS)]
    tickers = [_named(path, top, fault, calendar) for path, fault in _walk(top / _TICKERS)]
    days.sort(key=lambda one: (one.session or date.min, one.path.suffix != ".gz", one.shown))
    return [*days, *tickers]


def _walk(top: Path) -> Iterator[tuple[Path, str | None]]:
    """Files below a folder, in the order of their names, with the reason why one must not be opened."""
    with durable.translated("look for", top):
        is_there = files.is_there(top)
    if not is_there:
        return
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        if folder.is_symlink():
            yield folder, _LINK
            continue
        try:
            with os.scandir(folder) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            yield folder, f"cannot be read: {error.strerror or error}"
            continue
        waiting += [Path(entry.path) for entry in reversed(inside) if entry.is_dir(follow_symlinks=False)]
        yield from ((Path(entry.path), _fault(entry)) for entry in inside if not entry.is_dir(follow_symlinks=False))


def _fault(entry: "os.DirEntry[str]") -> str | None:
    if entry.is_symlink():
        return _LINK
    return None if entry.is_file(follow_symlinks=False) else "neither a file nor a folder"


def _named(path: Path, top: Path, fault: str | None, calendar: Calendar) -> _File:
    """What a file holds by its name and place; with a fault where that is nothing."""
    inside = path.relative_to(top)
    shown = printable(str(inside))
    if inside.parts[0] == _DAYS:
        session = _session(inside)
        fault = fault or ("no day's file by its name and place" if session is None else _no_session(session, calendar))
        return _File(path, shown, session=session, fault=fault)
    ticker = ticker_named(path.name) if len(inside.parts) == 2 else None
    fault = fault or (None if ticker else "no ticker's CSV by its name and place")
    return _File(path, shown, ticker=ticker and printable(ticker), fault=fault)


def _session(inside: Path) -> date | None:
    """The date that a name says, where the folders above it say no other: none, `2025/11`, the vendor's own."""
    named = _DAY.fullmatch(inside.name)
    try:
        session = date.fromisoformat(named[1]) if named else None
    except ValueError:
        return None
    above = "/".join(inside.parts[1:-1]).removeprefix(STOCKS_DAY.prefix).strip("/")
    return session if session and above in ("", f"{session:%Y}", f"{session:%Y/%m}") else None


def _no_session(day: date, calendar: Calendar) -> str | None:
    return None if calendar.is_session(day) else f"there was no session on {day}"


# Words


def _lacking(day: Day, session: date, witnesses: Witnesses) -> tuple[Sequence[str], int]:
    """Tickers that have a CSV with a row of this day and none in its file, and how many have such a CSV."""
    expected = witnesses.tickers(session)
    return sorted(expected - day.bars.keys()), len(expected)


def _lacks(lacking: Sequence[str], expected: int) -> str:
    shown = ", ".join(ticker[:20] for ticker in lacking[:3]) + (", …" if len(lacking) > 3 else "")
    return f"{len(lacking):,} of {expected:,} tickers with a CSV of that day are missing ({shown})"


def _run(session: date) -> Call:
    return call("run", "to download it", start=session, end=session)


def _spanning(request: Request, found: Sequence[_File]) -> Request:
    """The request with the window of the days found, for the record of runs."""
    days = [one.session for one in found if one.session and not one.fault]
    return replace(request, window=Window(min(days), max(days))) if days else request


def _summary(told: Sequence[Adoption]) -> Summary:
    left = [one.session for one in told if one.session and one.verdict in LEFT_ALONE]
    counts: Counter[Verdict] = Counter(one.verdict for one in told)
    return Summary(dict(counts), sum(one.md5 is not None for one in told), (min(left), max(left)) if left else None)
