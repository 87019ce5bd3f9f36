"""Invariant 1: the split loses and invents nothing, and reports what it cannot understand."""

import csv
import hashlib
import io
import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from splitting_kit import Parted, parted

from ingest import finding
from ingest.errors import UnreadableFile
from ingest.finding import Finding
from ingest.market.catalogue import STOCKS_DAY
from ingest.splitting.parsing import read_header, stamps
from ingest.splitting.part_text import PartText

NAMES = (*STOCKS_DAY.required, *STOCKS_DAY.optional)
HEADER = (",".join(NAMES) + "\n").encode()
BOM = b"\xef\xbb\xbf"
HOSTILE = ("NA", "NAN", "nan", "TRUE", "INF", "-INF", "1E5", "#A", "null", "BCpC", "BCPC", "TpC", "TPC", "É", "CON")

tickers = st.sampled_from([*HOSTILE, "A", "AA", "AAPL", "MSFT"]) | st.text("ABp.1é", min_size=1, max_size=3)
awkward = st.sampled_from(["A,B", 'A"B', '"', ",", " A", "A ", "A\tB", "-"])
numbers = st.sampled_from(["0", "1", "1200", "1200.0", "1200.5", "1.2e3", "0.10", "187.4300", "1e-05"])
extras = st.sampled_from(["vwap", "otc", "date", "tracked", "line", "Ticker"])


@dataclass(frozen=True)
class Day:
    """A day's text, its rows field by field, and the tickers to track."""

    text: bytes
    header: bytes
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    tracked: frozenset[str]

    @property
    def tickers(self) -> list[str]:
        return [row[self.columns.index("ticker")] for row in self.rows]

    @property
    def chosen(self) -> list[int]:
        return [number for number, ticker in enumerate(self.tickers) if ticker in self.tracked]


def _cell(draw: st.DrawFn, value: str) -> str:
    quoted = any(char in value for char in ',"\n\r') or draw(st.integers(0, 9)) == 9
    return '"' + value.replace('"', '""') + '"' if quoted else value


@st.composite
def days(draw: st.DrawFn, texts: st.SearchStrategy[str] = awkward) -> Day:
    """Any valid file: any columns in any order, any line ends, any tickers in any order.

    `texts` is what may stand, besides tickers, in the columns that hold text.
    """
    columns = draw(st.permutations([*NAMES, *draw(st.lists(extras, unique=True, max_size=2))]))
    strings = tickers | texts
    kinds = [
        strings if name == "ticker" else numbers if name in STOCKS_DAY.required else numbers | texts for name in columns
    ]
    rows = draw(st.lists(st.tuples(*kinds), max_size=12))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    lines = [",".join(_cell(draw, value) for value in row) for row in rows]
    header = draw(st.sampled_from([b"", BOM])) + (",".join(columns) + end).encode()
    text = header + "".join(line + end for line in lines).encode()
    if draw(st.booleans()):
        text = text.removesuffix(end.encode())
    watched = draw(st.frozensets(strings | st.sampled_from([row[columns.index("ticker")] for row in rows] or ["A"])))
    return Day(text, text if not rows else header, tuple(columns), tuple(rows), watched)


def _lines(part: PartText, header: bytes) -> list[bytes]:
    """The lines of a part, cut where `starts` says; they must be all of it, each one line of text."""
    assert part.text.startswith(header)
    starts = part.starts.tolist()
    assert len(starts) == part.rows
    assert starts[:1] == ([len(header)] if starts else [])
    lines = [part.text[a:b] for a, b in pairwise([*starts, len(part.text)])]
    assert b"".join([header, *lines]) == part.text
    assert all(re.fullmatch(rb"[^\n]*\n|[^\n]+", line) for line in lines)
    return lines


def _put_together(cut: Parted) -> bytes:
    """The source, rebuilt from both parts and the numbers of the tracked rows."""
    assert cut.archive is not None
    chosen = set(cut.tracked_rows.tolist())
    tracked, archive = iter(_lines(cut.tracked, cut.header.line)), iter(_lines(cut.archive, cut.header.line))
    lines = [next(tracked) if row in chosen else next(archive) for row in range(cut.source_rows)]
    assert not [*tracked, *archive]
    return b"".join([cut.header.line, *lines])


