"""Where the parts of a dataset's sessions are stored: the interface between the disk and commit, recovery and readers.

A part is staged under a name that nobody else has, and published in one step: a reader finds the previous version or
the new one, and a writer that is late, or runs twice, writes only what nobody publishes. A crash leaves each part as it
was last published, or as it was the time before, and staged parts, which `sweep` removes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import ClassVar, Protocol, Self

from ingest.cache.layout import PartKey, PartsOf
from ingest.errors import CacheError
from ingest.files.durable import Write
from ingest.files.hashing import sha256_in
from ingest.files.opening import NotAFile
from ingest.market.datasets import Tier

Opened = BufferedReader | BytesIO


@dataclass(frozen=True, slots=True)
class Staging:
    """A part that is being written: its key until it is published, and the call that takes its bytes."""

    key: PartKey
    write: Write


@dataclass(frozen=True, slots=True)
class ListedPart:
    """What a listing says of a part: size in bytes, ETag, and when it was put, by the clock of the store."""

    size: int
    etag: str
    modified: datetime


class Readable(Protocol):
    """Parts to be read, as by `PartStore`, which says what each call does."""

    def size(self, key: PartKey) -> int:
        """Size of a part, in bytes."""
        ...

    def open(self, key: PartKey) -> Opened:
        """Open a part for reading and seeking; it stays the same version, whatever is published meanwhile."""
        ...


class PartStore(Readable, Protocol):
    """The parts of both tiers of a dataset. A store that is shared between processes is a value that can be pickled.

    Calls that write, list or remove raise CacheError. Calls that read raise OSError: FileNotFoundError if there is no
    such part, NotAFile if its name belongs to something else. Whoever reads a committed part gives its sha256.

    `by_content` says that each version of a part has a name of its own, made from its hash: a version stays readable
    while another is published, until it is collected; `keeps_versions` says so of both tiers, `by_content` of one at
    least. `ahead` is how many reads to have under way at once. `reads_again` is how often to read a part once more that
    turns out to be damaged, since that may have happened on the way.
    """

    by_content: ClassVar[bool]
    keeps_versions: ClassVar[bool]
    ahead: ClassVar[int]
    reads_again: ClassVar[int]

    def working_in(self, scratch: Path) -> Self:
        """The same store for another process or computer, which writes temporary files, if any, to a folder there.

        What is needed in that folder is made. Raises CacheError.
        """
        ...

    def create(self) -> None:
        """Prepare the store for writing."""
        ...

    def stage(self, session: date, tier: Tier, data: bytes) -> PartKey:
        """Write a part; its bytes are durable once `sync_staged` has returned.

        Each call, in whichever process, gets a name of its own.
        """
        ...

    def staging(self, session: date, tier: Tier) -> AbstractContextManager[Staging]:
        """Like `stage`, bit by bit: durable once the block has ended; removed if it ends with an error."""
        ...

    def sync_staged(self, staged: Sequence[PartKey]) -> list[PartKey]:
        """Make the bytes of staged parts durable, all at once; returns the keys by which to publish them, in order.

        To do so again, with the keys returned, changes nothing.
        """
        ...

    def publish(self, staged: PartKey) -> None:
        """Replace the published version by a staged one, in one step; durable once `sync` has returned.

        Raises CacheError, and changes nothing, if the part is no longer staged.
        """
        ...

    def discard(self, staged: PartKey) -> None:
        """Remove a staged part, if it still exists; the published version stays.

        Raises CacheError, and changes nothing, for the key of a published part.
        """
        ...

    def drop(self, session: date, tier: Tier) -> None:
        """Remove a published part, if there is one; durable once `sync` has returned."""
        ...

    def drop_all(self, sessions: Iterable[date], tier: Tier) -> None:
        """Like `drop`, for many parts."""
        for session in sessions:
            self.drop(session, tier)

    def sync(self) -> None:
        """Make the names of all staged and published parts durable."""
        ...

    def staged(self, session: date, tier: Tier) -> Sequence[PartKey]:
        """All staged versions of a part, whichever process wrote them."""
        ...

    def leftovers(self, tier: Tier) -> Sequence[str]:
        """Names of the staged parts of a tier, for people."""
        ...

    def sweep(self) -> int:
        """Remove all staged parts; returns how many. Only the holder of the lock may call it.

        A part that is still being written may count as one: if removed, it stays away when its writing ends.
        """
        ...

    def name(self, key: PartKey) -> str:
        """The name of a part in its tier, as in `names`."""
        ...

    def names(self, tier: Tier) -> frozenset[str]:
        """Names in a tier: one for each version of a part, and perhaps staged parts and other programs' files."""
        ...

    def versions(self, tier: Tier) -> Mapping[date, Sequence[PartKey]]:
        """The parts in a tier by their session, the newest first: one each, or more if each version has its own name.

        Where versions have names of their own, those that nobody has committed are among them.
        """
        ...

    def listed(self, tier: Tier) -> Mapping[str, ListedPart] | None:
        """What the store says of everything in a tier, by name as in `names`; None if a part has to be read for that.

        A store that says it answers for the bytes that it took.
        """
        ...

    def sizes(self, tier: Tier) -> Sequence[int]:
        """Bytes of each file in a tier whose name ends like that of a part."""
        ...

    def read(self, key: PartKey) -> bytes:
        """The whole part."""
        ...

    def read_ranges(self, key: PartKey, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Bytes from `begin` up to `end` of each range, all of one version; fewer if the part ends before."""
        ...

    def described(self, key: PartKey) -> str:
        """Where a part is stored, for messages."""
        ...

    def place(self, tier: Tier) -> str:
        """Where a tier is stored, for messages; the last component is its short name."""
        ...

    def explained(self, said: str, error: OSError, key: PartKey) -> str:
        """A message about a part that cannot be read, followed by the missing permission, if that is the cause."""
        ...


@contextmanager
def explaining(store: PartStore, key: PartKey) -> Iterator[None]:
    """Raise an OSError of a store as a CacheError that names the part and the reason."""
    try:
        yield
    except OSError as error:
        said = f"cannot read {store.described(key)}: {error.strerror or error}"
        raise CacheError(store.explained(said, error, key)) from error


def matches(store: PartStore, key: PartKey, sha256: str) -> bool:
    """Whether a part exists, can be read and has this hash."""
    try:
        return hash_of(store, key) == sha256
    except OSError:
        return False


def surely_matches(store: PartStore, key: PartKey, sha256: str) -> bool:
    """Like `matches`, but raises CacheError if the part exists and cannot be read."""
    with explaining(store, key):
        try:
            return hash_of(store, key) == sha256
        except (FileNotFoundError, NotAFile):
            return False


def hash_of(store: Readable, key: PartKey) -> str:
    """Hexadecimal sha256 of a part. Raises OSError."""
    with store.open(key) as file:
        return sha256_in(file)


def key_to_read(store: PartStore, parts: PartsOf, tier: Tier) -> PartKey:
    """The key under which to read a session's part.

    Raises CacheError if the part was found to be damaged and has not been downloaded again.
    """
    key = parts.key(tier)
    if parts.in_doubt and not matches(store, key, parts.sha256[tier]):
        raise CacheError(
            f"the part {store.described(key)} is not the file that was written; the next run downloads it again if it "
            "can"
        )
    return key
