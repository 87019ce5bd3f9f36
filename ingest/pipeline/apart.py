"""Runs a coroutine in a thread of its own, for callers that may be in an event loop (a notebook)."""

from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from anyio.from_thread import start_blocking_portal

_Result = TypeVar("_Result")

_TURN_S = 0.1


def apart(work: Callable[[], Coroutine[Any, Any, _Result]]) -> _Result:
    """The result of a coroutine. Ctrl-C cancels it."""
    with start_blocking_portal() as portal:
        future: Future[_Result] = portal.start_task_soon(work)
        # In short waits: once polars has taken over SIGINT, an endless wait does not notice it.
        while not wait([future], _TURN_S).done:
            pass
        return future.result()
