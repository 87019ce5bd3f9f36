"""Parts as objects: staged as files on the local disk, put under names made from their hashes, never changed.

Nothing is replaced, so nothing has to be moved at a commit: a part that was put is published, and belongs to the cache
once the manifest has a row that names its hash. A crash leaves objects without such a row, which `collecting` removes.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import ClassVar, Self, cast

from ingest.cache.layout import PartKey
from ingest.cache.objects.bucket import Bucket
from ingest.cache.objects.listing import Stored
from ingest.cache.objects.naming import ObjectName, folder_of, object_name
from ingest.cache.parts.local import LocalParts
from ingest.cache.parts.store import ListedPart, Opened, PartStore, Staging
from ingest.errors import CacheError, StoreConflict
from ingest.files.hashing import sha256_of
from ingest.market.datasets import Tier

_TOGETHER = 32
"""Requests under way at once: at 30 ms each, a thousand a second."""

_IN_MEMORY = 64 << 20
"""Bytes of a part up to which it is opened in memory; a larger one is read from a temporary file."""

_PIECE = 8 << 20


@dataclass(frozen=True, slots=True)
class ObjectParts(PartStore):
    """`tracked/<dataset>/2025-11-11.<16 digits of sha256>.csv.gz` in a bucket, and the same below `archive`.

    `scratch` has the files that are not put yet.
    """

    by_content: ClassVar[bool] = True
    keeps_versions: ClassVar[bool] = True
    ahead: ClassVar[int] = _TOGETHER
    reads_again: ClassVar[int] = 2
    bucket: Bucket
    dataset: str
    scratch: LocalParts

    def working_in(self, scratch: Path) -> Self:
        """See `PartStore`."""
        moved = replace(self, scratch=LocalParts(scratch / "tracked", scratch / "archive"))
        moved.create()
        return moved

    def create(self) -> None:
        """See `PartStore`."""
        self.scratch.create()

    def stage(self, session: date, tier: Tier, data: bytes) -> PartKey:
        """See `PartStore`."""
        return self.scratch.stage(session, tier, data)

    @contextmanager
    def staging(self, session: date, tier: Tier) -> Iterator[Staging]:
        """See `PartStore`."""
        with self.scratch.staging(session, tier) as staging:
            yield staging

    def sync_staged(self, staged: Sequence[PartKey]) -> list[PartKey]:
        """See `PartStore`: puts them. A tracked part says of both what they are, so the archive parts come first."""
        put = dict[PartKey, PartKey]()
        with ThreadPoolExecutor(_TOGETHER, "put") as pool:
            for tier in ("archive", "tracked"):
                mine = [key for key in staged if key.tier == tier]
                put |= zip(mine, pool.map(self._put, mine), strict=True)
        return [put[key] for key in staged]

    def _put(self, key: PartKey) -> PartKey:
        if not _is_in_scratch(key):
            return key
        path = self.scratch.path(key)
        try:
            hashed = sha256_of(path)
            name = str(ObjectName.of(key.session, hashed))
            stored = self._put_whole(self._in(key.tier, name), path, hashed)
        except FileNotFoundError as error:
            raise CacheError(f"cannot put {path}: it is gone") from error
        self.scratch.discard(key)
        return replace(key, staged=name, sha256=hashed, etag=stored.etag, size=stored.size)

    def _put_whole(self, name: str, path: Path, hashed: str) -> Stored:
        """Put a part. What has its name and other bytes was damaged: nobody can read it, and so it is replaced."""
        try:
            return self.bucket.put_new(name, path, hashed)
        except StoreConflict:
            return self.bucket.put_right(name, path, hashed)

    def publish(self, staged: PartKey) -> None:
        """See `PartStore`: once it is put, the manifest alone decides."""
        if not staged.staged:
            raise CacheError(f"{self.described(staged)} is not staged")
        self._put(staged)

    def discard(self, staged: PartKey) -> None:
        """See `PartStore`. What is put stays: another execution may have put the same bytes, and they may be wanted."""
        if not staged.staged:
            raise CacheError(f"{self.described(staged)} is not staged")
        if _is_in_scratch(staged):
            self.scratch.discard(staged)

    def drop(self, session: date, tier: Tier) -> None:
        """See `PartStore`: all its versions."""
        self.drop_all([session], tier)

    def drop_all(self, sessions: Iterable[date], tier: Tier) -> None:
        """See `PartStore`: by one listing."""
        versions = self.versions(tier)
        self.bucket.remove([self._object(key) for session in sessions for key in versions.get(session, ())])

    def sync(self) -> None:
        """See `PartStore`: an object that was put is durable."""

    def staged(self, session: date, tier: Tier) -> list[PartKey]:
        """See `PartStore`."""
        return self.scratch.staged(session, tier)

    def leftovers(self, tier: Tier) -> list[str]:
        """See `PartStore`."""
        return self.scratch.leftovers(tier)

    def sweep(self) -> int:
        """See `PartStore`. Objects that nobody committed are not swept here, but collected after a grace."""
        return self.scratch.sweep()

    def name(self, key: PartKey) -> str:
        """See `PartStore`."""
        if not key.staged and not key.sha256:
            raise AssertionError(f"no version of {key} is given")
        return key.staged or str(ObjectName.of(key.session, key.sha256))

    def names(self, tier: Tier) -> frozenset[str]:
        """See `PartStore`: by one request for each thousand."""
        return frozenset(self._base(one) for one in self.listing(tier))

    def versions(self, tier: Tier) -> Mapping[date, list[PartKey]]:
        """See `PartStore`."""
        found = dict[date, list[PartKey]]()
        for one in sorted(self.listing(tier), key=lambda one: one.modified, reverse=True):
            if name := ObjectName.parse(self._base(one)):
                key = PartKey(name.session, tier, str(name), etag=one.etag, size=one.size)
                found.setdefault(name.session, []).append(key)
        return dict(sorted(found.items()))

    def listing(self, tier: Tier) -> Iterable[Stored]:
        """What the bucket says of each object of a tier. Raises CacheError."""
        return self.bucket.listing(folder_of(tier, self.dataset))

    def listed(self, tier: Tier) -> Mapping[str, ListedPart]:
        """See `PartStore`: by one request for each thousand."""
        return {self._base(one): ListedPart(one.size, one.etag, one.modified) for one in self.listing(tier)}

    def sizes(self, tier: Tier) -> list[int]:
        """See `PartStore`."""
        return [one.size for one in self.listing(tier) if one.name.endswith(".csv.gz")]

    def size(self, key: PartKey) -> int:
        """See `PartStore`."""
        if _is_in_scratch(key):
            return self.scratch.size(key)
        return self.bucket.head(self._object(key)).size

    def open(self, key: PartKey) -> Opened:
        """See `PartStore`."""
        if _is_in_scratch(key):
            return self.scratch.open(key)
        size = key.size or self.size(key)
        return BytesIO(self.read(key)) if size <= _IN_MEMORY else self._as_file(key, size)

    def _as_file(self, key: PartKey, size: int) -> BufferedReader:
        """A temporary file with the bytes of a part, which is gone once it is closed."""
        file = cast(BufferedReader, tempfile.TemporaryFile())  # noqa: SIM115 - the caller closes it
        try:
            self._believed(key, lambda: self._fill(file, key, size))
        except BaseException:
            file.close()
            raise
        return file

    def _fill(self, file: BufferedReader, key: PartKey, size: int) -> str:
        """Write a part into a file, and return its hash."""
        file.seek(0)
        hashed = sha256()
        for begin in range(0, size, _PIECE):
            for piece in self.read_ranges(key, [(begin, min(begin + _PIECE, size))]):
                hashed.update(piece)
                file.write(piece)
        file.truncate()
        file.seek(0)
        return hashed.hexdigest()

    def read(self, key: PartKey) -> bytes:
        """See `PartStore`."""
        if _is_in_scratch(key):
            return self.scratch.read(key)
        read = [b""]

        def once() -> str:
            read[0] = self.bucket.get(self._object(key))[0]
            return sha256(read[0]).hexdigest()

        self._believed(key, once)
        return read[0]

    def _believed(self, key: PartKey, once: Callable[[], str]) -> None:
        """Read until the hash is the right one: the bytes may be damaged on the way. The same twice are believed."""
        seen: set[str] = set()
        while (found := once()) not in {key.sha256 or found, *seen}:
            seen.add(found)

    def read_ranges(self, key: PartKey, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """See `PartStore`."""
        if _is_in_scratch(key):
            return self.scratch.read_ranges(key, ranges)
        if not ranges:
            self.size(key)
            return []
        return self.bucket.ranges(self._object(key), ranges)

    def described(self, key: PartKey) -> str:
        """See `PartStore`."""
        return self.bucket.described(self._object(key)) if key.staged or key.sha256 else str(key)

    def place(self, tier: Tier) -> str:
        """See `PartStore`."""
        return self.bucket.described(folder_of(tier, self.dataset))

    def explained(self, said: str, error: OSError, key: PartKey) -> str:
        """See `PartStore`: the bucket's errors name a missing permission themselves."""
        return said

    def _object(self, key: PartKey) -> str:
        return self._in(key.tier, self.name(key))

    def _in(self, tier: Tier, name: str) -> str:
        return object_name(tier, self.dataset, name)

    def _base(self, stored: Stored) -> str:
        """The name in its tier. That of what lies in a folder of its own there, and is not a part, has a slash."""
        tier = stored.name.partition("/")[0]
        return stored.name.removeprefix(f"{tier}/{self.dataset}/")


def _is_in_scratch(key: PartKey) -> bool:
    """Whether a key is that of a part that is staged, and not put yet."""
    return bool(key.staged) and ObjectName.parse(key.staged) is None
