"""The removal of garbage from an object store, at the start of a run, by the holder of the lock.

It comes after interrupted replacements were completed and the run was planned, and before its first task begins: what
a task finds in the store from then on stays there. A kill leaves objects that are known to be unwanted, or rows about
objects that are gone; the next sweep mends either.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from ingest.cache.manifest import Manifest
from ingest.cache.objects.bucket import Bucket
from ingest.cache.objects.collecting.clock import time_of
from ingest.cache.objects.collecting.garbage import Decision, Seen, decide
from ingest.cache.objects.naming import object_name
from ingest.cache.objects.parts import ObjectParts
from ingest.cache.objects.tiered import ArchiveInBucket
from ingest.cache.objects.writing.writer import Writer
from ingest.cache.parts.store import PartStore
from ingest.errors import CacheError, StoreRefused, StoreUnavailable
from ingest.events import Notice
from ingest.market.datasets import TIERS, Tier


@dataclass(frozen=True, slots=True)
class Swept:
    """What was removed: `objects`, of `bytes` together; `failure` is why the store did not do all of it, if so."""

    objects: int = 0
    bytes: int = 0
    failure: CacheError | None = None

    def said(self, place: str) -> Iterator[Notice]:
        """What to tell of it, if anything."""
        if self.objects:
            parts = "1 part" if self.objects == 1 else f"{self.objects:,} parts"
            size = f"{self.bytes / 1e6:,.1f} MB"
            yield Notice(f"removed {parts} ({size}) from {place}: replaced, or never committed")
        if self.failure:
            yield Notice(f"parts that are no longer needed stay until the next run: {self.failure.message}", "warning")


@dataclass(frozen=True, slots=True)
class Sweep:
    """The objects of one dataset, and its manifest, open for writing by the bucket's only `writer`."""

    manifest: Manifest
    stores: Mapping[Tier, ObjectParts]
    writer: Writer

    @classmethod
    def of(cls, manifest: Manifest, parts: PartStore, writer: Writer) -> "Sweep":
        """For those tiers of `parts` that are in a bucket."""
        match parts:
            case ObjectParts():
                return cls(manifest, dict.fromkeys(TIERS, parts), writer)
            case ArchiveInBucket():
                return cls(manifest, {"archive": parts.archive}, writer)
        return cls(manifest, {}, writer)

    def run(self, present: Mapping[Tier, Collection[str]], keep: timedelta, spared: Collection[date]) -> Swept:
        """Remove the objects that no session has referred to for as long as `keep`; see `garbage.decide`.

        `present` are the names just listed: if all of them are wanted, the store is not asked anything. `spared` are
        the sessions that the run will download. A store that fails or refuses is told of in the result; what it has
        removed before that is not counted. Raises OtherWriter, and CacheError for anything else.
        """
        wanted = self._wanted()
        found = {object_name(tier, self._dataset, name) for tier in self.stores for name in present[tier]}
        if found <= wanted and not self.manifest.objects.unwanted():
            return Swept()
        try:
            self.writer.claim()
            decision = decide(self._seen(wanted), keep, spared)
            self._record(decision)
            return self._remove(decision)
        except (StoreUnavailable, StoreRefused) as error:
            return Swept(failure=error)

    @property
    def _dataset(self) -> str:
        return self.manifest.database.dataset

    @property
    def _bucket(self) -> Bucket:
        return next(iter(self.stores.values())).bucket

    def _wanted(self) -> frozenset[str]:
        keys = self.manifest.at_once(lambda: list(self.manifest.objects.wanted()))
        mine = [key for key in keys if key.tier in self.stores]
        return frozenset(object_name(key.tier, self._dataset, self.stores[key.tier].name(key)) for key in mine)

    def _seen(self, wanted: frozenset[str]) -> Seen:
        """The store as it is now. The clock comes first, so what is put meanwhile is younger than `now`."""
        now = time_of(self._bucket)
        listed = {one.name: one for tier, store in self.stores.items() for one in store.listing(tier)}
        return Seen(self._dataset, listed, wanted, self.manifest.objects.unwanted(), now)

    def _record(self, decision: Decision) -> None:
        with self.manifest.database.transaction():
            self.manifest.objects.want(decision.wanted)
            self.manifest.objects.forget(decision.gone)
            self.manifest.objects.want_no_more(decision.unwanted)

    def _remove(self, decision: Decision) -> Swept:
        names = [one.name for one in decision.garbage]
        if names:
            self.writer.compare()  # the machine may have slept since the run began
            self._bucket.remove(names)
            self.manifest.objects.forget(names)
        return Swept(len(names), sum(one.size for one in decision.garbage))
