"""Machines that write to one bucket, each with a manifest of its own."""

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from manifest_kit import DATASET, DAY, session_record
from memory_bucket_kit import MemoryBucket

from ingest.cache.manifest import Manifest
from ingest.cache.objects.writing.guard import Guarding
from ingest.cache.objects.writing.records import Guard, Pointer, found
from ingest.cache.objects.writing.writer import Writer
from ingest.errors import OtherWriter


@dataclass(eq=False)
class Machine:
    """A cache on one machine, and the bucket as it sees it."""

    path: Path
    bucket: MemoryBucket

    def opened(self):
        return Manifest.open(self.path, DATASET)

    @contextmanager
    def writing(self, every_s=600.0):
        with self.opened() as manifest:
            manifest.runs.begin(DAY, DAY)
            yield Writer(self.bucket, manifest, every_s)

    def run(self, *days):
        """A run that commits these days, each claimed before."""
        with self.writing() as writer:
            writer.compare()
            for day in days:
                writer.claim()
                self.commit(writer, day)
            writer.snapshot(1)

    def commit(self, writer, day, etag="e1"):
        writer.manifest.sessions.commit([session_record(writer.manifest, day, etag)], [], 1)

    def committed(self):
        with Manifest.read(self.path, DATASET) as manifest:
            return manifest.sessions.committed()

    def copied(self, folder):
        """A machine with a copy of the cache, and the same bucket."""
        folder.mkdir()
        with Manifest.open(self.path, DATASET) as manifest:
            manifest.database.copy_to(folder / self.path.name)
        return Machine(folder / self.path.name, self.bucket)

    def take_over(self):
        """What a restoration does to the bucket, with the manifest that is here."""
        guard, pointer = found(self.bucket, Guard), found(self.bucket, Pointer)
        with self.writing() as writer:
            writer.manifest.identity.renew()
            Guarding(self.bucket, writer.manifest.identity).take_over(guard)
            writer.snapshots.take_over(pointer, 1)

    def is_writer(self):
        """Whether it believes that it may write."""
        with self.writing() as writer:
            try:
                writer.compare()
            except OtherWriter:
                return False
        return True
