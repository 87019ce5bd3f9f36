"""What a cache contains: the answer to `ingest status`. Reads only the manifest and the folders."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.cache.cache import Cache
from ingest.cache.lock import Holder, holder
from ingest.cache.manifest.records import FindingCount, QuarantinedFile, SessionCount
from ingest.cache.parts.store import ListedPart
from ingest.cache.wholeness import not_whole
from ingest.errors import UsageError
from ingest.files import durable
from ingest.finding import KINDS, Finding
from ingest.lake.partitions import lake_of
from ingest.market.calendars import Calendar, last_due
from ingest.market.catalogue import CATALOGUE, STOCKS_DAY
from ingest.market.datasets import TIERS, Dataset, Tier
from ingest.market.permission import Permission
from ingest.market.windows import span
from ingest.notebook import in_html
from ingest.planning.request import datasets_asked
from ingest.reading.adjusting.freshness import calendar_of
from ingest.settings import Settings

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class TierSize:
    """Size of one tier: its `name` in words, its `path` or URL, `bytes` there and number of `files`."""

    name: str
    path: str
    bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a dataset's cache.

    `dataset` is the full name, `root` the cache's folder. `first` and `last` are the oldest and newest stored session,
    None if none is. `age_sessions` counts the sessions after `last` whose files are due, None without `last`:
    a file is due at 11:00 New York on the next day. `gaps` are the runs of sessions between `first` and `last` that are
    not stored, as (first, last, sessions). `sessions` counts the known sessions by state. Over all stored sessions,
    `source_rows` counts the rows of their files, `findings` the sessions that have any, `corrections` the republished
    files that changed rows. `tracked_tickers` counts the tracked CSVs, `dirty_files` those of them that the next run
    rewrites.

    `permission` is the span that the subscription was last found to allow, as of `permission_asked_at` (ISO 8601, UTC;
    None: never asked); `only_copies` counts the stored sessions that it no longer allows. `yahoo_rows` counts stored
    rows from Yahoo, `yahoo_tickers` the tickers whose splits and dividends are known, the oldest of them as of
    `yahoo_asked` (None without any). `tiers` are sizes on disk; `runs` the five newest runs, newest first, each with
    its window and times as text and its exit code (None: killed, or in progress). `found` counts the sessions with
    findings by kind, `quarantine` lists the refused files, of which `quarantined` wait for a decision, and `dismissed`
    were dismissed; `unknown_parts` counts parts in a cache whose manifest
    contains no session; `not_whole` are stored sessions with a part that is missing, or was found damaged. `running`
    is who holds the cache now: a run, or another command that writes.
    """

    dataset: str
    root: str
    first: date | None
    last: date | None
    age_sessions: int | None
    sessions: tuple[SessionCount, ...]
    gaps: tuple[tuple[date, date, int], ...]
    source_rows: int
    findings: int
    corrections: int
    tracked_tickers: int
    dirty_files: int
    permission: Permission
    permission_asked_at: str | None
    only_copies: int
    yahoo_rows: int
    yahoo_tickers: int
    yahoo_asked: date | None
    tiers: tuple[TierSize, ...]
    runs: tuple[dict[str, Any], ...]
    found: tuple[FindingCount, ...] = ()
    quarantine: tuple[QuarantinedFile, ...] = ()
    quarantined: int = 0
    dismissed: int = 0
    unknown_parts: int = 0
    not_whole: tuple[date, ...] = ()
    running: Holder | None = None

    def _repr_html_(self) -> str:
        """A table, for a notebook."""
        return in_html(self)


def status(settings: Settings, dataset: Dataset = STOCKS_DAY) -> Status:
    """State of the cache that the settings name; raises CacheError if its manifest cannot be read."""
    with Cache.read(settings, dataset) as cache:
        found = cache.manifest.at_once(lambda: status_in(cache, str(settings.cache.root)))
    return replace(found, running=holder(settings.cache.root))


def status_in(cache: Cache, root: str) -> Status:
    """State of an open cache, without who holds it; `root` is its folder. Raises CacheError."""
    manifest = cache.manifest
    committed = manifest.sessions.committed()
    first, last = (committed[0], committed[-1]) if committed else (None, None)
    calendar = calendar_of(cache)
    followed = manifest.csvs.active()
    totals, quotes = manifest.sessions.totals(), manifest.yahoo
    refused = tuple(manifest.replacements.in_quarantine())
    known = quotes.known_until()
    listed = {tier: cache.parts.listed(tier) for tier in TIERS}
    present = {tier: cache.parts.names(tier) if found is None else found for tier, found in listed.items()}
    return Status(
        dataset=cache.dataset.name,
        root=root,
        first=first,
        last=last,
        age_sessions=_age(calendar, last),
        sessions=tuple(manifest.sessions.counts()),
        gaps=tuple(calendar.gaps(committed)),
        source_rows=totals.source_rows,
        findings=totals.findings,
        corrections=totals.corrections,
        tracked_tickers=len(followed),
        dirty_files=sum(row.dirty for row in followed),
        permission=manifest.source.permission(),
        permission_asked_at=manifest.source.permission_asked_at(),
        only_copies=len(manifest.source.permission().lost(committed)),
        yahoo_rows=quotes.count(),
        yahoo_tickers=len(known),
        yahoo_asked=min(known, default=None),
        tiers=tuple(_sizes(cache, listed)),
        runs=tuple(manifest.runs.newest(5)),
        found=tuple(manifest.findings.counts()),
        quarantine=refused,
        quarantined=sum(not one.dismissed for one in refused),
        dismissed=sum(bool(one.dismissed) for one in refused),
        unknown_parts=0 if committed else sum(name.endswith(".csv.gz") for name in present["tracked"]),
        not_whole=tuple(_not_whole(cache, present)),
    )


