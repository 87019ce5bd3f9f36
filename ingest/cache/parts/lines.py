"""The vendor's lines of some tickers, from the parts of many sessions, each with its session's date in front."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from itertools import groupby

import numpy as np
import polars as pl

from ingest.cache.layout import PartsOf
from ingest.cache.parts.ahead import read_ahead
from ingest.cache.parts.groups import in_groups
from ingest.cache.parts.parts import read_lines
from ingest.cache.parts.store import PartStore, key_to_read
from ingest.errors import CacheError
from ingest.hints import call
from ingest.market.datasets import TIERS, Tier

BATCH_BYTES = 256 * 1024
"""Bytes of text parsed at once. A part that is not sorted has to be read whole to find a ticker."""

_FEW = 16
"""Up to this many tickers are searched for in the bytes; for more, the ticker column is parsed, which costs the same
for any number."""

_JOINED = 48 * 1024
"""Bytes of a text up to which parsing all its rows, joined with those of other sessions, is faster than finding the
lines of many tickers first: a query of polars of its own costs as much as parsing so many."""

_SEARCHED = 4096
"""Bytes that are searched as fast as bisected."""

_LONGEST = 64
"""Bytes in which a line's ticker ends; beyond a line whose ticker does not, lines are not bisected further."""

_BLANK = (b"\n", b"\r")


def dated_texts(
    store: PartStore, sessions: Iterable[PartsOf], wanted: frozenset[str]
) -> Iterator[tuple[tuple[str, ...], bytes]]:
    """Columns and dated text of each part that may contain wanted tickers."""
    wanted_parts = (
        (parts, tier, tickers) for parts in sessions for tier in TIERS if (tickers := parts.tickers_in(tier, wanted))
    )
    return read_ahead(partial(_dated_text, store), wanted_parts, store.ahead, _weight)


def _weight(wanted: tuple[PartsOf, Tier, frozenset[str]]) -> int:
    """Bytes that are read of a part to find these tickers."""
    parts, tier, tickers = wanted
    index = parts.index[tier]
    return sum(index.offsets[member + 1] - index.offsets[member] for member in index.members(tickers))


def _dated_text(store: PartStore, wanted: tuple[PartsOf, Tier, frozenset[str]]) -> tuple[tuple[str, ...], bytes]:
    parts, tier, tickers = wanted
    key, index = key_to_read(store, parts, tier), parts.index[tier]
    text = read_lines(store, key, index, tickers)
    return parts.columns, _dated(_narrowed(text, tickers, parts, index.ordered), parts)


def _narrowed(text: bytes, tickers: frozenset[str], parts: PartsOf, ordered: bool) -> bytes:
    """Only the wanted lines, or more, if lines are not rows without quotes or if finding them is not worth it."""
    if not text or parts.cut != "lines" or parts.columns[0] != "ticker" or b'"' in text:
        return text
    if len(tickers) > _FEW:
        return text if len(text) <= _JOINED else _selected(text, tickers, parts.columns)
    lines = [line for ticker in sorted(tickers) for line in _lines_of(text, ticker.encode(), ordered)]
    return b"".join(lines)


def _lines_of(text: bytes, ticker: bytes, ordered: bool) -> Iterator[bytes]:
    """All lines of a ticker: one per day, or hundreds of minutes, which are adjacent only in sorted lines."""
    beginning = ticker + b","
    low, high = _bounds(text, ticker) if ordered else (0, len(text))
    at = low if text.startswith(beginning, low) else _next(text, beginning, low, high)
    while at >= 0:
        end = text.find(b"\n", at)
        if end < 0:
            yield text[at:] + b"\n"
            return
        yield text[at : end + 1]
        at = end + 1
        if not text.startswith(beginning, at):
            at = -1 if ordered and not text.startswith(_BLANK, at) else _next(text, beginning, end, len(text))


def _next(text: bytes, beginning: bytes, start: int, last: int) -> int:
    """Where the first line with this beginning starts, after `start` and up to `last`; -1 if there is none."""
    return text.find(b"\n" + beginning, start, last + len(beginning)) + 1 or -1


