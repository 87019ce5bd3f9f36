"""Sessions whose files are too large to be split at once: whole runs, in which small files count as such."""

import gzip
import io
import os
import tracemalloc
from collections import Counter
from dataclasses import replace
from datetime import date
from itertools import count

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kills import Killed
from pipeline_kit import HEADER, TRACKED, Place, flat, key, market_day, pack, packed_day, trading_days, window
from tuning_kit import tune

from ingest import events, finding
from ingest.cache import part_record
from ingest.cache.cache import Layout
from ingest.cache.manifest import Held
from ingest.cache.parts import members
from ingest.files import durable
from ingest.maintenance.verify import verify
from ingest.market.catalogue import STOCKS_DAY, STOCKS_MINUTE
from ingest.pipeline import worker
from ingest.pipeline.task import Job
from ingest.planning.plan import Decision
from ingest.settings import Settings, tuning
from ingest.sources.base import Body
from ingest.splitting import compare as comparing
from ingest.splitting.compare import Room, Version, compare
from ingest.splitting.diff import Correction, changes, rows_of

DAYS = trading_days(date(2025, 3, 3), 2)
SPAN = window(DAYS)
ROOM = Room(100, 10_000)


@pytest.fixture
def large(monkeypatch):
    """Everything is large: text is read in chunks of 2 kB, and packed in members of 1.5 kB."""
    tune(monkeypatch, at_once=0, chunk=2000, piece=700, large_member=1500)


@pytest.fixture
def place(server, tmp_path):
    return Place(tmp_path / "cache", server.endpoint_url)


def leftovers(place):
    return list(place.root.rglob("*.tmp"))


@pytest.mark.parametrize(("dataset", "size"), [(STOCKS_DAY, members.BLOCK), (STOCKS_MINUTE, 128 << 10)])
def test_members_are_small_where_a_ticker_has_one_row(place, dataset, size):
    parts = Layout.of(place.settings(), dataset).parts
    job = Job(Decision(DAYS[0], "fetch", "new", "listed", None, Held(), TRACKED, True), 1, dataset, parts, 1 << 30)
    assert job.member == size


def test_repeats_are_found_in_a_file_that_is_not_sorted_if_it_can_be_split_at_once(place, server, monkeypatch):
    tune(monkeypatch, alone=1, ordinary=1000, in_chunks=1000, chunk=2000, piece=700)
    header, *lines = market_day(DAYS[1]).splitlines(keepends=True)
    server.objects[key(DAYS[1])] = pack(b"".join([header, *lines[::-1]]))
    told = [one for one in place.run(*SPAN).events if isinstance(one, events.Committed)]
    kinds = {one.session: [found.kind for found in one.findings] for one in told}
    assert kinds == {DAYS[0]: [], DAYS[1]: [finding.IDENTICAL]}
    assert place.reassembled(DAYS[1]) == b"".join([header, *lines[::-1]])
    assert leftovers(place) == []


def test_they_are_stored_whole_and_read_like_others(place, server, tmp_path, request):
    small = Place(tmp_path / "small", server.endpoint_url)
    small.run(*SPAN)
    request.getfixturevalue("large")
    place.run(*SPAN)
    for day in DAYS:
        assert place.reassembled(day) == market_day(day)
        for tier in ("tracked", "archive"):
            assert place.part_text(day, tier) == small.part_text(day, tier)
        (numbers,) = place.query("SELECT tracked_row_numbers FROM sessions WHERE session = ?", str(day))
        assert numbers[0][:1] == b"\x01"
    csvs = [{path.name: path.read_bytes() for path in one.tracked.glob("*.csv")} for one in (place, small)]
    assert csvs[0] == csvs[1]
    assert len(csvs[0]) == len(TRACKED)
    assert verify(place.settings(), deep=True).problems == ()
    assert leftovers(place) == []
    assert place.run(*SPAN).gets == []


def test_their_manifest_is_rebuilt_from_the_parts(place, large):
    place.run(*SPAN)
    before = place.logical_manifest()
    for path in place.root.glob("manifest.sqlite*"):
        path.unlink()
    ran = place.run(*SPAN)
    assert (ran.gets, place.logical_manifest()) == ([], before)


