"""What is found out before anything is fetched: the listing, what the keys' plan allows, and so what is to be done."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

import anyio

from ingest import events
from ingest.bisection import search
from ingest.datasets import Dataset
from ingest.errors import ungrouped
from ingest.manifest import Held, Manifest
from ingest.permission import Permission
from ingest.plan import Plan, Wishes, make_plan
from ingest.request import Request
from ingest.sessions import Calendar
from ingest.settings import Settings
from ingest.sources.asking import Asker
from ingest.sources.base import RemoteObject
from ingest.tiers.layout import TIERS, PartFolders

SEARCH_FROM = 8
"""So many sessions are asked for one by one; where more are to be fetched it is searched first what is allowed."""

Listing = Mapping[date, RemoteObject]


@dataclass(frozen=True, slots=True)
class Survey:
    """The source as it is now, seen through the window of a request. `listing` covers the window's years."""

    listing: Listing
    permission: Permission
    plan: Plan

    def outside(self) -> Iterable[str]:
        """In words, what of the window cannot be had: what is older than the listing, and what is not in the plan."""
        oldest = min(self.listing, default=None)
        unlisted = [one.session for one in self.plan.decisions if one.remote == "absent"]
        if oldest and (before := [day for day in unlisted if day < oldest]):
            yield f"the source lists nothing before {oldest}: {len(before):,} sessions of this window are older"
        wanted = [one.session for one in self.plan.decisions if one.session in self.listing and one.held.held == "none"]
        refused = [day for day in wanted if self.permission.allows(day) is False]
        if refused and self.permission.first is None:
            yield f"your plan allows none of the {len(refused):,} files listed in this window that are not held"
        elif refused:
            yield f"your plan allows {self.permission}: {len(refused):,} listed sessions of this window are outside"


@asynccontextmanager
async def asking(settings: Settings, sink: events.Sink, stop: anyio.Event) -> AsyncIterator[Asker]:
    """A connected source."""
    from ingest.sources.massive import connect  # aioboto3: 0.4 s, and not for who only reads

    with ungrouped():
        async with connect(settings.source) as source:
            yield Asker(source, settings.source, sink, stop)


async def survey(asker: Asker, manifest: Manifest, settings: Settings, request: Request) -> Survey:
    """List the window, find out what of it is allowed before much is fetched, and plan. Raises SourceError."""
    dataset, held = request.dataset, manifest.sessions()
    listing = await listed(asker, dataset, request.window.start, request.window.end)
    known = await _rolled(asker, dataset, manifest.permission(), held, request.window.start)
    planned = partial(
        make_plan,
        window=(request.window.start, request.window.end),
        listing=listing,
        held=held,
        is_session=Calendar.of(dataset.calendar).is_session,
        wishes=Wishes(request.tracked, settings.archive.save_others, request.refresh),
        missing_parts=missing_parts(PartFolders.below(settings.tracked_path, settings.archive_path), held),
    )
    plan = planned(permission=known)
    wanted = [one.session for one in plan.fetches if known.allows(one.session) is not False]
    if len(wanted) <= SEARCH_FROM:
        return Survey(listing, known, plan)
    # What was known may be long ago, and of other keys: the newest and the oldest are asked in any case.
    answers = await probed(asker, {day: listing[day] for day in wanted})
    found = known.learn(*told_apart(answers))
    return Survey(listing, found, planned(permission=found, answered=answers.keys()))


async def _rolled(
    asker: Asker, dataset: Dataset, known: Permission, held: Mapping[date, Held], start: date
) -> Permission:
    """The permission after one question for its floor, where that lies before the window and so is not asked anyway.

    It rolls with the day, and what is held below it is the only copy. Where it has rolled, the sessions held are
    searched for where it is now.
    """
    floor = known.first
    if not floor or not known.below or floor >= start:
        return known
    item = RemoteObject(dataset.key(floor), 0, "", "")
    if await asker.may_read(floor, item):
        return known
    days = sorted({day for day, state in held.items() if state.held == "committed" and day > floor})
    answers = await probed(asker, {day: replace(item, key=dataset.key(day)) for day in days})
    return known.learn(*told_apart({floor: False, **answers}))


async def listed(asker: Asker, dataset: Dataset, start: date, end: date) -> Listing:
    """All sessions listed in the years of a window. Raises SourceError."""
    items = await asker.listing([dataset.year_prefix(year) for year in range(start.year, end.year + 1)])
    return {session: item for item in items if (session := dataset.session_of(item.key))}


def within(listing: Listing, start: date, end: date) -> Listing:
    """The part of a listing from `start` to `end`, both inclusive, ascending."""
    return {day: listing[day] for day in sorted(listing) if start <= day <= end}


async def permitted(asker: Asker, listing: Listing, known: Permission) -> Permission:
    """What is known, and what a search of a listing adds to it. Raises SourceError."""
    return known.learn(*told_apart(await probed(asker, listing)))


async def probed(asker: Asker, listing: Listing) -> Mapping[date, bool]:
    """Search a listing (ascending) for the edges of what the keys may read; returns what was asked."""

    async def ask(session: date) -> bool:
        return await asker.may_read(session, listing[session])

    return await search(list(listing), ask)


def told_apart(answers: Mapping[date, bool]) -> tuple[list[date], list[date]]:
    """The sessions that are allowed, and those that are refused."""
    return [day for day, yes in answers.items() if yes], [day for day, yes in answers.items() if not yes]


def missing_parts(folders: PartFolders, held: Mapping[date, Held]) -> set[date]:
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
