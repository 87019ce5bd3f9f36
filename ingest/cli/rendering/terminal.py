"""Progress bars on a terminal, and a table at the end."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import date
from types import TracebackType
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.prompt import Confirm
from rich.text import Text

from ingest import events
from ingest.cli.rendering import words
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.hints import said
from ingest.planning.plan import Plan

_NEARLY = 0.99
"""Progress of a large file that is downloaded and still to be split."""


class Terminal:
    """Rich's progress bars during a run; messages scroll above them."""

    def __init__(self, console: Answers | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # A message may quote a file, which must not be read as markup.
        self._console = console or Answers()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self._console,
            expand=True,
        )
        self._task = self._progress.add_task("planning", total=None)
        self._counts: Counter[str] = Counter()
        self._in_flight: set[date] = set()
        self._coming: dict[date, events.Downloading] = {}
        self._since = self._clock()
        self._status = self._dataset = self._draining = ""
        self._yahoo = self._workers = ""
        self._explained = False
        self._live = self._bars()

    def _bars(self) -> Live:
        """New bars, not shown yet: if stopped bars were started again, they would erase the messages since then."""
        return Live(console=self._console, get_renderable=self.frame, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def event(self, event: events.Event) -> None:
        """Update the bars with one event."""
        self._explained = self._explained or words.explains_refusals(event)
        match event:
            case events.RunStarted():
                self._begin()
                self._dataset = words.short(event.dataset)
                self._status = f"listing {event.dataset}, {event.start} to {event.end}"
            case events.Planned():
                self._planned(event)
            case events.FetchStarted():
                self._in_flight.add(event.session)
            case events.Fetched():
                self._fetched(event)
            case events.Committed() | events.Forbidden() | events.Vanished() | events.Failed() | events.Quarantined():
                self._ended(event)
            case events.Finished():
                self._finished(event)
            case _:
                self._other(event)

    def _begin(self) -> None:
        """Start the bars: new ones for each dataset's run."""
        self._counts.clear()
        self._in_flight.clear()
        self._coming.clear()
        self._yahoo = self._draining = self._workers = ""
        self._explained = False
        self._progress.reset(self._task, total=None, description="planning")
        self._live = self._bars()
        self._live.start()

    def plan(self, plan: Plan, dataset: str) -> None:
        """Show the plan as a table."""
        self._console.print(f"Plan of {dataset}", style="italic")
        names = ("action", "reason", "sessions", "span", "size")
        self._console.print_table(names, words.plan_rows(plan), right=("sessions", "size"))
        self._console.print(f"To download: {words.counted(len(plan.fetches), 'session')}, {words.size(plan.bytes)}.")

    def confirm(self, estimate: str) -> bool:
        """Show the estimate and ask; a closed input or Ctrl-C means no."""
        self._console.print(estimate)
        try:
            return Confirm.ask("Download all of it?", console=self._console, default=False)
        except (EOFError, KeyboardInterrupt, OSError, ValueError):  # the terminal is gone, or the input is not text
            return False

    def _other(self, event: events.Event) -> None:
        match event:
            case events.Downloading():
                self._coming[event.session] = event
                self._advance()
            case events.Notice(level="info"):
                self._console.print(said(event.message, event.hints), style="dim")
            case events.Retrying():
                self._counts["retries"] += 1
            case events.YahooAsked():
                self._progress.update(self._task, description="Yahoo", total=event.of, completed=event.number)
                self._yahoo = f"splits, dividends and rows that Massive does not have: {event.ticker}"
            case events.Workers():
                self._workers = words.workers(event)
            case events.Awaiting():
                self._console.print(words.awaiting(event))
            case events.Stopping() | events.Draining():
                self._stopping(event)
        self._warn(event)

    def _stopping(self, event: events.Stopping | events.Draining) -> None:
        told = words.stopping(event, self._dataset)
        if isinstance(event, events.Stopping):
            self._console.print(f"S{told[1:]}. Press Ctrl-C again to stop at once.", style="yellow")
        else:
            self._draining = f"{told}; Ctrl-C again stops at once"

    def _warn(self, event: events.Event) -> None:
        if alarm := words.warning(event):
            self._console.print(alarm, style="yellow")

    def _planned(self, event: events.Planned) -> None:
        self._since = self._clock()
        self._status = words.to_fetch(event)
        self._progress.update(self._task, description="sessions", total=event.fetch)

    def _fetched(self, event: events.Fetched) -> None:
        self._counts["bytes"] += event.bytes - event.resumed
        if event.session in self._coming:
            self._coming[event.session] = events.Downloading(event.session, event.bytes, event.bytes, event.bytes)
            self._advance()

    def _advance(self) -> None:
        """Move the bar: a large file that is still downloading counts as a fraction of a session."""
        coming = sum(min(one.bytes / max(one.of, 1), _NEARLY) for one in self._coming.values())
        self._progress.update(self._task, completed=self._counts["ended"] + coming)

    def _ended(self, event: events.Ended) -> None:
        self._counts[events.name_of(event)] += 1
        self._counts["ended"] += 1
        self._coming.pop(event.session, None)
        self._in_flight.discard(event.session)
        if isinstance(event, events.Committed):
            self._counts["rows"] += event.source_rows
        self._advance()
        self._warn(event)

    def frame(self) -> RenderableType:
        """The bars as they are now."""
        return Group(self._progress, Text(self._line(), style="dim", overflow="ellipsis", no_wrap=not self._draining))

    def _line(self) -> str:
        if self._yahoo or not self._progress.tasks[0].total:
            return self._yahoo or self._status
        if self._draining:
            return self._draining
        seconds = max(self._clock() - self._since, 1e-3)
        came = self._counts["bytes"] + sum(one.bytes - one.resumed for one in self._coming.values())
        rates = f"{came / 1e6 / seconds:.1f} MB/s, {self._counts['rows'] / seconds:,.0f} rows/s"
        kinds = ("committed", "forbidden", "vanished", "failed", "quarantined", "retries")
        shown = [f"{self._counts[kind]} {kind}" for kind in kinds if self._counts[kind]]
        line = f"{words.size(came)}, {rates} · {', '.join([f'{len(self._in_flight)} in flight', *shown])}"
        return f"{line} · {self._workers}" if self._workers else line

    def _finished(self, done: events.Finished) -> None:
        self._live.stop()
        if not words.is_telling(done):
            return
        self._console.print_table(("", ""), words.summary(done, self._explained), prose=True)
        self._console.print(words.outcome(done), style="green" if done.exit_code == 0 else "yellow")
