"""Parts for tests that want none of a cache around them."""

from datetime import date
from pathlib import Path

from ingest.cache.layout import PartKey
from ingest.cache.parts.local import LocalParts
from ingest.cache.parts.memory import MemoryParts
from ingest.cache.parts.store import PartStore

DAY = date(2025, 3, 3)
PART = PartKey(DAY, "archive")


def local(folder: Path) -> LocalParts:
    """Two folders, made."""
    store = LocalParts(folder / "tracked", folder / "archive")
    store.create()
    return store


def put(store: PartStore, data: bytes, part: PartKey = PART) -> None:
    """Make a part these bytes."""
    store.publish(store.stage(part.session, part.tier, data))


def in_memory(data: bytes) -> MemoryParts:
    """`PART` alone."""
    store = MemoryParts()
    put(store, data)
    return store
