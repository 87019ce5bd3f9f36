"""What is found out before anything is fetched: the listing, what the keys' plan allows, and so what is to be done."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial

import anyio

from ingest import events
from ingest.bisection import search
from ingest.datasets import Dataset
from ingest.errors import ungrouped
from ingest.manifest import Held, Manifest
from ingest.manifest.records import RemoteState
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

_THERE: Collection[RemoteState | None] = ("listed", "forbidden")

Listing = Mapping[date, RemoteObject]


@dataclass(frozen=True, slots=True)
class Survey:
    """The source as it is now, seen through the window of a request. `listing` covers the window's years."""

    listing: Listing
    permission: Permission
    plan: Plan

    def outside(self) -> Iterable[str]:
        """In words, what of the window cannot be had: what is older than the listing, and what is not in the plan."""
        oldest = min(self.listing, default=date.min)
        older = [one.session for one in self.plan.decisions if one.remote == "absent" and one.session < oldest]
        if older:
            yield f"the source lists nothing from {older[0]} to {older[-1]}, {len(older):,} sessions of this window"
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
    known = await _asked_at_floor(asker, dataset, manifest.permission(), held)
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


async def _asked_at_floor(asker: Asker, dataset: Dataset, known: Permission, held: Mapping[date, Held]) -> Permission:
    """The permission after one question: whether the oldest session held that was allowed may still be read.

    A plan's floor rolls with the day, and what is held below it is the only copy.
    """
    days = _within_reach(held, known)
    allowed = await asker.may_read(days[0], _item(dataset, days[0])) if days else None
    if allowed is None:
        return known
    if allowed:
        return known.learn(days[:1], [])
    # Where the floor has passed this one, it has passed what was older, too.
    older = {known.first: False} if known.first and known.first < days[0] else {}
    return await settled(asker, dataset, known, held, {**older, days[0]: False})


async def settled(
    asker: Asker, dataset: Dataset, known: Permission, held: Mapping[date, Held], answers: Mapping[date, bool]
) -> Permission:
    """What holds after these answers.

    A refusal of what was allowed may be that file's own trouble, or a plan that has moved: the sessions held tell,
    among which it is searched. Raises SourceError.
    """
    found = dict(answers)
    if any(known.allows(day) and not yes for day, yes in answers.items()):

        async def ask(session: date) -> bool | None:
            return answers[session] if session in answers else await asker.may_read(session, _item(dataset, session))

        found |= await search(_within_reach(held, known), ask)
    return known.learn(*told_apart(found))


def _within_reach(held: Mapping[date, Held], known: Permission) -> Sequence[date]:
    """Sessions held that are listed, as far as is known, and not below the floor; ascending."""
    below = known.below or date.min
    return sorted(day for day, one in held.items() if one.held == "committed" and one.remote in _THERE and day > below)


def _item(dataset: Dataset, session: date) -> RemoteObject:
    """An object to ask for a byte of, of which no listing is at hand."""
    return RemoteObject(dataset.key(session), 0, "", "")


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

    async def ask(session: date) -> bool | None:
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
