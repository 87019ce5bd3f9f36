"""Parts as files in two folders: staged beside their final names, published by a rename, made durable by fsync.

A crash leaves each name with its old content or its new one, and perhaps temporary files: see `files.durable`.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import ClassVar, Self

from ingest.cache.layout import PartKey
from ingest.cache.parts.store import Opened, PartStore, Staging
from ingest.errors import CacheError
from ingest.files import batches, durable, opening, rights
from ingest.market.datasets import TIERS, Tier, is_part_name, part_name, session_of


@dataclass(frozen=True, slots=True)
class LocalParts(PartStore):
    """`data_cache/sessions/2025-11-11.csv.gz` and `massive_cache/2025-11-11.csv.gz`.

    Every dataset but the primary one has its own folder below that of a tier.
    """

    by_content: ClassVar[bool] = False
    keeps_versions: ClassVar[bool] = False
    ahead: ClassVar[int] = 1
    reads_again: ClassVar[int] = 0
    tracked: Path
    archive: Path

    def working_in(self, scratch: Path) -> Self:
        """See `PartStore`: processes that share the folders stage in them, under names of their own."""
        return self

    def folder(self, tier: Tier) -> Path:
        """Folder of a tier's parts."""
        return self.tracked if tier == "tracked" else self.archive

    def path(self, key: PartKey) -> Path:
        """File of a part. Raises CacheError if the key has a staged name that is not one of this part."""
        path = self._published(key.session, key.tier)
        if not key.staged:
            return path
        if not durable.is_temporary(path, key.staged):
            raise CacheError(f"{key.staged!r} is not a temporary name of {path}")
        return path.with_name(key.staged)

    def create(self) -> None:
        """See `PartStore`."""
        for tier in TIERS:
            durable.make_folder(self.folder(tier))

    def stage(self, session: date, tier: Tier, data: bytes) -> PartKey:
        """See `PartStore`."""
        path, key = self._another(session, tier)
        durable.stage(path, data, sync=False, under=path.with_name(key.staged))
        return key

    @contextmanager
    def staging(self, session: date, tier: Tier) -> Iterator[Staging]:
        """See `PartStore`."""
        path, key = self._another(session, tier)
        with durable.staging(path, under=path.with_name(key.staged)) as write:
            yield Staging(key, write)

    def _another(self, session: date, tier: Tier) -> tuple[Path, PartKey]:
        path = self._published(session, tier)
        return path, PartKey(session, tier, durable.another(path).name)

    def sync_staged(self, staged: Sequence[PartKey]) -> list[PartKey]:
        """See `PartStore`: many files take one call, if the file system has one."""
        batches.sync_files([self.path(key) for key in staged])
        return list(staged)

    def publish(self, staged: PartKey) -> None:
        """See `PartStore`."""
        durable.publish(self._own(staged), self.path(staged))

    def discard(self, staged: PartKey) -> None:
        """See `PartStore`."""
        durable.unstage(self._own(staged), self.path(staged))

    def _own(self, staged: PartKey) -> Path:
        """The name that a staged part gets when it is published."""
        if not staged.staged:
            raise CacheError(f"{self.path(staged)} is not staged")
        return self._published(staged.session, staged.tier)

    def _published(self, session: date, tier: Tier) -> Path:
        return self.folder(tier) / part_name(session)

    def drop(self, session: date, tier: Tier) -> None:
        """See `PartStore`."""
        durable.remove(self._published(session, tier))

    def sync(self) -> None:
        """See `PartStore`."""
        for tier in TIERS:
            self.sync_tier(tier)

    def sync_tier(self, tier: Tier) -> None:
        """Make the names in a tier durable."""
        durable.sync_folder(self.folder(tier))

    def staged(self, session: date, tier: Tier) -> list[PartKey]:
        """See `PartStore`."""
        found = durable.staged(self._published(session, tier))
        return [PartKey(session, tier, path.name) for path in found]

    def leftovers(self, tier: Tier) -> list[str]:
        """See `PartStore`."""
        return [path.name for path in durable.leftovers(self.folder(tier), is_part_name)]

    def sweep(self) -> int:
        """See `PartStore`."""
        return sum(durable.sweep(self.folder(tier), is_part_name) for tier in TIERS)

    def name(self, key: PartKey) -> str:
        """See `PartStore`."""
        return key.staged or part_name(key.session)

    def names(self, tier: Tier) -> frozenset[str]:
        """See `PartStore`: by one read of the folder."""
        folder = self.folder(tier)
        with durable.translated("look into", folder):
            return frozenset(opening.names(folder))

    def versions(self, tier: Tier) -> Mapping[date, list[PartKey]]:
        """See `PartStore`."""
        days = sorted(day for name in self.names(tier) if is_part_name(name) and (day := session_of(name)))
        return {day: [PartKey(day, tier)] for day in days}

    def listed(self, tier: Tier) -> None:
        """See `PartStore`."""

    def sizes(self, tier: Tier) -> list[int]:
        """See `PartStore`. A file that a run has removed since the folder was read is left out."""
        folder = self.folder(tier)
        return durable.sizes(folder, [folder / name for name in self.names(tier) if name.endswith(".csv.gz")])

    def size(self, key: PartKey) -> int:
        """See `PartStore`."""
        return opening.size(self.path(key))

    def open(self, key: PartKey) -> Opened:
        """See `PartStore`."""
        return opening.to_read(self.path(key))

    def read(self, key: PartKey) -> bytes:
        """See `PartStore`."""
        return opening.read(self.path(key))

    def read_ranges(self, key: PartKey, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """See `PartStore`. A history reads a range of each of hundreds of parts: joining texts beats making paths."""
        path = self.path(key) if key.staged else os.path.join(self.folder(key.tier), part_name(key.session))  # noqa: PTH118
        return opening.read_ranges(path, ranges)

    def described(self, key: PartKey) -> str:
        """See `PartStore`."""
        return str(self.path(key))

    def place(self, tier: Tier) -> str:
        """See `PartStore`."""
        return str(self.folder(tier))

    def explained(self, said: str, error: OSError, key: PartKey) -> str:
        """See `PartStore`."""
        return rights.explained(said, error, self.path(key))
