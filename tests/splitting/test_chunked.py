"""A file split in chunks gives the same as a whole text, wherever its chunks and members end."""

import gzip
import hashlib
import io
import threading
from dataclasses import fields
from datetime import date, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parts_kit import PART, in_memory
from splitting_kit import parted
from test_whole import BOM, HEADER, awkward, days

from ingest import finding
from ingest.cache.parts import parts
from ingest.cache.parts.parts import PartWriter
from ingest.errors import UnreadableFile
from ingest.finding import Finding, Findings
from ingest.market.catalogue import STOCKS_DAY, STOCKS_MINUTE, named
from ingest.settings.tuning import Tuning
from ingest.splitting import row_numbers
from ingest.splitting.chunks import ahead, chunks
from ingest.splitting.parsing import parse
from ingest.splitting.repeats import Repeats
from ingest.splitting.result import SplitSpec
from ingest.splitting.streamed import Cutter, NotLines, opened, part_header

DAY = date(2025, 3, 4)
BLOCK = Tuning().large_member
REPEATS = (finding.IDENTICAL, finding.CONFLICTING)
NEW_YORK = ZoneInfo("America/New_York")


def streamed(text, tracked, size=64, keep_rest=True, dataset=STOCKS_DAY, session=DAY, block=BLOCK):
    """The result for a text in chunks of a size, and the bytes of its parts."""
    for cut in ("lines", "polars"):
        files = {tier: io.BytesIO() for tier in ("tracked", "archive")[: 1 + keep_rest]}
        pieces = (text[at : at + 16] for at in range(0, len(text), 16))
        header, rest = opened(pieces, dataset, size)
        writers = {tier: PartWriter(file.write, part_header(header, cut), block) for tier, file in files.items()}
        cutter = Cutter(header, SplitSpec(frozenset(tracked), keep_rest, dataset, session), cut, writers)
        try:
            for chunk in rest:
                cutter.add(chunk)
        except NotLines:
            continue
        done = cutter.end()
        packed = {tier: writer.end(done.ordered) for tier, writer in writers.items()}
        found = {field.name: getattr(done, field.name) for field in fields(done)}
        return SimpleNamespace(**found, parts=packed), {tier: file.getvalue() for tier, file in files.items()}
    raise AssertionError("polars does not ask for lines")


def at_once(text, tracked, keep_rest=True, dataset=STOCKS_DAY, session=DAY):
    """The same from the split of a whole text."""
    cut = parted(text, tracked, keep_rest, dataset, session)
    told = Findings()
    told.add(cut.findings)
    return cut, told.all()


def same(text, tracked, size, block=BLOCK, **how):
    cut, found = at_once(text, tracked, **how)
    done, files = streamed(text, tracked, size, block=block, **how)
    texts = {"tracked": cut.tracked.text, **({"archive": cut.archive.text} if cut.archive else {})}
    assert {tier: gzip.decompress(data) for tier, data in files.items()} == texts
    assert (done.source_rows, done.cut, done.header) == (cut.source_rows, cut.cut, cut.header)
    assert {tier: part.rows for tier, part in done.parts.items()} == {
        "tracked": cut.tracked.rows,
        **({"archive": cut.archive.rows} if cut.archive else {}),
    }
    assert done.text_sha256 == hashlib.sha256(text).hexdigest()
    runs = row_numbers.decode(done.tracked_rows)
    raw = row_numbers.decode(cut.result.tracked_rows)
    assert [runs.firsts.tolist(), runs.lasts.tolist()] == [raw.firsts.tolist(), raw.lasts.tolist()]
    for tier, part in done.parts.items():
        assert part.sha256 == hashlib.sha256(files[tier]).hexdigest()
        assert part.index.offsets[-1] == len(files[tier])
        assert part.index.ordered is cut.tracked.ordered
    seen = {one.kind for one in done.findings}
    left_out = (*REPEATS, finding.UNSORTED) if finding.UNSORTED in seen else ()
    assert [one for one in done.findings if one.kind not in left_out] == [
        one for one in found if one.kind not in left_out
    ]
    assert finding.UNSORTED not in seen or not cut.tracked.ordered
    return done, files


