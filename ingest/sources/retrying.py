"""Attempts, waits and the judgement that a source is down. Wraps a source's calls; is not in them."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar

import anyio
import tenacity

from ingest.errors import IngestError, SourceUnavailable, Throttled

_Result = TypeVar("_Result")
OnRetry = Callable[[int, float, str], None]

_BACKOFF = tenacity.wait_random_exponential(multiplier=1 / 16, exp_base=4, max=20)
"""After a fault. Most pass at once, so the first wait is short. They grow fast: six attempts outlast an outage of some
ten seconds, 21 at most."""

_PATIENCE = tenacity.wait_random_exponential(multiplier=0.5, max=20)
"""After a wish to slow down that does not say for how long: the first wait counts already."""


class Liveness:
    """Since when the source has given no answer; an answer is a success, a refusal or a request to slow down."""

    def __init__(self, down_after_s: float) -> None:
        self.down_after_s = down_after_s
        self._waiting = 0
        self._silent_since = 0.0

    def asking(self) -> None:
        """Note that a request begins."""
        if not self._waiting:
            self._silent_since = anyio.current_time()
        self._waiting += 1

    def answered(self) -> None:
        """Note a sign of life."""
        self._silent_since = anyio.current_time()

    def told_to_wait(self, seconds: float) -> None:
        """Note that the source asked for a pause: for so long its silence means nothing."""
        self._silent_since = max(self._silent_since, anyio.current_time() + seconds)

    def done(self) -> None:
        """Note that a request, with all its attempts, has ended."""
        self._waiting -= 1

    @property
    def is_down(self) -> bool:
        """Whether requests have waited too long for any answer."""
        return bool(self._waiting) and anyio.current_time() - self._silent_since > self.down_after_s

    async def watch(self) -> None:
        """Return only by raising SourceUnavailable, when the source is down."""
        while not self.is_down:
            await anyio.sleep(0.25)
        raise SourceUnavailable(
            f"the source has not answered for {self.down_after_s:.0f} s; what was committed stays, run again later"
        )


async def with_retries(
    call: Callable[[], Awaitable[_Result]], attempts: int, liveness: Liveness, on_retry: OnRetry, stop: anyio.Event
) -> _Result:
    """Call until it succeeds, fails for good, or the attempts are used up; raises the last error.

    When the run is to stop no other attempt is made. Waits grow exponentially with full jitter, or are as long as
    the source asked for (Retry-After).
    """

    def before_sleep(state: tenacity.RetryCallState) -> None:
        error = _error(state)
        if isinstance(error, Throttled):
            liveness.told_to_wait(state.upcoming_sleep)
        on_retry(state.attempt_number, state.upcoming_sleep, str(error))

    retrying = tenacity.AsyncRetrying(
        stop=lambda state: stop.is_set() or state.attempt_number >= attempts,
        wait=_wait,
        retry=tenacity.retry_if_exception(_is_retryable),
        before_sleep=before_sleep,
        sleep=partial(_sleep, stop),
        reraise=True,
    )
    liveness.asking()
    try:
        return await retrying(_Attempt(call, liveness, stop))
    finally:
        liveness.done()


async def _sleep(stop: anyio.Event, seconds: float) -> None:
    with anyio.move_on_after(seconds):
        await stop.wait()


class _Attempt(Generic[_Result]):
    """One call after the other; tells of signs of life, and makes no other call once the run is to stop."""

    def __init__(self, call: Callable[[], Awaitable[_Result]], liveness: Liveness, stop: anyio.Event) -> None:
        self._call, self._liveness, self._stop = call, liveness, stop
        self._last: IngestError | None = None

    async def __call__(self) -> _Result:
        if self._last and self._stop.is_set():
            raise self._last
        try:
            result = await self._call()
        except IngestError as error:
            self._last = error
            if isinstance(error, Throttled) or not error.retryable:
                self._liveness.answered()
            raise
        self._liveness.answered()
        return result


def _wait(state: tenacity.RetryCallState) -> float:
    error = _error(state)
    if not isinstance(error, Throttled):
        return _BACKOFF(state)
    return _PATIENCE(state) if error.retry_after_s is None else min(error.retry_after_s, 60.0)


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, IngestError) and error.retryable


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
