"""The store of a dataset's parts if the settings name a bucket for them."""

from ingest.cache.objects.bucket import Bucket
from ingest.cache.objects.parts import ObjectParts
from ingest.cache.objects.tiered import ArchiveInBucket
from ingest.cache.parts.local import LocalParts
from ingest.cache.parts.store import PartStore
from ingest.market.datasets import Dataset
from ingest.settings import Settings


def in_bucket(settings: Settings, dataset: Dataset, local: LocalParts) -> PartStore:
    """Parts of both tiers in the bucket, or the tracked ones in their folder if only the archive is to be there."""
    scratch = settings.cache.root / "staged" / dataset.short
    objects = ObjectParts(Bucket.of(settings), dataset.name, LocalParts(scratch / "tracked", scratch / "archive"))
    return objects if settings.store.tiers == "both" else ArchiveInBucket(local, objects)
