"""A run that nobody watches: what it says is kept, and others are told how it ended. Its exit code stays what it is."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC

from ingest.cli.nightly.ending import Ending, Tail, explained, summary_of
from ingest.cli.nightly.notifying import Notifier
from ingest.cli.nightly.secrets import scrubbed, secrets_near
from ingest.cli.rendering.base import Rendering
from ingest.cli.rendering.lines import Lines
from ingest.cli.rendering.several import Several
from ingest.events import Notice
from ingest.settings import Settings


def watched(chosen: Settings, rendering: Rendering, work: Callable[[Rendering], int]) -> int:
    """Do the work, which shows its events; tell others how it ended. Returns its exit code, or raises its error."""
    return _Watch(chosen, rendering).over(work)


class _Watch:
    def __init__(self, chosen: Settings, rendering: Rendering) -> None:
        self._chosen = chosen
        self._tail = Tail()
        self._notifier = Notifier(chosen.notify)
        self._lines = Lines(self._tail, UTC)
        self._shown = Several(rendering, self._lines, self._notifier)

    def over(self, work: Callable[[Rendering], int]) -> int:
        """Do the work. Ctrl-C during the messages that follow it leaves them."""
        try:
            code = work(self._shown)
        except BaseException as error:
            code, words = explained(error)
            self._lines.say(words)
            with suppress(KeyboardInterrupt):
                self._ended(code)
            raise
        with suppress(KeyboardInterrupt):
            self._ended(code)
        return code

    def _ended(self, code: int) -> None:
        secrets = secrets_near(self._chosen.notify)
        ending = Ending(code, summary_of(code), scrubbed(self._tail.text(), secrets))
        for problem in self._notifier.tell(ending):
            self._shown.event(Notice(f"{scrubbed(problem, secrets)}; the run itself is not affected", "warning"))
