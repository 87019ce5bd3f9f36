"""What a run finds out before it downloads: the listing, what the subscription allows, and the plan that follows."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta

import anyio

from ingest import events
from ingest.cache.cache import Cache
from ingest.cache.manifest import Held
from ingest.cache.manifest.records import RemoteState
from ingest.cache.wholeness import missing_parts, present_names
from ingest.errors import ungrouped
from ingest.market.calendars import Calendar, today
from ingest.market.datasets import Dataset, Tier
from ingest.market.permission import REFUSED, Permission
from ingest.planning.plan import Plan, Stored, Wanted, make_plan
from ingest.planning.probing import current
from ingest.planning.request import Request
from ingest.settings import Settings
from ingest.sources.base import RemoteObject
from ingest.sources.liveness import Liveness
from ingest.sources.resilient import Line, ResilientSource, ending_with

LATE = 10
"""More sessions without a file than a vendor's delay explains."""

SEARCH_FROM = 8
"""Up to so many sessions are simply requested; for more, the allowed span is searched first."""

_THERE: Collection[RemoteState | None] = ("listed", "forbidden")

Listing = Mapping[date, RemoteObject]


@dataclass(frozen=True, slots=True)
class Published:
    """First and last session for which the source lists a file of a dataset, as far as was checked; None if none."""

    first: date | None
    last: date | None


@dataclass(frozen=True, slots=True)
class Survey:
    """The source as it is now, seen through the window of a request. `listing` covers the window's years.

    `present` are the names of the parts that the cache has, as they were listed for the plan.
    """

    dataset: Dataset
    listing: Listing
    published: Published
    permission: Permission
    plan: Plan
    present: Mapping[Tier, Collection[str]] = field(default_factory=dict)

    @property
    def is_bare(self) -> bool:
        """Whether the source has no file of the dataset at all, which is more than a night without news."""
        return self.published.first is None

    def outside(self) -> Iterable[events.Notice]:
        """What of the window is not available: not listed by the source, or not included in the subscription."""
        if self.is_bare:
            yield nothing_of(self.dataset)
            return
        yield from self._unlisted()
        yield from map(events.Notice, self._refused())

    def _unlisted(self) -> Iterable[events.Notice]:
        first, last = self.published.first or date.max, self.published.last or date.max
        older = [one.session for one in self.plan.decisions if one.remote == "absent" and one.session < first]
        if older:
            span = f"for {len(older):,} sessions of this window ({older[0]} to {older[-1]})"
            yield events.Notice(f"the source has no files {span}; its next file is of {first}")
        newer = [one.session for one in self.plan.decisions if one.remote == "unpublished"]
        if len(newer) > LATE:
            told = f"the newest file that the source lists is {last}; {len(newer):,} sessions of this window are later"
            yield events.Notice(f"{told}. Does it still publish {self.dataset.short}?", "warning")

    def _refused(self) -> Iterable[str]:
        wanted = [one.session for one in self.plan.decisions if one.session in self.listing and one.held.held == "none"]
        refused = [day for day in wanted if self.permission.allows(day) is False]
        if refused and self.permission.first is None:
            count = f"{len(refused):,} files listed in this window that are not stored"
            yield f"your subscription allows none of the {count}: {REFUSED}"
        elif refused:
            verb = "is" if len(refused) == 1 else "are"
            told = f"{len(refused):,} listed session{'' if verb == 'is' else 's'} of this window {verb} outside"
            yield f"your subscription allows {self.permission}: {told} ({REFUSED})"


def nothing_of(dataset: Dataset) -> events.Notice:
    """The warning about a source that has no file of a dataset at all."""
    said = f"the source lists no file of {dataset.short} for any year (below {dataset.prefix}/)"
    return events.Notice(
        f"{said}: check [source] bucket and endpoint_url, and whether the vendor publishes it", "warning"
    )


