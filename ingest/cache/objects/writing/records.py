"""What machines tell each other in a bucket, as JSON: who writes there, and which snapshot is the newest."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, TypeVar

from ingest.cache.manifest.integrity.kinds import Kind, count, summary, text
from ingest.cache.objects.bucket import Bucket
from ingest.errors import CacheError

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Guard:
    """`ingest.json`: which manifest may write to the prefix, by its id, and on which host since when (ISO 8601, UTC).

    Each takeover by another manifest raises the `generation`, which begins with 1.
    """

    NAME: ClassVar[str] = "ingest.json"
    manifest: str
    generation: int
    host: str
    since: str


@dataclass(frozen=True, slots=True)
class Pointer:
    """`manifest/latest.json`: the newest snapshot, and who made it when (ISO 8601, UTC) after which run.

    `token` belongs to this writing of the pointer alone. `snapshot` is the object's name and `sha256` that of its
    bytes; both are empty after a takeover without a snapshot.
    """

    NAME: ClassVar[str] = "manifest/latest.json"
    manifest: str
    generation: int
    host: str
    at: str
    run: int
    token: str
    snapshot: str
    sha256: str


_Record = TypeVar("_Record", Guard, Pointer)


def encoded(record: Guard | Pointer) -> bytes:
    """A record as JSON."""
    return json.dumps({"format": FORMAT, **asdict(record)}, indent=1).encode()


def found(bucket: Bucket, kind: type[_Record]) -> tuple[_Record, str] | None:
    """The record of this kind in a bucket, with its ETag; None if there is none.

    Raises CacheError if a newer version of this program wrote it, or if it cannot be read.
    """
    try:
        data, stored = bucket.get(kind.NAME)
    except FileNotFoundError:
        return None
    return _decoded(kind, data, bucket.described(kind.NAME)), stored.etag


def _decoded(kind: type[_Record], data: bytes, where: str) -> _Record:
    try:
        told = summary(data.decode())
        if count(told.get("format")) > FORMAT:
            raise CacheError(f"{where} was written by a newer version of ingest: update ingest")
        return kind(**{field.name: _KINDS[field.type](told.get(field.name)) for field in fields(kind)})
    except ValueError:  # which quotes the bytes: they may be a store's error that quotes a key
        raise CacheError(f"{where} is not what ingest wrote") from None


_KINDS: Mapping[object, Kind[Any]] = {str: text, int: count}
