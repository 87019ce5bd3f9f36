"""Parts read back: all lines of a ticker are found, wherever they are, by reading little."""

import gzip
import hashlib
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parts_kit import PART, in_memory, local, put
from splitting_kit import parted

from ingest.cache.layout import MemberIndex
from ingest.cache.parts import lines, parts
from ingest.errors import CacheError
from ingest.splitting.part_text import PartText

HEADER = b"ticker,volume,open,close,high,low\n"
TICKERS = ("A", "AA", "AAPL", "B", "BRK.A", "NA", "ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ", "a", "é", "😀")
tickers = st.sampled_from(TICKERS)


def _row(ticker: str, number: int = 1) -> bytes:
    return f"{ticker},{number},1.0,1.0,1.0,1.0\n".encode()


def _part(rows: list[bytes]) -> PartText:
    return parted(HEADER + b"".join(rows), frozenset(), True).archive or pytest.fail("no archive part")


def _pack(rows: list[bytes], block: int = 64) -> parts.PackedPart:
    return parts.pack_part(_part(rows), block)


def _of(lines: bytes, wanted: frozenset[str]) -> Counter[bytes]:
    return Counter(line for line in lines.splitlines() if line.split(b",")[0].decode() in wanted)


@given(st.lists(tickers, max_size=40), st.booleans(), st.frozensets(tickers, max_size=4))
def test_all_lines_of_wanted_tickers_are_found_and_none_is_torn(
    names: list[str], in_order: bool, wanted: frozenset[str]
) -> None:
    names = sorted(names) if in_order else names
    rows = [_row(ticker, number) for number, ticker in enumerate(names)]
    packed = _pack(rows)
    found = parts.read_lines(in_memory(packed.data), PART, packed.index, wanted)
    assert _of(found, wanted) == _of(b"".join(rows), wanted)
    assert Counter(found.splitlines(keepends=True)) <= Counter(rows)


def test_the_lines_read_are_those_of_the_members_and_never_the_header() -> None:
    packed = _pack([_row(f"T{number:05d}") for number in range(100)])
    store = in_memory(packed.data)
    for name in packed.index.firsts:
        members = packed.index.members([name])
        begin, end = packed.index.offsets[members[0]], packed.index.offsets[members[-1] + 1]
        assert parts.read_lines(store, PART, packed.index, [name]) == gzip.decompress(
            packed.data[begin:end]
        ).removeprefix(HEADER)


@given(st.lists(tickers, max_size=40), st.booleans())
def test_the_index_survives_the_manifest(names: list[str], in_order: bool) -> None:
    packed = _pack([_row(ticker) for ticker in (sorted(names) if in_order else names)])
    assert MemberIndex.decode(packed.index.encode()) == packed.index
    assert packed.index.ordered is (in_order or names == sorted(names))
    assert packed.index.offsets[-1] == len(packed.data)


def test_in_a_sorted_part_a_ticker_is_in_two_members_at_most() -> None:
    names = [f"T{number:05d}" for number in range(2_000)]
    index = _pack([_row(name) for name in names]).index
    assert len(index.firsts) > 500
    assert max(len(index.members([name])) for name in names) <= 2


@pytest.mark.parametrize("absent", ["", "A", "T00000A", "T01999A", "ZZZ"])
def test_a_ticker_that_is_not_there_costs_two_members_at_most(absent: str) -> None:
    packed = _pack([_row(f"T{number:05d}") for number in range(2_000)])
    store = in_memory(packed.data)
    assert len(packed.index.members([absent])) <= 2
    assert not _of(parts.read_lines(store, PART, packed.index, [absent]), frozenset([absent]))


def test_a_ticker_that_spans_members_is_read_from_all_of_them() -> None:
    rows = [_row("A"), *(_row("B", number) for number in range(100)), _row("C")]
    packed = _pack(rows)
    store = in_memory(packed.data)
    assert len(packed.index.members(["B"])) > 10
    assert _of(parts.read_lines(store, PART, packed.index, ["B"]), frozenset("B")) == _of(
        b"".join(rows), frozenset("B")
    )


def test_without_order_every_member_is_read() -> None:
    index = _pack([_row(f"T{number:05d}") for number in range(100, 0, -1)]).index
    assert index.members(["T00050"]) == list(range(len(index.firsts)))


def test_nothing_wanted_reads_nothing() -> None:
    packed = _pack([_row("A"), _row("B")])
    store = in_memory(packed.data)
    assert parts.read_lines(store, PART, packed.index, []) == b""


@pytest.mark.parametrize("text", [HEADER, HEADER[:-1]])
def test_a_part_without_rows_has_no_lines(text: bytes) -> None:
    cut = parted(text, frozenset("A"), True)
    packed = parts.pack_part(cut.tracked)
    store = in_memory(packed.data)
    assert parts.read_known(store, PART, packed.sha256) == text
    assert parts.read_lines(store, PART, packed.index, ["A"]) == b""


def test_a_part_is_an_ordinary_gzip_file_and_always_the_same(tmp_path: Path) -> None:
    rows = [_row(f"T{number:05d}") for number in range(2_000)]
    first, second = _pack(rows, 1024), _pack(rows, 1024)
    assert first == second
    assert first.sha256 == hashlib.sha256(first.data).hexdigest()
    assert first.rows == 2_000
    store = local(tmp_path)
    put(store, first.data)
    with gzip.open(store.path(PART)) as file:
        assert file.read() == HEADER + b"".join(rows)
    assert parts.read_known(store, PART, first.sha256) == HEADER + b"".join(rows)


@pytest.mark.parametrize("damage", ["missing", "short", "flipped", "folder"])
def test_a_part_that_is_missing_or_damaged_is_an_error_that_names_it(damage: str, tmp_path: Path) -> None:
    packed = _pack([_row(f"T{number:05d}") for number in range(50)])
    store = local(tmp_path)
    path = store.path(PART)
    if damage == "folder":
        path.mkdir()
    elif damage != "missing":
        data = bytearray(packed.data)
        for begin in (0, *packed.index.offsets[1:-1]):
            data[begin] ^= 0xFF
        path.write_bytes(packed.data[:-5] if damage == "short" else bytes(data))
    with pytest.raises(CacheError, match=re.escape(str(path))):
        parts.read_known(store, PART, packed.sha256)
    with pytest.raises(CacheError, match=re.escape(str(path))):
        parts.read_lines(store, PART, packed.index, ["T00049"])


_NAMES = st.text("AZ.+ é", max_size=2).map(lambda end: f"M{end}")
_FILLING = st.integers(0, 300).map(lambda size: "x" * size)


@pytest.mark.parametrize("searched", [1, 40, 4096])
@given(rows=st.lists(st.tuples(_NAMES, _FILLING), max_size=60), blank=st.booleans(), ends=st.booleans(), wanted=_NAMES)
def test_sorted_lines_of_a_ticker_are_found_by_bisection_and_are_those_that_a_search_of_all_finds(
    searched: int, rows: list[tuple[str, str]], blank: bool, ends: bool, wanted: str
) -> None:
    in_order = sorted((name.encode(), filling.encode()) for name, filling in rows)
    between = [b"\n" if blank and number % 5 == 3 else b"" for number in range(len(in_order))]
    text = b"".join(gap + b",".join(row) + b"\n" for gap, row in zip(between, in_order, strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "_SEARCHED", searched)
        for name in {wanted, *(name for name, _ in rows)}:
            found = b"".join(lines._lines_of(text if ends else text.rstrip(b"\n"), name.encode(), ordered=True))
            expected = [b",".join(row) + b"\n" for row in in_order if row[0] == name.encode()]
            assert found == b"".join(expected)
