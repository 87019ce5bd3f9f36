"""Keys of a session's parts, and the index that finds a ticker's lines in one of them."""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Self

from ingest.errors import ManifestDamaged
from ingest.market.datasets import Tier
from ingest.market.patterns import covered


@dataclass(frozen=True, slots=True)
class PartKey:
    """Identifies a part: its session, its tier and, until it is published, the name under which it is `staged`.

    Only the store knows how a staged name is made. A key is a value and may come from another process. `sha256`, if
    known, says which version is meant: where a part has one place, that version is in it or missing; an object store
    has a place for each. `size`, in bytes, and `etag` are what an object store said of the part when it took it.
    """

    session: date
    tier: Tier
    staged: str = ""
    sha256: str = field(default="", compare=False)
    etag: str = field(default="", compare=False)
    size: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class MemberIndex:
    """Where a part's gzip members begin, and the ticker that each begins with.

    `offsets`, in bytes, has one entry per member and one for the end of the file; `firsts` has one per member. A ticker
    can be looked up only if the rows are sorted by ticker: otherwise `ordered` is False, and every member may contain
    it.
    """

    offsets: tuple[int, ...]
    firsts: tuple[str, ...]
    ordered: bool

    def encode(self) -> bytes:
        """As stored in the manifest."""
        return json.dumps([self.offsets, self.firsts, self.ordered], separators=(",", ":")).encode()

    @classmethod
    def decode(cls, blob: bytes) -> Self:
        """Inverse of `encode`; raises ValueError if the bytes are not an index."""
        raw = json.loads(blob)
        if type(raw) is not list or [type(one) for one in raw] != [list, list, bool]:
            raise ValueError("no index")
        offsets, firsts, ordered = raw
        if (
            not offsets
            or {*map(type, offsets)} != {int}
            or len(firsts) != len(offsets) - 1
            or {*map(type, firsts)} - {str}
        ):
            raise ValueError("no index")
        return cls(tuple(offsets), tuple(firsts), ordered)

    def members(self, tickers: Collection[str]) -> list[int]:
        """Numbers of the members that may contain rows of these tickers, ascending."""
        if not self.ordered:
            return list(range(len(self.offsets) - 1))
        found: set[int] = set()
        for ticker in tickers:
            # A ticker's rows may begin in the member before the first one that begins with it.
            first = max(bisect_left(self.firsts, ticker) - 1, 0)
            found.update(range(first, max(bisect_right(self.firsts, ticker), first + 1)))
        return sorted(found)

    def beginning(self, prefix: str) -> range:
        """Numbers of the members that may contain tickers with this prefix."""
        if not self.ordered:
            return range(len(self.offsets) - 1)
        first = max(bisect_left(self.firsts, prefix) - 1, 0)
        end = bisect_right(self.firsts, prefix, key=lambda ticker: ticker[: len(prefix)])
        return range(first, max(end, first + 1))


class Indexes(Mapping[Tier, MemberIndex]):
    """The stored indexes of a session's parts, each decoded on access: mostly only one of the two is needed."""

    __slots__ = ("_blobs", "_manifest")

    def __init__(self, blobs: Mapping[Tier, bytes], manifest: Path) -> None:
        self._blobs, self._manifest = blobs, manifest

    def __getitem__(self, tier: Tier) -> MemberIndex:
        """The index of a tier's part. Raises ManifestDamaged if the stored bytes are not an index."""
        try:
            return MemberIndex.decode(self._blobs[tier])
        except ValueError as error:
            raise ManifestDamaged(self._manifest, f"the index of a part: {error}") from error

    def __contains__(self, tier: object) -> bool:
        return tier in self._blobs

    def __iter__(self) -> Iterator[Tier]:
        return iter(self._blobs)

    def __len__(self) -> int:
        return len(self._blobs)


@dataclass(frozen=True, slots=True)
class PartsOf:
    """How to read a committed session: its tracked set decides which part has a ticker's lines.

    `sha256` has the hash of each part. `version` changes with each commit of the session. `in_doubt` says that its
    parts were found not to be what was written. `staged` has the keys of parts that are not published yet.
    """

    session: date
    tracked: frozenset[str]
    cut: str
    columns: tuple[str, ...]
    index: Mapping[Tier, MemberIndex]
    sha256: Mapping[Tier, str] = field(default_factory=dict)
    version: str = ""
    in_doubt: bool = False
    staged: Mapping[Tier, PartKey] = field(default_factory=dict)

    def key(self, tier: Tier) -> PartKey:
        """The key under which to read this part."""
        return self.staged.get(tier) or PartKey(self.session, tier, sha256=self.sha256.get(tier, ""))

    def tickers_in(self, tier: Tier, wanted: frozenset[str]) -> frozenset[str]:
        """The wanted tickers whose lines, if there are any, are in this tier's part."""
        if tier not in self.index:
            return frozenset()
        inside = covered(self.tracked, frozenset(wanted))
        return inside if tier == "tracked" else wanted - inside
