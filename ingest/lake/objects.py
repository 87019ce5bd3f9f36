"""The files of a dataset's lake in an object store, beside the parts: `PREFIX/lake/stocks-day/year=2025/…`.

A put replaces an object at once, so its name is fixed, as that of a file is. But a reader makes several requests, and
the object may be replaced between two of them: so the manifest forgets a file before it is put, and knows it again
after that. Who finds the same row before and after reading has read one version. What others do to an object is seen
by whoever lists them: a run, `verify`, a query in SQL.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.cache.manifest.lake import LakeFile
from ingest.cache.objects.bucket import Bucket
from ingest.cache.objects.naming import hive_name, lake_folder, lake_partition_in
from ingest.cache.objects.scanning import scan_options
from ingest.errors import CacheError, Superseded
from ingest.files import durable
from ingest.lake.folder import InPlace, LakeFolder, Looked
from ingest.market.datasets import Dataset

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An object as the manifest knows it; `size` in bytes."""

    bucket: Bucket
    name: str
    size: int
    etag: str

    def read(self, begin: int, end: int) -> bytes:
        """Bytes from `begin` up to `end`, of this version. Raises CacheError, also if it is another one by now."""
        try:
            return self.bucket.range_of(self.name, self.etag, begin, min(end, self.size))
        except Superseded:
            where = self.bucket.described(self.name)
            raise CacheError(f"{where} was replaced or removed while it was read: ask again") from None


@dataclass(frozen=True, slots=True)
class LakeObjects:
    """Objects of a bucket; files are written in the staging of a `local` folder before they are put."""

    bucket: Bucket
    local: LakeFolder

    @property
    def dataset(self) -> Dataset:
        """See `LakePlace`."""
        return self.local.dataset

    @property
    def url(self) -> str:
        """See `LakePlace`."""
        return self.bucket.url

    @property
    def place(self) -> str:
        """See `LakePlace`."""
        return self.bucket.described(self._folder)

    @property
    def pattern(self) -> str:
        """See `LakePlace`."""
        return f"{self.place}/**/*.parquet"

    @property
    def _folder(self) -> str:
        return lake_folder(self.dataset.short)

    def name(self, partition: str) -> str:
        """The object of a partition, below the bucket's prefix."""
        return f"{self._folder}/{hive_name(partition)}"

    def source(self, partition: str) -> str:
        """See `LakePlace`."""
        return self.described(partition)

    def described(self, partition: str) -> str:
        """See `LakePlace`."""
        return self.bucket.described(self.name(partition))

    def staging(self, partition: str) -> Path:
        """See `LakePlace`."""
        return self.local.staging(partition)

    def make_room(self, partitions: Sequence[str]) -> list[str]:
        """See `LakePlace`: only where they are staged, since objects have no types."""
        return self.local.make_room(())

    def create(self) -> None:
        """See `LakePlace`."""
        self.local.create()

    def put(self, partition: str, staged: Path) -> InPlace:
        """See `LakePlace`. The caller is the bucket's writer."""
        try:
            with durable.translated("read", staged):
                stored = self.bucket.put_anyway(self.name(partition), staged)
        finally:
            durable.remove(staged)
        return InPlace(stored.size, time.time_ns(), stored.etag)

    def stored(self, known: LakeFile) -> StoredFile:
        """An object that can be read by ranges, as a version that the manifest knows."""
        return StoredFile(self.bucket, self.name(known.partition), known.size, known.etag)

    def sweep(self) -> None:
        """See `LakePlace`."""
        self.local.sweep()

    def look(self, known: Iterable[LakeFile]) -> Looked:
        """See `LakePlace`: by one listing, a request for each thousand."""
        listed = {one.name: (one.size, one.etag) for one in self.bucket.listing(self._folder)}
        found = frozenset(one for name in listed if (one := lake_partition_in(name, self.dataset.short)))
        same = (one.partition for one in known if listed.get(self.name(one.partition)) == (one.size, one.etag))
        return Looked(found, frozenset(same))

    def is_trusted(self, known: LakeFile) -> bool:
        """See `LakePlace`: the manifest says so."""
        return True

    def scan(self, files: Sequence[LakeFile]) -> "pl.LazyFrame":
        """See `LakePlace`: the library of polars requests the ranges that it needs."""
        import polars as pl  # which a run with nothing to do does not import

        urls = [self.source(one.partition) for one in files]
        return pl.scan_parquet(urls, hive_partitioning=False, glob=False, **scan_options(self.bucket))

    def drop(self, partitions: Sequence[str]) -> None:
        """See `LakePlace`. The caller is the bucket's writer."""
        self.bucket.remove([self.name(one) for one in partitions])

    def drop_empty(self) -> None:
        """See `LakePlace`: a bucket has no folders."""
        self.local.drop_empty()
