"""The interface to a source of daily files: its values and its calls."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol

from ingest.files import durable, opening
from ingest.sources.spool import ByteRange

Write = Callable[[int, bytes | bytearray], Awaitable[None]]
"""Receives bytes of an object, and where in it they begin."""

_MD5 = re.compile(r"[0-9a-f]{32}")
_MD5_ANY_CASE = re.compile(r"[0-9a-fA-F]{32}(-[0-9]+)?")
_TO_SECONDS = len("2025-11-11T16:03:11")
_PACKED = re.compile(r"(?<=.)[-;:]{1,2}(gzip|deflate|df|br|zstd)$", re.IGNORECASE)
"""What proxies and web servers that compress a response append to its ETag."""


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """One object of a listing. `size` is in bytes, `etag` in the form of `etag_of`, `last_modified` ISO 8601, UTC."""

    key: str
    size: int
    etag: str
    last_modified: str


@dataclass(frozen=True, slots=True)
class Body:
    """An object's bytes, checked, with the ETag that came with them.

    `etag_is_md5` is False if the ETag looks like an md5 but two attempts brought bytes with another one. The bytes of a
    large object are in the file `path`, and `data` is empty. A `borrowed` file belongs to somebody else: it is read and
    never moved.
    """

    data: bytes
    etag: str
    last_modified: str
    etag_is_md5: bool = True
    path: Path | None = None
    borrowed: bool = False

    def open(self) -> BinaryIO:
        """Its bytes as a file. Raises CacheError if its file is gone."""
        if self.path is None:
            return BytesIO(self.data)
        with durable.translated("read", self.path):
            return opening.to_read(self.path)

    @property
    def size(self) -> int:
        """Size of the object in bytes, still packed. Raises CacheError if its file is gone."""
        if self.path is None:
            return len(self.data)
        with durable.translated("look at", self.path):
            return opening.size(self.path)


def etag_of(header: object) -> str:
    """An ETag in the one form in which all are compared and stored: those of a listing and of a GET may differ.

    Quotes, the mark of a weak ETag and suffixes of compressing proxies are removed; an md5 is in lower case.
    """
    etag = re.sub(r"^[Ww]/", "", str(header or "").strip()).strip('"')
    etag = _PACKED.sub("", etag).strip('"')
    return etag.lower() if _MD5_ANY_CASE.fullmatch(etag) else etag


def same_etag(kept: str | None, listed: str) -> bool:
    """Whether a stored ETag, of any version of this project, equals one of a listing, which is normalized."""
    return kept == listed or (kept is not None and etag_of(kept) == listed)


def is_as_listed(listed: RemoteObject, came: RemoteObject, md5: str) -> bool:
    """Whether what came, with this md5, is the object that was listed, whatever ETag came with it.

    Size and md5 decide, or size and the time of its last change, to the second.
    """
    when = listed.last_modified[:_TO_SECONDS]
    same_time = when != "" and when == came.last_modified[:_TO_SECONDS]
    return came.size == listed.size and (came.etag == listed.etag or md5 == listed.etag or same_time)


def looks_like_md5(etag: str) -> bool:
    """Whether an ETag may be the md5 of its object; that of a multipart upload is not."""
    return _MD5.fullmatch(etag) is not None


class Source(Protocol):
    """What the pipeline needs of a source. The calls raise the errors below `ingest.errors.SourceError`."""

    @property
    def requests(self) -> int:
        """Requests sent so far, failed ones included."""
        ...

    async def listing(self, prefix: str) -> list[RemoteObject]:
        """All objects below a prefix, in the order of their keys."""
        ...

    async def clock_skew(self, prefix: str) -> float | None:
        """Seconds that this computer's clock is ahead of the source's; None if the source does not give its time."""
        ...

    async def probe(self, item: RemoteObject) -> None:
        """Request the first byte of an object; returns if the keys may read it, else raises Forbidden."""
        ...

    async def fetch(self, item: RemoteObject) -> Body:
        """One object, whole. One attempt; the caller decides about retries."""
        ...

    async def look_up(self, item: RemoteObject) -> RemoteObject:
        """The object that the key has now."""
        ...

    async def fetch_stretch(self, item: RemoteObject, stretch: ByteRange, write: Write, alone: bool) -> None:
        """A range of an object, or its beginning, passed to `write` piece by piece, in order; one attempt.

        Raises Disrupted if it breaks off, ObjectReplaced if the object is now another, and Unranged if the whole object
        comes, unless the caller is `alone` on it: then the bytes before the range are skipped.
        """
        ...
