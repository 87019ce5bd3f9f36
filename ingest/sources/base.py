"""The seam to a source of daily files: three values and three calls."""

import hashlib
import re
from dataclasses import dataclass
from typing import Protocol

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
    """An object's bytes, checked, with the size and ETag that came with them.

    `etag_is_md5` is False where the ETag looks like an md5 and is not that of the bytes, twice over.
    """

    data: bytes
    etag: str
    last_modified: str
    etag_is_md5: bool = True


def is_md5_of(etag: str, data: bytes) -> bool:
    """Whether an ETag that looks like an md5 is that of the bytes; one that does not is of another kind, and fits."""
    return not _MD5.fullmatch(etag) or hashlib.md5(data, usedforsecurity=False).hexdigest() == etag


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
