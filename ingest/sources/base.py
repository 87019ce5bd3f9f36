"""The seam to a source of daily files: its values and its calls."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol

from ingest.files import durable, opening
from ingest.sources.spool import ByteRange

Write = Callable[[int, bytes | bytearray], Awaitable[None]]
"""Takes bytes of an object, and where in it they begin."""

_MD5 = re.compile(r"[0-9a-f]{32}")
_MD5_ANY_CASE = re.compile(r"[0-9a-fA-F]{32}(-[0-9]+)?")
_TO_SECONDS = len("2025-11-11T16:03:11")
_PACKED = re.compile(r"(?<=.)[-;:]{1,2}(gzip|deflate|df|br|zstd)$", re.IGNORECASE)
"""What proxies and web servers that pack an answer append to its ETag."""


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """One object of a listing. `size` is in bytes, `etag` as `etag_of` has it, `last_modified` ISO 8601, UTC."""

    key: str
    size: int
    etag: str
    last_modified: str


@dataclass(frozen=True, slots=True)
class Body:
    """An object's bytes, checked, with the ETag that came with them.

    `etag_is_md5` is False where the ETag looks like an md5 and is not that of the bytes, twice over. Those of a large
    object are in the file `path`, and `data` is empty.
    """

    data: bytes
    etag: str
    last_modified: str
    etag_is_md5: bool = True
    path: Path | None = None

    def open(self) -> BinaryIO:
        """Its bytes as a file. Raises CacheError where its own is gone."""
        if self.path is None:
            return BytesIO(self.data)
        with durable.translated("read", self.path):
            return opening.to_read(self.path)

    @property
    def size(self) -> int:
        """Bytes of the object, packed as it is. Raises CacheError where its file is gone."""
        if self.path is None:
            return len(self.data)
        with durable.translated("look at", self.path):
            return opening.size(self.path)


def etag_of(header: object) -> str:
    """An ETag in the one form in which all are compared and kept: that of a listing and that of a GET may differ.

    It is without its quotes, without the mark of a weak one and what a proxy that packs has appended; an md5 is in
    small letters.
    """
    etag = re.sub(r"^[Ww]/", "", str(header or "").strip()).strip('"')
    etag = _PACKED.sub("", etag).strip('"')
    return etag.lower() if _MD5_ANY_CASE.fullmatch(etag) else etag


def same_etag(kept: str | None, listed: str) -> bool:
    """Whether an ETag kept by whichever version of this project is one of a listing, which is in its one form."""
    return kept == listed or (kept is not None and etag_of(kept) == listed)


def is_as_listed(listed: RemoteObject, came: RemoteObject, md5: str) -> bool:
    """Whether what came, with this md5, is the object that was listed, whatever ETag came with it.

    Size and md5 say so, or size and the time of its last change, to the second.
    """
    when = listed.last_modified[:_TO_SECONDS]
    same_time = when != "" and when == came.last_modified[:_TO_SECONDS]
    return came.size == listed.size and (came.etag == listed.etag or md5 == listed.etag or same_time)


def looks_like_md5(etag: str) -> bool:
    """Whether an ETag may be the md5 of its object: that of one which was stored in several parts is not."""
    return _MD5.fullmatch(etag) is not None


class Source(Protocol):
    """What the pipeline asks of a source. The calls raise the errors below `ingest.errors.SourceError`."""

    @property
    def requests(self) -> int:
        """Requests sent so far, failed ones included."""
        ...

    async def listing(self, prefix: str) -> list[RemoteObject]:
        """All objects below a prefix, in the order of their keys."""
        ...

    async def clock_skew(self, prefix: str) -> float | None:
        """Seconds that this computer's clock is ahead of the source's; None where it does not tell its time."""
        ...

    async def probe(self, item: RemoteObject) -> None:
        """Ask for the first byte of an object; returns where the keys may read it, raises Forbidden where not."""
        ...

    async def fetch(self, item: RemoteObject) -> Body:
        """One object, whole. One attempt: whether to try again is the caller's decision."""
        ...

    async def look_up(self, item: RemoteObject) -> RemoteObject:
        """The object that is under the key now."""
        ...

    async def fetch_stretch(self, item: RemoteObject, stretch: ByteRange, write: Write, alone: bool) -> None:
        """A stretch of an object, or its beginning, handed to `write` piece by piece, in order; one attempt.

        Raises Disrupted where it breaks off, Replaced where the object is another by now, and Unranged where all of it
        comes, unless the caller is `alone` on it: then what comes before the stretch is passed over.
        """
        ...
