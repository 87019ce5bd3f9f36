"""A place in an object store: put once, replace if unchanged, read, list, remove.

Each call is repeated while the store fails (`Tuning.store_waited_s`), and each may have taken effect although its
answer was lost: a put is then found to be there, a removal has nothing to remove. Calls wait for the network without
the GIL, and any number of threads may make them.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import md5, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import tenacity

from ingest.cache.objects.client import Access, check_access, client, learnt
from ingest.cache.objects.faults import BeyondEnd, ConditionFailed, not_taken, translated
from ingest.cache.objects.listing import PAGE, Pages, Stored, bare, stored_as
from ingest.cache.objects.spans import Spans
from ingest.errors import IngestError, StoreConflict, StoreUnavailable, Superseded
from ingest.files import opening
from ingest.settings import Settings
from ingest.settings.sections.store import place_of

if TYPE_CHECKING:
    from obstore import GetOptions

_T = TypeVar("_T")
_BELIEVED = 3


@dataclass(frozen=True, slots=True)
class Bucket(Access):
    """A place in an object store; a value without keys, which may be pickled.

    Calls raise StoreUnavailable if the store does not do what was asked within `Tuning.store_waited_s`, StoreRefused if
    it refuses keys, bucket or request. Reads raise FileNotFoundError for a missing object.
    """

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The place that the settings name. Raises UsageError without the extra, or with settings of another store."""
        chosen = settings.store
        made = cls(settings.cache.archive, chosen.endpoint, chosen.region, chosen.profile, settings.tuning)
        check_access(made)
        return made

    def described(self, name: str) -> str:
        """An object's URL, for messages."""
        return f"{self.url}/{name}"

    def put_new(self, name: str, data: bytes | Path, sha256: str) -> Stored:
        """Store what nobody replaces, under a name that follows from its bytes; the same again is no error.

        `sha256` is the hexadecimal hash of `data`. Raises StoreConflict if other bytes have the name. A file of more
        than `Tuning.store_multipart` bytes is put in several requests, without the condition, which the library cannot
        set there: who else puts this name puts the same bytes.
        """
        size = len(data) if isinstance(data, bytes) else opening.size(data)
        if size > self.tuning.store_multipart:
            return self._put_large(name, data, size, sha256)
        body = data if isinstance(data, bytes) else opening.read(data)
        try:
            return self._trying(name, lambda: self._put(name, body, "create"))
        except ConditionFailed:
            return self._found(name, size, sha256, _md5(body))

    def put_right(self, name: str, data: Path, sha256: str) -> Stored:
        """Replace an object whose bytes are not those that its name stands for; in between it is not missing.

        Who else does so puts the same bytes, and whoever comes second finds them there.
        """
        if (size := data.stat().st_size) > self.tuning.store_multipart:
            return Stored(name, size, self._trying(name, lambda: self._put_in_chunks(name, data)), datetime.now(UTC))
        try:
            return self.put_over(name, data.read_bytes(), self.head(name).etag)
        except (Superseded, FileNotFoundError):
            return self.put_new(name, data, sha256)

    def put_over(self, name: str, data: bytes, etag: str | None) -> Stored:
        """Replace the version with this `etag`; None: create it. Raises Superseded if that is not what is there."""
        tries = self._tries()

        def once() -> Stored:
            try:
                return self._translating(name, lambda: self._put(name, data, self._mode(name, etag)))
            except ConditionFailed:
                # An earlier attempt may have taken effect, although its answer was lost.
                if tries.statistics["attempt_number"] > 1 and (ours := self._holds(name, data)):
                    return ours
                raise Superseded(f"{self.described(name)} has been written by somebody else") from None

        return self._by(tries, name, once)

    def put_anyway(self, name: str, data: Path) -> Stored:
        """Put an object in place of whatever has its name; a reader sees what was there, or this.

        For what can be made again, under names that only the writer of this place puts.
        """
        size = opening.size(data)
        if size > self.tuning.store_multipart:
            return Stored(name, size, self._trying(name, lambda: self._put_in_chunks(name, data)), datetime.now(UTC))
        body = opening.read(data)
        return self._trying(name, lambda: self._put(name, body, "overwrite"))

    def get(self, name: str) -> tuple[bytes, Stored]:
        """A whole object. Its md5 is compared with an ETag that looks like one, unless this store's are no md5.

        Bytes that came three times, in the right number, are believed: then its ETags are something else.
        """
        seen: Counter[str] = Counter()

        def once() -> tuple[bytes, Stored]:
            found = client(self).get(name)
            stored, data = stored_as(found.meta), bytes(found.bytes())
            hashed = _md5(data)
            seen[hashed] += 1
            if len(data) != stored.size or not self._is_believed(stored, hashed, seen):
                raise StoreUnavailable(f"the bytes of {self.described(name)} were damaged on the way")
            return data, stored

        return self._trying(name, once)

    def _is_believed(self, stored: Stored, hashed: str, seen: Counter[str]) -> bool:
        if len(stored.etag) != len(hashed) or stored.etag == hashed or learnt(self).has_odd_etags:
            return True
        if seen[hashed] < _BELIEVED or client(self).head(stored.name)["size"] != stored.size:
            return False
        learnt(self).has_odd_etags = True
        return True

    def ranges(self, name: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Bytes from `begin` up to `end` of each range; fewer if the object ends before, none behind its end."""
        spans = Spans.covering(ranges, self.tuning.store_gap)
        try:
            bodies = self._trying(name, lambda: self._spans(name, spans))
            if spans.are_filled_by(bodies):
                return spans.cut(bodies, ranges)
        except BeyondEnd:
            pass  # like too few bytes: the end of the object, or of a connection, which its size tells
        inside = spans.up_to(self.head(name).size)
        return inside.cut(self._trying(name, lambda: self._filled(name, inside)), ranges)

    def range_of(self, name: str, etag: str, begin: int, end: int) -> bytes:
        """Bytes from `begin` up to `end` of the version with this `etag`, which has as many.

        Raises Superseded if it is another version, or missing.
        """

        def once() -> bytes:
            options: GetOptions = {"range": (begin, end), "if_match": f'"{etag}"'}
            data = bytes(client(self).get(name, options=options).bytes())
            if len(data) != end - begin:
                raise StoreUnavailable(f"the bytes of {self.described(name)} were cut short on the way")
            return data

        try:
            return self._trying(name, once) if begin < end else b""
        except (ConditionFailed, BeyondEnd, FileNotFoundError):
            raise Superseded(f"{self.described(name)} has been written or removed by somebody else") from None

    def head(self, name: str) -> Stored:
        """What the store says of an object."""
        return self._trying(name, lambda: stored_as(client(self).head(name)))

    def listing(self, folder: str = "") -> Iterator[Stored]:
        """The objects below a folder, each once, a request for a thousand; `a` has `a/b`, and not `ab`.

        After a fault it goes on behind the last name that came. In the store's order.
        """
        pages = Pages(self, folder)
        while page := self._trying(folder, pages.following):
            yield from page

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects; missing ones are ignored."""
        for begin in range(0, len(names), PAGE):
            self._remove(list(names[begin : begin + PAGE]))

    def _remove(self, names: list[str]) -> None:
        try:
            self._trying(names[0], lambda: client(self, "write").delete(names))
        except FileNotFoundError:  # of one of them, by stores other than S3
            for name in names if len(names) > 1 else ():
                self._remove([name])

    def _put(self, name: str, data: bytes, mode: Any) -> Stored:
        try:
            result = client(self, "write").put(name, data, mode=mode, use_multipart=False)
        except FileNotFoundError as error:
            if isinstance(mode, dict):  # what was to be replaced
                raise ConditionFailed(f"{self.described(name)} is missing") from None
            raise not_taken(error, self.url) from None
        return Stored(name, len(data), bare(result["e_tag"]), datetime.now(UTC))

    def _mode(self, name: str, etag: str | None) -> Any:
        if etag is None:
            return "create"
        if place_of(self.url).scheme != "gs":
            return {"e_tag": f'"{etag}"'}
        try:  # Google compares generations: that of the version with this ETag never changes
            meta = client(self).head(name)
        except FileNotFoundError:
            raise ConditionFailed(f"{self.described(name)} is missing") from None
        if bare(meta["e_tag"]) != etag:
            raise ConditionFailed(f"{self.described(name)} is another version")
        return {"e_tag": meta["e_tag"], "version": meta["version"]}

    def _put_large(self, name: str, data: bytes | Path, size: int, sha256: str) -> Stored:
        try:
            return self._found(name, size, sha256)
        except FileNotFoundError:
            etag = self._trying(name, lambda: self._put_in_chunks(name, data))
            return Stored(name, size, etag, datetime.now(UTC))

    def _put_in_chunks(self, name: str, data: bytes | Path) -> str:
        put = client(self, "multipart").put
        size, at_once = self.tuning.store_chunk, self.tuning.store_chunks_at_once
        with nullcontext(data) if isinstance(data, bytes) else opening.to_read(data) as file:
            try:
                return bare(put(name, file, use_multipart=True, chunk_size=size, max_concurrency=at_once)["e_tag"])
            except FileNotFoundError as error:
                raise not_taken(error, self.url) from None

    def _found(self, name: str, size: int, sha256: str, hashed: str = "") -> Stored:
        """The object that has the name already. Raises StoreConflict if its bytes are others."""
        stored = self.head(name)
        # Any ETag but the md5 says nothing about the bytes, and then they are read.
        if stored.size == size and (stored.etag == hashed or self._sha256(name) == sha256):
            return stored
        raise StoreConflict(f"{self.described(name)} is not what its name says, and is not replaced; look at it first")

    def _holds(self, name: str, data: bytes) -> Stored | None:
        """What is stored, if it is this."""
        try:
            found, stored = self.get(name)
        except FileNotFoundError:
            return None
        return stored if found == data else None

    def _sha256(self, name: str) -> str:
        def once() -> str:
            hashed = sha256()
            for chunk in client(self).get(name).stream(self.tuning.store_chunk):
                hashed.update(chunk)
            return hashed.hexdigest()

        return self._trying(name, once)

    def _spans(self, name: str, spans: Spans) -> list[bytes]:
        if not spans.all:
            return []
        starts, ends = zip(*spans.all, strict=True)
        return [bytes(one) for one in client(self).get_ranges(name, starts=starts, ends=ends, coalesce=0)]

    def _filled(self, name: str, spans: Spans) -> list[bytes]:
        bodies = self._spans(name, spans)
        if not spans.are_filled_by(bodies):
            raise StoreUnavailable(f"the bytes of {self.described(name)} were cut short on the way")
        return bodies

    def _tries(self, spent_s: float = 0) -> tenacity.Retrying:
        tuned = self.tuning
        return tenacity.Retrying(
            stop=tenacity.stop_before_delay(tuned.store_waited_s - spent_s),
            wait=tenacity.wait_random_exponential(tuned.store_wait_first_s, tuned.store_wait_longest_s),
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, IngestError) and error.retryable),
            reraise=True,
        )

    def _trying(self, name: str, once: Callable[[], _T]) -> _T:
        # The first attempt without the machinery of retries, which takes a third of the CPU time of a request.
        began, failed = time.monotonic(), list[IngestError]()
        try:
            return self._translating(name, once)
        except IngestError as error:
            failed.append(error)

        def again() -> _T:
            if failed:
                raise failed.pop()
            return once()

        return self._by(self._tries(time.monotonic() - began), name, again)

    def _by(self, tries: tenacity.Retrying, name: str, once: Callable[[], _T]) -> _T:
        result: _T = tries(self._translating, name, once)
        return result

    def _translating(self, name: str, once: Callable[[], _T]) -> _T:
        try:
            return once()
        except IngestError:
            raise
        except Exception as error:  # the library's are of no common class
            raise translated(error, self.described(name), self.url) from None


def _md5(data: bytes) -> str:
    return md5(data, usedforsecurity=False).hexdigest()
