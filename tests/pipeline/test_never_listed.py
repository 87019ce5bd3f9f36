"""Files that the source never had are reported: they are not "not published yet", night after night."""

import json
from datetime import date, timedelta

import pytest
from pipeline_kit import Place, key, market_objects, trading_days, window

from ingest import events
from ingest.cli.rendering.words import outcome
from ingest.demo.servers import loopback
from ingest.market.catalogue import CATALOGUE, STOCKS_DAY

DAYS = trading_days(date(2025, 3, 3), 6)
LAST_YEAR = (date(2024, 3, 1), date(2024, 3, 31))


@pytest.fixture(autouse=True)
def keys(loopback_keys):
    return loopback_keys


@pytest.fixture
def place(server, tmp_path):
    return Place(tmp_path / "cache", server.endpoint_url)


def warnings(ran):
    return [event.message for event in ran.of(events.Notice) if event.level == "warning"]


def states(ran):
    done = ran.finished
    return done.exit_code, done.committed, done.absent, done.unpublished


def test_days_before_the_first_file_are_absent_and_reported(place):
    ran = place.run(*LAST_YEAR)
    assert states(ran) == (0, 0, 20, 0)
    (said,) = ran.notices
    assert said.startswith("the source has no files for 20 sessions of this window (2024-03-01 to 2024-03-28)")
    assert said.endswith(str(DAYS[0]))
    assert place.state(LAST_YEAR[0]) == ("none", "absent")
    assert "not published yet" not in place.here("run", "--start", LAST_YEAR[0], "--end", LAST_YEAR[1]).out


def test_a_window_that_begins_before_the_first_file(place):
    ran = place.run(date(2024, 12, 30), DAYS[-1])
    assert (ran.committed, ran.finished.exit_code, ran.finished.unpublished) == (DAYS, 0, 0)
    assert "2024-12-30 to 2025-02-28" in ran.notices[0]


def test_a_dataset_without_listed_files_is_a_warning_and_exit_3(place, server):
    kept = dict(server.objects)
    server.objects.clear()
    server.objects["us_stocks_sip/day_aggs_v10/2025/03/2025-03-03.csv.gz"] = b"of another"
    ran = place.run(*window(DAYS))
    assert states(ran) == (3, 0, 6, 0)
    (said,) = warnings(ran)
    assert "lists no file of stocks-day" in said
    assert outcome(ran.finished) == "Finished, but the source lists no file of this dataset: see above."
    quiet = place.here("run", "--start", DAYS[0], "--end", DAYS[-1], "--quiet")
    assert (quiet.code, said in quiet.err + quiet.out) == (3, True)
    server.objects.update(kept)
    assert states(place.run(*window(DAYS))) == (0, 6, 0, 0)


@pytest.mark.parametrize(
    "asked", [("list",), ("run", "--dry-run"), ("list", "--json"), ("run", "--dry-run", "--quiet")]
)
def test_readers_are_warned_as_a_run_is(place, server, asked):
    named = ("-d", "crypto-day", "-d", "stocks-day", "--start", DAYS[0], "--end", DAYS[-1])
    told = place.here(*asked, *named)
    counts = [text.count("lists no file of crypto-day for any year") for text in (told.out, told.err)]
    assert (told.code, sorted(counts)) == (3, [1, 1] if asked == ("list", "--json") else [0, 1])
    assert "lists no file of stocks-day" not in told.out + told.err
    # A window without files does not mean a source without files.
    told = place.here(*asked, "-d", "stocks-day", "--start", LAST_YEAR[0], "--end", LAST_YEAR[1])
    assert (told.code, "lists no file" in told.out + told.err) == (0, False)
    server.objects.clear()
    assert place.here(*asked, "--start", DAYS[0], "--end", DAYS[-1]).code == 3


def test_a_source_that_lists_nothing_any_more_takes_nothing_away(place, server):
    place.run(*window(DAYS))
    before = place.tiers()
    server.objects.clear()
    ran = place.run(*window(DAYS))
    assert (states(ran), len(warnings(ran)), place.tiers()) == ((3, 6, 0, 0), 1, before)


def test_one_dataset_without_files_hides_no_other(place, server):
    other = CATALOGUE["crypto-day"]
    config = place.root.parent / "config.toml"
    config.write_text(f'[run]\ndatasets = ["{other.short}", "{STOCKS_DAY.short}"]\n')
    told = place.here("run", "--config", config, "--start", DAYS[0], "--end", DAYS[-1], "--json")
    done = [line for line in map(json.loads, told.out.splitlines()) if "committed" in line and "exit_code" in line]
    assert (told.code, [line["exit_code"] for line in done]) == (3, [3, 0])
    assert done[1]["committed"] == 6


def test_a_day_not_published_yet_raises_no_alarm_and_costs_no_request(place, monkeypatch):
    monkeypatch.setattr("ingest.planning.survey.today", lambda: DAYS[-1] + timedelta(days=1))
    tomorrow = trading_days(DAYS[-1] + timedelta(days=1), 1)[0]
    ran = place.run(tomorrow, tomorrow)
    assert (states(ran), ran.notices, len(ran.wire.sent)) == ((0, 0, 0, 1), [], 1)


def test_nor_is_the_first_night_of_a_year(tmp_path, monkeypatch):
    old, new = trading_days(date(2025, 12, 29), 3), date(2026, 1, 2)
    monkeypatch.setattr("ingest.planning.survey.today", lambda: new)
    with loopback.serve(market_objects(old)) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        ran = place.run(new, new)
        assert (states(ran), ran.notices, len(ran.wire.listings)) == ((0, 0, 0, 1), [], 2)
        # Where the window reaches back into the old year, its listing says enough.
        assert len(place.run(old[0], new).wire.listings) == 2


def test_the_end_of_a_year_that_was_never_published_is_not_still_to_come(tmp_path):
    """Files of the following year are not in the window's listing."""
    old, new = trading_days(date(2024, 12, 16), 3), trading_days(date(2025, 1, 2), 2)
    with loopback.serve(market_objects([*old, *new])) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        ran = place.run(old[0], date(2024, 12, 31))
        assert states(ran) == (0, 3, 8, 0)
        assert states(place.run(old[0], date(2024, 12, 18))) == (0, 3, 0, 0)


def test_a_dataset_that_is_no_longer_published_is_a_warning(place, monkeypatch):
    monkeypatch.setattr("ingest.planning.survey.today", lambda: date(2025, 4, 30))
    (said,) = warnings(place.run(DAYS[0], date(2025, 4, 30)))
    assert said.startswith(f"the newest file that the source lists is {DAYS[-1]}; ")
    assert warnings(place.run(DAYS[0], DAYS[-1] + timedelta(days=10))) == []


def test_a_file_of_a_day_to_come_changes_nothing(place, server):
    server.objects[key(date(2999, 3, 4))] = b"x"
    assert states(place.run(*LAST_YEAR)) == (0, 0, 20, 0)
    assert states(place.run(date(2025, 4, 1), date(2025, 4, 2))) == (0, 0, 0, 2)
