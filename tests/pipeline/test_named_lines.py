"""The reason why a file was refused names line, ticker, column and value, whichever way the file was split."""

import json

import numpy as np
import pytest
from pipeline_kit import Place, flat, key
from runs_kit import DAYS
from tuning_kit import tune

from ingest import events
from ingest.cache.parts import members
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.market.catalogue import STOCKS_DAY, named
from ingest.pipeline.session.reason import RefusedText
from ingest.settings.tuning import Tuning
from ingest.sources.base import Body
from ingest.splitting.placing import Misplaced
from ingest.splitting.unreadable import bad_rows
from ingest.splitting.unreadable.locating import locate

DAY = DAYS[1]
SPAN = DAY, DAY
ROWS = [(f"T{n:04}", f"{n + 1}") for n in range(2000)]
TEXT = flat(ROWS)
LINES = TEXT.splitlines(keepends=True)
PACKED = pack(TEXT)


def with_line(number, line):
    """The text with another line of this number; 1 is the header."""
    return b"".join([*LINES[: number - 1], line, *LINES[number:]])


def bad_open(number, value=b"cheap"):
    fields = LINES[number - 1].split(b",")
    fields[2] = value
    return b",".join(fields)


SEVERAL = b"".join(bad_open(n) if n in (30, 31, 1500) else line for n, line in enumerate(LINES, 1))
ENDED = "Compressed file ended before the end-of-stream marker was reached"
HEADER = LINES[0].rstrip().decode()

REASONS = {
    "a bad number": (
        pack(with_line(1500, bad_open(1500))),
        "the rows cannot be parsed: line 1,500 (ticker T1498), open: 'cheap' is not a number",
    ),
    "the last line": (
        pack(with_line(2001, bad_open(2001)).rstrip(b"\n")),
        "the rows cannot be parsed: line 2,001 (ticker T1999), open: 'cheap' is not a number",
    ),
    "the first line below the header": (
        pack(with_line(2, bad_open(2, b"\x1b[31m" + b"9" * 100))),
        "the rows cannot be parsed: line 2 (ticker T0000), open: '\\x1b[31m" + "9" * 55 + "' is not a number",
    ),
    "several": (
        pack(SEVERAL),
        "the rows cannot be parsed: line 30 (ticker T0028), open: 'cheap' is not a number and 2 more lines",
    ),
    "lines with carriage returns": (
        pack(with_line(700, bad_open(700)).replace(b"\n", b"\r\n")),
        "the rows cannot be parsed: line 700 (ticker T0698), open: 'cheap' is not a number",
    ),
    "a quote that is not closed": (
        pack(with_line(900, b'"' + LINES[899])),
        'the rows cannot be parsed: line 900 (ticker "T0898): a quote is not closed',
    ),
    "behind a row of two lines": (
        pack(with_line(10, b'"T\n0008' + LINES[9][5:].replace(b",", b'",', 1)).replace(LINES[99], bad_open(100))),
        "the rows cannot be parsed: line 101 (ticker T0098), open: 'cheap' is not a number",
    ),
    "not UTF-8": (
        pack(with_line(40, LINES[39].replace(b",38\n", b",caf\xe9\n"))),
        "the rows cannot be parsed: line 40 (ticker T0038), transactions: 'caf\\xe9' is not UTF-8",
    ),
    "a missing column": (
        pack(TEXT.replace(b"close", b"last", 1)),
        f"line 1: the header is missing close: it reads '{HEADER.replace('close', 'last')}'",
    ),
    "a header that is no text": (
        pack(b"caf\xe9" + TEXT),
        "line 1: the header is not text: 'utf-8' codec can't decode byte 0xe9 in position 3: invalid continuation byte",
    ),
    "no trailer": (
        PACKED[:-8],
        f"not a whole gzip file: {ENDED}; what can be unpacked ends with line 2,001 (ticker T1999)",
    ),
}


@pytest.fixture
def server(loopback_keys):
    with loopback.serve({key(day): pack(TEXT) for day in DAYS}) as running:
        yield running


@pytest.fixture(params=["at once", "in chunks"])
def place(request, server, tmp_path, monkeypatch):
    if request.param == "in chunks":
        tune(monkeypatch, large=1000, range_bytes=8192, chunk=4096)
    return Place(tmp_path / "cache", server.endpoint_url)


def refused(place):
    (event,) = place.run(*SPAN).of(events.Quarantined)
    return event.reason


