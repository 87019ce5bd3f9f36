"""Log lines, for cron and pipes."""

import time
from datetime import date, datetime, tzinfo
from typing import Protocol, TextIO

from ingest import events
from ingest.cli.rendering import words
from ingest.cli.rendering.hints import said
from ingest.cli.rendering.records import print_warning
from ingest.planning.plan import Plan

EVERY_S = 5.0
"""Seconds between two progress lines."""


class Written(Protocol):
    """What lines are written to."""

    def write(self, text: str, /) -> int:
        """Write a text."""
        ...

    def flush(self) -> None:
        """Send on what has been written."""
        ...


class Lines:
    """A line for each important event, a progress line every few seconds, and the summary at the end.

    Their times are in `zone`, by default that of this computer.
    """

    def __init__(self, out: Written, zone: tzinfo | None = None) -> None:
        self._out, self._zone = out, zone
        self._planned = self._done = self._bytes = self._total_bytes = 0
        self._coming: dict[date, int] = {}
        """Bytes received so far of large files that are still downloading."""
        self._explained, self._dataset = False, ""
        self._next = time.monotonic() + EVERY_S

    def event(self, event: events.Event) -> None:
        """Write a line if the event is worth one."""
        self._explained = self._explained or words.explains_refusals(event)
        match event:
            case events.RunStarted():
                self._planned = self._done = self._bytes = self._total_bytes = 0
                self._explained = False
                self._coming.clear()
                self._dataset = words.short(event.dataset)
                self.say(f"run {event.run}: {event.dataset}, {event.start} to {event.end}, {event.tracked} tracked")
            case events.Planned():
                self._planned += event.fetch
                self._total_bytes += event.bytes
                self.say(words.to_fetch(event))
            case events.Downloading():
                self._coming[event.session] = event.bytes
                self._progress()
            case events.Fetched():
                self._coming.pop(event.session, None)
                self._bytes += event.bytes
            case events.Notice():
                self.say(said(event.message, event.hints))
            case events.Stopping() | events.Draining():
                self.say(f"{words.stopping(event, self._dataset)}; interrupt again to stop at once")
            case events.Finished():
                self._summary(event)
            case _:
                self._other(event)

    def plan(self, plan: Plan, dataset: str) -> None:
        """Write the plan, one line per group."""
        self._out.write(f"{dataset}\n")
        for row in words.plan_rows(plan):
            self._out.write("  ".join(cell for cell in row if cell) + "\n")
        self._out.write(f"to download: {words.counted(len(plan.fetches), 'session')}, {words.size(plan.bytes)}\n")

    def confirm(self, estimate: str) -> bool:
        """False: there is nobody to ask."""
        return False

    def _other(self, event: events.Event) -> None:
        if isinstance(event, events.Awaiting):
            self.say(words.awaiting(event))
        if isinstance(event, events.Workers):
            self.say(words.workers(event))
        if alarm := words.warning(event):
            self.say(alarm)
        if isinstance(event, events.Ended):
            self._done += 1
            self._coming.pop(event.session, None)
            self._progress()

    def _progress(self) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY_S
            share = f"{words.size(self._bytes + sum(self._coming.values()))} of {words.size(self._total_bytes)}"
            self.say(f"{self._done:,} of {words.counted(self._planned, 'session')}, {share}")

    def _summary(self, done: events.Finished) -> None:
        if not words.is_telling(done):
            return
        for label, value in words.summary(done, self._explained):
            self.say(f"{label}: {value}")
        self.say(words.outcome(done))

    def say(self, text: str) -> None:
        """Write a message; each of its lines gets the time."""
        stamp = datetime.now().astimezone(self._zone).isoformat(timespec="seconds")
        self._out.write("".join(f"{stamp} {line}\n" for line in text.splitlines()))
        self._out.flush()


class Quiet:
    """Only warnings, and why a run did not end with 0; `recorded` prints warnings as records, too."""

    def __init__(self, out: TextIO, recorded: bool = False) -> None:
        self._out = out
        self._recorded = recorded

    def event(self, event: events.Event) -> None:
        """Write the event if it is a warning, or the end of a run that did not end with 0."""
        if isinstance(event, events.Finished) and (why := words.why_not_0(event)):
            self._out.write(f"{why}\n")
        if (alarm := words.warning(event)) and not isinstance(event, events.ConcurrencyChanged):
            self._out.write(f"{alarm}\n")
            if self._recorded:
                print_warning(alarm)

    def plan(self, plan: Plan, dataset: str) -> None:
        """Write the one number that a script may need."""
        self._out.write(f"{len(plan.fetches)}\n")

    def confirm(self, estimate: str) -> bool:
        """False: there is nobody to ask."""
        return False
