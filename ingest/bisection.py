"""Finds the edges of what the keys may read among listed sessions, in about a dozen questions."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date

Ask = Callable[[date], Awaitable[bool]]


async def search(days: Sequence[date], ask: Ask) -> Mapping[date, bool]:
    """Ask for as few of these sessions (ascending) as tell which are allowed; returns each that was asked.

    Where all are allowed these are the newest and the oldest; else about log2 of their number for each edge that
    lies between them. Allowed is one span: between two sessions that are allowed, nothing is asked.
    """
    asked = _Search(days, ask)
    if days and (inside := await asked.some_allowed()) is not None:
        await asked.edge(inside, len(days) - 1)
        await asked.edge(inside, 0)
    return {days[at]: yes for at, yes in asked.answers.items()}


class _Search:
    """Answers by position in `days`."""

    def __init__(self, days: Sequence[date], ask: Ask) -> None:
        self._days, self._ask = days, ask
        self.answers: dict[int, bool] = {}

    async def some_allowed(self) -> int | None:
        """A position that is allowed: from the newest back in steps that double."""
        end = len(self._days) - 1
        for step in [0, *(1 << n for n in range(end.bit_length()) if 1 << n < end), end]:
            if await self._allowed(end - step):
                return end - step
        return None

    async def edge(self, inside: int, outside: int) -> None:
        """Bisect between a position that is allowed and an end of the days, or a refusal that is nearer."""
        refused = [at for at, yes in self.answers.items() if not yes and _between(at, inside, outside)]
        outside = min(refused, key=lambda at: abs(at - inside), default=outside)
        if await self._allowed(outside):
            return
        while abs(outside - inside) > 1:
            middle = (inside + outside) // 2
            inside, outside = (middle, outside) if await self._allowed(middle) else (inside, middle)

    async def _allowed(self, at: int) -> bool:
        if at not in self.answers:
            self.answers[at] = await self._ask(self._days[at])
        return self.answers[at]


def _between(at: int, one: int, other: int) -> bool:
    return min(one, other) <= at <= max(one, other)
