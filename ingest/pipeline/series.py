"""Runs of several datasets, one after the other under one lock: no other run comes in between."""

from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from ingest import events
from ingest.cache import lock
from ingest.errors import Disrupted, Forbidden, NotConfirmed, SourceError, Throttled
from ingest.pipeline import run as runs
from ingest.planning.request import Request
from ingest.planning.survey import connected
from ingest.settings import Settings
from ingest.sources.resilient import Line


@dataclass(frozen=True, slots=True)
class Series:
    """What came of it: the summaries in the order of the runs, and what waits for somebody to agree to its size."""

    finished: tuple[events.Finished, ...]
    unconfirmed: tuple[tuple[Request, NotConfirmed], ...] = ()
    failures: tuple[SourceError, ...] = ()

    @property
    def exit_code(self) -> int:
        """The worst of them: 130 where it was interrupted, 4 where a dataset failed, 3 where sessions did, else 0."""
        codes = [*(one.exit_code for one in self.finished), *(one.exit_code for one in self.failures)]
        return max(codes, default=0)


async def run_each(settings: Settings, requests: Sequence[Request], sink: events.Sink, stop: anyio.Event) -> Series:
    """Run one request after the other, each with a record and a summary of its own.

    Failed sessions are no reason to leave out the datasets that follow, nor is a dataset that these keys may not list,
    or that the source answers with errors for: it is told, and passed over. A source that is down or refuses the keys,
    a cache that cannot be written and an interruption end all. Raises as `runs.run` does; Forbidden, Disrupted and
    Throttled only where no dataset was had.
    """
    going = _Series(settings, requests, sink, stop)
    async with connected(settings, stop) as line:
        with lock.hold(settings.cache.root, runs.SHORTLY_S):
            return await going.run(line)


class _Series:
    """Runs under way: what has come of each."""

    def __init__(self, settings: Settings, requests: Sequence[Request], sink: events.Sink, stop: anyio.Event) -> None:
        self._settings, self._requests, self._sink, self._stop = settings, requests, sink, stop
        self._finished = list[events.Finished]()
        self._unconfirmed = list[tuple[Request, NotConfirmed]]()
        self._passed_over = list[SourceError]()

    async def run(self, line: Line) -> Series:
        """One request after the other."""
        for request in self._requests:
            await self._one(request, line)
            if self._stop.is_set():
                break
        if self._passed_over and not self._finished and not self._unconfirmed:
            raise self._passed_over[0]
        failures = [error for error in self._passed_over if not isinstance(error, Forbidden)]
        return Series(tuple(self._finished), tuple(self._unconfirmed), tuple(failures))

    async def _one(self, request: Request, line: Line) -> None:
        signs = line.liveness.signs
        try:
            self._finished.append(await runs.run_held(self._settings, request, line, self._sink, self._stop))
        except NotConfirmed as error:
            self._unconfirmed.append((request, error))
        except (Forbidden, Disrupted, Throttled) as error:
            if line.liveness.signs == signs:  # nobody is there: the others would fare no better
                raise
            self._passed_over.append(error)
            if len(self._requests) > 1:
                self._sink(
                    events.Notice(f"{request.dataset.short} was skipped: {error.message}", "warning", error.hints)
                )
