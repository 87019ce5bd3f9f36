"""Removes the copies in places that the parts have left: files at once, objects after the grace of replaced ones.

A departure is forgotten after its copies are gone, so a kill leaves it for the next run or move. What is removed is
only what the manifest has elsewhere: other files, and parts that were found damaged, stay.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from ingest.cache.manifest import Manifest
from ingest.cache.manifest.stores.places import Departure, Place
from ingest.cache.objects.bucket import Bucket
from ingest.cache.objects.collecting import clock
from ingest.cache.objects.naming import ObjectName, folder_of, lake_folder, lake_partition_in
from ingest.cache.objects.writing.records import Guard, Pointer
from ingest.cache.objects.writing.snapshots import snapshot_names
from ingest.cache.objects.writing.writer import Writer
from ingest.cache.parts.local import LocalParts
from ingest.cache.places.pieces import size_in, store_of
from ingest.errors import OtherWriter
from ingest.market.catalogue import CATALOGUE
from ingest.market.datasets import Tier
from ingest.settings import Settings


@dataclass(frozen=True, slots=True)
class Cleared:
    """What became of the copies of a tier in a place that the parts have left.

    `place` is "local folders" or a URL. `removed` copies of `bytes` are gone, and `kept` files are still there, which
    are no copies of stored parts. `due` is the time (ISO 8601, UTC) from which the copies may be removed, if that is
    later; `why` says why they stay for good.
    """

    place: str
    tier: Tier
    removed: int = 0
    bytes: int = 0
    kept: int = 0
    due: str | None = None
    why: str = ""


def clear(settings: Settings, manifest: Manifest) -> list[Cleared]:
    """Remove what is due; the caller holds the lock. Raises CacheError."""
    return [_cleared(settings, manifest, one) for one in manifest.places.departures()]


def _cleared(settings: Settings, manifest: Manifest, departure: Departure) -> Cleared:
    place, tier = departure.place, departure.tier
    current = manifest.places.current() or Place()
    if current.of_tier(tier) == place.of_tier(tier):
        cleared = Cleared(str(place), tier, why="the parts are there again")
    elif not place.url:
        cleared = _files_removed(place.chosen(settings), manifest, tier)
    elif (due := datetime.fromisoformat(departure.at) + timedelta(hours=settings.store.keep_replaced_h)) > _now():
        return Cleared(str(place), tier, due=due.isoformat())
    else:
        cleared = _Leaving(settings, manifest, departure, current).end()
    manifest.places.depart(departure)
    return cleared


def _now() -> datetime:
    return datetime.now(UTC)


def _files_removed(settings: Settings, manifest: Manifest, tier: Tier) -> Cleared:
    """Remove the files of sessions whose parts are elsewhere, whole."""
    copied = dict[str, set[date]]()
    for one in manifest.places.parts():
        if one.key.tier == tier and not one.in_doubt:
            copied.setdefault(one.dataset, set()).add(one.key.session)
    count, size, kept = 0, 0, 0
    for dataset in CATALOGUE.values():
        store = store_of(settings, dataset, tier)
        for session, keys in store.versions(tier).items():
            if session not in copied.get(dataset.name, ()):
                kept += 1
                continue
            count, size = count + 1, size + sum(size_in(store, key) or 0 for key in keys)
            store.drop(session, tier)
        if dataset.name in copied and isinstance(store, LocalParts):
            store.sync_tier(tier)
    return Cleared(str(Place()), tier, count, size, kept)


@dataclass(frozen=True, slots=True)
class _Leaving:
    """A place in an object store that the parts of a tier have left, longer ago than the grace."""

    settings: Settings
    manifest: Manifest
    departure: Departure
    current: Place

    @property
    def bucket(self) -> Bucket:
        return Bucket.of(self.departure.place.chosen(self.settings))

    def end(self) -> Cleared:
        """Remove all versions of all parts, then what says whose they are."""
        told = Cleared(str(self.departure.place), self.departure.tier)
        try:
            Writer(self.bucket, self.manifest, 0).compare()
        except OtherWriter as error:
            return replace(told, why=error.message)
        if self._is_current():
            return replace(told, why=f"{self.current} is the same place under another name")
        sizes = dict(self._objects())
        self.bucket.remove([*self._lake(), *sizes])
        if not self._is_used():
            self._release()
        return replace(told, removed=len(sizes), bytes=sum(sizes.values()))

    def _objects(self) -> Iterator[tuple[str, int]]:
        for dataset in CATALOGUE.values():
            folder = folder_of(self.departure.tier, dataset.name)
            for one in self.bucket.listing(folder):
                if ObjectName.parse(one.name.removeprefix(f"{folder}/")):
                    yield one.name, one.size

    def _lake(self) -> Iterator[str]:
        """Files of the lake, which is beside the archive, and written again where that is now."""
        if self.departure.tier == "archive":
            for dataset in CATALOGUE.values():
                names = (one.name for one in self.bucket.listing(lake_folder(dataset.short)))
                yield from (name for name in names if lake_partition_in(name, dataset.short))

    def _is_current(self) -> bool:
        """Whether the parts of the tier are here now: a bucket may have several URLs or endpoints."""
        here, tier = self.departure.place, self.departure.tier
        if tier not in self.current.tiers_there or (here.url, here.endpoint) == (
            self.current.url,
            self.current.endpoint,
        ):
            return False
        name, bucket = f"probe-{uuid.uuid4()}", Bucket.of(self.current.chosen(self.settings))
        bucket.put_over(name, b"", None)
        try:
            self.bucket.head(name)
        except FileNotFoundError:
            return False
        finally:
            bucket.remove([name])
        return True

    def _is_used(self) -> bool:
        """Whether parts of the other tier are there, or will be removed from there later."""
        here = self.departure.place.of_tier(self.departure.tier)
        others = [one for one in self.manifest.places.departures() if one.tier != self.departure.tier]
        used = [self.current.of_tier(tier) for tier in self.current.tiers_there]
        return here in used or here in [one.place.of_tier(one.tier) for one in others]

    def _release(self) -> None:
        """Give the place free: snapshots first, `ingest.json` last, so that nobody else begins there before."""
        self.bucket.remove([*snapshot_names(self.bucket), Pointer.NAME])
        self.bucket.remove([clock.NAME, Guard.NAME])
        self.manifest.identity.forget(self.departure.place.url)
