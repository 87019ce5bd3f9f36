"""Whole runs after the source has replaced, repacked or withdrawn a file."""

import gzip
import re

import pytest
from pipeline_kit import flat, key, window
from runs_kit import DAYS, ROWS, SPAN, dates
from tuning_kit import tune


def test_a_replaced_file_is_a_correction(place, put):
    for day in DAYS[:3]:
        put(day, flat([*ROWS, ("TSLA", "7")]))
    place.run(*window(DAYS[:3]), tracked={"AAPL", "TSLA"})
    replaced = flat([("AAPL", "101"), *ROWS[1:]])
    put(DAYS[1], replaced)

    ran = place.run(*window(DAYS[:3]), tracked={"AAPL", "TSLA"}, accept=True)
    assert (ran.gets, ran.reasons) == ([DAYS[1]], {"fetch: new etag": 1, "skip: committed": 2})
    assert (ran.finished.corrections, ran.finished.exit_code) == (1, 0)
    ((day, removed, added),) = place.corrections()
    assert day == DAYS[1]
    assert sorted(removed) == ["AAPL,1000,100.5,100.5,100.5,100.5,1,0", "TSLA,1004,7,7,7,7,1,4"]
    assert added == ["AAPL,1000,101,101,101,101,1,0"]
    assert place.closes("AAPL") == dict(zip(dates(DAYS[:3]), ["100.5", "101.0", "100.5"], strict=True))
    assert list(place.csv("TSLA")) == dates([DAYS[0], DAYS[2]])
    assert place.reassembled(DAYS[1]) == replaced
    assert place.run(*window(DAYS[:3]), tracked={"AAPL", "TSLA"}).gets == []


def test_a_ticker_whose_only_row_vanishes_loses_its_csv(place, put):
    put(DAYS[0], flat(ROWS))
    place.run(*SPAN, tracked={"AAPL", "MSFT"})
    put(DAYS[0], flat(ROWS[1:]))
    place.run(*SPAN, tracked={"AAPL", "MSFT"}, accept=True)
    assert place.csv("AAPL") is None
    assert list(place.csv("MSFT")) == dates(DAYS[:1])


def test_a_repacked_file_with_equal_text_is_no_correction(place, put):
    text = flat(ROWS)
    put(DAYS[0], text)
    place.run(*SPAN)
    before = place.tiers()
    archived, tracked = (place.part_text(DAYS[0], tier) for tier in ("archive", "tracked"))
    put(DAYS[0], packed=gzip.compress(text, 9, mtime=0))
    ran = place.run(*SPAN)
    assert (ran.gets, ran.finished.corrections, place.corrections()) == ([DAYS[0]], 0, [])
    # The new ETag is recorded, also in the tracked part's note; everything else stays the same.
    assert place.query("SELECT kind, removed, added FROM corrections") == [("equal rows", "[]", "[]")]
    assert {name for name, data in place.tiers().items() if data != before[name]} == {
        f"data_cache/sessions/{DAYS[0]}.csv.gz"
    }
    assert [place.part_text(DAYS[0], tier) for tier in ("archive", "tracked")] == [archived, tracked]


@pytest.mark.parametrize("times", [3, 1 << 40], ids=["at once", "in chunks"])
def test_a_file_with_numbers_written_differently_is_no_correction(place, put, monkeypatch, times):
    """As the vendor has written volumes since 2026-02-23; only what else has changed is reported."""
    tune(monkeypatch, compared=times)
    for day in DAYS[:2]:
        put(day, flat(ROWS))
    place.run(*window(DAYS[:2]))
    again = {day: re.sub(rb"(?m)^([A-Z]+,\d+)", rb"\1.000000", flat(ROWS)) for day in DAYS[:2]}
    again[DAYS[1]] = again[DAYS[1]].replace(b"MSFT,1001.0", b"MSFT,1001.5")
    for day, text in again.items():
        put(day, text)
    ran = place.run(*window(DAYS[:2]))
    assert (ran.gets, ran.finished.corrections) == (DAYS[:2], 1)
    ((day, removed, added),) = place.corrections()
    assert (day, len(removed), added) == (DAYS[1], 1, ["MSFT,1001.500000,20.25,20.25,20.25,20.25,1,1"])
    assert [place.reassembled(day) for day in DAYS[:2]] == list(again.values())


def test_equal_text_that_polars_had_to_cut_is_no_correction(place, put):
    text = flat([('"AAPL"', "1"), ("MSFT", "2")], header="ticker,volume,open,close,high,low,window_start,note").replace(
        b",1,1\n", b',1,"two\nlines"\n'
    )
    put(DAYS[0], text)
    place.run(*SPAN)
    put(DAYS[0], packed=gzip.compress(text, 9, mtime=0))
    ran = place.run(*SPAN)
    assert (ran.gets, ran.finished.exit_code, place.corrections()) == ([DAYS[0]], 0, [])


def test_a_correction_tells_of_the_file_alone_when_the_list_grew_meanwhile(place, put):
    put(DAYS[0], flat(ROWS))
    place.run(*SPAN, tracked={"AAPL"}, save_others=False)
    put(DAYS[0], flat([("AAPL", "7"), *ROWS[1:]]))
    place.run(*SPAN, tracked={"AAPL", "MSFT"}, save_others=False)
    ((_, removed, added),) = place.corrections()
    assert [line.split(",")[0] for line in removed] == ["AAPL"]
    assert [line.split(",")[0] for line in added] == ["AAPL"]


def test_a_last_newline_that_comes_or_goes_changes_no_line(place, put):
    put(DAYS[0], flat(ROWS))
    place.run(*SPAN)
    put(DAYS[0], flat([*ROWS[:-1], ("ZVZZT", "2")])[:-1])
    place.run(*SPAN)
    ((_, removed, added),) = place.corrections()
    assert ([line[:5] for line in removed], [line[:5] for line in added]) == (["ZVZZT"], ["ZVZZT"])


def test_a_session_whose_file_vanishes_stays_stored(filled_here, seaweed, bucket):
    filled_here.run(*SPAN)
    before = filled_here.tiers()
    seaweed.delete(bucket, key(DAYS[2]))
    ran = filled_here.run(*SPAN)
    assert (ran.gets, ran.finished.exit_code, ran.finished.committed) == ([], 0, 8)
    assert filled_here.tiers() == before
    assert filled_here.state(DAYS[2]) == ("committed", "absent")


def test_refresh_downloads_stored_sessions_with_the_same_result(filled):
    filled.run(*SPAN)
    before = filled.tiers()
    ran = filled.run(*window(DAYS[:4]), refresh=True)
    assert (ran.gets, ran.reasons, ran.finished.exit_code) == (DAYS[:4], {"fetch: refresh": 4}, 0)
    assert (filled.tiers(), filled.corrections()) == (before, [])