class TestAsAWholeText:
    @settings(max_examples=40)
    @given(days(awkward | st.sampled_from(["A\nB", "\n", 'x"\n"y'])), st.integers(1, 400), st.booleans())
    def test_any_file_is_cut_as_at_once(self, day, size, keep_rest):
        same(day.text, day.tracked, size, keep_rest=keep_rest)

    @pytest.mark.parametrize("end", [b"\n", b"\r\n"])
    @pytest.mark.parametrize("every", [1, 3, 1000])
    @pytest.mark.parametrize("last", [True, False])
    def test_a_file_of_many_members(self, end, every, last):
        rows = minutes({f"T{n:03}": range(40) for n in range(60)})
        text = BOM + b"".join(rows).replace(b"\n", end)
        names = [f"T{n:03}" for n in range(60)][::every]
        done, _ = same(text if last else text[: -len(end)], names, 3000, block=1000, dataset=STOCKS_MINUTE)
        assert len(done.parts["archive" if every > 1 else "tracked"].index.firsts) > 20

    @settings(max_examples=10)
    @given(st.integers(1, 500), st.integers(1, 500))
    def test_the_parts_do_not_depend_on_the_chunks(self, one, other):
        text = b"".join(minutes({"A": range(9), "B": [], "C": range(3), "D": range(20)}))
        assert streamed(text, {"A", "D"}, one)[1] == streamed(text, {"A", "D"}, other)[1]

    @pytest.mark.parametrize("text", [HEADER, HEADER[:-1], HEADER[:-1] + b"\r\n", BOM + HEADER])
    def test_a_header_alone_is_a_day_without_rows(self, text):
        done, _ = same(text, {"A"}, 5)
        assert done.findings == (Finding(finding.NO_ROWS),)

    def test_blank_lines_and_ragged_rows_wherever_a_chunk_ends(self):
        good = minutes({"A": range(3), "B": range(3)})
        text = b"".join([good[0], b"\n\n", *good[1:3], b"C,1\n", b"\n", *good[3:], good[-1][:-1] + b",9,9\n", b"\n\n"])
        for size in range(1, len(text), 23):
            same(text, {"A"}, size)


def minutes(bars):
    """Lines of a minute file, from tickers and the minutes after the opening in which they have a bar."""
    opening = datetime(DAY.year, DAY.month, DAY.day, 9, 30, tzinfo=NEW_YORK)
    stamps = {n: int((opening + timedelta(minutes=n)).timestamp()) * 10**9 for n in range(-600, 1000)}
    rows = [f"{name},{n + 700},2,2,2,2,{stamps[n]},1\n".encode() for name, found in bars.items() for n in found]
    return [HEADER, *rows]


class TestRepeatsOfBars:
    """A repeat has the same ticker and the same time; many bars of a ticker are not repeats."""

    @settings(max_examples=40)
    @given(
        st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 3), st.sampled_from("12")), max_size=14),
        st.booleans(),
        st.integers(1, 300),
    )
    def test_exactly_those_are_named(self, rows, in_order, size):
        rows = sorted(rows) if in_order else rows
        opening = int(datetime(DAY.year, DAY.month, DAY.day, 9, 30, tzinfo=NEW_YORK).timestamp()) * 10**9
        text = HEADER + b"".join(f"{name},{v},2,2,2,2,{opening + n},1\n".encode() for name, n, v in rows)
        bars = {}
        for name, n, v in rows:
            bars.setdefault((name, n), set()).add(v)
        twice = {key for key in bars if sum((name, n) == key for name, n, _ in rows) > 1}
        expected = {
            kind: {name for name, n in twice if (len(bars[name, n]) == 1) is same}
            for kind, same in ((finding.IDENTICAL, True), (finding.CONFLICTING, False))
        }
        _, found = at_once(text, "A", dataset=STOCKS_MINUTE)
        assert {one.kind: set(one.examples) for one in found if one.kind in REPEATS} == {
            kind: names for kind, names in expected.items() if names
        }
        same(text, "A", size, dataset=STOCKS_MINUTE)

    def test_a_ticker_with_more_rows_than_are_held_is_not_looked_at(self):
        text = b"".join(minutes({"A": range(200), "B": [1, 1]}))
        header, texts = opened((text[at : at + 16] for at in range(0, len(text), 16)), STOCKS_MINUTE, 300)
        found = Repeats(STOCKS_MINUTE.kind, STOCKS_MINUTE.numbers, most_waiting=20)
        frames = [parse(chunk, header, frozenset("A"), timed=True) for chunk in texts]
        assert [one for frame in frames for one in found.add(frame, ordered=True)] == []
        assert (len(frames) > 1, list(found.end())) == (True, [Finding(finding.UNSORTED)])


