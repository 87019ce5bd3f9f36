"""Tracked parts that describe themselves: the manifest's record of a session comes back from its part alone."""

import gzip
import hashlib
import io
import json
import tracemalloc
import zlib
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parts_kit import PART, in_memory
from splitting_kit import parted

from ingest.cache import part_record
from ingest.cache.layout import MemberIndex
from ingest.cache.manifest import SessionRecord
from ingest.cache.manifest.integrity import codec
from ingest.cache.part_record import stamped
from ingest.cache.parts import members, parts
from ingest.cache.parts import note as stamp
from ingest.finding import Finding

DAY = date(2025, 3, 4)


def read(data):
    return part_record.read_record(io.BytesIO(data))


HEADER = "ticker,volume,open,close,high,low"
tickers = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters=',"'), min_size=1, max_size=6)


def made(names, tracked, kept=True, **named):
    """A record and its tracked part, as `prepare` has them before the note is added."""
    lines = [f"{name},{n},1,1,1,1" for n, name in enumerate(names)]
    text = "\n".join([HEADER, *lines, ""]).encode()
    cut = parted(text, frozenset(tracked), kept)
    part = parts.pack_part(cut.tracked)
    archive = parts.pack_part(cut.archive) if cut.archive else None
    record = SessionRecord(
        session=DAY,
        etag="e1",
        size=7,
        last_modified="2025-03-05T15:00:00+00:00",
        source_rows=cut.source_rows,
        tracked_rows=part.rows,
        archive_rows=archive.rows if archive else 0,
        dropped_rows=0 if archive else cut.source_rows - part.rows,
        text_sha256=hashlib.sha256(text).hexdigest(),
        tracked_sha256=part.sha256,
        archive_sha256=archive.sha256 if archive else None,
        tracked_row_numbers=cut.result.tracked_rows,
        tracked_set=3,
        archive_kept=archive is not None,
        cut=cut.cut,
        columns=cut.header.columns,
        findings=cut.findings,
        tracked_index=part.index.encode(),
        archive_index=archive.index.encode() if archive else None,
    )
    return replace(record, **named), part.data


@given(
    st.lists(tickers, max_size=12),
    st.sets(tickers, max_size=3),
    st.booleans(),
    st.lists(st.builds(Finding, st.text(max_size=9), st.integers(1), st.lists(tickers).map(tuple)), max_size=3),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
)
def test_the_record_comes_back_from_the_part(names, more, kept, found, etag):
    tracked = {*names[::2], *more}
    plain, data = made(names, tracked, kept, findings=tuple(found), etag=etag)
    record, noted = stamped(plain, data, "set", frozenset(tracked))
    said = read(noted)
    # Known to the run but not to the part: the number of its tracked set, and when the file was published.
    assert said.record == replace(record, tracked_set=0, last_modified="")
    assert (said.dataset, said.tickers) == ("set", frozenset(tracked))
    assert record.tracked_sha256 == hashlib.sha256(noted).hexdigest()
    assert gzip.decompress(noted) == members.unpack(noted) == members.unpack(data)


def test_each_member_is_found_behind_the_note():
    names = [f"T{n:05}" for n in range(9_000)]
    record, noted = stamped(*made(names, names), "set", frozenset(names[:50]))
    store = in_memory(noted)
    index = MemberIndex.decode(record.tracked_index)
    assert len(index.offsets) > 5
    assert index.offsets[-1] == len(noted)
    for name in (names[0], names[4_321], names[-1]):
        lines = parts.read_lines(store, PART, index, [name])
        assert f"{name},{int(name[1:])},1,1,1,1\n".encode() in lines
        assert lines.count(b"\n") < 3_000


def test_equal_files_make_equal_parts_whenever_they_came():
    plain, data = made(["A", "B"], ["A"])
    later = replace(plain, tracked_set=9, last_modified="2026-01-01T00:00:00+00:00")
    assert stamped(plain, data, "set", frozenset("A"))[1] == stamped(later, data, "set", frozenset("A"))[1]


@given(st.data())
def test_a_changed_byte_is_noticed(data):
    """Wherever the byte is, there is no record any more, or the record is not of this file."""
    record, noted = stamped(*made(["A", "B", "C"], ["A", "C"]), "set", frozenset("AC"))
    at = data.draw(st.integers(0, len(noted) - 1))
    wrong = bytearray(noted)
    wrong[at] ^= data.draw(st.integers(1, 255))
    said = read(bytes(wrong))
    assert said is None or said.record.tracked_sha256 != record.tracked_sha256