def asked_or_held(names: Sequence[str], settings: Settings) -> tuple[Dataset, ...]:
    """The datasets of these names; without any, those of [run] datasets, then all others with stored sessions.

    Raises UsageError, CacheError.
    """
    asked = datasets_asked(names, settings)
    if names:
        return asked
    with Cache.read(settings, asked[0]) as cache:
        held = cache.manifest.sessions.other_datasets()
    return (*asked, *(one for one in CATALOGUE.values() if one.name in held and one not in asked))


def _no_kind(kind: str) -> str:
    near = get_close_matches(kind, KINDS, 1)
    return f"unknown kind of finding {kind!r}" + (
        f"; did you mean {near[0]!r}?" if near else f"; the kinds are: {'; '.join(KINDS)}"
    )


def findings(
    settings: Settings,
    kind: str | None = None,
    start: date | None = None,
    end: date | None = None,
    dataset: Dataset = STOCKS_DAY,
) -> list[tuple[date, Finding]]:
    """Findings on the sessions from `start` to `end`, both inclusive, by session and kind.

    A kind may be written without its apostrophe, which a shell takes for a quotation mark. Raises UsageError for an
    unknown kind and if the window is reversed, and CacheError.
    """
    kind = kind and next((one for one in KINDS if one.replace("'", "") == kind.replace("'", "")), kind)
    if kind is not None and kind not in KINDS:
        raise UsageError(_no_kind(kind))
    first, last = span(start, end)
    with Cache.read(settings, dataset) as cache:
        found = cache.manifest.findings.between(first, last)
    return [(session, one) for session, one in found if kind in (None, one.kind)]


def findings_frame(found: Iterable[tuple[date, Finding]]) -> "pl.DataFrame":
    """Findings as rows: date, kind, count (of rows), and examples, a list of texts."""
    import polars as pl  # `ingest status` needs none

    rows = [(session, one.kind, one.count, list(one.examples)) for session, one in found]
    schema: dict[str, pl.DataType] = {
        "date": pl.Date(),
        "kind": pl.String(),
        "count": pl.Int64(),
        "examples": pl.List(pl.String),
    }
    return pl.DataFrame(rows, schema, orient="row")


def _not_whole(cache: Cache, present: Mapping[Tier, Collection[str]]) -> list[date]:
    # A run is just replacing their parts, or the next one completes what a killed one began.
    moving = cache.manifest.replacements.moving()
    return [day for day in not_whole(cache, cache.manifest.sessions.all(), present) if day not in moving]


def _age(calendar: Calendar, last: date | None) -> int | None:
    return calendar.count_between(last + timedelta(days=1), last_due()) if last else None


def _sizes(cache: Cache, listed: Mapping[Tier, Mapping[str, ListedPart] | None]) -> Iterable[TierSize]:
    yield _size("tracked CSVs", cache.csvs.path, cache.csvs.present())
    for tier, found in listed.items():
        place = cache.parts.place(tier)
        if found is None:
            yield _sum(f"{tier} parts", place, cache.parts.sizes(tier))
        else:
            yield from _of_objects(cache, tier, place, found)
    if files := cache.manifest.lake.all():
        yield _sum("lake", lake_of(cache).place, [one.size for one in files.values()])


def _of_objects(cache: Cache, tier: Tier, place: str, listed: Mapping[str, ListedPart]) -> Iterable[TierSize]:
    """The parts that the manifest refers to, and those that were replaced and wait to be removed."""
    of_sessions = cache.manifest.sessions.parts(cache.manifest.sessions.committed())
    stored = {cache.parts.name(one.key(tier)) for one in of_sessions if tier in one.sha256}
    others = [one.size for name, one in listed.items() if name not in stored and name.endswith(".csv.gz")]
    yield _sum(f"{tier} parts", place, [one.size for name, one in listed.items() if name in stored])
    if others:
        yield _sum(f"replaced {tier} parts", place, others)


def _sum(name: str, place: str, sizes: Sequence[int]) -> TierSize:
    return TierSize(name, place, sum(sizes), len(sizes))


def _size(name: str, folder: Path, files: Iterable[Path]) -> TierSize:
    sizes = durable.sizes(folder, files)
    return TierSize(name, str(folder), sum(sizes), len(sizes))