class TestDatesOfBars:
    @settings(max_examples=30)
    @given(st.lists(st.sampled_from([*range(-571, 871, 160), "soon", "", "9" * 30]), max_size=12), st.integers(1, 300))
    def test_timestamps_of_other_dates_and_invalid_ones_are_reported(self, stamps, size):
        opening = int(datetime(DAY.year, DAY.month, DAY.day, 9, 30, tzinfo=NEW_YORK).timestamp())
        stamps = [0, *stamps]  # a file without a timestamp in its session is refused
        texts = [str((opening + 60 * one) * 10**9) if isinstance(one, int) else one for one in stamps]
        text = HEADER + b"".join(f"A,{n},2,2,2,2,{one},1\n".encode() for n, one in enumerate(texts))
        _, found = at_once(text, "A", dataset=STOCKS_MINUTE)
        told = {one.kind: one for one in found}
        none = sum(isinstance(one, str) for one in stamps)
        early = sum(isinstance(one, int) and one < -570 for one in stamps)
        late = sum(isinstance(one, int) and one >= 870 for one in stamps)
        expected = Finding(
            finding.OTHER_DATE, early + late, (*["2025-03-03"][: early and 1], *["2025-03-05"][: late and 1])
        )
        assert told.get(finding.OTHER_DATE, Finding(finding.OTHER_DATE, 0)) == expected
        assert told.get(finding.NO_STAMP, Finding(finding.NO_STAMP, 0)).count == none
        same(text, "A", size, dataset=STOCKS_MINUTE)

    def test_futures_are_dated_by_the_end_of_their_session(self):
        dataset = named("futures-cme-minute")
        header = b"ticker,volume,open,close,high,low,window_start,session_end_date\n"
        evening = int(datetime(2025, 3, 3, 18, tzinfo=NEW_YORK).timestamp()) * 10**9
        rows = [b"ESH5,1,1,1,1,1,%d,2025-03-04\n" % (evening + n * 60 * 10**9) for n in range(9)]
        done, _ = same(header + b"".join(rows), {"ESH5"}, 100, dataset=dataset)
        assert done.findings == ()
        wrong = rows[-1].replace(b"03-04", b"03-05")
        done, _ = same(header + b"".join([*rows[:-1], wrong]), {"ESH5"}, 100, dataset=dataset)
        assert done.findings == (Finding(finding.OTHER_DATE, 1, ("2025-03-05",)),)

    def test_bars_of_indices_have_no_volume(self):
        text = b"ticker,open,close,high,low,window_start\n" + b"I:SPX,1,1,1,1,%d\n" % (
            int(datetime(2025, 3, 4, 10, tzinfo=NEW_YORK).timestamp()) * 10**9
        )
        assert same(text, {"I:SPX"}, 30, dataset=named("indices-minute"))[0].findings == ()