def _bounds(text: bytes, ticker: bytes) -> tuple[int, int]:
    """Between which offsets, both inclusive, a ticker's first line starts, if it has one, in lines sorted by ticker."""
    low, high = 0, len(text)
    while high - low > _SEARCHED:
        start = text.find(b"\n", (low + high) // 2, high) + 1
        name, comma, _ = text[start : min(start + _LONGEST, high)].partition(b",")
        if not (start and name and comma) or b"\n" in name:  # a very long line, or a blank one
            break
        low, high = (start, high) if name < ticker else (low, start)
    return low, high


def _selected(text: bytes, tickers: frozenset[str], columns: tuple[str, ...]) -> bytes:
    """The lines of many tickers, found by their row numbers in the ticker column that polars parses."""
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == 0x0A) + 1
    if not text.endswith(b"\n"):
        ends = np.append(ends, len(text))
    names = parse_lines(text, columns, {"ticker": pl.String()})["ticker"]
    if len(names) != len(ends):  # blank lines
        return text
    chosen = names.is_in(list(tickers)).fill_null(value=False).to_numpy()
    begins = np.concatenate(([0], ends[:-1]))[chosen].tolist()
    return b"".join([text[begin:end] for begin, end in zip(begins, ends[chosen].tolist(), strict=True)])


def _dated(text: bytes, parts: PartsOf) -> bytes:
    """The text with the session's date in front of each row, so that many sessions are parsed as one text."""
    stamp = parts.session.isoformat().encode() + b","
    if not text:
        return b""
    if parts.cut == "lines":
        return stamp + text.removesuffix(b"\n").replace(b"\n", b"\n" + stamp) + b"\n"
    rows = parse_lines(text, parts.columns)
    dated = rows.select(pl.lit(parts.session.isoformat()).alias(stamp_of(parts.columns)), pl.all())
    return dated.write_csv(include_header=False).encode()


def stamp_of(columns: tuple[str, ...]) -> str:
    """A name for the column of the session's date that none of the vendor's columns has."""
    return "\0" * (1 + max(map(len, columns), default=0))


def batches(
    texts: Iterable[tuple[tuple[str, ...], bytes]], most: int = BATCH_BYTES
) -> Iterator[tuple[tuple[str, ...], bytes]]:
    """Texts with equal columns, joined up to `most` bytes."""
    for columns, alike in groupby(texts, lambda one: one[0]):
        for group in in_groups((text for _, text in alike), len, most):
            yield columns, b"".join(group)


def check_columns(columns: Collection[str], numbers: Collection[str] = ()) -> None:
    """Raise CacheError if a column that every file has is missing from those that the manifest lists for a part.

    `numbers` are the number columns of its dataset.
    """
    if missing := sorted({"ticker", *numbers} - set(columns)):
        raise CacheError(
            f"the manifest lists no column {missing[0]!r} for a part", call("verify", "to check the cache")
        )


def parse_lines(text: bytes, columns: tuple[str, ...], types: Mapping[str, pl.DataType] | None = None) -> pl.DataFrame:
    """Rows of a text without a header, as text; with `types`, only those columns, parsed to these types.

    Raises CacheError, or with `types` the error of polars if a value does not fit its type.
    """
    # A header of our own, of the right length: without one polars judges the other rows by the first.
    numbered = [str(number) for number in range(len(columns))]
    header = ",".join(numbered).encode() + b"\n"
    names = dict(zip(numbered, columns, strict=True))
    kept = [number for number, name in names.items() if types is None or name in types]
    schema = {number: types[name] if types and name in types else pl.String for number, name in names.items()}
    try:
        rows = pl.read_csv(header + text, schema=schema, columns=kept, truncate_ragged_lines=True)
    except pl.exceptions.PolarsError as error:
        if types is not None:
            raise
        raise CacheError(f"a part contains rows that cannot be parsed: {str(error).splitlines()[0]}") from error
    return rows.rename({number: names[number] for number in kept})


def tickers_of(text: bytes, columns: tuple[str, ...]) -> pl.DataFrame:
    """The column `ticker` of a text without a header. Raises CacheError if it cannot be parsed."""
    check_columns(columns)
    try:
        return parse_lines(text, columns, {"ticker": pl.String()})
    except pl.exceptions.PolarsError as error:
        raise CacheError(f"a part contains rows that cannot be parsed: {str(error).splitlines()[0]}") from error
