"""CSVs of an earlier format are brought over by the next run, whatever stops it, and without a part that they need."""

import json
import sys
from datetime import timedelta

import pytest
from monthly_kit import OCTOBER
from pipeline_kit import SAME, packed_day, window
from story import give_a_column_more, make_outdated
from test_kills import kill_at_every_step

import ingest
from ingest.cache.cache import Cache
from ingest.errors import IngestWarning
from ingest.maintenance.verify import verify
from ingest.market.catalogue import STOCKS_DAY
from ingest.tracked import projection

SAID = "{} rewritten once: prices and volumes now have a decimal point in every row (`9709000.0`)"
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


def test_the_message_has_the_words_of_the_format(outdated, monkeypatch):
    monkeypatch.setattr(projection, "FORMAT_CHANGE", "dates are in quotes now")
    with Cache.read(outdated.fresh_copy("words").settings(), STOCKS_DAY) as cache:
        assert projection.brought_over(cache.manifest) == "2 tracked CSVs are rewritten once: dates are in quotes now"


def _adoptable(place, day):
    """A day as another tool has it, and the folder that it lies in."""
    theirs = place.root.parent / "theirs"
    (theirs / "massive_cache").mkdir(parents=True)
    (theirs / "massive_cache" / f"{day}.csv.gz").write_bytes(packed_day(day))
    return theirs


FIRST = {
    "track add": lambda place, day: ("track", "add", "MSFT"),
    "track remove": lambda place, day: ("track", "remove", "NOSUCH"),
    "adopt": lambda place, day: ("adopt", str(_adoptable(place, day))),
    "verify --repair": lambda place, day: ("verify", "--repair"),
}


@pytest.mark.parametrize("command", FIRST)
def test_whoever_is_the_first_to_bring_them_over_says_so(outdated, command):
    place = outdated.fresh_copy(f"first {command}")
    listed = place.root.parent / "listed.txt"
    listed.write_text("".join(f"{ticker}\n" for ticker in sorted(outdated.tracked)))
    lists = {"INGEST_TRACKED__LISTS": f'["{listed}"]', "INGEST_TRACKED__TICKERS": "[]"}
    told = place.here(*FIRST[command](place, outdated.days[2]), **lists)
    assert told.code == 0, told.err
    assert (told.out + told.err).count("rewritten once: prices") == 1
    assert [one for one in numbers_of(place) if "." not in one] == []
    assert "rewritten" not in place.here("verify", "--repair", **lists).out


def test_a_program_that_has_files_fetched_is_warned(outdated):
    place = outdated.fresh_copy("python")
    config = place.root.parent / "config.toml"
    config.write_text(
        f'[cache]\nroot = "{place.root}"\n[source]\nendpoint_url = "{place.endpoint_url}"\nsame_as = "{SAME}"\n'
        f"[tracked]\ntickers = {json.dumps(sorted(outdated.tracked))}\nlists = []\n[fallback]\nenabled = false\n"
    )
    window = {"start": outdated.days[0], "end": outdated.days[2] + timedelta(days=1), "auto_adjust": False}
    with pytest.warns(IngestWarning) as said:
        ingest.get_smart_data("AAPL", data_source="massive", config=config, **window)
    assert [str(one.message) for one in said].count(SAID.format("2 tracked CSVs are")) == 1
    assert [one for one in numbers_of(place) if "." not in one] == []


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


@pytest.mark.parametrize("old_format", [False, True])
def test_csvs_with_another_header_are_made_again_from_the_parts(outdated, outdated_months, old_format):
    for story in (outdated, outdated_months):
        place = story.fresh_copy(f"header {old_format}") if old_format else story.empty("header")
        if not old_format:
            place.run(*window(story.days[:2]), tracked=story.tracked)
        give_a_column_more(place)
        story.finish(place)
        assert texts(place) == texts(story.after)
        assert verify(place.settings(), deep=True, dataset=place.dataset).problems == ()


def texts(place):
    return {path.relative_to(place.tracked): path.read_bytes() for path in place.tracked.rglob("*.csv")}


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
