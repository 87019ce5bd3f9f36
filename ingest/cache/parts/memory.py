"""Parts in memory, for tests: everything a store promises, except that they do not survive the process.

Nothing is written to disk, so a crash leaves nothing.
"""

import errno
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import ClassVar, Self

from ingest.cache.layout import PartKey
from ingest.cache.parts.store import Opened, PartStore, Staging
from ingest.errors import CacheError
from ingest.market.datasets import Tier, part_name


class MemoryParts(PartStore):
    """Staged and published parts by key; bytes are replaced, never changed."""

    by_content: ClassVar[bool] = False
    keeps_versions: ClassVar[bool] = False
    ahead: ClassVar[int] = 1
    reads_again: ClassVar[int] = 0

    def __init__(self) -> None:
        self._held: dict[PartKey, bytes] = {}
        self._lock = threading.Lock()
        self._count = 0

    def working_in(self, scratch: Path) -> Self:
        """See `PartStore`."""
        return self

    def create(self) -> None:
        """See `PartStore`."""

    def stage(self, session: date, tier: Tier, data: bytes) -> PartKey:
        """See `PartStore`."""
        with self._lock:
            self._count += 1
            key = PartKey(session, tier, f"{part_name(session)}#{self._count}")
            self._held[key] = bytes(data)
        return key

    @contextmanager
    def staging(self, session: date, tier: Tier) -> Iterator[Staging]:
        """See `PartStore`."""
        text, key = bytearray(), self.stage(session, tier, b"")
        try:
            yield Staging(key, text.extend)
        except BaseException:
            self.discard(key)
            raise
        with self._lock:
            if key in self._held:  # it may have been swept meanwhile
                self._held[key] = bytes(text)

    def sync_staged(self, staged: Sequence[PartKey]) -> list[PartKey]:
        """See `PartStore`."""
        return list(staged)

    def publish(self, staged: PartKey) -> None:
        """See `PartStore`."""
        self._refuse_published(staged)
        with self._lock:
            if staged not in self._held:
                raise CacheError(f"cannot replace {self.described(staged)}: {os.strerror(errno.ENOENT)}")
            self._held[PartKey(staged.session, staged.tier)] = self._held.pop(staged)

    def discard(self, staged: PartKey) -> None:
        """See `PartStore`."""
        self._refuse_published(staged)
        with self._lock:
            self._held.pop(staged, None)

    def _refuse_published(self, key: PartKey) -> None:
        if not key.staged:
            raise CacheError(f"{self.described(key)} is not staged")

    def drop(self, session: date, tier: Tier) -> None:
        """See `PartStore`."""
        with self._lock:
            self._held.pop(PartKey(session, tier), None)

    def sync(self) -> None:
        """See `PartStore`."""

    def staged(self, session: date, tier: Tier) -> list[PartKey]:
        """See `PartStore`."""
        return [key for key in self._all_staged() if (key.session, key.tier) == (session, tier)]

    def leftovers(self, tier: Tier) -> list[str]:
        """See `PartStore`."""
        return [key.staged for key in self._all_staged() if key.tier == tier]

    def sweep(self) -> int:
        """See `PartStore`."""
        found = self._all_staged()
        for key in found:
            self.discard(key)
        return len(found)

    def _all_staged(self) -> list[PartKey]:
        with self._lock:
            return [key for key in self._held if key.staged]

    def _published(self, tier: Tier) -> dict[PartKey, bytes]:
        with self._lock:
            return {key: data for key, data in self._held.items() if key.tier == tier and not key.staged}

    def name(self, key: PartKey) -> str:
        """See `PartStore`."""
        return key.staged or part_name(key.session)

    def names(self, tier: Tier) -> frozenset[str]:
        """See `PartStore`."""
        return frozenset(part_name(key.session) for key in self._published(tier))

    def versions(self, tier: Tier) -> Mapping[date, list[PartKey]]:
        """See `PartStore`."""
        return {key.session: [key] for key in sorted(self._published(tier), key=lambda key: key.session)}

    def listed(self, tier: Tier) -> None:
        """See `PartStore`."""

    def sizes(self, tier: Tier) -> list[int]:
        """See `PartStore`."""
        return [len(data) for data in self._published(tier).values()]

    def size(self, key: PartKey) -> int:
        """See `PartStore`."""
        return len(self.read(key))

    def open(self, key: PartKey) -> Opened:
        """See `PartStore`."""
        return BytesIO(self.read(key))

    def read(self, key: PartKey) -> bytes:
        """See `PartStore`."""
        try:
            return self._held[key]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.described(key)) from None

    def read_ranges(self, key: PartKey, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """See `PartStore`."""
        data = self.read(key)
        return [data[begin:end] for begin, end in ranges]

    def described(self, key: PartKey) -> str:
        """See `PartStore`."""
        return f"{self.place(key.tier)}/{key.staged or part_name(key.session)}"

    def place(self, tier: Tier) -> str:
        """See `PartStore`."""
        return f"memory/{tier}"

    def explained(self, said: str, error: OSError, key: PartKey) -> str:
        """See `PartStore`: no permission can be missing."""
        return said