def test_a_part_that_does_not_match_its_record_is_fetched_again(place, large):
    place.run(*SPAN)
    part = place.part(DAYS[0])
    part.write_bytes(part.read_bytes().replace(b"\x03\0\0", b"\x03\1\0", 1))
    assert [one.kind for one in verify(place.settings()).problems] == ["damaged"]
    for path in place.root.glob("manifest.sqlite*"):
        path.unlink()
    assert place.run(*SPAN).gets == DAYS[:1]
    assert verify(place.settings(), deep=True).problems == ()


def changed(text, at=60):
    """A day's text with one close changed, one row removed and one added, none of them of a tracked ticker."""
    lines = text.splitlines(keepends=True)
    names = [line.split(b",")[0].decode() for line in lines]
    places = [n for n in range(at, len(lines)) if names[n] not in TRACKED][:3]
    fields = lines[places[0]].split(b",")
    fields[3] = b"7"
    lines[places[0]] = b",".join(fields)
    lines[places[1]] = lines[places[1]].replace(names[places[1]].encode(), names[places[1]].encode() + b"ZZ")
    del lines[places[2]]
    return b"".join(lines)


def test_a_correction_is_the_same_rows_as_of_a_small_file_and_leaves_the_part_that_is_equal(
    place, server, tmp_path, request
):
    small = Place(tmp_path / "small", server.endpoint_url)
    new = changed(market_day(DAYS[0]))
    for one in (small, place):
        server.objects[key(DAYS[0])] = packed_day(DAYS[0])
        if one is place:
            request.getfixturevalue("large")
        one.run(*SPAN)
        server.objects[key(DAYS[0])] = pack(new)
        written = one.part(DAYS[0], "archive").stat().st_ino
        ran = one.run(*SPAN, accept=True)
        assert ran.finished.corrections == 1
        assert one.part(DAYS[0], "archive").stat().st_ino != written
    ((_, *mine),), ((_, *theirs),) = place.corrections(), small.corrections()
    assert [Counter(some) for some in mine] == [Counter(some) for some in theirs]
    assert len(mine[0]) == 3
    assert place.reassembled(DAYS[0]) == new
    assert verify(place.settings(), deep=True).problems == ()
    assert leftovers(place) == []


def test_equal_rows_under_a_new_etag_are_no_change_and_the_archive_stays(place, server, large):
    place.run(*SPAN)
    written = place.part(DAYS[0], "archive").stat().st_ino
    server.objects[key(DAYS[0])] = gzip.compress(market_day(DAYS[0]), 9, mtime=0)
    ran = place.run(*SPAN)
    assert (ran.gets, ran.finished.corrections) == (DAYS[:1], 0)
    assert place.query("SELECT kind FROM corrections") == [("equal rows",)]
    assert place.part(DAYS[0], "archive").stat().st_ino == written
    assert leftovers(place) == []


@pytest.mark.parametrize("save_others", [True, False])
def test_a_file_with_missing_rows_is_refused_and_can_be_accepted(place, server, large, save_others):
    place.run(*SPAN, save_others=save_others)
    held = place.tiers()
    lines = market_day(DAYS[0]).splitlines(keepends=True)
    server.objects[key(DAYS[0])] = pack(b"".join([line for line in lines if not line.startswith(b"AAPL,")][:150]))
    ran = place.run(*SPAN, save_others=save_others)
    (event,) = ran.of(events.Quarantined)
    assert "stored rows are missing from the new file" in event.reason
    assert place.tiers() == held
    shown = place.here("quarantine", "show", str(DAYS[0]))
    assert (shown.code, "rows" in shown.out) == (0, True)
    accepted = place.here("quarantine", "accept", str(DAYS[0]), INGEST_ARCHIVE__SAVE_OTHERS=str(save_others).lower())
    assert accepted.code == 0, accepted.err
    assert "AAPL" in {line.split(",")[0] for _, removed, _ in place.corrections() for line in removed}
    assert verify(place.settings(), deep=True).problems == ()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda packed: packed[:-9],
        lambda packed: packed + b"<html>",
        lambda packed: packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:],
        lambda packed: packed + pack(b"A,x,1,1,1,1,1,1\n"),
        lambda packed: packed + pack(b'A,"1,1,1,1,1,1,1\n'),
    ],
    ids=["cut short", "text after it", "a wrong check sum", "a price that is none", "a quote that is not closed"],
)
def test_a_file_that_is_found_unreadable_at_its_end_leaves_nothing_behind(place, server, large, spoil):
    server.objects[key(DAYS[0])] = spoil(packed_day(DAYS[0]))
    ran = place.run(*SPAN)
    assert [event.session for event in ran.of(events.Quarantined)] == DAYS[:1]
    assert ran.committed == DAYS[1:]
    assert leftovers(place) == []