@given(st.data())
def test_a_part_cut_short_or_extended_has_no_record(data):
    _, noted = stamped(*made(["A", "B", "C"], ["A", "C"]), "set", frozenset("AC"))
    assert read(noted[: data.draw(st.integers(0, len(noted) - 1))]) is None
    assert read(noted + data.draw(st.binary(min_size=1, max_size=9))) is None


def test_a_part_without_a_note_has_no_record():
    assert read(made(["A"], ["A"])[1]) is None
    assert read(b"") is None


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"no zlib",
        zlib.compress(b"no JSON"),
        zlib.compress(b"{}"),
        zlib.compress(b"[1]"),
        zlib.compress(b"[1, 2, 3, 4]"),
        zlib.compress(b'[1, "set", [], "{}"]'),
        zlib.compress(b'[1, "set", [], "[]"]'),
        zlib.compress(b'[1, "set", [], "7"]'),
        zlib.compress(b'[2, "set", [], "{}"]'),
        zlib.compress(b'[1, "set", 7, "null"]'),
        zlib.compress(b"\xff"),
        zlib.compress(b"[" * 100_000),
    ],
)
def test_a_note_that_is_not_a_record_is_ignored(note):
    assert read(stamp.put_note(made(["A"], ["A"])[1], note)) is None


@pytest.mark.parametrize(
    ("tickers", "change"),
    [
        (["A"], {"session": "soon"}),
        (["A"], {"session": 7}),
        (["A"], {"tracked_index": "é"}),
        (["A"], {"tracked_index": "W10="}),
        (["A"], {"tracked_index": None}),
        (["A"], {"findings": [7]}),
        (["A"], {"findings": [{"kind": "odd"}]}),
        (["A"], {"another": 1}),
        (7, {}),
        ([[]], {}),
    ],
)
def test_a_record_with_an_impossible_field_is_ignored(tickers, change):
    plain, data = made(["A"], ["A"])
    told = json.loads(codec.to_json(plain)) | change
    note = zlib.compress(json.dumps([1, "set", tickers, json.dumps(told)]).encode())
    assert read(stamp.put_note(data, note)) is None


def test_a_note_that_is_too_long_for_the_first_header_stands_at_the_end():
    plain, data = made(["A"], ["A"])
    many = frozenset(hashlib.sha256(str(n).encode()).hexdigest() for n in range(3_000))
    record, noted = stamped(plain, data, "set", many)
    assert noted.startswith(data)
    assert read(noted).tickers == many
    assert read(noted).record == replace(record, tracked_set=0, last_modified="")
    assert record.tracked_sha256 == hashlib.sha256(noted).hexdigest()
    assert record.tracked_index == plain.tracked_index
    assert gzip.decompress(noted) == members.unpack(noted) == members.unpack(data)
    for wrong in (noted[:-1], noted + b"\0", noted[:50] + b"?" + noted[51:], noted[:-500] + b"?" + noted[-499:]):
        assert read(wrong) is None


BOMB = 64 << 20
SPREAD = stamp.MAX_UNPACKED // 3 - 2


@pytest.mark.parametrize("text", [b" " * BOMB, b"[" + b"[]," * SPREAD + b"1]"], ids=["long", "nested"])
@pytest.mark.parametrize("where", ["front", "end"])
def test_a_note_that_is_a_bomb_is_ignored_and_not_unpacked(text, where):
    note = zlib.compress(text)
    plain = made(["A", "B"], ["A"])[1]
    data = (
        stamp.put_note(plain, note) if where == "front" and len(note) <= stamp.MAX_BYTES else plain + stamp.tail(note)
    )
    tracemalloc.start()
    try:
        assert read(data) is None
        assert tracemalloc.get_traced_memory()[1] < 5 * stamp.MAX_UNPACKED
    finally:
        tracemalloc.stop()


def test_a_part_whose_note_would_be_too_long_has_none(monkeypatch):
    record, data = made(["A", "B"], ["A"])
    monkeypatch.setattr(stamp, "MAX_UNPACKED", 100)
    assert stamped(record, data, "us_stocks_sip/day_aggs_v1", frozenset({"A"})) == (record, data)