class TestMembers:
    def test_one_ticker_is_read_out_of_few_members(self):
        names = [f"T{n:03}" for n in range(200)]
        rows = minutes({name: range(30) for name in names})
        done, files = streamed(b"".join(rows), (), 5000, block=1000, dataset=STOCKS_MINUTE)
        store = in_memory(files["archive"])
        for name in (names[0], names[99], names[-1]):
            text = parts.read_lines(store, PART, done.parts["archive"].index, [name])
            assert [line + b"\n" for line in text.splitlines() if line.startswith(name.encode())] == [
                row for row in rows if row.startswith(name.encode())
            ]
            assert len(text) < 5000

    def test_a_part_written_in_a_stream_looks_up_each_of_its_tickers(self):
        rows = minutes({"A": range(5), "B": range(5)})
        done, files = streamed(b"".join(rows), {"B"}, 50)
        index = done.parts["tracked"].index
        assert (index.firsts, index.offsets) == (("B",), (0, len(files["tracked"])))


class TestChunks:
    @given(
        st.lists(st.sampled_from([b"a", b"\n", b'"', b'"\n"', b"abc\n", b"\r\n"]), max_size=30).map(b"".join),
        st.integers(1, 9),
        st.integers(1, 9),
    )
    def test_they_are_the_text_and_end_outside_quotes(self, text, piece, size):
        pieces = [text[at : at + piece] for at in range(0, len(text), piece)]
        found = list(chunks(pieces, size))
        assert b"".join(found) == text
        for chunk in found[:-1]:
            assert chunk.endswith(b"\n")
            assert chunk.count(b'"') % 2 == 0

    @pytest.mark.parametrize("text", [b"x", b"\n"], ids=["no line end", "an unclosed quote"])
    def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(self, text):
        taken = []
        pieces = (taken.append(n) or text * 100 if n else b'a"' * 51 for n in range(1000))
        with pytest.raises(UnreadableFile, match="exceeds"):
            list(chunks(pieces, 100, most=1000))
        assert len(taken) < 50


class TestRowNumbers:
    @given(st.lists(st.lists(st.booleans(), max_size=9), max_size=9))
    def test_both_forms_say_the_same(self, masks):
        collector = row_numbers.Collector()
        for mask in masks:
            collector.add(np.array(mask, bool))
        whole = [one for mask in masks for one in mask]
        numbers = np.flatnonzero(np.array(whole, bool)).astype("<u4")
        for blob in (collector.encode(), numbers.tobytes()):
            runs = row_numbers.decode(blob)
            assert runs.rows == len(numbers)
            assert [inside for inside, count in runs.each(len(whole)) for _ in range(count)] == whole
            assert runs.ascend_below(len(whole))
            assert not len(numbers) or not runs.ascend_below(int(numbers[-1]))

    @pytest.mark.parametrize("numbers", [[0, 0], [3, 1], [1, 1, 2], [5, 6, 5]])
    def test_numbers_that_do_not_ascend_are_seen(self, numbers):
        assert not row_numbers.decode(np.array(numbers, "<u4").tobytes()).ascend_below(10)

    @pytest.mark.parametrize("blob", [b"\x01\x02\x03", b"\x02" + bytes(8), b"\x01" + bytes(4), b"ab"])
    def test_what_is_neither_form_is_refused(self, blob):
        with pytest.raises(ValueError):  # noqa: PT011 - of numpy
            row_numbers.decode(blob)


class TestAhead:
    def test_texts_come_in_order_and_at_most_one_is_made_in_advance(self):
        made = []

        def texts():
            for n in range(20):
                made.append(n)
                yield b"%d" % n

        for n, text in enumerate(ahead(texts())):
            assert text == b"%d" % n
            assert len(made) <= n + 2
        assert n == 19

    def test_an_error_comes_where_its_text_would(self):
        def texts():
            yield b"one"
            raise UnreadableFile("torn")

        each = ahead(texts())
        assert next(each) == b"one"
        with pytest.raises(UnreadableFile, match="torn"):
            next(each)

    def test_a_consumer_that_stops_leaves_no_thread_behind(self):
        before = threading.active_count()
        each = ahead(b"text" for _ in range(5))
        next(each)
        each.close()
        assert threading.active_count() == before
