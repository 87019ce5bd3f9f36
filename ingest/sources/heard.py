"""Signs of life of a source: reported where its answers are read, received by whoever waits for them.

A request is one task, from its retries down to its transport, so the listener is a context variable, and the calls in
between need not know about it. Without a listener nothing is recorded.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Final, Protocol


class Listener(Protocol):
    """Something that waits for an answer."""

    def answered(self, well: bool) -> None:
        """Note the beginning of an answer; `well` says whether it is the requested one, not an error."""
        ...

    def received(self, count: int) -> None:
        """Note bytes of an answer."""
        ...

    def busy(self) -> AbstractContextManager[None]:
        """While received bytes are being written and nothing is read: the source is not to blame."""
        ...


class _Nobody:
    def answered(self, well: bool) -> None: ...

    def received(self, count: int) -> None: ...

    def busy(self) -> AbstractContextManager[None]:
        return nullcontext()


_NOBODY: Final = _Nobody()
_listener: ContextVar[Listener] = ContextVar("_listener", default=_NOBODY)


def answered(well: bool) -> None:
    """Report that an answer has begun."""
    _listener.get().answered(well)


def received(count: int) -> None:
    """Report that so many bytes of an answer have come."""
    _listener.get().received(count)


def busy() -> AbstractContextManager[None]:
    """While received bytes are being written and nothing is read."""
    return _listener.get().busy()


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Within this, `listener` receives the signs of life of this task's requests."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
