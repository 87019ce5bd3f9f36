"""Worker threads for small sessions: each takes as many as are waiting, up to a limit.

A call of polars, and each handover between threads, costs as much for ten sessions as for one. No session waits for
others to come: if downloads are slower than the workers, each session is prepared alone, and at once.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio

from ingest.cache.commit import StagedSession
from ingest.pipeline.task import Job
from ingest.pipeline.worker import prepare_together
from ingest.settings.tuning import Tuning
from ingest.sources.base import Body


@dataclass(slots=True, eq=False)
class _Waiting:
    """A session in the queue. Once its `turn` comes, it has either a `result` or a batch to prepare, its own first."""

    job: Job
    body: Body
    turn: anyio.Event = field(default_factory=anyio.Event)
    batch: Sequence["_Waiting"] = ()
    result: StagedSession | BaseException | None = None


class Workers:
    """`count` threads for sessions that take no more than `Tuning.ordinary` bytes of memory each."""

    def __init__(self, count: int, tuning: Tuning) -> None:
        self._tuning, self._idle = tuning, count
        self._threads = anyio.CapacityLimiter(count)
        self._waiting = deque[_Waiting]()

    async def prepare(self, job: Job, body: Body) -> StagedSession:
        """See `worker.prepare`. The result is awaited even if the task is cancelled."""
        mine = _Waiting(job, body)
        self._waiting.append(mine)
        if self._idle:
            self._idle -= 1
            self._hand_over()
        with anyio.CancelScope(shield=True):
            await mine.turn.wait()
            batch, mine.batch = mine.batch, ()  # it contains itself: a cycle would keep its downloads in memory
            if batch:
                await self._prepare(batch)
        if isinstance(mine.result, StagedSession):
            return mine.result
        raise mine.result or AssertionError("a session had its turn without a result")

    def _hand_over(self) -> None:
        """Give a thread to the session that has waited longest, with those that are to share it."""
        if not self._waiting:
            self._idle += 1
            return
        share = min(len(self._waiting), self._tuning.most_together)
        batch = [self._waiting.popleft() for _ in range(share)]
        batch[0].batch = batch
        batch[0].turn.set()

    async def _prepare(self, batch: Sequence[_Waiting]) -> None:
        work = [(one.job, one.body) for one in batch]
        results: Sequence[StagedSession | BaseException]
        try:
            results = await anyio.to_thread.run_sync(
                prepare_together, work, self._tuning.ordinary, limiter=self._threads
            )
        except BaseException as error:  # such as a thread that cannot be started, or a panic in polars
            results = [error] * len(batch)
        self._hand_over()
        for one, result in zip(batch, results, strict=True):
            one.result = result
            one.turn.set()
