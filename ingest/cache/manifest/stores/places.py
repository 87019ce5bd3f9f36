"""Where the parts of a cache are, in the manifest: moving them is one transaction, so they are in one place at a time.

A row of `arrivals` is an object that a move has put, and that counts once the move is committed. One of `departures` is
a place whose copies are no longer needed, and still there.
"""

import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import astuple, dataclass
from datetime import date
from typing import Literal, Self

from ingest.cache.layout import PartKey
from ingest.cache.manifest.database import Database, now
from ingest.cache.manifest.integrity.kinds import flag
from ingest.cache.manifest.integrity.tables import columns, committed
from ingest.cache.manifest.stores.objects import KnownObject
from ingest.market.datasets import TIERS, Tier
from ingest.settings import Settings

Tiers = Literal["both", "archive"]

_PLACE = columns("place", "url", "endpoint", "region", "profile", "tiers")
_DEPARTURE = columns("departures", "url", "endpoint", "region", "profile", "tier", "at")
_PARTS = {
    **columns("sessions", "dataset"),
    **committed("session"),
    "doubt": flag,
    **committed("tracked_sha256", "archive_sha256"),
}
_ARRIVAL = columns("arrivals", "dataset", "name", "size", "etag")


@dataclass(frozen=True, slots=True)
class Place:
    """Where parts are: in the folders of the settings (`url` is ""), or in an object store.

    `endpoint`, `region` and `profile` are those of `[store]`; only the first belongs to the place, the others say how
    to reach it. With `tiers` "archive", tracked parts are in their folder all the same.
    """

    url: str = ""
    endpoint: str = ""
    region: str = ""
    profile: str = ""
    tiers: Tiers = "both"

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The place that the settings name."""
        return cls().at(settings.cache.archive, settings)

    def at(self, url: str, settings: Settings) -> Self:
        """The place at a URL, or the folders if it is "", to be reached as the settings say."""
        store = settings.store
        return type(self)(url, store.endpoint, store.region, store.profile, store.tiers) if url else type(self)()

    def chosen(self, settings: Settings) -> Settings:
        """Settings that name this place."""
        cache = settings.cache.model_copy(update={"archive": self.url})
        if not self.url:
            return settings.model_copy(update={"cache": cache})
        named = {name: getattr(self, name) for name in ("endpoint", "region", "profile", "tiers")}
        return settings.model_copy(update={"cache": cache, "store": settings.store.model_copy(update=named)})

    def of_tier(self, tier: Tier) -> tuple[str, str]:
        """URL and endpoint of the place of a tier; ("", "") for its folder."""
        return (self.url, self.endpoint) if self.url and tier in self.tiers_there else ("", "")

    @property
    def tiers_there(self) -> tuple[Tier, ...]:
        """The tiers in the object store."""
        return () if not self.url else TIERS if self.tiers == "both" else ("archive",)

    def differing(self, other: "Place") -> tuple[Tier, ...]:
        """The tiers that are somewhere else in the other place."""
        return tuple(tier for tier in TIERS if self.of_tier(tier) != other.of_tier(tier))

    def __str__(self) -> str:
        where = f"{self.url} at {self.endpoint}" if self.endpoint else self.url
        if not self.url:
            return "local folders"
        return where if self.tiers == "both" else f"{where} (the archive alone)"


@dataclass(frozen=True, slots=True)
class Departure:
    """A tier's copies in a place that the parts have left, and since when (ISO 8601, UTC)."""

    place: Place
    tier: Tier
    at: str


@dataclass(frozen=True, slots=True)
class KnownPart:
    """A part of a stored session of a dataset, given by its full name.

    `in_doubt` says that it was found not to be what was written.
    """

    dataset: str
    key: PartKey
    in_doubt: bool


