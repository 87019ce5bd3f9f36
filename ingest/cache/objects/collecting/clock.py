"""The time by the clock of an object store, which is also that of `Stored.modified`.

A kill leaves a small object that the next reading of the clock writes over.
"""

import uuid
from contextlib import suppress
from datetime import datetime

from ingest.cache.objects.bucket import Bucket
from ingest.errors import StoreUnavailable, Superseded

NAME = "clock.txt"
"""What is written to see which time the store gives it; always the same object, so nothing is left to remove."""


def time_of(bucket: Bucket) -> datetime:
    """What time the store says it is (UTC), to the second: three requests. Raises CacheError."""
    with suppress(Superseded):  # by another program that wanted to know, just now
        # Other bytes each time: after a lost answer, they tell whether this was written.
        bucket.put_over(NAME, f"{uuid.uuid4()}\n".encode(), _etag(bucket))
    try:
        return bucket.head(NAME).modified
    except FileNotFoundError:
        raise StoreUnavailable(f"{bucket.described(NAME)} was stored, and is missing") from None


def _etag(bucket: Bucket) -> str | None:
    try:
        return bucket.head(NAME).etag
    except FileNotFoundError:
        return None
