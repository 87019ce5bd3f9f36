"""A note inside a gzip file: readers of gzip pass over it, and it comes back as it was put."""

import gzip
import shutil
import subprocess
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.tiers import blockgzip, stamp

texts = st.binary(max_size=2000)
notes = st.one_of(st.binary(max_size=300), st.sampled_from([bytes(stamp.MAX_BYTES), b"IN" * 100, b"\x1f\x8b\x08\x04"]))


def packed(text):
    return gzip.compress(text, mtime=0)


@given(texts, notes)
def test_what_is_put_is_taken_and_the_file_is_as_it_was(text, note):
    plain = packed(text)
    noted = stamp.put(plain, note)
    assert stamp.take(noted) == (note, plain)
    assert gzip.decompress(noted) == blockgzip.unpack(noted) == text
    assert len(noted) == len(plain) + len(note) + 6


@given(st.lists(texts, min_size=1, max_size=4), notes)
def test_members_that_follow_stay_where_they_were_behind_it(members, note):
    plain = b"".join(map(packed, members))
    noted = stamp.put(plain, note)
    assert gzip.decompress(noted) == b"".join(members)
    first = len(noted) - len(plain) + len(packed(members[0]))
    assert noted[first:] == plain[len(packed(members[0])) :]


def test_the_programs_of_the_world_read_it(tmp_path):
    text = b"ticker,close\n" + b"AAPL,1\n" * 20_000
    starts = np.arange(13, len(text), 7)
    file = tmp_path / "part.csv.gz"
    file.write_bytes(stamp.put(blockgzip.pack(text, starts).data, b"a note" * 5000))
    assert zlib.decompressobj(wbits=31).decompress(file.read_bytes())  # its first member
    for program in ("zcat", "gzip"):
        if found := shutil.which(program):
            command = [found, file] if program == "zcat" else [found, "-dc", file]
            done = subprocess.run(command, capture_output=True, check=True)
            assert (done.stdout, done.stderr) == (text, b"")


def test_a_note_of_the_largest_size_and_none_beyond():
    plain = packed(b"text")
    assert stamp.take(stamp.put(plain, bytes(stamp.MAX_BYTES))) == (bytes(stamp.MAX_BYTES), plain)
    with pytest.raises(ValueError, match="note"):
        stamp.put(plain, bytes(stamp.MAX_BYTES + 1))


@given(st.binary(max_size=60))
def test_what_has_no_note_says_so(data):
    assert stamp.take(data) is None or data.startswith(b"\x1f\x8b\x08\x04")
    assert stamp.take(packed(data)) is None


@given(st.binary(min_size=16, max_size=60))
def test_a_field_that_is_not_ours_is_no_note(tail):
    """Of other letters, of another length than it says, or cut short: None, or a note that ends within the file."""
    taken = stamp.take(b"\x1f\x8b\x08\x04" + tail)
    if taken is not None:
        note, plain = taken
        assert len(note) + len(plain) + 6 == len(tail) + 4
        assert tail[8:10] == b"IN"


@given(texts, notes, st.data())
def test_a_file_cut_short_within_its_note_has_none(text, note, data):
    noted = stamp.put(packed(text), note)
    cut = data.draw(st.integers(0, 15 + len(note)))
    assert stamp.take(noted[:cut]) is None


@pytest.mark.parametrize("data", [b"", b"text", b"\x1f\x8b\x08\x04" + bytes(20), b"\x1f\x8b\x08\x08" + bytes(20)])
def test_a_note_goes_into_a_plain_header_alone(data):
    with pytest.raises(ValueError, match="plain header"):
        stamp.put(data, b"note")


def test_a_note_beside_another_tools_field_is_left_alone():
    noted = bytearray(stamp.put(packed(b"text"), b"note"))
    other = b"XX\x01\x00?"
    noted[10:12] = (len(b"note") + 4 + len(other)).to_bytes(2, "little")
    both = bytes(noted[:20]) + other + bytes(noted[20:])
    assert gzip.decompress(both) == b"text"
    assert stamp.take(both) is None