def _parsed(text: bytes) -> list[tuple[str, ...]]:
    return [tuple(row) for row in csv.reader(io.StringIO(text.decode("utf-8-sig"), newline=""))]


def _row(ticker: str, volume: str = "100", close: str = "2.0", transactions: str = "5") -> bytes:
    return f"{ticker},{volume},1.0,{close},3.0,0.5,1700000000000000000,{transactions}\n".encode()


def _split(text: bytes, *tracked: str, keep_rest: bool = True) -> Parted:
    return parted(text, tracked, keep_rest)


def _stamps(text: bytes, rows: int) -> Mapping[str, int]:
    return stamps(text, read_header(text, STOCKS_DAY), pl.DataFrame({"ticker": [""] * rows}))


class TestNothingIsLost:
    @given(days())
    def test_both_parts_in_line_order_are_the_source(self, day: Day) -> None:
        cut = parted(day.text, day.tracked, True)
        assert cut.cut == "lines"
        assert cut.header.line == day.header
        assert hashlib.sha256(_put_together(cut)).hexdigest() == hashlib.sha256(day.text).hexdigest()

    @given(days())
    def test_each_row_is_in_the_part_of_its_ticker(self, day: Day) -> None:
        cut = parted(day.text, day.tracked, True)
        assert cut.archive is not None
        assert cut.tracked_rows.tolist() == day.chosen
        assert cut.tracked.tickers.to_list() == [ticker for ticker in day.tickers if ticker in day.tracked]
        assert cut.archive.tickers.to_list() == [ticker for ticker in day.tickers if ticker not in day.tracked]

    @given(days())
    def test_parts_say_that_they_are_in_order_only_where_they_are(self, day: Day) -> None:
        cut = parted(day.text, day.tracked, True)
        assert cut.tracked.ordered is (day.tickers == sorted(day.tickers))

    @given(days(), st.booleans())
    def test_counts_add_up(self, day: Day, keep_rest: bool) -> None:
        cut = parted(day.text, day.tracked, keep_rest)
        assert cut.source_rows == len(day.rows)
        assert cut.tracked.rows == len(day.chosen)
        assert (cut.archive.rows if cut.archive else None) == (len(day.rows) - len(day.chosen) if keep_rest else None)

    @given(days())
    def test_without_the_rest_the_tracked_part_is_the_same(self, day: Day) -> None:
        with_rest, without = (parted(day.text, day.tracked, keep) for keep in (True, False))
        assert without.archive is None
        assert without.tracked.text == with_rest.tracked.text
        assert without.tracked_rows.tolist() == with_rest.tracked_rows.tolist()

    @given(days(awkward | st.sampled_from(["A\nB", "\n", "A\r\nB", 'x"\n"y', "\n\n"])))
    def test_line_ends_inside_quotes_lose_and_invent_no_row(self, day: Day) -> None:
        cut = parted(day.text, day.tracked, True)
        assert cut.archive is not None
        assert cut.cut == ("polars" if any("\n" in value for row in day.rows for value in row) else "lines")
        assert cut.tracked_rows.tolist() == day.chosen
        tracked, archive = _parsed(cut.tracked.text), _parsed(cut.archive.text)
        assert [tracked[0], archive[0]] == [day.columns, day.columns]
        assert tracked[1:] == [row for row, ticker in zip(day.rows, day.tickers, strict=True) if ticker in day.tracked]
        assert Counter(tracked[1:]) + Counter(archive[1:]) == Counter(day.rows)

    def test_a_part_that_polars_wrote_is_never_looked_up_by_line(self) -> None:
        cut = _split(HEADER + _row("A") + _row('"B\nC"') + _row("D"), "A")
        assert cut.cut == "polars"
        assert not cut.tracked.ordered
        assert len(cut.tracked.starts) == 0

    @pytest.mark.parametrize("end", [b"\n", b"\r\n"])
    @pytest.mark.parametrize("shuffled", [False, True])
    @pytest.mark.parametrize("every", [1, 2, 97, 100_000])
    def test_a_file_larger_than_real_ones_is_cut_whole(self, end: bytes, shuffled: bool, every: int) -> None:
        names = [f"T{number:05d}" for number in range(30_000)]
        if shuffled:
            random.Random(7).shuffle(names)
        text = (HEADER + b"".join(map(_row, names))).replace(b"\n", end)
        cut = _split(text, *names[::every])
        assert cut.cut == "lines"
        assert cut.tracked.rows == len(names[::every])
        assert _put_together(cut) == text

    def test_blank_lines_are_kept_and_said(self) -> None:
        text = HEADER + _row("A") + b"\n" + _row("B") + b"\n"
        cut = _split(text, "B")
        assert cut.source_rows == 4
        assert cut.tracked.text == HEADER + _row("B")
        assert _put_together(cut) == text
        assert Finding(finding.NAMELESS, 2) in cut.findings

    @pytest.mark.parametrize("blank", [b"\n", b"\r\n"])
    def test_a_blank_line_is_no_row_of_another_shape(self, blank: bytes) -> None:
        cut = _split(HEADER + _row("A") + blank + _row("B"), "B")
        assert Finding(finding.NAMELESS, 1) in cut.findings
        assert finding.MISFITS not in {one.kind for one in cut.findings}

    def test_a_row_without_a_ticker_is_kept_and_said(self) -> None:
        text = HEADER + _row("A") + _row("") + _row("B")
        cut = _split(text, "A", "")
        assert _put_together(cut) == text
        assert cut.tracked_rows.tolist() == [0]
        assert cut.findings == (Finding(finding.NAMELESS, 1),)

    def test_nothing_tracked_leaves_all_in_the_archive(self) -> None:
        text = HEADER + _row("A") + _row("B")
        cut = _split(text)
        assert cut.archive is not None
        assert (cut.tracked.text, cut.archive.text) == (HEADER, text)


