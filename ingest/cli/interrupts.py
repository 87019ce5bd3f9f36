"""Ctrl-C: once to finish what is in flight, twice to end at once."""

import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from ingest.errors import ungrouped

_Result = TypeVar("_Result")


async def interruptible(work: Callable[[anyio.Event], Awaitable[_Result]]) -> _Result | None:
    """Await work that stops when its event is set; SIGINT or SIGTERM sets it, a second one cancels the work.

    Returns None where the work was cancelled.
    """
    stop = anyio.Event()
    result: _Result | None = None
    with ungrouped():
        async with anyio.create_task_group() as group:
            group.start_soon(_listen, stop, group.cancel_scope)
            result = await work(stop)
            group.cancel_scope.cancel()
    return result


def _ends() -> list[signal.Signals]:
    """The signals that ask for an end: that of a closed terminal, too, unless `nohup` has it ignored."""
    hangup = getattr(signal, "SIGHUP", None)
    heard = [hangup] if hangup is not None and signal.getsignal(hangup) is signal.SIG_DFL else []
    return [signal.SIGINT, signal.SIGTERM, *heard]


async def _listen(stop: anyio.Event, work: anyio.CancelScope) -> None:
    try:
        with anyio.open_signal_receiver(*_ends()) as signals:
            async for _ in signals:
                if stop.is_set():
                    work.cancel()
                stop.set()
    except NotImplementedError:
        return  # Windows' event loop has no signals: there, Ctrl-C ends at once, and the next run converges
