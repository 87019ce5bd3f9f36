"""What a run does to be the only writer of its bucket: compares before it begins, claims, and stores snapshots."""

import time
from dataclasses import dataclass, field

from ingest.cache.manifest import Manifest
from ingest.cache.objects.bucket import Bucket
from ingest.cache.objects.writing.guard import Guarding
from ingest.cache.objects.writing.snapshots import Snapshots


@dataclass(slots=True)
class Writer:
    """A manifest that is open for writing, as the writer of a bucket.

    All calls raise OtherWriter, which names the rival, and CacheError. After OtherWriter nothing may be committed.
    """

    bucket: Bucket
    manifest: Manifest
    every_s: float
    is_claimed: bool = False
    _next: float = field(init=False)

    def __post_init__(self) -> None:
        self._next = time.monotonic() + self.every_s

    @property
    def snapshots(self) -> Snapshots:
        """The snapshots of the manifest in the bucket."""
        return Snapshots(self.bucket, self.manifest.identity)

    def compare(self) -> None:
        """See that no other machine is the writer, or has written since this one did; stores nothing in the bucket."""
        guarding = Guarding(self.bucket, self.manifest.identity)
        guard = guarding.compare()
        self.snapshots.compare()
        if guard:
            guarding.accept(guard)
        self.is_claimed = guard is not None

    def claim(self) -> None:
        """Become the writer, if the bucket has none: to be called before anything is put there."""
        if not self.is_claimed:
            Guarding(self.bucket, self.manifest.identity).claim()
            self.is_claimed = True

    def snapshot(self, run: int) -> None:
        """Store a snapshot of the manifest after this run, if anything has changed since the last one."""
        if self.snapshots.is_due():
            self.claim()
            self.snapshots.store(run)
        self._next = time.monotonic() + self.every_s

    def snapshot_if_due(self, run: int) -> None:
        """Like `snapshot`, but only if the last one, or the beginning of the run, was `every_s` seconds ago."""
        if time.monotonic() >= self._next:
            self.snapshot(run)
