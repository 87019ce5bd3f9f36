"""Work that Ctrl-C ends: DuckDB looks at no signals, so it works in a thread of its own, and this one waits.

The thread has always ended when `waited` does: Python aborts if one is in DuckDB as the process ends.
"""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Event, Thread, current_thread, main_thread
from typing import TypeVar

_Result = TypeVar("_Result")

_LOOK_S = 0.1
"""Windows' waiting does not end for a signal."""


def waited(work: Callable[[], _Result], stop: Callable[[], None]) -> _Result:
    """What the work returns; Ctrl-C makes it `stop`, and is raised as KeyboardInterrupt once it has ended.

    Raises what the work raises. In a thread to which no signal comes, or with another handler, the work is just done.
    """
    if current_thread() is not main_thread() or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return work()
    result = Future[_Result]()
    with _heard() as pressed:
        Thread(target=_into, args=(work, result), daemon=True).start()
        while not _is_done(result):
            if pressed.is_set():
                stop()  # again and again: what had not begun could not be stopped
    if pressed.is_set():
        raise KeyboardInterrupt
    return result.result()


@contextmanager
def _heard() -> Iterator[Event]:
    """Ctrl-C sets an event, in place of an exception wherever this thread happens to be."""
    pressed = Event()
    before = signal.signal(signal.SIGINT, lambda *_: pressed.set())
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _into(work: Callable[[], _Result], result: "Future[_Result]") -> None:
    try:
        result.set_result(work())
    except BaseException as error:
        result.set_exception(error)


def _is_done(result: "Future[_Result]") -> bool:
    try:
        result.exception(_LOOK_S)
    except TimeoutError:
        return result.done()
    return True