@pytest.mark.parametrize(("packed", "reason"), REASONS.values(), ids=REASONS)
def test_the_reason_names_what_is_wrong_and_where(place, server, packed, reason):
    server.put(key(DAY), packed)
    assert refused(place) == reason
    (listed,) = place.status().quarantine
    assert listed.reason == reason


def test_a_torn_file_ends_in_the_same_line_on_both_ways(server, place):
    server.put(key(DAY), PACKED[: len(PACKED) // 2])
    whole = members.opening(PACKED[: len(PACKED) // 2], 1 << 20)
    last = whole.splitlines()[-1].split(b",")[0].decode()
    number = whole.count(b"\n") + 1
    assert refused(place).endswith(f"what can be unpacked ends with line {number:,} (ticker {last})")
    shown = place.here("quarantine", "show", DAY).out
    assert f"  {number - 1:,}: {LINES[number - 2].decode()}" in shown
    assert f"  {number:,}: {last}," in shown


def test_show_prints_the_lines_at_fault_and_their_neighbours(server, place):
    server.put(key(DAY), pack(SEVERAL))
    place.run(*SPAN)
    told = place.here("quarantine", "show", DAY)
    near = (29, 30, 31, 32, 1499, 1500, 1501)
    wanted = [f"  {n:,}: {SEVERAL.splitlines()[n - 1].decode()}" for n in near]
    begin = told.out.splitlines().index("the lines at fault, and their neighbours:") + 1
    assert (told.code, told.out.splitlines()[begin : begin + len(near)]) == (0, wanted)
    shown = json.loads(place.here("quarantine", "show", DAY, "--json").out)
    assert sorted(map(int, shown["lines"])) == list(near)


def test_a_file_that_would_remove_rows_has_no_lines_at_fault(server, place):
    place.run(*SPAN)
    server.put(key(DAY), pack(flat(ROWS[500:])))
    assert refused(place) == "500 of the 2,000 stored rows are missing from the new file"
    shown = json.loads(place.here("quarantine", "show", DAY, "--json").out)
    assert (shown["lines"], shown["loss"]["rows"]) == ({}, 500)


def test_a_text_that_is_too_large_ends_where_the_limit_is(server, place):
    long = flat([(f"T{n:06}", "1") for n in range(60_000)])
    server.put(key(DAY), pack(long))
    ran = place.run(*SPAN, max_unpacked=1 << 20)
    last = long[: 1 << 20].splitlines()[-1]
    number = long[: 1 << 20].count(b"\n") + 1
    ticker = last.split(b",")[0].decode()
    reason = ran.of(events.Quarantined)[0].reason
    assert reason.startswith("it unpacks to more than 1,048,576 bytes")
    assert reason.endswith(f"what can be unpacked ends with line {number:,} (ticker {ticker})")


def test_bars_of_another_session_are_named_by_the_first_line():
    text = b"ticker,volume,open,close,high,low,window_start,transactions\nAAPL,1,2,2,2,2,1741271400000000000,3\n"
    body = Body(pack(text), "e", "")
    error = Misplaced("none of its 1 rows has a window_start within 2025-03-07: the first says 2025-03-06 09:30")
    reason = RefusedText(body, named("stocks-minute"), 1 << 20, Tuning()).reason(error)
    assert reason == f"{error}; its first row is line 2 (ticker AAPL)"


def test_a_file_without_a_readable_row_is_counted_as_far_as_it_is_worth():
    rows = b"".join(b"A%d,1,2,2,2,2,1,2\n%s" % (n, b"B,1,x,2,2,2,1,2\n\n" * 5) for n in range(2000))
    found = locate([LINES[0], rows], STOCKS_DAY)
    assert (found.bad[0].number, found.count, found.is_all) == (3, 10_000, True)


def test_rows_too_mixed_to_be_told_apart_are_counted_at_least(monkeypatch):
    monkeypatch.setattr(bad_rows, "_MOST_READ", 20)
    monkeypatch.setattr(bad_rows.RowReader, "_wrong_numbers", lambda self, text: np.zeros(0, bool))
    rows = [b"A,1,x,2,2,2,1,2\n" if n in (3, 4990) else b"A,1,2,2,2,2,1,2\n" for n in range(5000)]
    found = locate([LINES[0], *rows], STOCKS_DAY)
    assert ([one.number for one in found.bad], found.count, found.is_all) == ([5], 1, False)
