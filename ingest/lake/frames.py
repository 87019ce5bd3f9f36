"""The rows of a partition, from the parts, sorted by ticker and time, in frames of bounded size.

What is larger than a frame, such as a month of stocks, is cut by ticker: the indexes of the parts say where a frame's
worth of rows ends, and each frame reads only the members of its own tickers.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import polars as pl

from ingest.cache.cache import Layout
from ingest.cache.layout import MemberIndex, PartsOf
from ingest.cache.parts.ahead import read_ahead
from ingest.cache.parts.bars import firsts, rows_of_many, schema_of
from ingest.cache.parts.groups import in_groups
from ingest.cache.parts.handed import HandedRows
from ingest.cache.parts.parts import read_members, read_rows
from ingest.cache.parts.store import key_to_read
from ingest.market.contracts import contract_schema, with_contracts
from ingest.market.datasets import TIERS, Dataset, Tier

MOST = 4 << 20
"""Packed bytes of the parts that one frame is made of. Text has some five times as many, a frame twice those."""

_PIECE = 1 << 20
"""Packed bytes that are unpacked at once, of a part that is not sorted."""

_PARSED = 4 << 20
"""Bytes of text that are parsed at once."""


def lake_schema(dataset: Dataset) -> pl.Schema:
    """`schema_of` with times as they are stored, in nanoseconds, UTC, and what tickers of contracts say."""
    stored = {"time": pl.Datetime("ns", "UTC")}
    of_parts = {name: stored.get(name, kind) for name, kind in schema_of(dataset).items()}
    return pl.Schema(of_parts | contract_schema(dataset))


def frames(
    layout: Layout, sessions: Sequence[PartsOf], most: int = MOST, handed: HandedRows | None = None
) -> Iterator[pl.DataFrame]:
    """All rows of these sessions as `lake_schema`: the first of each ticker and time, sorted by them, frame by frame.

    A frame is made of about `most` packed bytes, and at least one ticker. Rows that were `handed` over are not
    read from the parts. Raises CacheError if a part cannot be read.
    """
    known = {one.session for one in sessions if handed and handed.knows(one)}
    unknown = [one for one in sessions if one.session not in known]
    given = [handed.rows(known)] if handed and known else []
    parts = [(one, tier) for tier in TIERS for one in unknown if tier in one.index]
    for span in _spans(unknown, most):
        texts = read_ahead(partial(_texts, layout, span), parts, layout.parts.ahead)
        batches = in_groups(chain.from_iterable(texts), lambda text: len(text[1]), _PARSED)
        read = (rows_of_many(some, layout.dataset) for some in batches)
        found = [span.of(rows) for rows in chain(given, read)]
        rows = firsts(pl.concat([pl.DataFrame(schema=schema_of(layout.dataset)), *found]), layout.dataset)
        yield in_lake(rows, layout.dataset)


def in_lake(rows: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """Rows as `schema_of`, in the form of the lake."""
    return with_contracts(rows, dataset).cast(dict(lake_schema(dataset)))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _Span:
    """Tickers from `first` up to, but without, `end`; None for all from `first` on."""

    first: str
    end: str | None

    @property
    def is_all(self) -> bool:
        return not self.first and self.end is None

    def members(self, index: MemberIndex) -> Sequence[int]:
        """Members of a part that may have such tickers."""
        if not index.ordered:
            return range(len(index.firsts))
        begins = index.members([self.first])[0] if self.first else 0
        return range(begins, len(index.firsts) if self.end is None else index.members([self.end])[-1] + 1)

    def of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Those of the rows that have such tickers."""
        if self.is_all:
            return rows
        inside = pl.col("ticker") >= self.first
        return rows.filter(inside if self.end is None else inside & (pl.col("ticker") < self.end))


def _spans(sessions: Sequence[PartsOf], most: int) -> Iterator[_Span]:
    """All tickers, cut where the members of sorted parts reach `most` bytes."""
    members = sorted(member for one in sessions for index in one.index.values() for member in _members(index))
    first, size = "", 0
    for ticker, weight in members:
        if size + weight > most and ticker > first:
            yield _Span(first, ticker)
            first, size = ticker, 0
        size += weight
    yield _Span(first, None)


def _members(index: MemberIndex) -> Iterable[tuple[str, int]]:
    """First ticker and size of each member; of a part that is not sorted they say nothing."""
    ends = zip(index.offsets, index.offsets[1:], strict=False)
    return zip(index.firsts, (end - begin for begin, end in ends), strict=True) if index.ordered else ()


Text = tuple[PartsOf, bytes]


def _texts(layout: Layout, span: _Span, part: tuple[PartsOf, Tier]) -> Iterable[Text]:
    """The lines of a part that may be in the span, each text with its session."""
    session, tier = part
    key, index = key_to_read(layout.parts, session, tier), session.index[tier]
    if span.is_all and index.offsets[-1] <= MOST:
        return [(session, read_rows(layout.parts, key, session.sha256[tier]))]
    if index.ordered:
        return [(session, read_members(layout.parts, key, index, span.members(index)))]
    # Any member may have any ticker: all are read for each span, and not at once.
    return ((session, read_members(layout.parts, key, index, some)) for some in _pieces(index))


def _pieces(index: MemberIndex) -> Iterator[Sequence[int]]:
    """The members of a part in groups of at most `_PIECE` packed bytes."""
    offsets = index.offsets
    return in_groups(range(len(index.firsts)), lambda member: offsets[member + 1] - offsets[member], _PIECE)
