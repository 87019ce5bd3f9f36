"""Runs of several datasets, one after the other under one lock: no other run comes in between."""

from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from ingest import events, lock, runs
from ingest.errors import Forbidden, NotConfirmed
from ingest.request import Request
from ingest.settings import Settings


@dataclass(frozen=True, slots=True)
class Series:
    """What came of it: the summaries in the order of the runs, and what waits for somebody to agree to its size."""

    finished: tuple[events.Finished, ...]
    unconfirmed: tuple[tuple[Request, NotConfirmed], ...] = ()

    @property
    def exit_code(self) -> int:
        """The worst of them: 130 where it was interrupted, else 3 where sessions failed in one of them, else 0."""
        return max((one.exit_code for one in self.finished), default=0)


async def run_each(settings: Settings, requests: Sequence[Request], sink: events.Sink, stop: anyio.Event) -> Series:
    """Run one request after the other, each with a record and a summary of its own.

    Failed sessions are no reason to leave out the datasets that follow, nor is a dataset that these keys may not list:
    it is told, and passed over. A source that is down or refuses the keys, a cache that cannot be written and an
    interruption end all. Raises as `runs.run` does; Forbidden only where no dataset may be listed.
    """
    finished, unconfirmed, forbidden = list[events.Finished](), list[tuple[Request, NotConfirmed]](), list[Forbidden]()
    with lock.hold(settings.cache.root, runs.SHORTLY_S):
        for request in requests:
            try:
                finished.append(await runs.run_held(settings, request, sink, stop))
            except NotConfirmed as error:
                unconfirmed.append((request, error))
            except Forbidden as error:
                forbidden.append(error)
                if len(requests) > 1:
                    sink(events.Notice(f"{request.dataset.short}: {error}; it is passed over", "warning"))
            if stop.is_set():
                break
    if forbidden and not finished and not unconfirmed:
        raise forbidden[0]
    return Series(tuple(finished), tuple(unconfirmed))
