"""What a run makes of the sessions that are stored, once its downloads are over: Yahoo's rows, the CSVs, the lake.

All of it can be made again, so the next run makes what a kill has left undone.
"""

from dataclasses import dataclass
from functools import partial

import anyio

from ingest import events
from ingest.cache.cache import Cache
from ingest.lake import keeping
from ingest.lake.update import Arriving
from ingest.market.patterns import some
from ingest.pipeline.fill import Filling
from ingest.planning.request import Request
from ingest.settings import Settings
from ingest.tracked import expand
from ingest.tracked.update import bring_csvs_up_to_date


@dataclass(frozen=True, slots=True)
class Deriving:
    """The end of a run that is under way; `stop` ends the questions to Yahoo."""

    cache: Cache
    settings: Settings
    request: Request
    sink: events.Sink
    stop: anyio.Event

    async def work(self, arriving: Arriving | None) -> None:
        """Bring all of it up to date; `arriving` has what went into the lake already. Raises CacheError."""
        await self._fill(await self._follow())
        await self._project()
        await self._fill_lake(arriving)

    async def _follow(self) -> frozenset[str]:
        """Give each ticker that the lists name, or that matches one of their patterns, a CSV; returns them."""
        followed = await anyio.to_thread.run_sync(expand.follow, self.cache, self.request.tracked)
        if self.cache.manifest.sessions.committed():
            for words, is_warning in followed.notices():
                self.sink(events.Notice(words, "warning" if is_warning else "info"))
        return followed.tickers

    async def _fill(self, followed: frozenset[str]) -> None:
        """Ask Yahoo for rows that tracked tickers are missing in this window, and for corporate actions since."""
        request = self.request
        wanted = self.settings.fallback.enabled and request.fallback and request.dataset.is_filled_from_yahoo
        if wanted and followed:
            filling = Filling(self.cache, self.settings, self.sink)
            window = request.window
            await filling.fill(followed, window.start, window.end, self.stop, request.refresh)

    async def _project(self) -> None:
        """Update the CSVs in a thread, and report from this one, which the sink expects."""
        changed = list[events.Event]()

        def report(event: events.Event) -> None:
            changed.append(event)
            anyio.from_thread.run_sync(self.sink, event)

        into_csv = self.settings.fallback.into_csv
        await anyio.to_thread.run_sync(bring_csvs_up_to_date, self.cache, into_csv, report)
        if any(isinstance(event, events.Projected) for event in changed):
            self._warn_of_rowless()

    async def _fill_lake(self, arriving: Arriving | None) -> None:
        """Bring the lake up to date, if it is wanted."""
        if not self.settings.lake.enabled:
            return

        def report(event: events.LakeWritten | events.TableWritten) -> None:
            anyio.from_thread.run_sync(self.sink, event)
            if event.notice:
                where = f"table {event.table}" if isinstance(event, events.TableWritten) else "lake"
                notice = events.Notice(f"the {where}: {event.notice}", "warning")
                anyio.from_thread.run_sync(self.sink, notice)

        keep = partial(keeping.keep_up_to_date, self.cache, self.settings.lake, report, arriving=arriving)
        await anyio.to_thread.run_sync(keep)

    def _warn_of_rowless(self) -> None:
        manifest = self.cache.manifest
        rowless = [row.ticker for row in manifest.csvs.states().values() if row.active and row.rows == 0]
        if rowless and manifest.sessions.committed():
            self.sink(events.Notice(_rowless(rowless), "warning"))


def _rowless(tickers: list[str]) -> str:
    return f"no stored session contains {some(tickers)}. Tickers are case-sensitive and use the vendor's spelling"
