"""Whole runs on a cache that something has damaged."""

import pytest
from pipeline_kit import flat, market_day, window
from runs_kit import DAYS, ROWS, SPAN, rows_of

from ingest.errors import CacheError


@pytest.mark.parametrize("tier", ["tracked", "archive"])
def test_a_missing_part_is_fetched_again(filled, tier):
    filled.run(*SPAN)
    before = filled.tiers()
    filled.part(DAYS[4], tier).unlink()
    ran = filled.run(*SPAN)
    assert (ran.gets, ran.reasons["fetch: missing part"], ran.finished.exit_code) == ([DAYS[4]], 1, 0)
    assert (filled.tiers(), filled.corrections()) == (before, [])


@pytest.mark.parametrize("tier", ["tracked", "archive"])
def test_a_damaged_part_does_not_stand_in_the_way_of_its_replacement(filled_here, put, tier):
    filled_here.run(*SPAN)
    part = filled_here.part(DAYS[4], tier)
    part.write_bytes(part.read_bytes()[:-30])
    put(DAYS[4], flat(ROWS))
    ran = filled_here.run(*SPAN, accept=True)
    assert (ran.gets, ran.finished.exit_code) == ([DAYS[4]], 0)
    assert filled_here.reassembled(DAYS[4]) == flat(ROWS)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text(path.read_text() + "2030-01-01,1,1,1,1,1\n"),
        lambda path: path.write_text(path.read_text().replace("2025-03-04", "2025-03-01")),
    ],
    ids=["deleted", "emptied", "a row added", "a row changed"],
)
def test_a_changed_csv_is_rebuilt_from_the_parts(filled, spoil):
    filled.run(*SPAN)
    before = filled.tiers()
    spoil(filled.tracked / "AAPL_1d_data.csv")
    assert filled.tiers() != before
    ran = filled.run(*SPAN)
    assert (ran.gets, ran.finished.files_projected <= 1, ran.finished.exit_code) == ([], True, 0)
    assert filled.tiers() == before


def test_a_changed_csv_is_not_extended(filled):
    filled.run(*window(DAYS[:6]))
    path = filled.tracked / "AAPL_1d_data.csv"
    path.write_text(path.read_text().replace("2025-03-04", "2025-03-01"))
    filled.run(*SPAN)
    assert filled.csv("AAPL") == rows_of("AAPL", DAYS)


@pytest.mark.parametrize("blocked", ["data_cache/sessions", "massive_cache"])
def test_a_cache_that_cannot_be_written_ends_the_run_with_its_summary(filled, blocked):
    (filled.root / blocked / f"{DAYS[3]}.csv.gz").mkdir(parents=True)  # no file can be renamed over a folder
    ran = filled.run(*SPAN, fails=CacheError)
    assert ran.finished.exit_code == 5
    assert str(DAYS[3]) in str(ran.error)
    (filled.root / blocked / f"{DAYS[3]}.csv.gz").rmdir()
    assert filled.run(*SPAN).finished.committed == 8
    assert all(filled.reassembled(day) == market_day(day) for day in DAYS)
    assert list(filled.root.rglob("*.tmp")) == []
