"""Parts of which one tier lies in folders and the other in a bucket: each call goes to the store of its tier."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import ClassVar, Self

from ingest.cache.layout import PartKey
from ingest.cache.objects.parts import ObjectParts
from ingest.cache.parts.local import LocalParts
from ingest.cache.parts.store import ListedPart, Opened, PartStore, Staging
from ingest.market.datasets import Tier


@dataclass(frozen=True, slots=True)
class ArchiveInBucket(PartStore):
    """Tracked parts as local files, archive parts as objects: `[store] tiers = "archive"`."""

    by_content: ClassVar[bool] = True
    keeps_versions: ClassVar[bool] = False
    ahead: ClassVar[int] = ObjectParts.ahead
    reads_again: ClassVar[int] = ObjectParts.reads_again
    tracked: LocalParts
    archive: ObjectParts

    def of(self, tier: Tier) -> LocalParts | ObjectParts:
        """The store of a tier."""
        return self.tracked if tier == "tracked" else self.archive

    def working_in(self, scratch: Path) -> Self:
        """See `PartStore`."""
        return replace(self, archive=self.archive.working_in(scratch))

    def create(self) -> None:
        """See `PartStore`."""
        self.tracked.create()
        self.archive.create()

    def stage(self, session: date, tier: Tier, data: bytes) -> PartKey:
        """See `PartStore`."""
        return self.of(tier).stage(session, tier, data)

    def staging(self, session: date, tier: Tier) -> AbstractContextManager[Staging]:
        """See `PartStore`."""
        return self.of(tier).staging(session, tier)

    def sync_staged(self, staged: Sequence[PartKey]) -> list[PartKey]:
        """See `PartStore`."""
        done = dict[PartKey, PartKey]()
        for tier in ("archive", "tracked"):
            mine = [key for key in staged if key.tier == tier]
            done |= zip(mine, self.of(tier).sync_staged(mine), strict=True)
        return [done[key] for key in staged]

    def publish(self, staged: PartKey) -> None:
        """See `PartStore`."""
        self.of(staged.tier).publish(staged)

    def discard(self, staged: PartKey) -> None:
        """See `PartStore`."""
        self.of(staged.tier).discard(staged)

    def drop(self, session: date, tier: Tier) -> None:
        """See `PartStore`."""
        self.of(tier).drop(session, tier)

    def drop_all(self, sessions: Iterable[date], tier: Tier) -> None:
        """See `PartStore`."""
        self.of(tier).drop_all(sessions, tier)

    def sync(self) -> None:
        """See `PartStore`."""
        self.tracked.sync()

    def staged(self, session: date, tier: Tier) -> Sequence[PartKey]:
        """See `PartStore`."""
        return self.of(tier).staged(session, tier)

    def leftovers(self, tier: Tier) -> Sequence[str]:
        """See `PartStore`."""
        return self.of(tier).leftovers(tier)

    def sweep(self) -> int:
        """See `PartStore`."""
        return self.tracked.sweep() + self.archive.sweep()

    def name(self, key: PartKey) -> str:
        """See `PartStore`."""
        return self.of(key.tier).name(key)

    def names(self, tier: Tier) -> frozenset[str]:
        """See `PartStore`."""
        return self.of(tier).names(tier)

    def versions(self, tier: Tier) -> Mapping[date, Sequence[PartKey]]:
        """See `PartStore`."""
        return self.of(tier).versions(tier)

    def listed(self, tier: Tier) -> Mapping[str, ListedPart] | None:
        """See `PartStore`."""
        return self.of(tier).listed(tier)

    def sizes(self, tier: Tier) -> Sequence[int]:
        """See `PartStore`."""
        return self.of(tier).sizes(tier)

    def size(self, key: PartKey) -> int:
        """See `PartStore`."""
        return self.of(key.tier).size(key)

    def open(self, key: PartKey) -> Opened:
        """See `PartStore`."""
        return self.of(key.tier).open(key)

    def read(self, key: PartKey) -> bytes:
        """See `PartStore`."""
        return self.of(key.tier).read(key)

    def read_ranges(self, key: PartKey, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """See `PartStore`."""
        return self.of(key.tier).read_ranges(key, ranges)

    def described(self, key: PartKey) -> str:
        """See `PartStore`."""
        return self.of(key.tier).described(key)

    def place(self, tier: Tier) -> str:
        """See `PartStore`."""
        return self.of(tier).place(tier)

    def explained(self, said: str, error: OSError, key: PartKey) -> str:
        """See `PartStore`."""
        return self.of(key.tier).explained(said, error, key)
