"""The two parts of a session: packed, and read back whole or by ticker."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ingest.cache.layout import MemberIndex, PartKey
from ingest.cache.parts import members as blockgzip
from ingest.cache.parts.store import PartStore, explaining
from ingest.errors import CacheError, UnreadableFile
from ingest.files.durable import Write
from ingest.splitting.part_text import Offsets, PartSink, PartText

if TYPE_CHECKING:
    import polars as pl

_NO_LIMIT = 1 << 62
"""Bytes: no limit, for text that we wrote ourselves."""


@dataclass(frozen=True, slots=True)
class PackedPart:
    """A part ready to be written."""

    data: bytes
    rows: int
    sha256: str
    index: MemberIndex


def pack_part(part: PartText, block: int = blockgzip.BLOCK) -> PackedPart:
    """Compress a part in members of about `block` bytes of text, and index them."""
    packed = blockgzip.pack(part.text, part.starts, block)
    tickers = [part.tickers[row] for row in packed.rows] if part.rows else [""]
    return PackedPart(
        data=packed.data,
        rows=part.rows,
        sha256=hashlib.sha256(packed.data).hexdigest(),
        index=MemberIndex(
            offsets=(*packed.offsets, len(packed.data)),
            firsts=tuple(ticker or "" for ticker in tickers),
            ordered=part.ordered,
        ),
    )


class PartWriter(PartSink):
    """Packs and writes a part as its lines arrive, in members of `block` bytes of text.

    Only one member is held in memory. Where members end depends on the lines alone, not on how they arrive.
    """

    def __init__(self, write: Write, header: bytes, block: int) -> None:
        self._write, self._block = write, block
        self._pending = bytearray(header)
        self._offsets, self._firsts = [0], list[str]()
        self._hash = hashlib.sha256()
        self.rows = 0

    def add(self, text: bytes, edges: Offsets, tickers: "pl.Series") -> None:
        """Add lines that are rows: n rows have n + 1 `edges` in the text, and a ticker each."""
        view, row, rows = memoryview(text), 0, len(tickers)
        self.rows += rows
        while row < rows:
            self._begin(tickers[row] or "")
            begin = int(edges[row])
            row = min(rows, int(np.searchsorted(edges, begin + self._room)))
            self._take(view[begin : int(edges[row])])

    def add_rows(self, text: bytes, rows: int) -> None:
        """Add rows whose lines are not known: in such a part no ticker can be looked up."""
        self.rows += rows
        if text:
            self._begin("")
            self._take(memoryview(text))

    def end(self, ordered: bool) -> PackedPart:
        """Write what is left, and return the part; `ordered` says whether all rows were sorted by ticker, bytewise."""
        if self._pending or not self._firsts:
            self._begin("")
            self._pack(b"")
        return PackedPart(b"", self.rows, self._hash.hexdigest(), self._index(ordered))

    def append(self, tail: bytes) -> str:
        """Write members without text behind the part, unknown to its index; returns the file's sha256."""
        self._put(tail)
        return self._hash.hexdigest()

    @property
    def _room(self) -> int:
        """Bytes left in the open member, and at least one, so that a line fits."""
        return max(1, self._block - len(self._pending))

    def _begin(self, ticker: str) -> None:
        """Note the next row's ticker if a member begins there; for the first member, that of its first row."""
        if len(self._firsts) < len(self._offsets):
            self._firsts.append(ticker)

    def _take(self, lines: memoryview) -> None:
        if len(self._pending) + len(lines) < self._block:
            self._pending += lines
        else:
            self._pack(lines)

    def _pack(self, lines: bytes | memoryview) -> None:
        member = blockgzip.member(b"".join([self._pending, lines]) if self._pending else lines)
        self._pending = bytearray()
        self._put(member)
        self._offsets.append(self._offsets[-1] + len(member))

    def _put(self, data: bytes) -> None:
        self._hash.update(data)
        self._write(data)

    def _index(self, ordered: bool) -> MemberIndex:
        return MemberIndex(tuple(self._offsets), tuple(self._firsts), ordered)


def read_lines(store: PartStore, part: PartKey, index: MemberIndex, tickers: Collection[str]) -> bytes:
    """Text of the members that may contain these tickers, without the header.

    Other tickers' lines are among them. Raises CacheError if the part is missing or damaged.
    """
    return read_members(store, part, index, index.members(tickers))


def read_members(store: PartStore, part: PartKey, index: MemberIndex, members: Sequence[int]) -> bytes:
    """Text of these members, ascending, without the header. Raises CacheError as `read_lines` does."""
    try:
        text = _whole(store, lambda: blockgzip.unpack(_read_members(store, part, index, members)))
    except (OSError, UnreadableFile) as error:
        raise _unreadable(store, part, error) from error
    return _body(text) if members and members[0] == 0 else text


def _body(text: bytes) -> bytes:
    """A part's text without its header."""
    return text[text.find(b"\n") + 1 or len(text) :]


def _whole(store: PartStore, read: Callable[[], bytes]) -> bytes:
    """What a read returns; it is made again if the bytes may have been damaged on the way. Raises UnreadableFile."""
    for _ in range(store.reads_again):
        with suppress(UnreadableFile):
            return read()
    return read()


def _unreadable(store: PartStore, part: PartKey, error: OSError | UnreadableFile) -> CacheError:
    said = f"cannot read the part {store.described(part)}: {error}"
    return CacheError(store.explained(said, error, part) if isinstance(error, OSError) else said)


def _read_members(store: PartStore, part: PartKey, index: MemberIndex, members: Iterable[int]) -> bytes:
    ranges = _ranges(index, members)
    found = store.read_ranges(part, ranges)
    for (begin, end), data in zip(ranges, found, strict=True):
        if len(data) < end - begin:
            raise UnreadableFile(f"it ends at byte {begin + len(data):,}, but its index reaches to {end:,}")
    return b"".join(found)


def _ranges(index: MemberIndex, members: Iterable[int]) -> list[tuple[int, int]]:
    """Byte ranges of the members; adjacent ones are joined."""
    ranges: list[tuple[int, int]] = []
    for member in members:
        begin, end = index.offsets[member], index.offsets[member + 1]
        if ranges and ranges[-1][1] == begin:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((begin, end))
    return ranges


def read_known(store: PartStore, part: PartKey, sha256: str) -> bytes:
    """Text of a part that must have this hash. Raises CacheError if it is missing or is another file."""
    try:
        data = store.read(part)
        if hashlib.sha256(data).hexdigest() == sha256:
            return blockgzip.unpack(data)
    except (OSError, UnreadableFile) as error:
        raise _unreadable(store, part, error) from error
    raise CacheError(f"the part {store.described(part)} is not the file that was written")


def read_rows(store: PartStore, part: PartKey, sha256: str) -> bytes:
    """Like `read_known`, without the header."""
    return _body(read_known(store, part, sha256))


def read_pieces(store: PartStore, part: PartKey, size: int) -> Iterator[bytes]:
    """Text of a part in pieces of at most `size` bytes. Raises UnreadableFile, CacheError."""
    with explaining(store, part), store.open(part) as file:
        yield from blockgzip.unpacked(file, _NO_LIMIT, size)


def holds(store: PartStore, part: PartKey, data: bytes) -> bool:
    """Whether a part consists of exactly these bytes."""
    try:
        return store.size(part) == len(data) and store.read(part) == data
    except OSError:
        return False
