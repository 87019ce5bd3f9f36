"""Parts that speak for themselves: the tracked part carries what the manifest says of its session.

So a manifest that is gone can be built anew from the parts, and what is there need not be downloaded again. The note is
the record as it was before the note was put in, with the hashes of both parts: whether they are still what they were
is seen byte for byte.
"""

import hashlib
import json
import zlib
from dataclasses import dataclass, replace

from ingest.manifest import SessionRecord
from ingest.tiers import stamp
from ingest.tiers.layout import MemberIndex

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Stamped:
    """A tracked part's own word on its session.

    `tickers` is the set that it was split by, and `record` has no number for it; when the source's file was published
    is not said.
    """

    dataset: str
    tickers: frozenset[str]
    record: SessionRecord


def stamped(record: SessionRecord, data: bytes, dataset: str, tickers: frozenset[str]) -> tuple[SessionRecord, bytes]:
    """A tracked part with its record put in, and the record of that.

    A note too long for its field (tens of thousands of tracked tickers, say) is left out.
    """
    # What depends on when it was uploaded stays out: equal files make equal parts.
    told = replace(record, tracked_set=0, last_modified="").to_json()
    note = zlib.compress(json.dumps([_VERSION, dataset, sorted(tickers), told]).encode())
    return (_noted(record, data, note)) if len(note) <= stamp.MAX_BYTES else (record, data)


def _noted(record: SessionRecord, data: bytes, note: bytes) -> tuple[SessionRecord, bytes]:
    with_note = stamp.put(data, note)
    longer = len(with_note) - len(data)
    index = MemberIndex.decode(record.tracked_index)
    offsets = (0, *(offset + longer for offset in index.offsets[1:]))
    shifted = replace(index, offsets=offsets).encode()
    return replace(record, tracked_sha256=hashlib.sha256(with_note).hexdigest(), tracked_index=shifted), with_note


def read(data: bytes) -> Stamped | None:
    """What a tracked part says of itself; None where it says nothing, or is not what it says."""
    taken = stamp.take(data)
    try:
        return _understood(*taken) if taken else None
    # A note may hold anything: of another version, of another tool, damaged.
    except (zlib.error, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None


def _understood(note: bytes, plain: bytes) -> Stamped | None:
    version, dataset, tickers, told = json.loads(zlib.decompress(note))
    if version != _VERSION:
        return None
    record = SessionRecord.from_json(told)
    if hashlib.sha256(plain).hexdigest() != record.tracked_sha256:
        return None
    return Stamped(dataset, frozenset(tickers), _noted(record, plain, note)[0])
