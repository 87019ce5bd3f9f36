"""The two parts of a session: packed, and read back whole or by ticker."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ingest.errors import CacheError, UnreadableFile
from ingest.tiers import blockgzip
from ingest.tiers.layout import MemberIndex

if TYPE_CHECKING:
    import polars as pl

Offsets = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PartText:
    """One part before it is packed: `starts[i]` is the offset of row i, `tickers` has one entry a row.

    `ordered`: the rows are sorted by ticker, bytewise, so that one can be looked up.
    """

    text: bytes
    starts: Offsets
    tickers: "pl.Series"
    ordered: bool

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.tickers)


@dataclass(frozen=True, slots=True)
class PackedPart:
    """A part ready to be written."""

    data: bytes
    rows: int
    sha256: str
    index: MemberIndex


def pack(part: PartText) -> PackedPart:
    """Compress a part and index its members."""
    packed = blockgzip.pack(part.text, part.starts)
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


def read_lines(path: Path, index: MemberIndex, tickers: Collection[str]) -> bytes:
    """Text of the members that may hold these tickers, without the header.

    Other tickers' lines stand among them. Raises CacheError where the part is missing or damaged.
    """
    members = index.members(tickers)
    try:
        text = blockgzip.unpack(_read_members(path, index, members))
    except (OSError, UnreadableFile) as error:
        raise CacheError(f"cannot read the part {path}: {error}") from error
    return text[text.find(b"\n") + 1 or len(text) :] if members[:1] == [0] else text


def _read_members(path: Path, index: MemberIndex, members: list[int]) -> bytes:
    # Without a buffer: each range is one read.
    with path.open("rb", buffering=0) as file:
        return b"".join([_read_range(file, begin, end) for begin, end in _ranges(index, members)])


def _read_range(file: FileIO, begin: int, end: int) -> bytes:
    file.seek(begin)
    found = file.read(end - begin)
    while found and len(found) < end - begin and (more := file.read(end - begin - len(found))):
        found += more
    return found


def _ranges(index: MemberIndex, members: Iterable[int]) -> list[tuple[int, int]]:
    """Byte ranges of the members, neighbours joined."""
    ranges: list[tuple[int, int]] = []
    for member in members:
        begin, end = index.offsets[member], index.offsets[member + 1]
        if ranges and ranges[-1][1] == begin:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((begin, end))
    return ranges


def read_text(path: Path) -> bytes:
    """Text of a whole part, with its header. Raises CacheError where it is missing or damaged."""
    try:
        return blockgzip.unpack(path.read_bytes())
    except (OSError, UnreadableFile) as error:
        raise CacheError(f"cannot read the part {path}: {error}") from error


def read_known(path: Path, sha256: str) -> bytes:
    """Text of a part that is to have this hash. Raises CacheError where it is missing or is another file."""
    try:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() == sha256:
            return blockgzip.unpack(data)
    except (OSError, UnreadableFile) as error:
        raise CacheError(f"cannot read the part {path}: {error}") from error
    raise CacheError(f"the part {path} is not the file that was written")


def holds(path: Path, data: bytes) -> bool:
    """Whether just these bytes are under a name."""
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False
