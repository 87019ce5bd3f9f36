"""Whole runs over files with impossible numbers: each finding is recorded and reported once; no row is dropped."""

import json
from collections import Counter
from datetime import date, datetime, timedelta

import pytest
from pipeline_kit import Place, key, sampled_by_name, trading_days, window

from ingest import events, finding
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.market.calendars import NEW_YORK

COLUMNS = ("ticker", "volume", "open", "close", "high", "low", "window_start", "transactions")
ROW = {"volume": 1000, "open": 10.5, "close": 10.25, "high": 11, "low": 10, "transactions": 7}
DAYS = trading_days(date(2025, 3, 3), 5)
ODD = DAYS[2]
NIGHT = timedelta(days=1)


def stamp(day):
    return int(datetime(day.year, day.month, day.day, tzinfo=NEW_YORK).timestamp()) * 1_000_000_000


def text(day, rows=40, **changes):
    """A session's file with AAPL as its first ticker; `changes` apply to AAPL's row."""
    tickers = ["AAPL", *(f"T{n:02}" for n in range(1, rows))][:rows]
    whole = [{"ticker": ticker, "window_start": stamp(day)} | ROW for ticker in tickers]
    for row in whole[:1]:
        row |= changes
    lines = [",".join(COLUMNS), *(",".join(str(row[name]) for name in COLUMNS) for row in whole), ""]
    return "\n".join(lines).encode()


def repeated(day, *more):
    return text(day) + b"".join(text(day, 1, **one).splitlines(keepends=True)[1] for one in more)


AAPL = ["AAPL"]
FILES = {
    "low above high": (text(ODD, low=11, high=10), {finding.CROSSED: (1, AAPL)}),
    "open above high": (text(ODD, open=11.01), {finding.OUTSIDE: (1, AAPL)}),
    "close below low": (text(ODD, close=9.99), {finding.OUTSIDE: (1, AAPL)}),
    "close outside, open missing": (
        text(ODD, open="", close=12),
        {finding.OUTSIDE: (1, AAPL), finding.NO_PRICE: (1, AAPL)},
    ),
    "a price of zero": (text(ODD, low=0), {finding.NOT_POSITIVE: (1, AAPL)}),
    "a negative price": (text(ODD, low=-1), {finding.NOT_POSITIVE: (1, AAPL)}),
    "a negative price, another missing": (
        text(ODD, low=-1, open=""),
        {finding.NOT_POSITIVE: (1, AAPL), finding.NO_PRICE: (1, AAPL)},
    ),
    "NaN": (text(ODD, open="NaN"), {finding.NO_PRICE: (1, AAPL)}),
    "a price missing": (text(ODD, close=""), {finding.NO_PRICE: (1, AAPL)}),
    "an endless price": (text(ODD, high="inf"), {finding.NO_PRICE: (1, AAPL)}),
    "a negative volume": (text(ODD, volume=-5), {finding.NEGATIVE_VOLUME: (1, AAPL)}),
    "no volume": (text(ODD, volume=""), {finding.NO_VOLUME: (1, AAPL)}),
    "an endless volume": (text(ODD, volume="1e400"), {finding.NO_VOLUME: (1, AAPL)}),
    "a comma too many beside a quote": (
        text(ODD).replace(b",7\n", b",7,\n", 1).replace(b"T01,", b'"T01",', 1),
        {finding.MISFITS: (1, [])},
    ),
    "a stamp of the day before": (
        text(ODD, window_start=stamp(ODD - NIGHT)),
        {finding.OTHER_DATE: (1, [str(ODD - NIGHT)])},
    ),
    "stamps of another day": (
        text(ODD + NIGHT),
        {finding.OTHER_DATE: (40, [str(ODD + NIGHT)])},
    ),
    "a stamp that is none": (text(ODD, window_start="soon"), {finding.NO_STAMP: (1, [])}),
    "no stamp": (text(ODD, window_start=""), {finding.NO_STAMP: (1, [])}),
    "no rows": (
        text(ODD, 0),
        {finding.NO_ROWS: (1, []), finding.FAR_COUNT: (0, ["the sessions around have 40"])},
    ),
    "few rows": (text(ODD, 31), {finding.FAR_COUNT: (31, ["the sessions around have 40"])}),
    "many rows": (text(ODD, 51), {finding.FAR_COUNT: (51, ["the sessions around have 40"])}),
    "a repeat": (repeated(ODD, {}), {finding.IDENTICAL: (1, AAPL)}),
    "another repeat": (repeated(ODD, {"open": 10.1}), {finding.CONFLICTING: (1, AAPL)}),
    "few rows, but not far": (text(ODD, 32), {}),
    "many rows, but not far": (text(ODD, 50), {}),
    "all is well": (text(ODD), {}),
    "the last instant of the day": (text(ODD, window_start=stamp(ODD + NIGHT) - 1), {}),
}


