"""Asks where what the keys may read begins and ends.

At the edges that are known, and by a search where one of them has moved.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date

from ingest.bisection import search
from ingest.permission import Permission
from ingest.sources.asking import Asker
from ingest.sources.base import RemoteObject

_PATIENCE = 3
"""So many sessions are asked, where one after the other gives no answer."""

Ask = Callable[[date], Awaitable[bool | None]]


async def current(
    asker: Asker, items: Mapping[date, RemoteObject], known: Permission, search_anew: bool = False
) -> Permission:
    """What the keys may read now of these objects, given what was known: with requests of one byte.

    Where what is known holds at its edges, as far as these objects reach, nothing else is asked; where it does not, or
    nothing is allowed as far as is known, all of them are searched, about a dozen requests. Raises SourceError.
    """
    days = sorted(items)
    answers: dict[date, bool | None] = {}

    async def ask(session: date) -> bool | None:
        if session not in answers:
            answers[session] = await asker.may_read(session, items[session])
        return answers[session]

    if known.first and not search_anew and await _holds(days, known, ask):
        return known
    return known.found(await search(days, ask))


async def _holds(days: Sequence[date], known: Permission, ask: Ask) -> bool:
    """Whether the oldest and the newest session that are allowed still are, and those next to them still refused.

    A plan's floor rolls with the day, plans change, and newest days open. Two are asked beyond each edge, and the
    newest: a single one may be refused for a reason of its own, and would hide all that lies behind it.
    """
    allowed = [day for day in days if known.allows(day)]
    below = [day for day in days if known.below and day <= known.below]
    above = [day for day in days if known.above and day >= known.above]
    for near in (allowed, allowed[::-1]):
        if await _first_answer(near, ask) is False:
            return False
    for day in dict.fromkeys((*below[-2:], *above[:2], *above[-1:])):
        if await ask(day):
            return False
    return True


async def _first_answer(days: Sequence[date], ask: Ask) -> bool | None:
    for day in days[:_PATIENCE]:
        answer = await ask(day)
        if answer is not None:
            return answer
    return None
