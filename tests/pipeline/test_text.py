"""Whole runs with texts of every kind: what arrived is what is stored, byte for byte."""

import csv
import io
from datetime import date

import pytest
from pipeline_kit import flat, trading_days, window
from runs_kit import DAYS, ROWS, SPAN

from ingest import events, finding
from ingest.finding import Finding

TEXTS = {
    "lf": flat(ROWS),
    "crlf": flat(ROWS, end="\r\n"),
    "bom": b"\xef\xbb\xbf" + flat(ROWS),
    "no last newline": flat(ROWS)[:-1],
    "crlf, bom, no last newline": b"\xef\xbb\xbf" + flat(ROWS, end="\r\n")[:-2],
    "columns in another order": (
        b"low,high,ticker,open,close,volume,new\n1,4,MSFT,2,20.25,9.50,\xc3\xa9\n1,4,AAPL,2,100.5,1200.0,x\n"
    ),
    "header alone": flat([]),
    "one row": flat(ROWS[:1]),
    "quoted": flat([('"AAPL"', "100.5"), ("MSFT", "20.25")]),
    "many members": flat([*ROWS, *((f"T{n:05}", str(n)) for n in range(3000))]),
}


@pytest.mark.parametrize("tracked", [{"AAPL", "ZVZZT"}, {"MSFT"}], ids=["last row tracked", "last row archived"])
def test_every_text_is_stored_unchanged(place, put, tracked):
    days = dict(zip(trading_days(date(2025, 3, 3), len(TEXTS)), TEXTS, strict=True))
    for day, name in days.items():
        put(day, TEXTS[name])
    ran = place.run(*window(days), tracked=tracked)
    assert (ran.finished.exit_code, ran.finished.committed) == (0, len(TEXTS))
    assert [name for day, name in days.items() if place.reassembled(day) != TEXTS[name]] == []
    assert {cut for (cut,) in place.query("SELECT cut FROM sessions WHERE held = 'committed'")} == {"lines"}
    if "AAPL" in tracked:
        expected = {str(day): "100.5" for day, name in days.items() if name != "header alone"}
        assert place.closes("AAPL") == expected
        other = next(day for day, name in days.items() if name == "columns in another order")
        assert place.csv("AAPL")[str(other)] == "2.0,4.0,1.0,100.5,1200.0"


def test_line_ends_within_quotes_are_cut_by_polars_and_both_parts_are_complete(place, put):
    header = "ticker,volume,open,close,high,low,window_start,transactions,note"
    lines = ['AAPL,1,2,3,4,1,1,1,"two\nlines"', "MSFT,1,2,5,6,1,1,1,plain", 'NVDA,1,2,7,8,1,1,1,"a ""quote"", too"']
    put(DAYS[0], "\n".join([header, *lines, ""]).encode())
    put(DAYS[1], "\n".join([header, "AAPL,1,2,9,9,1,1,1,", ""]).encode())
    ran = place.run(*SPAN, tracked={"AAPL", "NVDA"})
    assert ran.finished.exit_code == 0
    assert place.query("SELECT cut FROM sessions WHERE held = 'committed' ORDER BY session") == [
        ("polars",),
        ("lines",),
    ]
    read = {
        tier: list(csv.DictReader(io.StringIO(place.part_text(DAYS[0], tier).decode()), strict=True))
        for tier in ("tracked", "archive")
    }
    source = list(csv.DictReader(io.StringIO("\n".join([header, *lines, ""]))))
    assert read == {"tracked": [source[0], source[2]], "archive": [source[1]]}
    assert place.closes("AAPL") == {str(DAYS[0]): "3.0", str(DAYS[1]): "9.0"}
    place.run(*SPAN, tracked={"AAPL", "MSFT"})
    assert place.closes("MSFT") == {str(DAYS[0]): "5.0"}


def test_the_first_of_repeated_rows_counts_and_all_are_kept(place, put):
    text = flat([("AAPL", "1"), ("AAPL", "2"), ("MSFT", "3"), ("MSFT", "3")])
    put(DAYS[0], text)
    (event,) = place.run(*SPAN, tracked={"AAPL", "MSFT"}).of(events.Committed)
    assert place.closes("AAPL") == {str(DAYS[0]): "1.0"}
    assert place.reassembled(DAYS[0]) == text
    assert Finding(finding.CONFLICTING, 2, ("AAPL", "MSFT")) in event.findings


def test_an_unknown_column_is_reported_once(place, put):
    for day in DAYS[:3]:
        put(day, flat(ROWS, header="ticker,volume,open,close,high,low,window_start,otc"))
    ran = place.run(*SPAN)
    said = [notice for notice in ran.notices if "column" in notice]
    assert said == ["unknown column: otc; it is kept in the parts"]