@pytest.mark.parametrize("nth", [1, 4, 9])
def test_killed_while_parts_grow_the_next_run_makes_the_same_of_it(place, server, tmp_path, large, monkeypatch, nth):
    other = Place(tmp_path / "other", server.endpoint_url)
    other.run(*SPAN)
    with monkeypatch.context() as dying:
        written = count()
        write = os.write

        def killing(descriptor, data):
            if next(written) >= nth:
                raise Killed
            return write(descriptor, data)

        dying.setattr(os, "write", killing)
        dying.setattr(durable, "unstage", lambda *_: None)  # a killed process removes nothing
        with pytest.raises((Killed, BaseExceptionGroup)):
            place.run(*SPAN)
    assert leftovers(place)
    place.run(*SPAN)
    assert place.tiers() == other.tiers()


def job(tmp_path, dataset=STOCKS_DAY, **more):
    layout = Layout.of(Settings.model_validate({"cache": {"root": tmp_path}}), dataset)
    layout.parts.create()
    decision = Decision(DAYS[0], "fetch", "new", "listed", None, Held(), TRACKED, True)
    return Job(decision, 0, layout.dataset, layout.parts, 1 << 40, tuning=tuning.DEFAULT, **more)


def staged(asked, tier):
    """Bytes of the only staged part of a tier."""
    (key,) = asked.parts.staged(asked.decision.session, tier)
    return asked.parts.read(key)


def test_a_body_in_a_file_and_one_in_memory_make_the_same_parts(tmp_path, large):
    packed = packed_day(DAYS[0])
    (tmp_path / "spool").write_bytes(packed)
    bodies = Body(packed, "e", "m"), Body(b"", "e", "m", path=tmp_path / "spool")
    jobs = [job(tmp_path / str(n)) for n in range(len(bodies))]
    made = [worker.prepare(*one) for one in zip(jobs, bodies, strict=True)]
    assert made[0].record == made[1].record
    assert made[0].record.size == len(packed)
    for tier in ("tracked", "archive"):
        one, other = (staged(each, tier) for each in jobs)
        assert one == other
        assert pl.read_csv(one).height == getattr(made[0].record, f"{tier}_rows")
    said = part_record.read_record(io.BytesIO(staged(jobs[0], "tracked")))
    assert said.record == replace(made[0].record, last_modified="")


def test_a_text_with_a_line_end_within_quotes_far_down_is_cut_by_rows(tmp_path, large):
    rows = [f"T{n:03},1,1,1,1,1,1,1\n" for n in range(200)]
    text = f'{HEADER}\n{"".join(rows)}AAPL,1,1,1,1,1,1,"1\n2"\nZ,1,1,1,1,1,1,1\n'.encode()
    asked = job(tmp_path)
    assert worker.prepare(asked, Body(pack(text), "e", "m")).record.cut == "polars"
    parts = [gzip.decompress(staged(asked, tier)) for tier in ("tracked", "archive")]
    assert parts[0] == f'{HEADER}\nAAPL,1,1,1,1,1,1,"1\n2"\n'.encode()
    assert pl.read_csv(parts[1]).height == 201


def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch):
    """Python's peak memory for files of 5 MB and of 20 MB of text differs by less than a chunk.

    This does not measure polars' memory; `python -m benchmarks.large` does.
    """
    tune(monkeypatch, chunk=1 << 20)
    taken = []
    for size in (5, 20):
        path = tmp_path / f"spool{size}"
        rows = [f"T{n:06},1,1,1,1,1,{1741010400000000000 + n},1\n" for n in range(size * 40_000)]
        path.write_bytes(pack(f"{HEADER}\n{''.join(rows)}".encode()))
        del rows
        tracemalloc.start()
        worker.prepare(job(tmp_path, STOCKS_MINUTE), Body(b"", "e", "m", path=path))
        taken.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert taken[1] - taken[0] < 1 << 20


