"""Whether an object store does what parts in it need, found out by doing it with an object that is removed again."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from ingest.cache.manifest import Manifest
from ingest.cache.objects.bucket import Bucket
from ingest.cache.objects.listing import Stored
from ingest.cache.objects.writing.guard import Guarding
from ingest.errors import CacheError, IngestError, OtherWriter, Superseded
from ingest.maintenance.checked import CacheCheck, Check, WriterCheck
from ingest.settings import Settings

_FOLDER = "check"
_WAITED_S = 10.0
"""A check waits less for a store that fails than a nightly run."""

_SKEW = timedelta(seconds=60)
_TEXT = b"ingest check put this here and removes it again; nothing else needs it\n"
_RANGES = ((7, 12), (60, 500))
_UNTOLD = (
    "two coordinators cannot be told apart there: let one computer alone run ingest with this place, or take a store "
    "that knows If-None-Match and If-Match"
)
_ALLOWED = "the keys must be allowed to list the bucket, and to read, write and delete objects in it"


def store_checks(settings: Settings) -> list[Check]:
    """What the object store of `[cache] archive` does, in the order in which it is tried. Raises no IngestError.

    After a step that the store does not answer there are no more, but what was put there is removed.
    """
    tuned = replace(settings.tuning, store_waited_s=min(_WAITED_S, settings.tuning.store_waited_s))
    try:
        bucket = replace(Bucket.of(settings), tuning=tuned)
        began = time.monotonic()
        for _ in bucket.listing(_FOLDER):
            break
    except IngestError as error:
        return [CacheCheck("store", False, error.message, "see [cache] archive and [store]", hints=error.hints)]
    reached = CacheCheck("store", True, f"{bucket.url}, {(time.monotonic() - began) * 1e3:.0f} ms")
    return [reached, _writer(settings, bucket), *_Trial(bucket).checks()]


def _writer(settings: Settings, bucket: Bucket) -> Check:
    """Whether this cache may write there."""
    try:
        with Manifest.read(settings.manifest_path) as manifest:
            guard = Guarding(bucket, manifest.identity).compare()
    except OtherWriter as error:
        return WriterCheck("writer", False, error.message, hints=error.hints)
    except CacheError as error:
        return CacheCheck("writer", False, error.message, hints=error.hints)
    return CacheCheck("writer", True, f"this cache, since {guard.since}" if guard else "nobody yet")


class _Trial:
    """Steps with an object of a name that nobody else has, each of which says what the store did."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._name = f"{_FOLDER}/{uuid4().hex}"
        self._began = datetime.now(UTC)
        self._put = Stored(self._name, 0, "", self._began)

    def checks(self) -> list[Check]:
        """All steps, as far as the store answers."""
        steps: dict[str, Callable[[], Check]] = {
            "create": self._created,
            "again": self._created_again,
            "swap": self._swapped,
            "range": self._ranged,
            "list": self._listed,
            "time": self._timed,
        }
        try:
            found = list(self._done(steps))
        finally:
            removed = self._step("remove", self._removed)
        return [*found, removed]

    def _done(self, steps: dict[str, Callable[[], Check]]) -> Iterator[Check]:
        for name, step in steps.items():
            found = self._step(name, step)
            yield found
            if not found.passed and found.needed:
                return

    def _step(self, name: str, step: Callable[[], Check]) -> Check:
        try:
            return step()
        except CacheError as error:
            return CacheCheck(name, False, error.message, _ALLOWED)
        except FileNotFoundError:
            return CacheCheck(name, False, f"{self._bucket.described(self._name)} is missing, although it was just put")

    def _created(self) -> Check:
        self._put = self._bucket.put_over(self._name, _TEXT, None)
        return CacheCheck("create", True, "creates an object, and has checked its hash")

    def _created_again(self) -> Check:
        if self._replaces(b"another", None):
            return CacheCheck("again", False, "creates an object that exists once more, over it", _UNTOLD, needed=False)
        return CacheCheck("again", True, "refuses to create it once more")

    def _swapped(self) -> Check:
        """The right version is replaced, a stale one is not."""
        stale = self._put.etag
        if not self._replaces(_TEXT * 2, stale):
            return CacheCheck(
                "swap", False, "does not replace the version that it has just named", "take another store"
            )
        if self._replaces(b"another", stale):
            return CacheCheck(
                "swap", False, "replaces an object that is not the expected version", _UNTOLD, needed=False
            )
        return CacheCheck("swap", True, "replaces the version that is expected, and no other")

    def _replaces(self, data: bytes, etag: str | None) -> bool:
        try:
            self._put = self._bucket.put_over(self._name, data, etag)
        except Superseded:
            return False
        return True

    def _ranged(self) -> Check:
        data, _ = self._bucket.get(self._name)
        if self._bucket.ranges(self._name, _RANGES) == [data[begin:end] for begin, end in _RANGES]:
            return CacheCheck("range", True, "returns ranges of bytes")
        return CacheCheck("range", False, "returns other bytes than those of a range", "take another store")

    def _listed(self) -> Check:
        listed = [one for one in self._bucket.listing(_FOLDER) if one.name == self._name]
        if [(one.size, one.etag) for one in listed] == [(self._put.size, self._put.etag)]:
            return CacheCheck("list", True, "lists it, with its size and ETag")
        advice = "verify compares listings with what was put: take another store"
        return CacheCheck("list", False, f"lists it {len(listed)} times, or with another size or ETag", advice)

    def _timed(self) -> Check:
        """The store's clock, which says when an object was put, beside ours. It counts seconds."""
        modified = self._bucket.head(self._name).modified
        early, late = self._began - timedelta(seconds=1) - modified, modified - datetime.now(UTC)
        off = max(early, late, timedelta())
        if off > _SKEW:
            said = f"this computer's clock and the store's are {off.total_seconds():.0f} s apart"
            return CacheCheck("time", False, said, "set this computer's clock", needed=False)
        return CacheCheck("time", True, "its clock and this computer's agree")

    def _removed(self) -> Check:
        bucket = self._bucket
        bucket.remove([self._name])
        if any(one.name == self._name for one in bucket.listing(_FOLDER)):
            return CacheCheck("remove", False, f"{bucket.described(self._name)} is still listed", "remove it yourself")
        return CacheCheck("remove", True, "removes it")
