"""Parts for tests that need no cache around them."""

from datetime import date
from pathlib import Path

from ingest.cache.layout import PartKey
from ingest.cache.parts.local import LocalParts
from ingest.cache.parts.memory import MemoryParts
from ingest.cache.parts.store import PartStore

DAY = date(2025, 3, 3)
PART = PartKey(DAY, "archive")


def local(folder: Path) -> LocalParts:
    """A store in a new pair of folders."""
    store = LocalParts(folder / "tracked", folder / "archive")
    store.create()
    return store


def put(store: PartStore, data: bytes, part: PartKey = PART) -> None:
    """Store these bytes as a part."""
    store.publish(store.stage(part.session, part.tier, data))


def in_memory(data: bytes) -> MemoryParts:
    """A store with only `PART`."""
    store = MemoryParts()
    put(store, data)
    return store