class TestTickersAreText:
    @pytest.mark.parametrize("ticker", HOSTILE)
    def test_a_word_that_parsers_take_for_something_else_is_found(self, ticker: str) -> None:
        others = [name for name in HOSTILE if name != ticker]
        text = HEADER + b"".join(map(_row, [*others, ticker]))
        cut = _split(text, ticker)
        assert cut.tracked.text == HEADER + _row(ticker)
        assert cut.archive is not None
        assert cut.archive.tickers.to_list() == others
        assert cut.findings == ()

    def test_case_tells_two_tickers_apart(self) -> None:
        cut = _split(HEADER + _row("BCPC") + _row("BCpC"), "BCpC")
        assert cut.tracked_rows.tolist() == [1]

    @pytest.mark.parametrize("volume", ["1200", "1200.0", "1200.75", "1.2e3", "0", "", "99999999999999999999"])
    def test_volumes_are_kept_to_the_letter(self, volume: str) -> None:
        text = HEADER + _row("A", volume) + _row("B", volume)
        assert _put_together(_split(text, "A")) == text


class TestWhatCannotBeUnderstood:
    @pytest.mark.parametrize("name", STOCKS_DAY.required)
    def test_a_missing_column_is_named(self, name: str) -> None:
        header = HEADER.replace(name.encode() + b",", b"", 1)
        with pytest.raises(UnreadableFile, match=rf"is missing {name}:"):
            _split(header + b"A,1,1,1,1,1,1\n", "A")

    def test_several_missing_columns_are_all_named(self) -> None:
        with pytest.raises(UnreadableFile, match="is missing volume, low:"):
            _split(b"ticker,open,close,high\nA,1,1,1\n", "A")

    def test_a_column_named_twice_is_refused(self) -> None:
        with pytest.raises(UnreadableFile, match="twice"):
            _split(HEADER.replace(b"window_start", b"close") + _row("A"), "A")

    @pytest.mark.parametrize("name", STOCKS_DAY.optional)
    def test_an_optional_column_may_be_missing(self, name: str) -> None:
        header = HEADER.replace(b"," + name.encode(), b"")
        text = header + b"A,1,1,1,1,1,1\n"
        cut = _split(text, "A")
        assert cut.tracked.text == text
        assert name not in cut.header.columns

    def test_unknown_columns_are_kept_and_said(self) -> None:
        text = HEADER[:-1] + b",vwap,otc\n" + _row("A")[:-1] + b",1.1,true\n"
        cut = _split(text, "A")
        assert cut.tracked.text == text
        assert cut.findings == (Finding(finding.UNKNOWN_COLUMN, 2, ("vwap", "otc")),)

    @pytest.mark.parametrize("column", range(1, 6))
    @pytest.mark.parametrize("row", [0, 1, 2])
    def test_an_invalid_number_is_refused_in_any_column_and_row(self, column: int, row: int) -> None:
        rows = [_row(ticker).split(b",") for ticker in ("A", "B", "C")]
        rows[row][column] = b"1,2"[:1] + b"x"
        with pytest.raises(UnreadableFile, match="cannot be parsed"):
            _split(HEADER + b"".join(map(b",".join, rows)), "A")

    @pytest.mark.parametrize("where", [0, 1, 2], ids=["first", "middle", "last"])
    @pytest.mark.parametrize(
        "bad", [b"B,100,1.0,2.0\n", _row("B")[:-1] + b",9,9\n"], ids=["too few fields", "too many fields"]
    )
    @pytest.mark.parametrize("tracked", ["A", "B"])
    def test_a_row_with_a_wrong_number_of_fields_is_refused_or_said_wherever_it_stands(
        self, where: int, bad: bytes, tracked: str
    ) -> None:
        rows = [_row("A"), _row("C")]
        rows.insert(where, bad)
        try:
            cut = _split(HEADER + b"".join(rows), tracked)
        except UnreadableFile:
            return
        assert cut.findings, "the row was taken without a word"

    @given(days(awkward | st.sampled_from(["A\nB", "A,B\r\nC"])), st.data())
    def test_rows_of_another_shape_are_counted_as_csv_counts_them(self, day: Day, data: st.DataObject) -> None:
        added = data.draw(
            st.lists(st.sampled_from(["Z,1,1,1,1,1,1,1,1,1,1,1,1", "Z", '"Z,Z",1', '"Z\n,"']), max_size=3)
        )
        text = b"".join([day.text.removesuffix(b"\n"), b"\n", *(f"{row}\n".encode() for row in added)])
        try:
            cut = parted(text, day.tracked, True)
        except UnreadableFile:
            return
        header, *rows = csv.reader(io.StringIO(text.decode("utf-8-sig"), newline=""))
        wrong = sum(len(row) not in (0, len(header)) for row in rows)
        assert {one.kind: one.count for one in cut.findings}.get(finding.MISFITS, 0) == wrong

    def test_one_field_too_many_does_not_make_up_for_one_too_few(self) -> None:
        short = _row("C").rpartition(b",")[0] + b"\n"
        cut = _split(HEADER + _row("A") + _row("B")[:-1] + b",9\n" + short, "A")
        assert Finding(finding.MISFITS, 2) in cut.findings

    @pytest.mark.parametrize(
        "text",
        [
            b"\xff" + HEADER + _row("A"),
            HEADER + _row("A") + b"\xff\xfe,1,1,1,1,1,1,1\n",
            HEADER + _row("A").replace(b"1700000000000000000", b"\xff"),
            (HEADER + _row("A")).decode().encode("utf-16"),
            b"",
            BOM,
            b"\n",
            b"\n\n" + HEADER,
            b"<html><body>503</body></html>",
            b"\0" * 100,
            (HEADER + _row("A")).replace(b"\n", b"\r"),
            HEADER + _row("A") + b'"B,1,1,1,1,1,1,1\n' + _row("C"),
            HEADER + _row("A") + b'B,"',  # polars panics
            HEADER + _row("A") + b'B,"12',  # polars reads 1
        ],
        ids=[
            "header-utf8",
            "ticker-utf8",
            "other-utf8",
            "utf16",
            "empty",
            "bom",
            "newline",
            "blank-before-header",
            "html",
            "nul",
            "cr-only",
            "open-quote",
            "quote-at-the-end",
            "open-quote-at-the-end",
        ],
    )
    def test_what_is_no_such_file_is_unreadable(self, text: bytes) -> None:
        with pytest.raises(UnreadableFile):
            _split(text, "A")

    def test_where_the_parser_panics_the_file_is_unreadable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def panic(*_: object, **__: object) -> None:
            raise pl.exceptions.PanicException("slice index starts at 1 but ends at 0")

        monkeypatch.setattr(pl, "scan_csv", panic)
        with pytest.raises(UnreadableFile, match="slice index"):
            _split(HEADER + _row("A"), "A")

    @given(st.binary(max_size=60), st.booleans())
    def test_any_bytes_are_cut_whole_or_unreadable(self, noise: bytes, with_rows: bool) -> None:
        text = HEADER + (_row("A") if with_rows else b"") + noise
        try:
            cut = _split(text, "A")
        except UnreadableFile:
            return
        assert cut.archive is not None
        assert cut.tracked.rows + cut.archive.rows == cut.source_rows
        if cut.cut == "lines":
            assert len(cut.tracked.text) + len(cut.archive.text) == len(text) + len(cut.header.line)

    @pytest.mark.parametrize("text", [HEADER, HEADER[:-1], HEADER[:-1] + b"\r\n", BOM + HEADER])
    def test_a_header_alone_is_a_day_without_rows(self, text: bytes) -> None:
        cut = _split(text, "A")
        assert cut.archive is not None
        assert (cut.source_rows, cut.tracked.rows, cut.archive.rows) == (0, 0, 0)
        assert cut.tracked.text == cut.archive.text == text


