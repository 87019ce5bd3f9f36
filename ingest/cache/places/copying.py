"""Copies parts from one place to another: many at once, within a bound of memory, until it is asked to stop.

What is copied is made durable and remembered every second. A kill costs at most that second's work.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import date

from ingest.cache.objects.parts import ObjectParts
from ingest.cache.parts.local import LocalParts
from ingest.cache.places.pieces import Piece, UnfitPiece, store_of
from ingest.cache.places.targets import Put, Target
from ingest.settings import Settings

_AT_ONCE = 32
_SETTLE_S = 1.0
_TURN_S = 0.1


@dataclass(frozen=True, slots=True)
class Moving:
    """Progress of a move: `parts` of `of_parts`, `bytes` of `of_bytes`, `sessions` whose parts are all copied.

    `there` of the parts, with `there_bytes`, were there already. `seconds` have passed.
    """

    parts: int
    of_parts: int
    bytes: int
    of_bytes: int
    sessions: int
    of_sessions: int
    there: int
    there_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class UnfitPart:
    """A part that cannot be copied, with its place and the reason: "missing", "damaged", or why it cannot be read."""

    piece: Piece
    where: str
    reason: str


Report = Callable[[Moving], None]


@dataclass(slots=True)
class Copying:
    """Copies pieces from the place of `source` to `target`; one tier, any datasets."""

    source: Settings
    pieces: Sequence[Piece]
    targets: Callable[[Piece], Target]
    report: Report
    stop: Callable[[], bool]
    unfit: list[UnfitPart] = field(default_factory=list)
    _counts: Counter[str] = field(default_factory=Counter)
    _left: Counter[tuple[str, date]] = field(default_factory=Counter)
    _stores: dict[tuple[str, str], LocalParts | ObjectParts] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)

    def run(self) -> bool:
        """Copy all; False if it was stopped before. Raises CacheError, once what was copied is remembered."""
        self._left.update((one.dataset.name, one.key.session) for one in self.pieces)
        waiting = deque(self._to_copy())
        with ThreadPoolExecutor(_AT_ONCE, "move") as pool:
            under_way = dict[Future[Put], Piece]()
            while (waiting and not self.stop()) or under_way:
                if not self.stop():
                    self._submit(pool, waiting, under_way)
                self._settle(self._turn(under_way))
                self.report(self.progress())
        return not waiting and not self.stop()

    def _to_copy(self) -> Iterator[Piece]:
        """The pieces that no earlier attempt has copied."""
        for one in self.pieces:
            if self.targets(one).has(one):
                self._count(one, there=True)
            else:
                yield one

    def _submit(self, pool: ThreadPoolExecutor, waiting: deque[Piece], under_way: dict[Future[Put], Piece]) -> None:
        room = self.source.limits.max_bytes_in_flight - sum(map(self._memory, under_way.values()))
        while waiting and len(under_way) < _AT_ONCE and (self._memory(waiting[0]) <= room or not under_way):
            piece = waiting.popleft()
            room -= self._memory(piece)
            under_way[pool.submit(self._copy, piece)] = piece

    def _memory(self, piece: Piece) -> int:
        tuned = self.source.tuning
        size = piece.size or 0
        return size if size <= tuned.store_multipart else tuned.store_chunk * (tuned.store_chunks_at_once + 1)

    def _copy(self, piece: Piece) -> Put:
        return self.targets(piece).put(self._store(piece), piece)

    def _store(self, piece: Piece) -> LocalParts | ObjectParts:
        at = (piece.dataset.name, piece.key.tier)
        if at not in self._stores:
            self._stores[at] = store_of(self.source, piece.dataset, piece.key.tier)
        return self._stores[at]

    def _turn(self, under_way: dict[Future[Put], Piece]) -> list[tuple[Piece, Put]]:
        """What is copied within a second."""
        done = list[tuple[Piece, Put]]()
        until = time.monotonic() + _SETTLE_S
        error: Exception | None = None
        while under_way and (error is not None or time.monotonic() < until):
            ended, _ = wait(under_way, _TURN_S, FIRST_COMPLETED)
            for future in ended:
                piece = under_way.pop(future)
                try:
                    done.append((piece, future.result()))
                except UnfitPiece as why:
                    self._refuse(piece, str(why))
                except Exception as failed:
                    error = error or failed
            if len(ended) and len(under_way) < _AT_ONCE // 2 and error is None:
                break  # others can begin
        if error is not None:
            self._settle(done)
            raise error
        return done

    def _refuse(self, piece: Piece, reason: str) -> None:
        self.unfit.append(UnfitPart(piece, self._store(piece).described(piece.key), reason))

    def _settle(self, done: Sequence[tuple[Piece, Put]]) -> None:
        by_target = dict[int, tuple[Target, list[tuple[Piece, Put]]]]()
        for piece, put in done:
            target = self.targets(piece)
            by_target.setdefault(id(target), (target, []))[1].append((piece, put))
        for target, of_it in by_target.values():
            target.settle(of_it)
        for piece, put in done:
            self._count(piece, there=put is None)

    def _count(self, piece: Piece, there: bool) -> None:
        size, session = piece.size or 0, (piece.dataset.name, piece.key.session)
        self._counts.update({"parts": 1, "bytes": size})
        if there:
            self._counts.update({"there": 1, "there_bytes": size})
        self._left[session] -= 1
        self._counts["sessions"] += not self._left[session]

    def progress(self) -> Moving:
        """How far it is."""
        counts = self._counts
        return Moving(
            parts=counts["parts"],
            of_parts=len(self.pieces),
            bytes=counts["bytes"],
            of_bytes=sum(one.size or 0 for one in self.pieces),
            sessions=counts["sessions"],
            of_sessions=len(self._left),
            there=counts["there"],
            there_bytes=counts["there_bytes"],
            seconds=time.monotonic() - self._began,
        )
