"""One writer: `ingest.json` in an object store names the manifest that may write there, by its id.

It is created by the first run that stores anything, and only if there is none, so of two machines one is refused; it is
read back, so that one is refused almost always where a store ignores that condition. A copy of a manifest has the same
id: snapshots tell it apart. No clock and no lease is asked; taking over is explicit.
After a kill the file may be there although the manifest does not know: it has our id, and so it is ours.
"""

import platform
from dataclasses import dataclass, replace

from ingest.cache.manifest.database import now
from ingest.cache.manifest.stores.identity import Identity, KnownStore
from ingest.cache.objects.bucket import Bucket
from ingest.cache.objects.writing.records import Guard, encoded, found
from ingest.errors import CacheError, OtherWriter, Superseded
from ingest.hints import call

SeenGuard = tuple[Guard, str] | None
"""The guard of a bucket with its ETag; None if there is none."""


@dataclass(frozen=True, slots=True)
class Guarding:
    """Compares a bucket's guard with the id of the manifest that wants to write there, and creates it."""

    bucket: Bucket
    identity: Identity

    def compare(self) -> Guard | None:
        """The bucket's guard, if it names this manifest; None without one. Raises OtherWriter, CacheError."""
        seen = found(self.bucket, Guard)
        if seen is None:
            return None
        known = self._known()
        if seen[0].manifest != self.identity.known() or known.generation not in (0, seen[0].generation):
            raise self._refusal(seen[0], known)
        return seen[0]

    def claim(self) -> None:
        """Become the writer of a bucket that has none. Raises OtherWriter, CacheError."""
        # Since it was compared, a plan was made, and a store may ignore that the guard must not exist.
        if guard := self.compare():
            self.accept(guard)
        else:
            self._put(self._known().generation or 1, None)

    def take_over(self, seen: SeenGuard) -> None:
        """Become the writer in place of the one that was `seen`. Raises OtherWriter if another one was faster."""
        self._put(seen[0].generation + 1 if seen else 1, seen and seen[1])

    def accept(self, guard: Guard) -> None:
        """Record the generation of a guard that names this manifest."""
        if not self._known().generation:
            self.identity.note(replace(self._known(), generation=guard.generation))

    def _put(self, generation: int, etag: str | None) -> None:
        guard = Guard(self.identity.own(), generation, platform.node(), now())
        self.identity.note(self._known())  # before it is put: from here on, a copy knows that it may be one
        try:
            self.bucket.put_over(Guard.NAME, encoded(guard), etag)
        except Superseded:  # by another machine, or by ourselves, and the answer was lost
            self.compare()
        else:
            self._read_back(guard)
        self.accept(guard)

    def _read_back(self, guard: Guard) -> None:
        """See that a guard is there as it was put: a store without conditions lets another machine put over it."""
        seen = found(self.bucket, Guard)
        if seen is None:
            raise CacheError(f"{self.bucket.described(Guard.NAME)} was stored, and is missing: the store keeps nothing")
        if seen[0].manifest != guard.manifest:
            raise self._refusal(seen[0], self._known())

    def _known(self) -> KnownStore:
        return self.identity.store(self.bucket.url) or KnownStore(self.bucket.url, 0)

    def _refusal(self, guard: Guard, known: KnownStore) -> OtherWriter:
        where = self.bucket.described("").rstrip("/")
        if not known.generation:
            return OtherWriter(
                f"{where} belongs to another cache: {guard.host} has written to it since {guard.since}. Choose "
                "another prefix",
                call("restore", "if that machine or its manifest is gone, to take its place"),
            )
        return OtherWriter(
            f"{where} was taken over by {guard.host} at {guard.since}: this machine writes nothing more to it",
            call("restore", f"to take it back, once {self.identity.database.path} is moved away"),
        )
