"""The seam to a source of daily files: its values and its calls."""

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol

from ingest.tiers import durable
from ingest.tiers.spool import Stretch

Write = Callable[[int, bytes | bytearray], Awaitable[None]]
"""Takes bytes of an object, and where in it they begin."""

_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """One object of a listing. `size` is in bytes, `etag` without its quotes, `last_modified` ISO 8601, UTC."""

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
            return self.path.open("rb")

    @property
    def size(self) -> int:
        """Bytes of the object, packed as it is. Raises CacheError where its file is gone."""
        if self.path is None:
            return len(self.data)
        with durable.translated("look at", self.path):
            return self.path.stat().st_size


def looks_like_md5(etag: str) -> bool:
    """Whether an ETag may be the md5 of its object: that of one which was stored in several parts is not."""
    return _MD5.fullmatch(etag) is not None


def is_md5_of(etag: str, data: bytes) -> bool:
    """Whether an ETag that looks like an md5 is that of the bytes; one that does not is of another kind, and fits."""
    return not looks_like_md5(etag) or hashlib.md5(data, usedforsecurity=False).hexdigest() == etag


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

    async def fetch_stretch(self, item: RemoteObject, stretch: Stretch, write: Write, alone: bool) -> None:
        """A stretch of an object, or its beginning, handed to `write` piece by piece, in order; one attempt.

        Raises Disrupted where it breaks off, Replaced where the object is another by now, and Unranged where all of it
        comes, unless the caller is `alone` on it: then what comes before the stretch is passed over.
        """
        ...
