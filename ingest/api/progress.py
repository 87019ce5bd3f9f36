"""Progress of long calls: a bar on a terminal, and in the output of a notebook's cell.

Nothing is shown if stderr is neither, so a script in a pipe or under cron prints nothing.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, Protocol

from ingest import events
from ingest.api.logs import is_heard, level_of, line_of, log

_WARNING = 30
_PAUSE_S = 0.2
"""Between two updates of a notebook, each of which is a message to the browser."""


class Display(Protocol):
    """Where progress is shown."""

    def show(self, what: str, done: float, total: int) -> None:
        """Show that so many of all are done."""

    def say(self, text: str) -> None:
        """Show a warning, which stays."""

    def close(self) -> None:
        """Leave nothing that still moves."""


@contextmanager
def reported(on_event: events.Sink, progress: bool | None) -> Iterator[events.Sink]:
    """A sink that logs each event, shows progress, and passes it on.

    With `progress` None it is shown unless the program gets the events itself. Warnings are shown beside it unless the
    program logs them.
    """
    is_wanted = on_event is events.ignore if progress is None else progress
    display = _display() if is_wanted else None
    shown = _Shown(display) if display else None

    def tell(event: events.Event) -> None:
        log(event)
        if shown:
            shown.tell(event)
        on_event(event)

    try:
        yield tell
    finally:
        if display:
            display.close()


class _Shown:
    """What a run, or a question to Yahoo, has come to."""

    def __init__(self, display: Display) -> None:
        self._display, self._speaks = display, not is_heard()
        self._done, self._total = 0, 0
        self._coming: dict[object, float] = {}

    def tell(self, event: events.Event) -> None:
        match event:
            case events.Planned():
                self._advance("sessions", 0, event.fetch)
            case events.YahooAsked():
                self._advance(f"Yahoo: {event.ticker}", event.number, event.of)
            case events.Downloading():
                self._coming[event.session] = event.bytes / max(event.of, 1)
                self._advance("sessions", self._done, self._total)
            case events.Awaiting():
                self._advance(f"waiting for the file of {event.session}", 0, 1)
            case events.Committed() | events.Forbidden() | events.Vanished() | events.Failed() | events.Quarantined():
                self._coming.pop(event.session, None)
                self._advance("sessions", self._done + 1, self._total)
        if self._speaks and level_of(event) == _WARNING:
            self._display.say(line_of(event))

    def _advance(self, what: str, done: int, total: int) -> None:
        self._done, self._total = done, total
        if total:
            self._display.show(what, done + sum(self._coming.values()), total)


def _display() -> Display | None:
    if _is_notebook():
        return _Notebook()
    is_open = sys.stderr is not None and not sys.stderr.closed  # the program may have closed it
    return _Terminal() if is_open and sys.stderr.isatty() else None


def _is_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


class _Terminal:
    """A bar of rich on stderr, which disappears at the end; nothing until there is something to show."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        console = Console(stderr=True, highlight=False, markup=False)
        self._progress = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
        self._task: Any = None

    def show(self, what: str, done: float, total: int) -> None:
        if self._task is None:
            self._task = self._progress.add_task(what, total=total)
            self._progress.start()
        self._progress.update(self._task, description=what, completed=done, total=total)

    def say(self, text: str) -> None:
        self._progress.console.print(text, style="yellow", soft_wrap=True)

    def close(self) -> None:
        self._progress.stop()


class _Notebook:
    """HTML in the output of the cell, updated in place; rich's own bars need ipywidgets there."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._bar, self._said = "", list[str]()
        self._since = 0.0

    def show(self, what: str, done: float, total: int) -> None:
        bar = f'<progress value="{done:g}" max="{total}"></progress>'
        self._bar = f"<div>{escape(what)} {bar} {done:,.0f} of {total:,}</div>"
        if time.monotonic() - self._since >= _PAUSE_S:
            self._update()

    def say(self, text: str) -> None:
        self._said.append(f"<div>{escape(text)}</div>")
        self._update()

    def close(self) -> None:
        if self._bar or self._said:
            self._update()

    def _update(self) -> None:
        from IPython.display import HTML, display  # type: ignore[import-not-found]

        self._since, shown = time.monotonic(), HTML("".join([self._bar, *self._said]))
        if self._handle is None:
            self._handle = display(shown, display_id=True)
        else:
            self._handle.update(shown)
