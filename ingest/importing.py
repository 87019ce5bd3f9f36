"""Imports that Ctrl-C waits for: an exception in their midst may leave a lock of Python's held."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A block that imports modules; a Ctrl-C meanwhile is heard when it has ended.

    Python lets an exception of a signal through between taking a lock of its import system and the block that returns
    it. It then says "Exception ignored", and the next import of another thread waits for ever. A library that takes
    the signal for itself as it is imported, as polars does, does not keep it.
    """
    if current_thread() is not main_thread() or not callable(before := signal.getsignal(signal.SIGINT)):
        yield
        return
    pressed = list[FrameType | None]()
    signal.signal(signal.SIGINT, lambda _, frame: pressed.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        before(signal.SIGINT, pressed[0])
