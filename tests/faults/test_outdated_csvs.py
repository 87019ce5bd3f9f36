"""CSVs of an earlier format are brought over by the next run, whatever stops it, and without a part that they need."""

import sys

import pytest
from monthly_kit import OCTOBER
from pipeline_kit import window
from story import make_outdated
from test_kills import kill_at_every_step

from ingest.verifying import verify

SAID = "{} rewritten, once: prices and volumes have a decimal point in every row now (`9709000.0`)"
unix = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork are POSIX's own")


def numbers_of(place):
    """All numbers of all CSVs, as text."""
    lines = [line for path in place.tracked.rglob("*.csv") for line in path.read_text().splitlines()[1:]]
    return [number for line in lines for number in line.split(",")[1:]]


def test_the_next_run_brings_them_over_and_says_so_once(outdated):
    place = outdated.fresh_copy("said")
    assert [one for one in numbers_of(place) if "." not in one]
    assert verify(place.settings(), deep=True).problems == ()
    assert [one for one in outdated.finish(place).notices if "rewritten" in one] == [SAID.format("2 tracked CSVs are")]
    assert [one for one in numbers_of(place) if "." not in one] == []
    assert verify(place.settings(), deep=True).problems == ()
    before = place.tiers()
    assert [one for one in outdated.finish(place).notices if "rewritten" in one] == []
    assert place.tiers() == before


def test_they_are_the_csvs_of_a_cache_that_never_was_old(outdated, outdated_months):
    for story in (outdated, outdated_months):
        fresh = story.empty("fresh")
        story.finish(fresh)
        assert {path.name: path.read_bytes() for path in fresh.tracked.rglob("*.csv")} == {
            path.name: path.read_bytes() for path in story.after.tracked.rglob("*.csv")
        }


def test_no_part_of_sessions_before_is_needed(outdated, outdated_months):
    place = outdated.fresh_copy("parts")
    place.part(outdated.days[0]).unlink()
    place.run(outdated.days[2], outdated.days[2], tracked=outdated.tracked)
    assert place.csv("AAPL") == outdated.after.csv("AAPL")
    months = outdated_months.fresh_copy("parts of months")
    months.part(OCTOBER[1]).unlink()
    months.run(outdated_months.days[2], outdated_months.days[2], tracked=outdated_months.tracked)
    assert months.months("AAPL") == outdated_months.after.months("AAPL")


def test_a_month_of_a_ticker_that_was_away_is_made_of_its_parts(outdated_months):
    """What was committed meanwhile is pending no more."""
    place = outdated_months.fresh_copy("away")
    place.run(*window(outdated_months.days[:2]), tracked={"MSFT"})
    make_outdated(place)
    place.run(*window(outdated_months.days), tracked={"MSFT"})
    outdated_months.finish(place)
    assert place.months("AAPL") == outdated_months.after.months("AAPL")


@unix
def test_killed_while_it_does_so_it_ends_the_same(nursery, outdated):
    kill_at_every_step(nursery, outdated, apart=11)


@unix
def test_killed_amid_months_it_ends_the_same(nursery, outdated_months):
    kill_at_every_step(nursery, outdated_months, apart=17)


@unix
@pytest.mark.long
def test_killed_at_any_step_it_ends_the_same(nursery, outdated, outdated_months):
    kill_at_every_step(nursery, outdated)
    kill_at_every_step(nursery, outdated_months)
