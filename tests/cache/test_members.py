"""Gzip in members: any reader sees one text, and each member contains a whole number of lines."""

import gzip
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.cache.parts import members
from ingest.errors import UnreadableFile

SMALL = 64
lines = st.lists(st.integers(1, 150).map(lambda size: b"x" * (size - 1) + b"\n"), max_size=40)
headers = st.sampled_from([b"", b"h\n", b"header\n", b"h" * 200 + b"\n"])


def _starts(header: bytes, rows: list[bytes]) -> npt.NDArray[np.int64]:
    return np.cumsum([len(header), *map(len, rows)], dtype=np.int64)[:-1]


def _packed(header: bytes, rows: list[bytes]) -> tuple[bytes, members.Packed]:
    text = header + b"".join(rows)
    return text, members.pack(text, _starts(header, rows), SMALL)


def _members(packed: members.Packed) -> list[bytes]:
    return [packed.data[a:b] for a, b in pairwise([*packed.offsets, len(packed.data)])]


@given(headers, lines)
def test_any_reader_of_gzip_sees_the_text(header: bytes, rows: list[bytes]) -> None:
    text, packed = _packed(header, rows)
    assert gzip.decompress(packed.data) == text
    assert members.unpack(packed.data) == text


@given(headers, lines)
def test_each_member_holds_its_rows_whole(header: bytes, rows: list[bytes]) -> None:
    _, packed = _packed(header, rows)
    texts = [gzip.decompress(member) for member in _members(packed)]
    bounds = [*packed.rows, len(rows)]
    assert packed.rows[0] == 0
    assert list(packed.rows) == sorted(set(packed.rows)), "a member without rows"
    assert texts == [(header if first == 0 else b"") + b"".join(rows[first:last]) for first, last in pairwise(bounds)]


@given(headers, lines)
def test_a_member_is_as_large_as_a_block_and_a_line_at_most(header: bytes, rows: list[bytes]) -> None:
    _, packed = _packed(header, rows)
    longest = max([len(header), *map(len, rows)])
    assert all(len(gzip.decompress(member)) <= SMALL + longest + len(header) for member in _members(packed))


@given(headers, lines)
def test_members_carry_no_time(header: bytes, rows: list[bytes]) -> None:
    text, packed = _packed(header, rows)
    assert {member[4:8] for member in _members(packed)} == {bytes(4)}
    assert _packed(header, rows) == (text, packed)


def test_a_day_of_the_usual_size_is_cut_at_about_each_block() -> None:
    rows = [f"T{number:05d},100,1.0,2.0,3.0,0.5\n".encode() for number in range(9_700)]
    text = b"".join([b"header\n", *rows])
    packed = members.pack(text, _starts(b"header\n", rows))
    assert len(packed.offsets) == pytest.approx(len(text) / members.BLOCK, abs=1)


@pytest.mark.parametrize("text", [b"", b"header\n", b"no line end"])
def test_a_text_without_rows_is_one_member(text: bytes) -> None:
    packed = members.pack(text, np.zeros(0, np.int64))
    assert (packed.offsets, packed.rows) == ((0,), (0,))
    assert gzip.decompress(packed.data) == text


@pytest.mark.parametrize("damage", ["short", "flipped", "no gzip", "tail"])
def test_damaged_data_is_not_read(damage: str) -> None:
    data = members.pack(b"header\n" + bytes(range(32, 127)) * 50, np.zeros(0, np.int64)).data
    flipped = bytearray(data)
    flipped[-6] ^= 1  # in the checksum
    bad = {"short": data[:-9], "flipped": bytes(flipped), "no gzip": b"<html>", "tail": data + b"<html>"}[damage]
    with pytest.raises(UnreadableFile, match="not a whole gzip file"):
        members.unpack(bad)