@pytest.fixture
def server(loopback_keys):
    with loopback.serve({key(day): pack(text(day)) for day in DAYS}) as running:
        yield running


@pytest.fixture
def place(server, tmp_path):
    return Place(tmp_path / "cache", server.endpoint_url)


def recorded(place):
    rows = place.query("SELECT session, kind, count, examples FROM findings")
    return {(day, kind): (count, json.loads(examples)) for day, kind, count, examples in rows}


@pytest.mark.parametrize(("file", "expected"), sampled_by_name(FILES))
def test_findings_are_recorded_and_reported_once_and_no_row_is_dropped(place, server, file, expected):
    server.put(key(ODD), pack(file))
    command = ("run", "--start", str(DAYS[0]), "--end", str(DAYS[-1]))
    told = place.here(*command)
    assert told.code == 0
    assert recorded(place) == {(str(ODD), kind): found for kind, found in expected.items()}
    for kind in expected:
        assert f"{kind} in 1 session" in told.out + told.err
    assert ("findings" in told.out + told.err) == bool(expected)
    assert place.reassembled(ODD) == file
    assert (str(ODD) in place.csv("AAPL")) == (b"AAPL" in file)
    again = place.here(*command)
    assert (again.code, "findings" in again.out + again.err) == (0, False)
    assert recorded(place) == {(str(ODD), kind): found for kind, found in expected.items()}
    assert place.run(*window(DAYS), refresh=True).finished.exit_code == 0
    assert recorded(place) == {(str(ODD), kind): found for kind, found in expected.items()}


def test_the_summary_counts_sessions_by_kind(place, server):
    odd = {DAYS[0]: text(DAYS[0], low=20), DAYS[1]: text(DAYS[1], low=20), DAYS[3]: text(DAYS[3], 20, volume=-1)}
    for day, file in odd.items():
        server.put(key(day), pack(file))
    ran = place.run(*window(DAYS))
    expected = {finding.CROSSED: 2, finding.NEGATIVE_VOLUME: 1, finding.FAR_COUNT: 1}
    assert ran.finished.findings == expected
    told = [one for event in (*ran.of(events.Committed), *ran.of(events.Found)) for one in event.findings]
    assert Counter(one.kind for one in told) == expected


def test_a_finding_goes_with_the_file_that_it_was_about(place, server):
    server.put(key(ODD), pack(text(ODD, low=20)))
    place.run(*window(DAYS))
    server.put(key(ODD), pack(text(ODD, volume=-1)))
    place.run(*window(DAYS))
    assert list(recorded(place)) == [(str(ODD), finding.NEGATIVE_VOLUME)]
    server.put(key(ODD), pack(text(ODD)))
    place.run(*window(DAYS))
    assert recorded(place) == {}


def test_a_number_of_rows_is_far_only_while_its_neighbours_are(place, server):
    """Among too few others a file of few rows shows nothing; with more of them it is found, though it is not new."""
    server.put(key(DAYS[0]), pack(text(DAYS[0], 20)))
    assert place.run(*window(DAYS[:3])).finished.findings == {}
    ran = place.run(*window(DAYS))
    assert recorded(place) == {(str(DAYS[0]), finding.FAR_COUNT): (20, ["the sessions around have 40"])}
    assert ran.finished.findings == {}
