"""A note inside a gzip file: gzip readers skip it, and it comes back unchanged."""

import gzip
import io
import shutil
import subprocess
import zlib

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.cache.parts import members as blockgzip
from ingest.cache.parts import note as stamp

texts = st.binary(max_size=2000)
notes = st.one_of(st.binary(max_size=300), st.sampled_from([bytes(stamp.MAX_BYTES), b"IN" * 100, b"\x1f\x8b\x08\x04"]))


def packed(text):
    return gzip.compress(text, mtime=0)


@given(texts, notes)
def test_a_note_comes_back_and_the_file_is_as_it_was(text, note):
    plain = packed(text)
    noted = stamp.put_note(plain, note)
    assert stamp.take_note(noted) == (note, plain)
    assert gzip.decompress(noted) == blockgzip.unpack(noted) == text
    assert len(noted) == len(plain) + len(note) + 6


@given(st.lists(texts, min_size=1, max_size=4), notes)
def test_members_that_follow_stay_where_they_were_behind_it(members, note):
    plain = b"".join(map(packed, members))
    noted = stamp.put_note(plain, note)
    assert gzip.decompress(noted) == b"".join(members)
    first = len(noted) - len(plain) + len(packed(members[0]))
    assert noted[first:] == plain[len(packed(members[0])) :]


def test_common_programs_read_it(tmp_path):
    text = b"ticker,close\n" + b"AAPL,1\n" * 20_000
    starts = np.arange(13, len(text), 7)
    file = tmp_path / "part.csv.gz"
    file.write_bytes(stamp.put_note(blockgzip.pack(text, starts).data, b"a note" * 5000))
    assert zlib.decompressobj(wbits=31).decompress(file.read_bytes())  # its first member
    for program in ("zcat", "gzip"):
        if found := shutil.which(program):
            command = [found, file] if program == "zcat" else [found, "-dc", file]
            done = subprocess.run(command, capture_output=True, check=True)
            assert (done.stdout, done.stderr) == (text, b"")


def test_the_largest_note_fits_and_a_larger_one_is_refused():
    plain = packed(b"text")
    assert stamp.take_note(stamp.put_note(plain, bytes(stamp.MAX_BYTES))) == (bytes(stamp.MAX_BYTES), plain)
    with pytest.raises(ValueError, match="note"):
        stamp.put_note(plain, bytes(stamp.MAX_BYTES + 1))


@given(st.binary(max_size=60))
def test_a_file_without_a_note_has_none(data):
    assert stamp.take_note(data) is None or data.startswith(b"\x1f\x8b\x08\x04")
    assert stamp.take_note(packed(data)) is None


@given(st.binary(min_size=16, max_size=60))
def test_a_field_that_is_not_ours_is_not_a_note(tail):
    """With other letters, a wrong length, or cut short: None, or a note that ends within the file."""
    taken = stamp.take_note(b"\x1f\x8b\x08\x04" + tail)
    if taken is not None:
        note, plain = taken
        assert len(note) + len(plain) + 6 == len(tail) + 4
        assert tail[8:10] == b"IN"


@given(texts, notes, st.data())
def test_a_file_cut_short_within_its_note_has_none(text, note, data):
    noted = stamp.put_note(packed(text), note)
    cut = data.draw(st.integers(0, 15 + len(note)))
    assert stamp.take_note(noted[:cut]) is None


@pytest.mark.parametrize("data", [b"", b"text", b"\x1f\x8b\x08\x04" + bytes(20), b"\x1f\x8b\x08\x08" + bytes(20)])
def test_a_note_goes_into_a_plain_header_alone(data):
    with pytest.raises(ValueError, match="plain header"):
        stamp.put_note(data, b"note")


def test_a_note_beside_another_tools_field_is_left_alone():
    noted = bytearray(stamp.put_note(packed(b"text"), b"note"))
    other = b"XX\x01\x00?"
    noted[10:12] = (len(b"note") + 4 + len(other)).to_bytes(2, "little")
    both = bytes(noted[:20]) + other + bytes(noted[20:])
    assert gzip.decompress(both) == b"text"
    assert stamp.take_note(both) is None


long_notes = notes | st.sampled_from([bytes(range(256)) * 400, bytes(30_000), bytes(60_001)])


@given(st.lists(texts, min_size=1, max_size=3), long_notes)
def test_a_note_at_the_end_comes_back_and_changes_no_text(members, note):
    plain = b"".join(map(packed, members))
    noted = plain + stamp.tail(note)
    assert stamp.take_tail(io.BytesIO(noted)) == (note, len(plain))
    assert gzip.decompress(noted) == blockgzip.unpack(noted) == b"".join(members)
    assert b"".join(blockgzip.unpacked(io.BytesIO(noted), 10**6, 1000)) == b"".join(members)


def test_common_programs_read_a_file_with_a_note_at_its_end(tmp_path):
    text = b"ticker,close\n" + b"AAPL,1\n" * 20_000
    file = tmp_path / "part.csv.gz"
    file.write_bytes(blockgzip.pack(text, np.arange(13, len(text), 7)).data + stamp.tail(bytes(range(256)) * 1000))
    assert pl.read_csv(file).height == pl.scan_csv(file).collect().height == 20_000
    if found := shutil.which("gzip"):
        done = subprocess.run([found, "-dc", file], capture_output=True, check=True)
        assert (done.stdout, done.stderr) == (text, b"")


@given(st.data())
def test_a_damaged_note_at_the_end_is_ignored(data):
    noted = packed(b"text") + stamp.tail(b"a note" * 20)
    at = data.draw(st.integers(len(packed(b"text")), len(noted) - 1))
    wrong = bytearray(noted)
    wrong[at] ^= data.draw(st.integers(1, 255))
    taken = stamp.take_tail(io.BytesIO(bytes(wrong)))
    # Unpacking the note reveals a changed byte in it, and a length that leaves some of it out.
    assert taken is None or (taken[0] != b"a note" * 20 and len(taken[0]) in (0, 120))
    assert stamp.take_tail(io.BytesIO(noted[:at])) is None
    assert stamp.take_tail(io.BytesIO(noted + b"?")) is None


@given(st.binary(max_size=200))
def test_a_file_without_a_note_at_its_end_has_none(data):
    assert stamp.take_tail(io.BytesIO(data)) is None
    assert stamp.take_tail(io.BytesIO(packed(data))) is None
    assert stamp.take_tail(io.BytesIO(data + stamp.tail(b"note")[-42:])) in (None, (b"", len(data)))
