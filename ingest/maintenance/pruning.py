"""What can be removed from a cache to free room, and its removal.

A kill leaves a cache that verifies: sessions are forgotten before their files go, CSVs go before they are forgotten.
The next command that writes, or the same one given again, ends what was begun.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Literal

from ingest.cache import lock, quarantine
from ingest.cache.cache import Cache
from ingest.cache.commit import for_writing, prune
from ingest.files import durable
from ingest.market.calendars import months_back, today
from ingest.market.datasets import TIERS, Dataset, session_of
from ingest.market.windows import choose
from ingest.settings import Settings
from ingest.sources import spool
from ingest.tracked.leaving import remove_csvs, sized, unfollowed
from ingest.tracked.update import Say, bring_up_to_date

_MOST_MONTHS = 1200
"""What [run] months may be."""

Kind = Literal["sessions", "untracked", "quarantine", "spool"]


@dataclass(frozen=True, slots=True)
class Selection:
    """What to remove: sessions `before` a date, and the kinds that are True."""

    before: date | None = None
    untracked: bool = False
    quarantine: bool = False
    spool: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing was named."""
        return not (self.before or self.untracked or self.quarantine or self.spool)


@dataclass(frozen=True, slots=True)
class Prunable:
    """Files of one kind that can be removed: `files` of them, `bytes` together.

    `dataset` is the short name. `first` and `last` are the first and the last of the sessions that the files are of, if
    they are of any; `tickers` those whose CSVs they are. For sessions, `stored` counts those in the manifest, `again`
    those of them that the next run downloads again unless its window begins later, and `only_copies` lists those that
    the subscription no longer allows: they can't be downloaded again.
    """

    dataset: str
    kind: Kind
    files: int
    bytes: int
    first: date | None = None
    last: date | None = None
    tickers: tuple[str, ...] = ()
    stored: int = 0
    again: int = 0
    only_copies: tuple[date, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to remove."""
        return not (self.files or self.stored)


def prunable(settings: Settings, dataset: Dataset, names: Collection[str], wanted: Selection) -> list[Prunable]:
    """What of a dataset would be removed; with nothing wanted, all that could be, its sessions year by year.

    `names` are the tickers and patterns of the lists. Writes nothing. Raises CacheError.
    """
    with Cache.read(settings, dataset) as cache:
        return _found(cache, settings, names, wanted)


def is_unfinished(settings: Settings, dataset: Dataset) -> bool:
    """Whether a command that was killed left files to remove, CSVs to update or to forget. Raises CacheError."""
    with Cache.read(settings, dataset) as cache:
        manifest = cache.manifest
        states = manifest.csvs.states().values()
        return manifest.replacements.pruning() is not None or any(row.dirty or not row.active for row in states)


def remove_from(
    settings: Settings, dataset: Dataset, names: Collection[str], wanted: Selection, say: Say
) -> list[Prunable]:
    """Remove what is wanted, and return it. CSVs of tracked tickers lose the rows of removed sessions.

    `say` gets messages about other changes to the CSVs. Raises UsageError, CacheError, CacheLocked.
    """
    settings.lake.check()
    with lock.hold(settings.cache.root), for_writing(settings, dataset) as cache:
        found = _found(cache, settings, names, wanted)
        if wanted.before:
            prune(cache, wanted.before)
        if wanted.before or wanted.untracked:
            bring_up_to_date(cache, settings, names, say)
        for one in found:
            _remove(cache, one)
        if wanted.untracked:  # those whose files are gone already
            remove_csvs(cache, unfollowed(cache, names))
    return found


def _remove(cache: Cache, one: Prunable) -> None:
    match one.kind:
        case "untracked":
            remove_csvs(cache, one.tickers)
        case "quarantine":
            refused = [one.session for one in cache.manifest.replacements.in_quarantine()]
            cache.manifest.replacements.release(refused)
            quarantine.remove_kept(cache, _refused(cache))
        case "spool":
            for path in spool.partial_downloads(cache.downloads):
                spool.discard(path)


def _found(cache: Cache, settings: Settings, names: Collection[str], wanted: Selection) -> list[Prunable]:
    found = list[Prunable]()
    if wanted.before or wanted.is_empty:
        found += _sessions(cache, settings, wanted.before)
    if wanted.untracked or wanted.is_empty:
        found += _untracked(cache, names)
    if wanted.quarantine or wanted.is_empty:
        kept = _refused(cache)
        found.append(_of(cache, "quarantine", [cache.quarantine / name for name in kept], map(session_of, kept)))
    if wanted.spool or wanted.is_empty:
        paths = spool.partial_downloads(cache.downloads)
        found.append(_of(cache, "spool", paths, map(spool.session_at, paths)))
    return [one for one in found if not one.is_empty]


def _refused(cache: Cache) -> list[str]:
    return [*quarantine.kept_names(cache), *quarantine.names_aside(cache)]


def _of(cache: Cache, kind: Kind, paths: Sequence[Path], sessions: Iterable[date | None]) -> Prunable:
    days = sorted(day for day in sessions if day)
    size = sum(durable.sizes(paths[0].parent, paths)) if paths else 0
    return Prunable(cache.dataset.short, kind, len(paths), size, *_span(days))


def _span(days: Sequence[date]) -> tuple[date, date] | tuple[None, None]:
    return (days[0], days[-1]) if days else (None, None)


def _sessions(cache: Cache, settings: Settings, before: date | None) -> Iterator[Prunable]:
    """The sessions before a date; without one, all of them, year by year."""
    stored = set(cache.manifest.sessions.committed())
    sizes = _sizes_of_parts(cache)
    days = sorted(stored | sizes.keys())
    if before:
        yield _of_sessions(cache, settings, [day for day in days if day < before], stored, sizes)
        return
    for _, year in groupby(days, lambda day: day.year):
        yield _of_sessions(cache, settings, list(year), stored, sizes)


def _sizes_of_parts(cache: Cache) -> dict[date, list[int]]:
    """Sizes of the parts of each session, known to the manifest or not."""
    found: dict[date, list[int]] = {}
    for tier in TIERS:
        for session, versions in cache.parts.versions(tier).items():
            with durable.translated("look at", cache.csvs.path):
                found.setdefault(session, []).extend(one.size or cache.parts.size(one) for one in versions)
    return found


def _of_sessions(
    cache: Cache, settings: Settings, days: Sequence[date], stored: Collection[date], sizes: dict[date, list[int]]
) -> Prunable:
    files = [size for day in days for size in sizes.get(day, ())]
    held = [day for day in days if day in stored]
    first, last = _span(days)
    start = choose(settings.run.months, None, None, today(), cache.dataset).start
    return Prunable(
        dataset=cache.dataset.short,
        kind="sessions",
        files=len(files),
        bytes=sum(files),
        first=first,
        last=last,
        stored=len(held),
        again=sum(day >= start for day in held),
        only_copies=tuple(cache.manifest.source.permission().lost(held)),
    )


def _untracked(cache: Cache, names: Collection[str]) -> Iterator[Prunable]:
    """The CSVs of tickers that were tracked once, and that the lists neither name nor match any more."""
    found = sized(cache, unfollowed(cache, names))
    yield Prunable(cache.dataset.short, "untracked", found.files, found.bytes, tickers=found.tickers)


def window_reaching(before: date) -> int:
    """The most whole months back from today whose window does not begin before a date; 0 if there are none."""
    day = today()
    return max((months for months in range(1, _MOST_MONTHS) if months_back(day, months) >= before), default=0)