class TestRepeats:
    def test_identical_rows_are_a_finding(self) -> None:
        assert _split(HEADER + _row("A") * 2 + _row("B"), "A").findings == (Finding(finding.IDENTICAL, 1, ("A",)),)

    @pytest.mark.parametrize("other", [_row("A", volume="7"), _row("A", close="2.5")])
    def test_rows_in_conflict_are_a_finding(self, other: bytes) -> None:
        assert _split(HEADER + _row("A") + other + _row("B"), "A").findings == (
            Finding(finding.CONFLICTING, 1, ("A",)),
        )

    def test_all_repeated_rows_stay_in_the_part(self) -> None:
        text = HEADER + _row("B") + _row("A") + _row("B", "7") + _row("B")
        cut = _split(text, "B")
        assert cut.tracked.text == HEADER + _row("B") + _row("B", "7") + _row("B")
        assert _put_together(cut) == text

    @given(
        st.lists(st.tuples(st.sampled_from("ABCD"), st.sampled_from(["1", "2"])), max_size=8),
        st.booleans(),
        st.sampled_from(["", "A", "C", "ABCD"]),
    )
    def test_findings_name_exactly_the_repeated_tickers(
        self, rows: list[tuple[str, str]], in_order: bool, tracked: str
    ) -> None:
        rows = sorted(rows) if in_order else rows
        volumes: dict[str, list[str]] = {}
        for ticker, volume in rows:
            volumes.setdefault(ticker, []).append(volume)
        repeated = {ticker: len(set(found)) == 1 for ticker, found in volumes.items() if len(found) > 1}
        expected = tuple(
            Finding(kind, len(names), names)
            for kind, same in ((finding.IDENTICAL, True), (finding.CONFLICTING, False))
            if (names := tuple(ticker for ticker, alike in repeated.items() if alike is same))
        )
        found = _split(HEADER + b"".join(_row(*row) for row in rows), *tracked).findings
        assert tuple(one for one in found if one.kind != finding.NO_ROWS) == expected


class TestStamps:
    """Rows by timestamp: counted without parsing if all have the same one, else parsed; both agree with the rows."""

    @given(
        st.permutations(NAMES),
        st.lists(st.sampled_from(["1741582800000000000", "1741582800000000001", "17", "", "soon", '"17"']), max_size=6),
        st.sampled_from(["\n", "\r\n"]),
        st.booleans(),
    )
    def test_they_are_counted(self, names: list[str], stamps: list[str], end: str, last: bool) -> None:
        values = dict.fromkeys(NAMES, "17") | {"ticker": "A"}
        lines = [",".join((values | {"window_start": stamp})[name] for name in names) for stamp in stamps]
        text = end.join([",".join(names), *lines]) + (end if last else "")
        assert _stamps(text.encode(), len(stamps)) == Counter(stamp.strip('"') for stamp in stamps)

    def test_a_file_may_have_none(self) -> None:
        names = [name for name in NAMES if name != "window_start"]
        text = ",".join(names) + "\n" + ",".join(["1"] * len(names)) + "\n"
        assert _stamps(text.encode(), 1) == {}
