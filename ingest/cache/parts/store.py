"""Where the parts of a dataset's sessions are: all that a commit, recovery and readers ask of it.

A part is written under a name that nobody else has, and published whole: whoever reads it finds the one before or this
one, and who writes late, or twice, has written what nobody publishes. After a crash there are parts as they were
published, the last one of each or the one before it, and staged ones, which `sweep` removes.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date
from io import BufferedReader, BytesIO
from typing import Protocol

from ingest.cache.layout import PartKey, PartsOf
from ingest.errors import CacheError
from ingest.files.durable import Write
from ingest.files.hashing import sha256_in
from ingest.files.opening import NotAFile
from ingest.market.datasets import Tier

Opened = BufferedReader | BytesIO


@dataclass(frozen=True, slots=True)
class Staging:
    """A part that is being written: what it is called until it is published, and what takes its bytes."""

    key: PartKey
    write: Write


class PartStore(Protocol):
    """The parts of both tiers of a dataset. It is a value, and may go to another process that reaches the same place.

    What writes, looks or removes raises CacheError. What reads raises OSError: FileNotFoundError where there is no such
    part, NotAFile where what has its name is none.
    """

    def create(self) -> None:
        """Make it ready to be written."""
        ...

    def stage(self, session: date, tier: Tier, data: bytes) -> PartKey:
        """Write a part; its bytes are durable. Of each call the part has another name, whoever calls."""
        ...

    def staging(self, session: date, tier: Tier) -> AbstractContextManager[Staging]:
        """The same bit by bit: durable where the block ends well, and else nothing of it is left."""
        ...

    def publish(self, staged: PartKey) -> None:
        """Put a staged part in the place of the one before, in one step; it is not staged any more.

        Durable once `sync` has returned. Where it is not staged any more nothing is changed, and CacheError is raised.
        """
        ...

    def discard(self, staged: PartKey) -> None:
        """Remove a staged part, if it is there still; what is published stays."""
        ...

    def sync(self) -> None:
        """Make the names of all that was staged and published durable."""
        ...

    def staged(self, session: date, tier: Tier) -> Sequence[PartKey]:
        """All that is staged of a part, by whom ever."""
        ...

    def leftovers(self, tier: Tier) -> Sequence[str]:
        """Names of what is staged of a tier, for people."""
        ...

    def sweep(self) -> int:
        """Remove all that is staged; returns how much. For who holds the lock, before anything is staged."""
        ...

    def names(self, tier: Tier) -> frozenset[str]:
        """Names of what is in a tier: `2025-11-11.csv.gz` of each part, and perhaps of staged ones and of strangers."""
        ...

    def sizes(self, tier: Tier) -> Sequence[int]:
        """Bytes of what is called as parts are."""
        ...

    def size(self, key: PartKey) -> int:
        """Bytes of a part."""
        ...

    def open(self, key: PartKey) -> Opened:
        """A part to read, and to seek in: whatever is published meanwhile, it is one and the same."""
        ...

    def read(self, key: PartKey) -> bytes:
        """All of a part."""
        ...

    def read_ranges(self, key: PartKey, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Bytes of one and the same part, from `begin` up to `end` each; fewer where it ends before."""
        ...

    def described(self, key: PartKey) -> str:
        """Where a part is, for people."""
        ...

    def place(self, tier: Tier) -> str:
        """Where a tier is, for people; its last component names it in short."""
        ...

    def explained(self, said: str, error: OSError, key: PartKey) -> str:
        """What was said of a part that cannot be read, and after it the right that is missing, if one is."""
        ...


@contextmanager
def translated(store: PartStore, key: PartKey) -> Iterator[None]:
    """Raise what a store refuses to read as a CacheError, which says of which part and why."""
    try:
        yield
    except OSError as error:
        said = f"cannot read {store.described(key)}: {error.strerror or error}"
        raise CacheError(store.explained(said, error, key)) from error


def matches(store: PartStore, key: PartKey, sha256: str) -> bool:
    """Whether a part of this hash is there and can be read."""
    try:
        return _sha256(store, key) == sha256
    except OSError:
        return False


def surely_matches(store: PartStore, key: PartKey, sha256: str) -> bool:
    """The same for who decides by it: raises CacheError where there is a part that cannot be read."""
    with translated(store, key):
        try:
            return _sha256(store, key) == sha256
        except (FileNotFoundError, NotAFile):
            return False


def _sha256(store: PartStore, key: PartKey) -> str:
    with store.open(key) as file:
        return sha256_in(file)


def trusted(store: PartStore, parts: PartsOf, tier: Tier) -> PartKey:
    """What is to be read as a session's part.

    Raises CacheError where it was found not to be what it should, and has not been fetched again.
    """
    key = parts.key(tier)
    if parts.in_doubt and not matches(store, key, parts.sha256[tier]):
        raise CacheError(
            f"the part {store.described(key)} is not the file that was written; the next run downloads it again if it "
            "can"
        )
    return key
