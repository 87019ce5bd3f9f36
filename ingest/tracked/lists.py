"""Changes the lists of tracked tickers, and updates the tracked CSVs at once, without the network."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from ingest.cache import lock
from ingest.cache.cache import Cache
from ingest.cache.commit import for_writing
from ingest.cache.manifest import Held, Manifest
from ingest.cache.manifest.records import Projection
from ingest.errors import UsageError
from ingest.files import durable, opening, rewriting
from ingest.hints import Option
from ingest.lake.top import followed, top_tickers
from ingest.market.catalogue import foreign_tickers
from ingest.market.datasets import Dataset
from ingest.market.patterns import covered, covers, is_pattern, matching, patterns_in, written
from ingest.settings import Settings
from ingest.settings.lists import (
    TrackedLists,
    check_names,
    is_reference,
    meaning,
    read_list,
    tracked,
)
from ingest.tracked import expand
from ingest.tracked.leaving import gone_with, remove_csvs
from ingest.tracked.update import Say, bring_up_to_date


@dataclass(frozen=True, slots=True)
class TrackedTicker:
    """What is stored for a tracked ticker: the rows of its CSV, their first and last date, and sessions without it.

    `missing` counts sessions that were stored with only the tracked tickers while this one was not in the lists. For a
    pattern, `matches` counts the matching tickers, and `rows` the rows of all their CSVs; for `@top:500` likewise those
    that it stands for now.
    """

    ticker: str
    rows: int
    first: str | None
    last: str | None
    missing: int
    missing_first: date | None = None
    missing_last: date | None = None
    matches: int | None = None


def chosen_list(settings: Settings, dataset: Dataset, named: Path | None) -> Path:
    """The list file to change: `named`, else the dataset's first one in the settings. Raises UsageError."""
    if named is not None:
        return named.absolute()
    lists = settings.lists_of(dataset)
    if not lists:
        raise UsageError(f"no list is set in {setting_of(dataset)}", Option("list", None, "to name one"))
    return lists[0]


def setting_of(dataset: Dataset) -> str:
    """The setting that names a dataset's lists."""
    return "[tracked] lists" if dataset.primary else f"[tracked.datasets] {dataset.short}"


def add(
    settings: Settings, dataset: Dataset, file: Path, tickers: Sequence[str], say: Say
) -> tuple[list[str], list[TrackedTicker]]:
    """Append tickers to a list and write their CSVs; returns those that are new in it, and what is stored for each.

    `say` gets messages about other changes to the CSVs. Raises UsageError for an invalid ticker or one too long for a
    file name, CacheLocked or CacheError.
    """
    _check(dataset, file, tickers)
    _present(file)  # an invalid list is an error before anything is touched
    settings.lake.check()
    with lock.hold(settings.cache.root):
        present = _present(file)
        new = [ticker for ticker in dict.fromkeys(tickers) if ticker not in present]
        _rewrite(file, lambda text: _appended(text, new))
        return new, _projected(settings, dataset, meaning(file, tickers), say)


def newest_matches(settings: Settings, dataset: Dataset, lists: TrackedLists) -> int | None:
    """How many tickers of the newest stored session would get a CSV by these patterns, and have none yet.

    Those that `@top:500` stands for now are counted, too. None if there are patterns, but no session is stored. Raises
    CacheError.
    """
    patterns, top = patterns_in(lists.tickers), _top(settings, dataset, lists).tickers
    if not (patterns or top):
        return 0
    with Cache.read(settings, dataset) as cache:
        newest = cache.manifest.sessions.committed()[-1:]
        found = [top.union(expand.found_in(cache, one, patterns)) for one in cache.manifest.sessions.parts(newest)]
        have = {row.ticker for row in cache.manifest.csvs.active()}
    return len(found[0] - have) if found else None


def remove_tickers(
    settings: Settings, dataset: Dataset, file: Path, tickers: Sequence[str], say: Say, *, delete: bool = False
) -> list[str]:
    """Remove tickers from a list. Returns those that were in it.

    Their CSVs stay as they are, or with `delete` go, unless another name of a list still covers them. Raises UsageError
    if there is no such list, CacheLocked or CacheError.
    """
    read_list(file)
    settings.lake.check()
    with lock.hold(settings.cache.root):
        present = set(read_list(file))
        going = _going(settings, dataset, file, tickers) if delete else []
        _rewrite(file, lambda text: _without(text, set(tickers)))
        _projected(settings, dataset, TrackedLists(), say)
        if going:
            with for_writing(settings, dataset) as cache:
                remove_csvs(cache, going)
    return [ticker for ticker in dict.fromkeys(tickers) if ticker in present]


def held(settings: Settings, dataset: Dataset) -> list[TrackedTicker]:
    """What is stored for the tickers and patterns of a dataset's lists. Raises UsageError and CacheError."""
    lists = _listed(settings, dataset)
    top = _top(settings, dataset, lists)
    with Cache.read(settings, dataset) as cache:
        return [*_held(cache.manifest, lists.tickers), *_held_of_top(cache.manifest, top)]


def _listed(settings: Settings, dataset: Dataset) -> TrackedLists:
    return tracked(dataset.csv_name, settings.lists_of(dataset), extra=settings.tickers_of(dataset))


def _going(settings: Settings, dataset: Dataset, file: Path, tickers: Collection[str]) -> Sequence[str]:
    """Tickers whose CSVs nobody follows once these names have left a list."""
    with Cache.read(settings, dataset) as cache:
        return gone_with(cache, settings, file, tickers)


