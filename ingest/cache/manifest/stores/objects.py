"""The parts in an object store, in the manifest: what the store said of each when it was put, and which are unwanted.

A row is no claim that a session is stored, and a part may be there without one: only a commit says what is stored.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from ingest.cache.layout import PartKey
from ingest.cache.manifest.database import Database, listed
from ingest.cache.manifest.integrity.tables import columns
from ingest.cache.manifest.replacements import Replacements
from ingest.market.datasets import TIERS

_NAMES = ("name", "size", "etag")
_OBJECT = columns("objects", *_NAMES)
_SELECT = f"SELECT {', '.join(_NAMES)} FROM objects WHERE dataset = ?"  # noqa: S608 - names from here
_HASHES = columns("sessions", "session", "tracked_sha256", "archive_sha256")


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
        """Record what the store said of these objects, which are wanted; joins the caller's transaction, if any."""
        rows = [(self.database.dataset, one.name, one.size, one.etag) for one in objects]
        with self.database.join_transaction() as db:
            db.executemany("INSERT OR REPLACE INTO objects (dataset, name, size, etag) VALUES (?, ?, ?, ?)", rows)
            self.want(row[1] for row in rows)

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
            for table in ("objects", "unwanted"):
                db.executemany(f"DELETE FROM {table} WHERE dataset = ? AND name = ?", rows)  # noqa: S608 - from here

    def wanted(self) -> Iterator[PartKey]:
        """Each part that a session refers to, or is about to, whatever its state.

        Raises ManifestDamaged, except for a session that is hidden: see `Manifest.at_once`.
        """
        query = "SELECT session, tracked_sha256, archive_sha256 FROM sessions WHERE dataset = ?"
        for day, *hashes in self.database.typed(_HASHES, query):
            yield from (PartKey(day, tier, sha256=sha) for tier, sha in zip(TIERS, hashes, strict=True) if sha)
        for record, _ in Replacements(self.database).intents():
            yield from (PartKey(record.session, tier, sha256=sha) for tier, sha in record.part_sha256.items())

    def unwanted(self) -> dict[str, datetime]:
        """Objects that no session referred to when runs looked, by name: since when (UTC), by the store's clock."""
        query = "SELECT name, since FROM unwanted WHERE dataset = ? ORDER BY name"
        found = self.database.typed(columns("unwanted", "name", "since"), query)
        return {name: datetime.fromisoformat(since) for name, since in found}

    def want_no_more(self, since: Mapping[str, datetime]) -> None:
        """Record that no session refers to these objects, since when; joins the caller's transaction, if there is one.

        Raises ValueError for a time without a zone.
        """
        rows = [(self.database.dataset, name, _utc(time)) for name, time in since.items()]
        with self.database.join_transaction() as db:
            db.executemany("INSERT OR REPLACE INTO unwanted VALUES (?, ?, ?)", rows)

    def want(self, names: Iterable[str]) -> None:
        """Record that these objects are not unwanted; joins the caller's transaction, if there is one."""
        with self.database.join_transaction() as db:
            rows = [(self.database.dataset, name) for name in names]
            db.executemany("DELETE FROM unwanted WHERE dataset = ? AND name = ?", rows)


def _utc(time: datetime) -> str:
    if time.tzinfo is None:
        raise ValueError(f"{time} has no zone")
    return time.astimezone(UTC).isoformat(timespec="seconds")


def _by_name(rows: Iterable[tuple[str, int, str]]) -> dict[str, KnownObject]:
    return {row[0]: KnownObject(*row) for row in rows}