@asynccontextmanager
async def connected(settings: Settings, stop: anyio.Event) -> AsyncIterator[Line]:
    """A connected source, with keys. Raises UsageError if there are none, Stopped if the user stopped waiting."""
    from ingest.sources.massive.client import connect  # aioboto3: 0.4 s, which readers are spared

    with ungrouped():
        async with AsyncExitStack() as opened:
            async with ending_with(stop):
                source = await opened.enter_async_context(connect(settings.source, settings.tuning))
            yield Line(source, Liveness(settings.source, settings.tuning), settings.tuning)


@asynccontextmanager
async def asking(settings: Settings, sink: events.Sink, stop: anyio.Event) -> AsyncIterator[ResilientSource]:
    """A connected source, for one run or one query."""
    async with connected(settings, stop) as line:
        yield ResilientSource(line, settings.source, sink, stop)


async def survey(source: ResilientSource, cache: Cache, settings: Settings, request: Request) -> Survey:
    """List the window, find out what of it is allowed before a large download, and plan. Raises SourceError."""
    dataset, manifest = request.dataset, cache.manifest
    held, known, present = manifest.sessions.all(), manifest.source.permission(), present_names(cache)
    listing = await fetch_listing(source, dataset, request.window.start, request.window.end)
    published = await published_of(source, request, listing)
    plan = make_plan(
        window=(request.window.start, request.window.end),
        listing=listing,
        stored=Stored(held, missing_parts(cache, held, present)),
        is_session=Calendar.of(dataset.calendar).is_session,
        wishes=Wanted(request.tracked, settings.archive.save_others, request.refresh, request.only, request.accept),
        last_listed=published.last or date.max,
    )
    unknown = len([one for one in plan.fetches if known.allows(one.session) is None])
    items = {**_held_items(dataset, held), **within(listing, request.window.start, request.window.end)}
    # A few files whose permission is unknown are simply requested.
    if known != Permission() or unknown > SEARCH_FROM or any(one.held == "committed" for one in held.values()):
        known = await current(source, items, known, search_anew=unknown > SEARCH_FROM)
    return Survey(dataset, listing, published, known, plan.permitted(known), present=present)


async def published_of(source: ResilientSource, request: Request, listing: Listing) -> Published:
    """The dataset's first and last session, as far as they decide what a day without a file means.

    If the listing has files up to this year, or up to the window's end, it suffices. Otherwise an unlisted day may be
    still to come, gone, or of a dataset that the source does not have, so everything is listed, with one request per
    1,000 files. Only the first nights of a year need this.
    """
    dataset, end = request.dataset, request.window.end
    later = Calendar.of(dataset.calendar).between(max(listing) + timedelta(days=1), end) if listing else ()
    if listing and (end.year >= today().year or not any(later)):
        return Published(min(listing), max(listing))
    items = await source.listing([f"{dataset.prefix}/"])
    days = [day for item in items if (day := dataset.session_of(item.key)) and day <= today()]
    return Published(min(days, default=None), max(days, default=None))


def _held_items(dataset: Dataset, held: Mapping[date, Held]) -> Mapping[date, RemoteObject]:
    """Stored sessions that were listed when last requested, as objects to probe."""
    there = [day for day, one in held.items() if one.held == "committed" and one.remote in _THERE]
    return {day: RemoteObject(dataset.key(day), 0, "", "") for day in there}


async def fetch_listing(source: ResilientSource, dataset: Dataset, start: date, end: date) -> Listing:
    """All sessions listed in the years of a window. Raises SourceError."""
    items = await source.listing([dataset.year_prefix(year) for year in range(start.year, end.year + 1)])
    return {session: item for item in items if (session := dataset.session_of(item.key))}


def within(listing: Listing, start: date, end: date) -> Listing:
    """The part of a listing from `start` to `end`, both inclusive, ascending."""
    return {day: listing[day] for day in sorted(listing) if start <= day <= end}
