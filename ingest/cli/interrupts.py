"""Ctrl-C: once finishes what is in flight, twice ends at once."""

import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import anyio
from anyio.abc import TaskStatus

from ingest.errors import ungrouped

_Result = TypeVar("_Result")


async def interruptible(work: Callable[[anyio.Event], Awaitable[_Result]]) -> _Result | None:
    """Await work that stops when its event is set: SIGINT or SIGTERM sets it, a second signal cancels the work.

    Returns None if the work was cancelled.
    """
    stop = anyio.Event()
    result: _Result | None = None
    with ungrouped():
        async with anyio.create_task_group() as group:
            await group.start(_listen, stop, group.cancel_scope)
            result = await work(stop)
            group.cancel_scope.cancel()
    return result


@contextmanager
def interrupted_alike() -> Iterator[None]:
    """Let other signals interrupt the block as Ctrl-C does: by default they end the process, whatever its exit code."""
    heard = [one for one in _ends() if signal.getsignal(one) is signal.SIG_DFL]
    try:
        for one in heard:
            signal.signal(one, signal.default_int_handler)
        yield
    finally:
        for one in heard:
            signal.signal(one, signal.SIG_DFL)


def _ends() -> list[signal.Signals]:
    """The signals that request an end, also that of a closed terminal unless `nohup` ignores it."""
    hangup = getattr(signal, "SIGHUP", None)
    heard = [hangup] if hangup is not None and signal.getsignal(hangup) is signal.SIG_DFL else []
    return [signal.SIGINT, signal.SIGTERM, *heard]


async def _listen(stop: anyio.Event, work: anyio.CancelScope, *, task_status: TaskStatus[None]) -> None:
    """Say when it hears signals: until then asyncio does, whose exception may come in the midst of an import."""
    try:
        with anyio.open_signal_receiver(*_ends()) as signals:
            task_status.started()
            async for _ in signals:
                if stop.is_set():
                    work.cancel()
                stop.set()
    except NotImplementedError:  # no signals in Windows' event loop: Ctrl-C ends at once, and the next run goes on
        task_status.started()
