"""Whole runs: a fresh one, one with nothing to do, and windows of all kinds."""

import json
from datetime import date

import pytest
from pipeline_kit import TRACKED, Place, assert_same, flat, market_day
from runs_kit import DAYS, ROWS, SPAN, dates, rows_of

from ingest import events


def test_a_fresh_run_fills_both_tiers(filled):
    ran = filled.run(*SPAN)
    assert ran.gets == DAYS
    assert (ran.finished.exit_code, ran.finished.fetched, ran.finished.committed) == (0, 8, 8)
    assert ran.finished.requests == len(ran.wire.sent)
    assert ran.finished.files_projected == len(TRACKED)
    assert ran.reasons == {"fetch: new": 8}
    assert all(filled.reassembled(day) == market_day(day) for day in DAYS)
    for ticker, name in {"AAPL": "AAPL", "BRK.B": "BRK.B", "BACpL": "BAC_pL", "TRUE": "TRUE"}.items():
        assert filled.csv(name) == rows_of(ticker, DAYS)
    assert not set(filled.archived(DAYS[0])) & TRACKED
    assert len(list(filled.tracked.glob("*.csv"))) == len(TRACKED)


def test_a_fresh_run_of_the_command_makes_the_same_of_an_empty_folder(filled, tmp_path):
    other = Place(tmp_path / "other" / "cache", filled.endpoint_url, filled.bucket)
    other.root.parent.mkdir()
    done = other.cli("run", "--start", SPAN[0], "--end", SPAN[1])
    assert (done.returncode, done.stderr) == (0, "")
    filled.run(*SPAN)
    assert_same(other, filled)


def test_a_second_run_downloads_nothing_and_touches_nothing(filled):
    filled.run(*SPAN)
    before = {path: path.stat().st_mtime_ns for path in filled.root.rglob("*.csv*")}
    again = filled.run(*SPAN)
    assert again.gets == []
    # One listing, and one byte of the oldest and newest stored files: whether the subscription still covers them.
    assert (len(again.wire.sent), len(again.wire.listings), again.probes) == (3, 1, [*SPAN])
    assert again.of(events.Projected) == []
    assert (again.finished.exit_code, again.finished.fetched, again.finished.committed) == (0, 0, 8)
    assert {path: path.stat().st_mtime_ns for path in filled.root.rglob("*.csv*")} == before


def test_24_months_with_nothing_to_do_are_at_most_5_requests(filled, monkeypatch):
    monkeypatch.setattr("ingest.planning.survey.today", lambda: date(2025, 3, 14))
    filled.run(date(2023, 3, 15), date(2025, 3, 14))
    again = filled.run(date(2023, 3, 15), date(2025, 3, 14))
    assert 3 <= len(again.wire.sent) <= 5
    assert again.gets == []


def test_what_is_not_published_yet_is_fetched_when_it_is(place, put):
    put(DAYS[0], flat(ROWS))
    ran = place.run(*SPAN)
    assert (ran.finished.exit_code, ran.finished.committed, ran.finished.unpublished) == (0, 1, 7)
    put(DAYS[2], flat(ROWS))
    ran = place.run(*SPAN)
    assert ran.gets == [DAYS[2]]
    assert (ran.finished.committed, ran.finished.absent, ran.finished.unpublished) == (2, 1, 5)
    assert (place.state(DAYS[1]), place.state(DAYS[3])) == (("none", "absent"), ("none", "unpublished"))


# Windows


def test_a_window_grown_backwards_and_forwards_fetches_what_is_new(filled, tmp_path):
    assert filled.run(DAYS[3], DAYS[4]).gets == DAYS[3:5]
    assert filled.run(DAYS[1], DAYS[4]).gets == DAYS[1:3]
    assert list(filled.csv("AAPL")) == dates(DAYS[1:5])
    assert filled.run(DAYS[1], DAYS[6]).gets == DAYS[5:7]
    assert filled.run(DAYS[0], DAYS[7]).gets == [DAYS[0], DAYS[7]]
    at_once = Place(tmp_path / "at once", filled.endpoint_url, filled.bucket)
    at_once.run(*SPAN)
    assert_same(filled, at_once)


def test_a_smaller_window_gives_nothing_up(filled):
    filled.run(*SPAN)
    before = filled.tiers()
    ran = filled.run(DAYS[2], DAYS[3])
    assert (ran.gets, ran.finished.committed) == ([], 2)
    assert filled.tiers() == before


def test_a_weekend_is_an_empty_window(filled):
    ran = filled.run(date(2025, 3, 8), date(2025, 3, 9))
    assert (ran.gets, ran.finished.exit_code, ran.finished.committed) == ([], 0, 0)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--start", "2001-01-02", "--end", "2003-09-09"], "begins on 2003-09-10"),
        (["--start", "2025-03-07", "--end", "2025-03-06"], "the wrong way round"),
        (["--months", "3", "--start", "2025-03-06"], "exclude each other"),
        (["--start", "2999-01-04", "--end", "2999-01-05"], "after today"),
    ],
)
def test_impossible_windows_are_refused(filled, flags, words):
    done = filled.here("run", *flags)
    assert (done.code, done.out) == (2, "")
    assert words in done.err


def test_a_window_that_begins_before_the_data_is_cut(filled_here, put):
    put(date(2003, 9, 12), flat(ROWS))
    done = filled_here.here("run", "--json", "--start", "2003-09-01", "--end", "2003-09-12")
    last = json.loads(done.out.splitlines()[-1])
    assert (done.code, last["start"], last["end"]) == (0, "2003-09-10", "2003-09-12")
    assert (last["absent"], last["committed"]) == (2, 1)
    assert "the window begins there" in done.out