class TestCompared:
    """The difference of two versions found by hashes of their lines is the one found by the lines themselves."""

    LINES = st.lists(st.sampled_from(["A,1", "A,2", "B,1", "", ",", '"A",1', '"B\n",2', "C,3\r", "D\r,1"]), max_size=9)

    @settings(max_examples=60)
    @given(LINES, LINES, st.integers(1, 4))
    def test_each_line_counts_as_often_as_it_occurs(self, before, after, pieces):
        def texts(lines):
            return [("ticker,b\n" + "".join(f"{line}\n" for line in lines[n::pieces])).encode() for n in range(pieces)]

        old, new = (
            Version(("ticker", "b"), STOCKS_DAY.numeric, lambda some=some: iter(texts(some)))
            for some in (before, after)
        )
        mine, theirs = (rows_of(("ticker", "b"), texts(some)) for some in (before, after))
        for found in (compare(old, new, ROOM), compare(old, new, None)):
            lines = (Counter(found.removed), Counter(found.added))
            assert lines == (mine.lines - theirs.lines, theirs.lines - mine.lines)
            assert (old.tickers(), found.left_out) == (mine.tickers, 0)

    @pytest.mark.parametrize("room", [None, ROOM], ids=["at once", "in chunks"])
    def test_columns_in_another_order_are_listed_in_the_new_one(self, room):
        """And a number that is written differently is equal in any order."""
        numeric = STOCKS_DAY.numeric
        old = Version(("ticker", "close", "b"), numeric, lambda: iter([b"ticker,close,b\nA,1,2\nB,3,4\n"]))
        new = Version(("b", "ticker", "close"), numeric, lambda: iter([b"b,ticker,close\n2,A,1.00\n4,B,5\n"]))
        found = compare(old, new, room)
        assert (found.removed, found.added) == (("4,B,3",), ("4,B,5",))
        ((change,),) = [list(changes(Correction.of(DAYS[0], ("e", "f"), found)))]
        assert (change.ticker, change.column, change.old, change.new) == ("B", "close", "3", "5")

    def test_more_changes_than_are_listed_are_counted(self, place, server, large, monkeypatch):
        tune(monkeypatch, listed_lines=5)
        names = [f"T{n:03}" for n in range(50)]
        server.objects[key(DAYS[0])] = pack(flat([(name, "1") for name in names]))
        place.run(*SPAN)
        server.objects[key(DAYS[0])] = pack(flat([(name, "2") for name in names]))
        place.run(*SPAN)
        ((_, removed, added),) = place.corrections()
        assert (len(removed), len(added)) == (5, 5)
        assert place.query("SELECT kind, count FROM findings WHERE kind = ?", finding.UNLISTED) == [
            (finding.UNLISTED, 90)
        ]

    def test_long_lines_are_listed_as_far_as_there_is_room(self):
        texts = [b"ticker,a\n" + b"A,%d%s\n" % (close, b"0" * 997) * 9 for close in (1, 2)]
        old, new = (Version(("ticker", "a"), frozenset(), lambda text=text: iter([text])) for text in texts)
        found = compare(old, new, Room(9, 2500))
        assert (len(found.removed), len(found.added), found.left_out) == (2, 2, 14)

    def test_hashes_of_many_lines_are_compared_in_slices(self):
        rng = np.random.default_rng(1)
        ours = np.sort(rng.integers(0, 2**64, 5000, dtype=np.uint64))
        theirs = np.sort(np.concatenate([ours[::2], ours[:7]]))
        values, counts = comparing._surplus(ours, theirs)
        expected = Counter(ours.tolist()) - Counter(theirs.tolist())
        assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == expected


def test_a_stream_that_breaks_off_closes_its_file(tmp_path):
    packed = io.BytesIO(pack(b"x" * 10_000))
    pieces = members.unpacked(packed, 1 << 20, 1000)
    assert next(pieces) == b"x" * 1000
    pieces.close()
