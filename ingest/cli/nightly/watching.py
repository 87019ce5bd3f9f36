"""A run that nobody watches: what it says is kept, and others are told how it ended. Its exit code stays what it is."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC
from os import getpid

from ingest.cli.interrupts import interrupted_alike
from ingest.cli.nightly.ending import Ending, Tail, explained, summary_of
from ingest.cli.nightly.log_file import LogFile, appending
from ingest.cli.nightly.metrics import Metrics
from ingest.cli.nightly.notifying import Notifier
from ingest.cli.nightly.secrets import scrubbed, secrets_near
from ingest.cli.rendering.base import Rendering
from ingest.cli.rendering.lines import Lines
from ingest.cli.rendering.several import Several
from ingest.errors import OtherWriter
from ingest.events import Notice
from ingest.settings import Settings

_SHOWN = 300
"""Characters of an error that nobody expected."""


def watched(chosen: Settings, datasets: Sequence[str], rendering: Rendering, work: Callable[[Rendering], int]) -> int:
    """Do the work, which shows its events; tell others how it ended. Returns its exit code, or raises its error.

    Raises UsageError or CacheError before it begins if one of the files cannot be used; others are told of that, too.
    """
    with ExitStack() as stack:
        return _Watch(chosen, datasets, rendering, stack).over(work)


class _Watch:
    def __init__(self, chosen: Settings, datasets: Sequence[str], rendering: Rendering, files: ExitStack) -> None:
        self._chosen, self._datasets, self._rendering, self._files = chosen, datasets, rendering, files
        self._tail = Tail()
        self._notifier = Notifier(chosen.notify)
        self._lines = [Lines(self._tail, UTC)]
        self._log: LogFile | None = None
        self._metrics: Metrics | None = None

    def over(self, work: Callable[[Rendering], int]) -> int:
        """Do the work. Ctrl-C or SIGTERM during the messages that follow leaves these."""
        try:
            self._open()
            code = work(self._shown())
        except BaseException as error:
            code, words = explained(error)
            self._say(words)
            with suppress(KeyboardInterrupt), interrupted_alike():
                self._ended(code, isinstance(error, OtherWriter))
            raise
        with suppress(KeyboardInterrupt), interrupted_alike():
            self._ended(code)
        return code

    def _open(self) -> None:
        """Open the files, before there is anything to write; metrics also tell of a log that cannot be opened."""
        run = self._chosen.run
        try:
            if run.log_file:
                self._log = self._files.enter_context(appending(run.log_file, run.max_log_bytes))
                self._lines.append(Lines(self._log, UTC))
            self._say(f"ingest run begins, process {getpid()}")
        finally:
            if run.metrics_file:
                self._metrics = Metrics(run.metrics_file, self._chosen, self._datasets)

    def _shown(self) -> Rendering:
        metrics = [self._metrics] if self._metrics else []
        return Several(self._rendering, *self._lines, self._notifier, *metrics)

    def _say(self, words: str) -> None:
        for one in self._lines:
            one.say(words)

    def _ended(self, code: int, displaced: bool = False) -> None:
        secrets = secrets_near(self._chosen.notify)
        ending = Ending(code, summary_of(code), scrubbed(self._tail.text(), secrets), displaced)
        shown = self._shown()
        try:
            for problem in self._problems(ending):
                shown.event(Notice(f"{scrubbed(problem, secrets)}; the run itself is not affected", "warning"))
        finally:
            self._say(ending.summary)

    def _problems(self, ending: Ending) -> Iterator[str]:
        """Write and send everything; what went wrong."""
        if (metrics := self._metrics) and not ending.busy:
            yield from _tried("the metrics were", lambda: metrics.write(ending.code))
        if self._chosen.report.path and not ending.busy:
            yield from _tried("the report was", self._report)
        if self._chosen.notify.wanted:
            yield from self._notifier.tell(ending)
        if self._log and self._log.problem:
            yield self._log.problem

    def _report(self) -> str:
        from ingest.cli.report.making import renewed  # only where one is wanted

        return renewed(self._chosen)


def _tried(what: str, write: Callable[[], str]) -> Iterator[str]:
    """What went wrong, whatever it is: the run has ended, nothing may change how, and others are to be told."""
    try:
        problem = write()
    except Exception as error:  # also of an import, if memory is short
        problem = f"{what} not written: {type(error).__name__}: {' '.join(str(error).split())[:_SHOWN]}"
    if problem:
        yield problem
