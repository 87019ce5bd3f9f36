"""Limits on concurrent work: bytes in flight and downloads in flight."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import anyio


class _Doorbell:
    """Wakes all who wait for a change. Ringing it is a plain call, so releasing never has to wait."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    async def wait(self) -> None:
        if self._event is None:
            self._event = anyio.Event()
        await self._event.wait()

    def ring(self) -> None:
        if self._event:
            self._event.set()
            self._event = None


class UnderWay:
    """Counts the users within its block; wakes those who wait until there are none."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = _Doorbell()

    def __enter__(self) -> None:
        self._count += 1

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if not self._count:
            self._changed.ring()

    async def none(self) -> None:
        """Wait until there are none."""
        while self._count:
            await self._changed.wait()


class ByteBudget:
    """Bytes that may be in flight together. They are acquired before they are allocated.

    A request larger than the whole budget takes all of it, and so is in flight alone.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max = self._free = max_bytes
        self._more = 0
        self._changed = _Doorbell()

    async def acquire(self, count: int) -> int:
        """Wait until so many bytes are free and take them; returns the number to release."""
        taken = min(count, self._max)
        while self._free < taken:
            await self._changed.wait()
        self._free -= taken
        return taken

    def release(self, taken: int) -> None:
        """Release bytes."""
        self._free += taken
        self._changed.ring()

    @asynccontextmanager
    async def more(self, count: int) -> AsyncIterator[None]:
        """So many bytes in addition to the caller's, within the block.

        All callers that wait here hold bytes, and would wait for each other. So if none has additional bytes, one is
        let through even if there are not enough. So bytes in flight exceed the budget by at most those of one caller.
        """
        while self._more and self._free < count:
            await self._changed.wait()
        self._more += 1
        self._free -= count
        try:
            yield
        finally:
            self._more -= 1
            self.release(count)


class AdaptiveLimit:
    """How many downloads may run at once: additive increase, multiplicative decrease (Chiu and Jain, 1989).

    It starts at `START` and doubles with each round until the ceiling or the first sign of congestion (slow start, RFC
    5681, section 3.1); from then on it grows by one a round. A sign of congestion halves it, at most once per window:
    answers to requests that began before the last halving don't count again.
    """

    FLOOR = 4
    START = 8

    def __init__(self, ceiling: int) -> None:
        self._ceiling = ceiling
        self._floor = min(self.FLOOR, ceiling)
        self._limit = float(min(self.START, ceiling))
        self._slow_start = True
        self._fallen_from: list[int] = []
        self._changed = _Doorbell()
        self.window = 0
        self.in_flight = 0

    @property
    def limit(self) -> int:
        """Downloads allowed at once, now."""
        return int(self._limit)

    @property
    def adapted(self) -> int | None:
        """What a source that asked for less has brought it to; None as long as none has."""
        return None if self._slow_start else self.limit

    def share(self, ceiling: int, adapted: int | None = None) -> None:
        """From now on allow at most `ceiling`; begin with what another worker's limit has adapted to, if it has."""
        self._ceiling, self._floor = ceiling, min(self.FLOOR, ceiling)
        if adapted is not None and self._slow_start:
            self._slow_start, self._limit = False, min(self._limit, float(adapted))
        self._limit = max(min(self._limit, float(ceiling)), float(self._floor))

    async def acquire(self) -> None:
        """Wait for a place."""
        while self.in_flight >= self.limit:
            await self._changed.wait()
        self.in_flight += 1

    def release(self) -> None:
        """Release the place."""
        self.in_flight -= 1
        self._changed.ring()

    def succeeded(self) -> bool:
        """Grow after a success; True if the limit is back at its value before a decrease."""
        before = self.limit
        self._limit = min(self._limit + (1.0 if self._slow_start else 1.0 / self._limit), float(self._ceiling))
        if self.limit > before:
            self._changed.ring()
        return self._regained()

    def congested(self, window: int) -> bool:
        """Halve after a sign of congestion; False if the limit was already halved for the window of this request."""
        if window < self.window:
            return False
        self.window += 1
        self._slow_start = False
        before = self.limit
        self._limit = max(self._limit / 2, float(self._floor))
        if self.limit < before:
            self._fallen_from.append(before)
        return self.limit < before

    def _regained(self) -> bool:
        regained = [level for level in self._fallen_from if level <= self.limit]
        self._fallen_from = [level for level in self._fallen_from if level > self.limit]
        return bool(regained)


class Lease(Protocol):
    """A limited resource that is held, and may be given back for a while."""

    async def take(self) -> None:
        """Wait for it."""
        ...

    def give_back(self) -> None:
        """Release it for others; does nothing if it is not held."""
        ...


class Share:
    """Bytes of the budget, for one session."""

    def __init__(self, budget: ByteBudget, count: int) -> None:
        self._budget, self._count, self._taken = budget, count, 0

    async def take(self) -> None:
        """See `Lease`."""
        self._taken = await self._budget.acquire(self._count)

    def give_back(self) -> None:
        """See `Lease`."""
        taken, self._taken = self._taken, 0
        if taken:
            self._budget.release(taken)


class Place:
    """A place among the downloads."""

    def __init__(self, limit: AdaptiveLimit, held: bool = False) -> None:
        self._limit, self._held = limit, held

    async def take(self) -> None:
        """See `Lease`."""
        await self._limit.acquire()
        self._held = True

    def give_back(self) -> None:
        """See `Lease`."""
        if self._held:
            self._held = False
            self._limit.release()


class Common:
    """A held lease that several tasks use together; it is given back only while all of them wait.

    So no task waits for a part of it while it holds another.
    """

    def __init__(self, lease: Lease, tasks: int) -> None:
        self._lease, self._tasks, self._waiting, self._held = lease, tasks, 0, True
        self._taking = anyio.Lock()

    async def take(self) -> None:
        """See `Lease`."""
        async with self._taking:
            if not self._held:
                await self._lease.take()
                self._held = True
            self._waiting -= 1

    def give_back(self) -> None:
        """See `Lease`."""
        self._waiting += 1
        self._unless_used()

    def leave(self) -> None:
        """Note that a task has ended; after the last one the lease stays held."""
        self._tasks -= 1
        self._unless_used()

    def _unless_used(self) -> None:
        if self._held and 0 < self._tasks == self._waiting:
            self._held = False
            self._lease.give_back()


@asynccontextmanager
async def aside(*leases: Lease) -> AsyncIterator[None]:
    """Within this, others may use these leases; they are taken again afterwards, in this order, except on an error."""
    for one in leases:
        one.give_back()
    yield
    for one in leases:
        await one.take()