@dataclass(frozen=True, slots=True)
class KnownPlaces:
    """Where the parts of all datasets are."""

    database: Database

    def current(self) -> Place | None:
        """Where the parts are; None as long as nobody has recorded it."""
        rows = self.database.ask("SELECT url, endpoint, region, profile, tiers FROM place", ())
        return next((Place(*self.database.fitted(_PLACE, row)) for row in rows), None)

    def holds_parts(self) -> bool:
        """Whether a session of any dataset is stored, or may be because its state is impossible."""
        held = "SELECT 1 FROM sessions WHERE held NOT IN ('none', 'quarantined') OR typeof(held) <> 'text' LIMIT 1"
        return bool(self.database.ask(held, ()))

    def parts(self) -> list[KnownPart]:
        """All parts of all stored sessions of all datasets, in order of datasets and sessions."""
        query = (
            "SELECT dataset, session, etag IS NULL, tracked_sha256, archive_sha256 FROM sessions "
            "WHERE held = 'committed' ORDER BY dataset, session"
        )
        found = (self.database.fitted(_PARTS, row) for row in self.database.ask(query, ()))
        return [
            KnownPart(dataset, PartKey(day, tier, sha256=sha256), bool(doubt))
            for dataset, day, doubt, *hashes in found
            for tier, sha256 in zip(TIERS, hashes, strict=True)
            if sha256
        ]

    def settle(self, place: Place) -> None:
        """Record where the parts are, if nothing is stored yet, or nobody knows; nothing is written if it is known."""
        if self.current() != place:
            with self.database.join_transaction() as db:
                db.execute("INSERT OR REPLACE INTO place VALUES (1, ?, ?, ?, ?, ?, ?)", (*astuple(place), now()))

    def restored(self, place: Place) -> None:
        """Record where the parts are in a manifest that was stored there; moves of its former machine are over."""
        with self.database.join_transaction() as db:
            self.settle(place)
            db.execute("DELETE FROM departures")
            db.execute("DELETE FROM arrivals")

    def departures(self) -> list[Departure]:
        """Places whose copies are still to be removed."""
        query = "SELECT url, endpoint, region, profile, tier, at FROM departures ORDER BY url, endpoint, tier"
        found = (self.database.fitted(_DEPARTURE, row) for row in self.database.ask(query, ()))
        return [Departure(Place(*place), tier, at) for *place, tier, at in found]

    def depart(self, departure: Departure) -> None:
        """Forget a place whose copies are removed."""
        with self.database.join_transaction() as db:
            key = (*departure.place.of_tier(departure.tier), departure.tier)
            db.execute("DELETE FROM departures WHERE (url, endpoint, tier) = (?, ?, ?)", key)

    def arrived(self, target: Place) -> dict[tuple[str, str], KnownObject]:
        """Objects that a move to this place has put, by dataset and name; those of a move elsewhere are forgotten."""
        key = _key(target)
        with self.database.join_transaction() as db:
            db.execute("DELETE FROM arrivals WHERE target <> ?", (key,))
        rows = self.database.ask("SELECT dataset, name, size, etag FROM arrivals WHERE target = ?", (key,))
        found = (self.database.fitted(_ARRIVAL, row) for row in rows)
        return {(dataset, name): KnownObject(name, size, etag) for dataset, name, size, etag in found}

    def arrive(self, target: Place, put: Iterable[tuple[str, KnownObject]]) -> None:
        """Record objects, each with its dataset, that a move to this place has put."""
        rows = [(_key(target), dataset, one.name, one.size, one.etag) for dataset, one in put]
        if rows:
            with self.database.join_transaction() as db:
                db.executemany("INSERT OR REPLACE INTO arrivals VALUES (?, ?, ?, ?, ?)", rows)

    def move(
        self, source: Place, target: Place, *, keep: bool, distrusted: Mapping[str, Collection[date]] | None = None
    ) -> None:
        """Record, in one transaction, that the parts are at `target` now, and no longer at `source`.

        Copies at `source` are to be removed, unless `keep`. `distrusted` are sessions, by dataset, of which a part
        could not be copied: they will be downloaded again.
        """
        with self.database.transaction() as db:
            for tier in source.differing(target):
                _leave(db, tier, source, target, keep)
            arrived = "SELECT dataset, name, size, etag FROM arrivals WHERE target = ?"
            db.execute(f"INSERT OR REPLACE INTO objects {arrived}", (_key(target),))
            db.execute("DELETE FROM arrivals")
            self.settle(target)
            for dataset, days in (distrusted or {}).items():
                keys = [(dataset, day.isoformat()) for day in days]
                db.executemany("UPDATE sessions SET etag = NULL WHERE dataset = ? AND session = ?", keys)


def _leave(db: sqlite3.Connection, tier: Tier, source: Place, target: Place, keep: bool) -> None:
    """Forget the objects of a tier, and record that its copies at `source` are to be removed, unless `keep`."""
    for table in ("objects", "unwanted"):
        db.execute(f"DELETE FROM {table} WHERE name GLOB ?", (f"{tier}/*",))  # noqa: S608 - names from here
    db.execute("DELETE FROM departures WHERE (url, endpoint, tier) = (?, ?, ?)", (*target.of_tier(tier), tier))
    if not keep:
        left = source if source.of_tier(tier)[0] else Place()
        row = (left.url, left.endpoint, left.region, left.profile, tier, now())
        db.execute("INSERT OR REPLACE INTO departures VALUES (?, ?, ?, ?, ?, ?)", row)


def _key(place: Place) -> str:
    return f"{place.url} {place.endpoint}"
