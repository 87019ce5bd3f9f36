"""Tells everybody of [notify] how a run ended, within the time that is set; what cannot be sent is a warning."""

import uuid
from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

from ingest import events
from ingest.cli.nightly.by_apprise import send
from ingest.cli.nightly.ending import Ending
from ingest.cli.nightly.errands import Errand, begun, problems_of
from ingest.cli.nightly.on_failure import run_program
from ingest.cli.nightly.ping import ping
from ingest.errors import printable
from ingest.planning.plan import Plan
from ingest.settings.sections.notify import Notify

_MARGIN_S = 1.0
"""Later than the limits of the messages themselves, which say more."""


class Notifier:
    """Tells others about one run. As a rendering it pings the start, once the run holds the cache."""

    def __init__(self, notify: Notify) -> None:
        self._notify = notify
        self._rid = str(uuid.uuid4())
        self._start: Errand | None = None

    def event(self, event: events.Event) -> None:
        """Ping the start when the run begins: not while it waits, since that may take longer than a run may."""
        if isinstance(event, events.RunStarted) and self._notify.ping_url and self._start is None:
            self._start = begun(self._ping_name, partial(self._ping, "start", b""))

    def plan(self, plan: Plan, dataset: str) -> None:
        """Tell nobody of a plan."""

    def confirm(self, estimate: str) -> bool:
        """False: this asks nobody."""
        return False

    def tell(self, ending: Ending) -> Iterator[str]:
        """Tell how the run ended; what could not be sent, in words."""
        end = "log" if ending.busy else str(ending.code) if ending.code else ""
        others = self._others(ending) if ending.failed or self._is_always(ending) else ()
        return self._sent(ending, end, [*others])

    def test(self, ending: Ending) -> Iterator[str]:
        """Send a test to everybody; healthchecks.io logs it without a change of state."""
        return self._sent(ending, "log", [*self._others(ending, program=True)])

    def _sent(self, ending: Ending, end: str, others: list[Errand]) -> Iterator[str]:
        pings = [begun(self._ping_name, partial(self._end, end, ending.body))] if self._notify.ping_url else []
        return problems_of([*pings, *others], self._notify.timeout_s + _MARGIN_S)

    def _is_always(self, ending: Ending) -> bool:
        return self._notify.when == "always" and not ending.busy

    def _others(self, ending: Ending, program: bool = False) -> Iterator[Errand]:
        limit = self._notify.timeout_s
        if self._notify.on_failure and (ending.failed or program):
            yield begun("[notify] on_failure", partial(run_program, self._notify.on_failure, ending, limit))
        for url in self._notify.apprise:
            yield begun(f"[notify] apprise, {printable(urlsplit(url).scheme)}", partial(send, url, ending))

    @property
    def _ping_name(self) -> str:
        return f"the ping to {printable(urlsplit(self._notify.ping_url).netloc)}"

    def _ping(self, end: str, body: bytes) -> str:
        return ping(self._notify.ping_url, end, self._rid, body, self._notify.timeout_s)

    def _end(self, end: str, body: bytes) -> str:
        """Ping the end after the start, or they would be taken in the wrong order."""
        if self._start:
            self._start.join(self._notify.timeout_s / 2)
        return self._ping(end, body)
