"""Finds out where the span that the keys may read begins and ends, with about a dozen requests.

It probes the known edges, and searches if one of them has moved.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date

from ingest.market.permission import Permission
from ingest.sources.base import RemoteObject
from ingest.sources.resilient import ResilientSource

_PATIENCE = 3
"""How many sessions are tried if one after the other gives no answer."""

Ask = Callable[[date], Awaitable[bool | None]]
"""Whether a session is allowed; None if there was no answer."""


async def current(
    source: ResilientSource, items: Mapping[date, RemoteObject], known: Permission, search_anew: bool = False
) -> Permission:
    """What the keys may read now of these objects, given what was known; by requests of one byte.

    If the known edges still hold, as far as these objects reach, it probes nothing else. Otherwise, or if nothing is
    known to be allowed, it searches all objects, with about a dozen requests. Raises SourceError.
    """
    days = sorted(items)
    answers: dict[date, bool | None] = {}

    async def ask(session: date) -> bool | None:
        if session not in answers:
            answers[session] = await source.may_read(session, items[session])
        return answers[session]

    if known.first and not search_anew and await _holds(days, known, ask):
        return known
    return known.found(await search(days, ask))


async def _holds(days: Sequence[date], known: Permission, ask: Ask) -> bool:
    """Whether the oldest and the newest allowed sessions are still allowed, and those next to them still refused.

    The first day of a subscription rolls, subscriptions change, and the newest days open up. Two sessions are probed
    beyond each edge, and the newest: one alone may be refused for a reason of its own and hide all sessions behind it.
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


async def search(days: Sequence[date], ask: Ask) -> Mapping[date, bool]:
    """Probe as few of these sessions (ascending) as it takes to know which are allowed; return those with an answer.

    If all are allowed, these are the newest and the oldest; otherwise about log2 of their number for each edge between
    them. The allowed sessions form one span, so nothing between two allowed ones is probed. A session without an answer
    counts as allowed during the search, and is not returned.
    """
    asked = _Search(days, ask)
    if days and (inside := await asked.some_allowed()) is not None:
        await asked.edge(inside, len(days) - 1)
        await asked.edge(inside, 0)
    return {days[at]: yes for at, yes in asked.answers.items() if at not in asked.silent}


class _Search:
    """Answers by position in `days`."""

    def __init__(self, days: Sequence[date], ask: Ask) -> None:
        self._days, self._ask = days, ask
        self.answers: dict[int, bool] = {}
        self.silent: set[int] = set()

    async def some_allowed(self) -> int | None:
        """A position that is allowed: from the newest backwards in steps that double."""
        end = len(self._days) - 1
        for step in [0, *(1 << n for n in range(end.bit_length()) if 1 << n < end), end]:
            if await self._allowed(end - step) and end - step not in self.silent:
                return end - step
        return None

    async def edge(self, inside: int, end: int) -> None:
        """Find the edge of the allowed span between an allowed position and one end of the days.

        Two refusals in a row are believed: one alone may concern only that file, and would hide all beyond it.
        """
        outward = 1 if end > inside else -1
        end = await self._answering(inside, end, outward)
        while inside != end:
            outside = await self._bisected(inside, end)
            if outside is None or outside == end or not await self._allowed(outside + outward):
                return
            inside = outside + outward

    async def _answering(self, inside: int, end: int, outward: int) -> int:
        """The end, or the nearest position to it with an answer: one without an answer would count as allowed."""
        for near in list(range(end, inside, -outward))[:_PATIENCE]:
            await self._allowed(near)
            if near not in self.silent:
                return near
        return end

    async def _bisected(self, inside: int, end: int) -> int | None:
        """A refused position next to an allowed one; None if the end is allowed."""
        refused = [at for at, yes in self.answers.items() if not yes and min(inside, end) <= at <= max(inside, end)]
        outside = min(refused, key=lambda at: abs(at - inside), default=end)
        if await self._allowed(outside):
            return None
        while abs(outside - inside) > 1:
            middle = (inside + outside) // 2
            inside, outside = (middle, outside) if await self._allowed(middle) else (inside, middle)
        return outside

    async def _allowed(self, at: int) -> bool:
        if at not in self.answers:
            answer = await self._ask(self._days[at])
            self.answers[at] = answer is not False
            if answer is None:
                self.silent.add(at)
        return self.answers[at]
