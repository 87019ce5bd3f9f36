"""What is known of a session's parts without reading them, and their bytes, read once, if they are wanted.

An object store answers for the bytes that it took: what its listing says now is compared with what it said when a part
was put. Of a part in a folder, and of one that the manifest remembers nothing of, the bytes are read.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from io import BytesIO

from ingest.cache.cache import Cache
from ingest.cache.layout import PartKey
from ingest.cache.manifest import SessionRecord
from ingest.cache.manifest.stores.objects import KnownObject
from ingest.cache.objects.naming import object_name
from ingest.cache.parts.store import ListedPart, Opened, PartStore, Readable
from ingest.market.datasets import TIERS, Tier


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything in the tiers that can be listed, and what the store said of each part when it took it, by name."""

    parts: PartStore
    dataset: str
    listed: Mapping[Tier, Mapping[str, ListedPart]]
    known: Mapping[str, KnownObject]

    @classmethod
    def of(cls, cache: Cache) -> "Evidence":
        """One listing for each tier in an object store. Raises CacheError."""
        found = {tier: listed for tier in TIERS if (listed := cache.parts.listed(tier)) is not None}
        known = cache.manifest.objects.all() if found else {}
        return cls(cache.parts, cache.dataset.name, found, known)

    def size(self, part: PartKey) -> int:
        """Bytes of a part. Raises OSError."""
        if part.tier not in self.listed:
            return self.parts.size(part)
        if found := self.listed[part.tier].get(self.parts.name(part)):
            return found.size
        raise FileNotFoundError(self.parts.described(part))

    def vouches_for(self, part: PartKey) -> bool:
        """Whether a part is what the store took; if not, its bytes decide: an ETag may change although they do not."""
        name = self.parts.name(part)
        found = self.listed.get(part.tier, {}).get(name)
        known = self.known.get(object_name(part.tier, self.dataset, name))
        return bool(found and known and (found.size, found.etag) == (known.size, known.etag))

    def weight(self, record: SessionRecord) -> int:
        """Bytes of a session's listed parts."""
        names = ((tier, self.parts.name(record.part(tier))) for tier in record.part_sha256 if tier in self.listed)
        return sum(found.size for tier, name in names if (found := self.listed[tier].get(name)))


@contextmanager
def at_hand(evidence: Evidence, record: SessionRecord) -> Iterator[Readable]:
    """The parts of a session, each read from the store at most once, however often they are opened."""
    with ExitStack() as open_files:
        yield _Once(evidence, open_files) if evidence.listed else evidence.parts


@dataclass(slots=True)
class _Once(Readable):
    """Parts that are read when they are first opened, and then held: in memory, or large ones in a temporary file."""

    evidence: Evidence
    open_files: ExitStack
    _held: dict[tuple[date, Tier], Opened] = field(default_factory=dict)

    def size(self, key: PartKey) -> int:
        """See `PartStore`."""
        return self.evidence.size(key)

    def open(self, key: PartKey) -> Opened:
        """See `PartStore`; of a part's files, only one is read from at a time."""
        store = self.evidence.parts
        if key.tier not in self.evidence.listed:
            return store.open(key)
        if (key.session, key.tier) not in self._held:
            opened = self._held[key.session, key.tier] = store.open(replace(key, size=self.size(key)))
            self.open_files.callback(opened.close)
        return _again(self._held[key.session, key.tier])


def _again(opened: Opened) -> Opened:
    """The same bytes from their beginning, to be closed on their own."""
    if isinstance(opened, BytesIO):
        return BytesIO(opened.getvalue())
    another = os.fdopen(os.dup(opened.fileno()), "rb")
    another.seek(0)
    return another
