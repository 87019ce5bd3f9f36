"""What is tried again, how often, and after which waits: one policy for every source, synchronous or not."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import tenacity

from ingest.errors import IngestError, Throttled
from ingest.settings.tuning import Tuning

_Retrying = TypeVar("_Retrying", bound=tenacity.BaseRetrying)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Attempts, and seconds: each wait is drawn evenly from `shortest_s` up to a longest that grows exponentially.

    `fault_s` and `slow_down_s` are the longest first waits after a fault and after a request to slow down, `base` is
    the factor between waits after faults; the others double. `most_waited_s` limits all waits of a call together.
    """

    attempts: int
    fault_s: float
    base: float
    slow_down_s: float
    shortest_s: float
    longest_s: float
    longest_retry_after_s: float
    most_waited_s: float

    def built(self, kind: type[_Retrying], stopped: Callable[[], bool] = lambda: False, **hooks: Any) -> _Retrying:
        """The policy as tenacity's `Retrying` or `AsyncRetrying`, without another attempt once `stopped`.

        Of a call that fails for good it raises the last error.
        """
        return kind(
            stop=lambda state: stopped() or self._is_enough(state),
            wait=self._wait,
            retry=tenacity.retry_if_exception(_is_retryable),
            reraise=True,
            **hooks,
        )

    def _is_enough(self, state: tenacity.RetryCallState) -> bool:
        waited = state.idle_for + state.upcoming_sleep
        return state.attempt_number >= self.attempts or waited > self.most_waited_s

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = failure(state)
        if not isinstance(error, Throttled):
            return tenacity.wait_random_exponential(self.fault_s, self.longest_s, self.base, self.shortest_s)(state)
        if error.retry_after_s is not None:
            return min(error.retry_after_s, self.longest_retry_after_s)
        return tenacity.wait_random_exponential(self.slow_down_s, self.longest_s, min=self.shortest_s)(state)


def of_massive(attempts: int, tuning: Tuning) -> RetryPolicy:
    """For the bucket: most faults pass at once; after a request to slow down, waits are longer."""
    return _policy(tuning, attempts, tuning.backoff_first_s, tuning.backoff_base, tuning.patience_first_s)


def of_yahoo(tuning: Tuning) -> RetryPolicy:
    """For Yahoo, which never says how long to wait, and refuses clients that retry too soon."""
    return _policy(tuning, tuning.yahoo_attempts, tuning.yahoo_backoff_first_s, 2, tuning.yahoo_backoff_first_s)


def _policy(tuning: Tuning, attempts: int, fault_s: float, base: float, slow_down_s: float) -> RetryPolicy:
    return RetryPolicy(
        attempts,
        fault_s=fault_s,
        base=base,
        slow_down_s=slow_down_s,
        shortest_s=tuning.shortest_wait_s,
        longest_s=tuning.longest_wait_s,
        longest_retry_after_s=tuning.longest_retry_after_s,
        most_waited_s=tuning.most_waited_s,
    )


def failure(state: tenacity.RetryCallState) -> BaseException | None:
    """The error of the last attempt."""
    return state.outcome.exception() if state.outcome else None


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, IngestError) and error.retryable
