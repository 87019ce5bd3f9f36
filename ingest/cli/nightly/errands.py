"""Messages that nobody waits for long: each is sent in a thread for which the end of the program does not wait."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from threading import Thread

Deed = Callable[[], str]
"""Sends a message; returns what went wrong, empty if nothing did."""


@dataclass(slots=True)
class Errand:
    """A message under way. `problem` is None until it has been sent or has failed; then as a `Deed` returns it."""

    name: str
    thread: Thread
    problem: str | None = None

    def join(self, seconds: float) -> None:
        """Wait until it is done, for so long at most."""
        if self.thread.ident is not None:
            self.thread.join(max(0.0, seconds))


def begun(name: str, deed: Deed) -> Errand:
    """Begin to send a message; `name` is what a warning calls it."""

    def work() -> None:
        try:
            errand.problem = deed()
        except Exception as error:  # of a library: its text may quote a URL
            errand.problem = f"failed: {type(error).__name__}"

    errand = Errand(name, Thread(target=work, daemon=True, name=f"ingest: {name}"))
    try:
        errand.thread.start()
    except RuntimeError:  # the limit of threads
        errand.problem = "no thread can be started"
    return errand


def problems_of(errands: Iterable[Errand], seconds: float) -> Iterator[str]:
    """Wait for all of them, `seconds` at most together; then what went wrong."""
    until = time.monotonic() + seconds
    under_way = list(errands)
    for one in under_way:
        one.join(until - time.monotonic())
    for one in under_way:
        problem = f"not sent within {seconds:g} s" if one.problem is None else one.problem
        if problem:
            yield f"{one.name}: {problem}"
