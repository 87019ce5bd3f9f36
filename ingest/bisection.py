"""Finds the edges of what the keys may read among listed sessions, in about a dozen questions."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date

from ingest.permission import Permission


async def search(days: Sequence[date], known: Permission, ask: Callable[[date], Awaitable[bool]]) -> Permission:
    """Find the edges of what is allowed among listed sessions (ascending), by bisection.

    Asked are the newest, the oldest, and about log2 of their number for each edge that lies between them.
    """
    return known.learn(*(await _Search(days, known, ask).edges()))


class _Search:
    """Answers by position in `days`; what is known to be allowed is not asked."""

    def __init__(self, days: Sequence[date], known: Permission, ask: Callable[[date], Awaitable[bool]]) -> None:
        self._days, self._known, self._ask = days, known, ask
        self._answers: dict[int, bool] = {}

    async def edges(self) -> tuple[list[date], list[date]]:
        """The days that were allowed and those that were refused."""
        inside = await self._some_allowed()
        if inside is not None:
            await self._edge(inside, len(self._days) - 1)
            await self._edge(inside, 0)
        allowed = [self._days[at] for at, yes in self._answers.items() if yes]
        return allowed, [self._days[at] for at, yes in self._answers.items() if not yes]

    async def _allowed(self, at: int) -> bool:
        if at not in self._answers:
            self._answers[at] = self._known.allows(self._days[at]) or await self._ask(self._days[at])
        return self._answers[at]

    async def _some_allowed(self) -> int | None:
        """A position that is allowed: one that is known, else from the newest back in steps that double."""
        end = len(self._days) - 1
        if known := [at for at, day in enumerate(self._days) if self._known.allows(day)]:
            return known[-1]
        steps = [0, *(1 << n for n in range(end.bit_length()) if 1 << n < end), end]
        for step in steps:
            if await self._allowed(end - step):
                return end - step
        return None

    async def _edge(self, inside: int, outside: int) -> None:
        """Bisect between a position that is allowed and the end of the days, or what is known to be refused."""
        refused = [at for at, yes in self._answers.items() if not yes and _between(at, inside, outside)]
        outside = min(refused, key=lambda at: abs(at - inside), default=outside)
        if await self._allowed(outside):
            return
        while abs(outside - inside) > 1:
            middle = (inside + outside) // 2
            inside, outside = (middle, outside) if await self._allowed(middle) else (inside, middle)


def _between(at: int, one: int, other: int) -> bool:
    return min(one, other) <= at <= max(one, other)
