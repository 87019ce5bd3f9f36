"""The parts in an object store, in the manifest: what the store said of each when it was put.

A row is no claim that a session is stored, and a part may be there without one: only a commit says what is stored.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ingest.cache.manifest.database import Database, listed
from ingest.cache.manifest.integrity.tables import columns

_NAMES = ("name", "size", "etag")
_OBJECT = columns("objects", *_NAMES)
_SELECT = f"SELECT {', '.join(_NAMES)} FROM objects WHERE dataset = ?"  # noqa: S608 - names from here


@dataclass(frozen=True, slots=True)
class KnownObject:
    """An object as its store described it: name in the store, size in bytes, ETag."""

    name: str
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class KnownObjects:
    """The objects that hold, or held, parts of one dataset."""

    database: Database

    def remember(self, objects: Iterable[KnownObject]) -> None:
        """Record what the store said of these objects; joins the caller's transaction, if there is one."""
        rows = [(self.database.dataset, one.name, one.size, one.etag) for one in objects]
        with self.database.join_transaction() as db:
            db.executemany("INSERT OR REPLACE INTO objects (dataset, name, size, etag) VALUES (?, ?, ?, ?)", rows)

    def all(self) -> dict[str, KnownObject]:
        """All known objects of the dataset by name, in order of their names."""
        return _by_name(self.database.typed(_OBJECT, f"{_SELECT} ORDER BY name"))

    def known(self, names: Iterable[str]) -> dict[str, KnownObject]:
        """Those of these objects that are known, by name."""
        query = f"{_SELECT} AND name IN (SELECT value FROM json_each(?)) ORDER BY name"  # noqa: S608 - from here
        return _by_name(self.database.typed(_OBJECT, query, listed(names)))

    def forget(self, names: Iterable[str]) -> None:
        """Forget these objects, which are no longer in the store; joins the caller's transaction, if there is one."""
        rows = [(self.database.dataset, name) for name in names]
        with self.database.join_transaction() as db:
            db.executemany("DELETE FROM objects WHERE dataset = ? AND name = ?", rows)


def _by_name(rows: Iterable[tuple[str, int, str]]) -> dict[str, KnownObject]:
    return {row[0]: KnownObject(*row) for row in rows}
