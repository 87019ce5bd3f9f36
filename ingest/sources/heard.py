"""What is heard of a source while it is asked: told where its answers are read, noted by who waits for them.

From its retries down to its transport a request is one task, so who listens is a context variable: the calls in
between need not know. Where nobody listens nothing is noted.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Final, Protocol


class Listener(Protocol):
    """Who waits for an answer."""

    def answered(self, well: bool) -> None:
        """Note the beginning of an answer; `well` says whether it is what was asked for, and no error."""
        ...

    def received(self, count: int) -> None:
        """Note bytes of an answer."""
        ...

    def busy(self) -> AbstractContextManager[None]:
        """While nothing is read since what has come is being written: the source is not to blame."""
        ...


class _Nobody:
    def answered(self, well: bool) -> None: ...

    def received(self, count: int) -> None: ...

    def busy(self) -> AbstractContextManager[None]:
        return nullcontext()


_NOBODY: Final = _Nobody()
_listener: ContextVar[Listener] = ContextVar("_listener", default=_NOBODY)


def answered(well: bool) -> None:
    """Tell that an answer has begun."""
    _listener.get().answered(well)


def received(count: int) -> None:
    """Tell that so many bytes of an answer have come."""
    _listener.get().received(count)


def busy() -> AbstractContextManager[None]:
    """While what has come is being written, and nothing is read."""
    return _listener.get().busy()


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Within this, what this task hears is told to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