def _check(dataset: Dataset, file: Path, names: Sequence[str]) -> None:
    check_names(names)
    whole = meaning(file, names)
    tickers = [one for one in names if not is_reference(one)]
    if whole.top and not dataset.has_volume:
        raise UsageError(f"@top:{whole.top}: {dataset.short} has no volume")
    if strange := foreign_tickers(dataset, tickers):
        raise UsageError(f"{strange[0]!r}: all tickers of {dataset.short} begin with {dataset.sigil}")
    if comments := [ticker for ticker in tickers if "#" in ticker]:
        raise UsageError(f"{comments[0]!r}: # starts a comment in a list, so a ticker in a list cannot contain it")
    if long := [ticker for ticker in tickers if not is_pattern(ticker) and dataset.csv_name(ticker) is None]:
        raise UsageError(f"{long[0][:40]}… is too long for a file name, so it cannot be tracked")


def _present(file: Path) -> frozenset[str]:
    with durable.translated("look at", file):
        there = opening.is_there(file.resolve())
    return frozenset(read_list(file)) if there else frozenset()


def _rewrite(file: Path, change: Callable[[str], str]) -> None:
    """Change a list; the caller holds the cache's lock, so that no run reads the list meanwhile."""
    with durable.translated("read", file):
        there = opening.is_there(file.resolve())
        text = opening.read(file, linked=True).decode("utf-8-sig") if there else ""
    changed = change(text)
    if changed != text:
        durable.make_folder(file.parent)
        rewriting.rewrite(file, changed.encode())


def _projected(settings: Settings, dataset: Dataset, asked: TrackedLists, say: Say) -> list[TrackedTicker]:
    """Bring the CSVs up to date with the lists; returns what is stored for the names that are asked for."""
    with durable.translated("look for", settings.manifest_path):
        is_new = not opening.is_there(settings.manifest_path)
    if is_new:
        top = [TrackedTicker(f"@top:{asked.top}", 0, None, None, 0, matches=0)] if asked.top else []
        return [*(TrackedTicker(written(name), 0, None, None, 0) for name in asked.tickers), *top]
    names = followed(settings, dataset, _listed(settings, dataset))
    of_top = _top(settings, dataset, asked)
    with for_writing(settings, dataset) as cache:
        bring_up_to_date(cache, settings, names, say)
        return [*_held(cache.manifest, asked.tickers), *_held_of_top(cache.manifest, of_top)]


@dataclass(frozen=True, slots=True)
class _OfTop:
    """A line `@top:500`, and the tickers that it stands for now."""

    count: int
    tickers: frozenset[str]


def _top(settings: Settings, dataset: Dataset, lists: TrackedLists) -> _OfTop:
    return _OfTop(lists.top, frozenset(top_tickers(settings, dataset, lists.top).tickers))


def _held_of_top(manifest: Manifest, top: _OfTop) -> Iterator[TrackedTicker]:
    """What is stored for the tickers of a line `@top:500`, all together; nothing if there is none."""
    if top.count:
        known = manifest.csvs.states(top.tickers)
        missing = [one for one in _partial(manifest.sessions.all()) if top.tickers - covered(one.tracked, top.tickers)]
        yield replace(_told(f"@top:{top.count}", list(known.values()), missing), matches=len(top.tickers))


@dataclass(frozen=True, slots=True)
class _Partial:
    """Sessions that were stored with only the tracked tickers, all split by the same lists."""

    tracked: frozenset[str]
    count: int
    first: date
    last: date


def _held(manifest: Manifest, names: Collection[str]) -> list[TrackedTicker]:
    partial = _partial(manifest.sessions.all())
    known = manifest.csvs.states()
    ordered = sorted(known) if any(map(is_pattern, names)) else []
    return [_one(name, _meant(name, known, ordered), partial) for name in names]


def _partial(sessions: Mapping[date, Held]) -> Sequence[_Partial]:
    """Such sessions by the lists that split them; lists seldom change, so these are far fewer than sessions."""
    days = defaultdict[frozenset[str], list[date]](list)
    for day, one in sessions.items():
        if one.held == "committed" and not one.archive_kept:
            days[one.tracked].append(day)
    return [_Partial(tracked, len(of_set), min(of_set), max(of_set)) for tracked, of_set in days.items()]


def _meant(name: str, known: Mapping[str, Projection], ordered: Sequence[str]) -> Sequence[Projection]:
    """The CSVs of a ticker, or of all that match a pattern."""
    if not is_pattern(name):
        return [known[name]] if name in known else []
    return [known[ticker] for ticker in matching(name, ordered)]


def _one(name: str, rows: Sequence[Projection], partial: Sequence[_Partial]) -> TrackedTicker:
    missing = [one for one in partial if not covers(one.tracked, name)]
    return replace(_told(written(name), rows, missing), matches=len(rows) if is_pattern(name) else None)


def _told(name: str, rows: Sequence[Projection], missing: Sequence[_Partial]) -> TrackedTicker:
    return TrackedTicker(
        ticker=name,
        rows=sum(row.rows or 0 for row in rows),
        first=min((row.first for row in rows if row.first), default=None),
        last=max((row.last for row in rows if row.last), default=None),
        missing=sum(one.count for one in missing),
        missing_first=min((one.first for one in missing), default=None),
        missing_last=max((one.last for one in missing), default=None),
    )


def _appended(text: str, tickers: Sequence[str]) -> str:
    if not tickers:
        return text
    end = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{end}" + "".join(f"{ticker}\n" for ticker in tickers)


def _without(text: str, tickers: Collection[str]) -> str:
    """The text without the lines of these tickers; comments and all other lines stay as they are."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if line.partition("#")[0].strip() not in tickers)
