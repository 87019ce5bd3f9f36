"""Repeats the calls of an asynchronous source by its policy. Wraps the calls, and is not part of them."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio
import tenacity

from ingest.errors import IngestError, Throttled
from ingest.sources.liveness import Liveness
from ingest.sources.retry_policy import RetryPolicy, failure

_Result = TypeVar("_Result")
OnRetry = Callable[[int, float, str], None]

Aside = Callable[[], AbstractAsyncContextManager[None]]
"""Gives back limited resources while a call waits, so that others may go on, and takes them again."""


@dataclass(frozen=True, slots=True)
class Persistence:
    """How calls are repeated: by which policy, until the run is to `stop`, and what is reported before each wait."""

    policy: RetryPolicy
    liveness: Liveness
    on_retry: OnRetry
    stop: anyio.Event

    async def call(self, what: str, call: Callable[[], Awaitable[_Result]], aside: Aside = nullcontext) -> _Result:
        """Call until it succeeds, fails for good, or runs out of attempts or time; raises the last error.

        If the run is to stop there is no other attempt.
        """
        one = _Call(self, what, call, aside)
        hooks = {"before_sleep": one.before_sleep, "sleep": one.sleep}
        retrying = self.policy.built(tenacity.AsyncRetrying, self.stop.is_set, **hooks)
        with self.liveness.asked():
            return await retrying(one)


class _Call(Generic[_Result]):
    """One attempt after the other; notes signs of life, and makes no other attempt once the run is to stop."""

    def __init__(
        self, persistence: Persistence, what: str, call: Callable[[], Awaitable[_Result]], aside: Aside
    ) -> None:
        self._persistence, self._liveness = persistence, persistence.liveness
        self._what, self._call, self._aside = what, call, aside
        self._last: IngestError | None = None
        self._answered = False

    async def __call__(self) -> _Result:
        if self._last and self._persistence.stop.is_set():
            raise self._last
        try:
            with self._liveness.exchange(self._what) as exchange:
                result = await self._call()
        except IngestError as error:
            self._last = error
            self._answered = exchange.heard or isinstance(error, Throttled) or not error.retryable
            if self._answered:
                self._liveness.alive(well=not error.retryable)
            raise
        self._liveness.alive(well=True)
        return result

    def before_sleep(self, state: tenacity.RetryCallState) -> None:
        """Report that another attempt follows, and when."""
        self._persistence.on_retry(state.attempt_number, state.upcoming_sleep, str(failure(state)))

    async def sleep(self, seconds: float) -> None:
        """Wait, unless the run is to stop. After an answer, this wait does not count as silence of the source."""
        with self._liveness.waiting(seconds, excused=self._answered, cause=str(self._last)):
            async with self._aside():
                with anyio.move_on_after(seconds):
                    await self._persistence.stop.wait()
