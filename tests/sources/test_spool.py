"""Which bytes of a large object are there, and what becomes of its file."""

import json
import os
import time
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.sources import spool
from ingest.sources.spool import ByteRange, ObjectVersion, PartialDownload, merge_ranges, missing_ranges

SIZE = 40
KNOWN = ObjectVersion("etag", SIZE)
DAYS = [date(2025, 3, day) for day in (3, 4, 5)]
stretches = st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).map(lambda edges: ByteRange(*sorted(edges)))


@given(st.lists(stretches, max_size=12))
def test_what_is_there_and_what_is_missing_are_the_whole(added):
    there, expected = [], set()
    for one in added:
        there = merge_ranges(there, one)
        expected |= set(range(*one))
    gaps = list(missing_ranges(there, SIZE))
    assert {at for one in there for at in range(*one)} == expected
    assert {at for one in gaps for at in range(*one)} == set(range(SIZE)) - expected
    edges = [edge for one in there for edge in one]
    assert edges == sorted(set(edges)), "stretches that touch are not made one"


@settings(max_examples=40)
@given(st.lists(stretches, max_size=6), st.integers(1, SIZE + 5))
def test_a_spool_is_found_again_as_it_was_left(tmp_path_factory, added, most):
    path = tmp_path_factory.mktemp("spool") / "x.part"
    data = bytes(range(SIZE))
    left = PartialDownload.begin(path, KNOWN)
    for start, stop in added:
        left.write(start, data[start:stop])
    found = PartialDownload.open(path, KNOWN)
    assert found.there == left.there
    for start, stop in found.missing(most):
        assert 0 < stop - start <= most
        found.write(start, data[start:stop])
    assert found.there == SIZE
    assert path.read_bytes() == data


def test_another_object_begins_anew(tmp_path):
    path = tmp_path / "x.part"
    PartialDownload.begin(path, KNOWN).write(0, b"abc")
    assert PartialDownload.open(path, KNOWN).there == 3
    for other in (ObjectVersion("another", SIZE), ObjectVersion("etag", SIZE + 1)):
        assert PartialDownload.open(path, other).there == 0
        PartialDownload.begin(path, KNOWN).write(0, b"abc")


LIES = {
    "more than all": ["etag", SIZE, [[0, SIZE + 1]]],
    "more than the file has": ["etag", SIZE, [[0, 4]]],
    "backwards": ["etag", SIZE, [[3, 1]]],
    "below nothing": ["etag", SIZE, [[-3, 1]]],
    "one over the other": ["etag", SIZE, [[0, 2], [1, 3]]],
    "three numbers": ["etag", SIZE, [[0, 1, 2]]],
    "no numbers": ["etag", SIZE, [["0", "1"]]],
    "truths": ["etag", SIZE, [[False, True]]],
    "fractions": ["etag", SIZE, [[0.0, 1.5]]],
    "another ETag": ["x", SIZE, [[0, 3]]],
    "another size": ["etag", SIZE - 1, [[0, 3]]],
    "a name": {"etag": "etag"},
    "nothing": None,
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_note_that_cannot_be_true_is_not_believed(tmp_path, lie):
    path = tmp_path / "x.part"
    PartialDownload.begin(path, KNOWN).write(0, b"abc")
    (tmp_path / "x.part.json").write_text(json.dumps(lie))
    assert PartialDownload.open(path, KNOWN).there == 0
    assert path.read_bytes() == b""


@pytest.mark.parametrize("torn", [b"", b"[", b'["etag", 40, [[0, 3]', b"\xff\xfe", bytes(30)])
def test_a_note_that_is_torn_is_not_believed(tmp_path, torn):
    path = tmp_path / "x.part"
    PartialDownload.begin(path, KNOWN).write(0, b"abc")
    (tmp_path / "x.part.json").write_bytes(torn)
    assert PartialDownload.open(path, KNOWN).there == 0


@pytest.mark.parametrize("gone", ["x.part", "x.part.json"])
def test_one_without_the_other_is_nothing(tmp_path, gone):
    path = tmp_path / "x.part"
    PartialDownload.begin(path, KNOWN).write(0, b"abc")
    (tmp_path / gone).unlink()
    assert PartialDownload.open(path, KNOWN).there == 0


def test_a_size_of_any_number_takes_no_room(tmp_path):
    found = PartialDownload.begin(tmp_path / "x.part", ObjectVersion("etag", 10**30))
    assert next(found.missing(1 << 20)) == (0, 1 << 20)
    assert (tmp_path / "x.part").stat().st_size == 0


def left(folder, day, known=KNOWN):
    path = spool.spool_path(folder, day)
    PartialDownload.open(path, known).write(0, b"abc")
    return path


@pytest.mark.parametrize(
    ("decided", "kept"),
    [
        ({}, DAYS),
        (dict.fromkeys(DAYS, KNOWN), DAYS),
        ({DAYS[0]: None}, DAYS[1:]),
        ({DAYS[0]: ObjectVersion("another", SIZE), DAYS[1]: KNOWN, DAYS[2]: ObjectVersion("etag", 1)}, [DAYS[1]]),
    ],
    ids=["another window", "all wanted", "not wanted any more", "replaced"],
)
def test_what_will_not_be_gone_on_with_is_swept(tmp_path, decided, kept):
    paths = {day: left(tmp_path, day) for day in DAYS}
    spool.sweep_spool(tmp_path, decided)
    assert [day for day, path in paths.items() if path.exists()] == kept
    assert len(list(tmp_path.iterdir())) == 2 * len(kept)


def test_what_no_window_has_asked_for_in_a_week_is_swept_and_so_is_litter(tmp_path):
    old, new = left(tmp_path, DAYS[0]), left(tmp_path, DAYS[1])
    week = time.time() - 7.1 * 24 * 3600
    os.utime(old, (week, week))
    (tmp_path / ".2025-03-03.csv.gz.part.json.tmp").write_text("torn, by an earlier version")
    (tmp_path / ".2025-03-03.csv.gz.part.json.ingest-0123456789abcdef.tmp").write_text("torn")
    (tmp_path / "2025-03-07.csv.gz.part.json").write_text("without its file")
    (tmp_path / "mine.txt").write_text("not ours")
    spool.sweep_spool(tmp_path, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([new.name, f"{new.name}.json", "mine.txt"])


def test_no_folder_is_nothing_to_sweep(tmp_path):
    spool.sweep_spool(tmp_path / "none", {})
