"""What a republished file changes, whatever its fields contain."""

from datetime import date

import pytest

from ingest.market.catalogue import STOCKS_DAY
from ingest.splitting.diff import Correction, Difference, Rows, changes, check_loss, difference, fields_of, rows_of

DAY = date(2025, 3, 3)
COLUMNS = ("ticker", "volume", "note")
LONG = "x" * 200_000


def rows(*lines: str) -> Rows:
    return rows_of(COLUMNS, ["\n".join([",".join(COLUMNS), *lines, ""]).encode()])


def changed(before: Rows, after: Rows) -> Difference:
    return difference(before, after, STOCKS_DAY.numeric)


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ('"A,B",1,"two\nlines"', ["A,B", "1", "two\nlines"]),
        ('A,1,"two\nlines"', ["A", "1", "two\nlines"]),
        ('"two\nlines","Q""T",1', ["two\nlines", 'Q"T', "1"]),
        (f'A,"1",{LONG}', ["A", "1", LONG]),
        ('A\rB,"1",x', ["A\\rB", "1", "x"]),
        ("A\rB,1,x", ["A\\rB", "1", "x"]),
    ],
    ids=["comma and line end", "line end", "quote and line end", "long", "lone CR and quotes", "lone CR"],
)
def test_a_row_is_kept_with_all_of_its_fields(line: str, fields: list[str]) -> None:
    found = rows(line)
    assert [fields_of(kept) for kept in found.lines] == [fields]
    assert found.tickers == {fields[0]: 1}
    one = Correction.of(DAY, ("e1", "e2"), changed(rows(), found))
    assert one is not None
    assert [(change.ticker, change.old) for change in changes(one)] == [(fields[0], None)]


def test_no_row_counts_as_lost_for_a_line_end_in_it() -> None:
    check_loss(rows('"A,B",1,x').tickers, rows('"A,B",1,"two\nlines"').tickers)


def test_columns_in_another_order_change_no_row() -> None:
    turned = rows_of(("note", "ticker", "volume"), [b'note,ticker,volume\nx,A,1\n"a,b",B,2\n'])
    held = rows("A,1,x", 'B,2,"a,b"')
    equal = Correction.of(DAY, ("e1", "e2"), changed(held, turned))
    assert equal is not None
    assert (equal.kind, equal.removed, equal.added) == ("equal rows", (), ())
    assert Correction.of(DAY, ("e1", "e1"), changed(held, turned)) is None
    one = Correction.of(DAY, ("e1", "e2"), changed(rows("A,1,x", 'B,3,"a,b"'), turned))
    assert one is not None
    assert (one.kind, one.removed, one.added) == ("new etag", ('"a,b",B,3',), ('"a,b",B,2',))
    assert [(change.column, change.old, change.new) for change in changes(one)] == [("volume", "3", "2")]


def test_a_number_that_is_written_otherwise_changes_no_row() -> None:
    """Only in numeric columns: a ticker or a note that looks like a number is text."""
    held = rows("A,150,1", "B,17.50,x", "1E5,1,x", "C,,x", "C,,x", "D,9,x")
    again = rows("A,150.000000,1", "B,17.5,x", "1E5,1.0,x", "C,,x", "C,,x", "D,9.0,x")
    equal = Correction.of(DAY, ("e1", "e2"), changed(held, again))
    assert equal is not None
    assert (equal.kind, equal.removed, equal.added) == ("equal rows", (), ())
    again = rows("A,150.000000,1.0", "B,17.5000001,x", "1e5,1,x", "C,0,x", "C,,x", "D,9.0,x", "D,9.0,x")
    one = Correction.of(DAY, ("e1", "e2"), changed(held, again))
    assert one is not None
    told = {(change.ticker, change.column, change.old, change.new) for change in changes(one)}
    assert {(ticker, column) for ticker, column, *_ in told} == {
        *(("A", "note"), ("A", "volume"), ("B", "volume"), ("1E5", None), ("1e5", None), ("C", "volume"), ("D", None))
    }
    assert ("B", "volume", "17.50", "17.5000001") in told
    assert (
        Correction.of(DAY, ("e1", "e1"), changed(held, rows("A,150.000000,1", *list(held.lines.elements())[1:])))
        is None
    )


def test_blank_lines_are_no_rows_however_they_are_written() -> None:
    """polars, which rewrites a text with line ends in fields, turns them into empty fields."""
    texts = ('A,"1",x\n\n', "A,1,x\n\n", 'A,"1",x\n,,\n', "A,1,x\n,,\n")
    assert [rows(text) for text in texts] == [rows("A,1,x")] * 4
