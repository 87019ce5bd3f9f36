"""What the keys may read, when single files are in trouble: one ends no run, hides none, and raises no alarm."""

from datetime import date

import pytest
from pipeline_kit import Place, flat, key, trading_days, window

from ingest import events
from ingest.cache.manifest import Manifest
from ingest.demo.files.market import pack
from ingest.demo.servers import faults
from ingest.demo.servers.faults import Status
from ingest.market.permission import Permission

DAYS = trading_days(date(2025, 3, 3), 34)


pytestmark = pytest.mark.usefixtures("loopback_keys", "short_backoff")


@pytest.fixture
def place(server, tmp_path):
    return Place(tmp_path / "cache", server.endpoint_url)


@pytest.fixture
def refuse(server):
    """Change which sessions are refused."""

    def change(*days):
        server.forbidden.clear()
        server.forbidden.update(map(key, days))

    return change


def permission(place):
    with Manifest.read(place.settings().manifest_path, "us_stocks_sip/day_aggs_v1") as manifest:
        return manifest.source.permission()


def alarms(ran):
    return [event.message for event in ran.of(events.Notice) if event.level == "warning"]


def replace_at_source(server, *days):
    for day in days:
        server.put(key(day), pack(flat([("AAPL", "1.5"), ("MSFT", "2.5")])))


@pytest.mark.parametrize("broken", [6, 12, 19, 26, 32])
def test_a_refused_file_within_hides_none_that_are_older(place, refuse, broken):
    refuse(*DAYS[:5], DAYS[broken])
    ran = place.run(*window(DAYS))
    assert ran.committed == [day for day in DAYS[5:] if day != DAYS[broken]]
    assert permission(place) == Permission(DAYS[5], DAYS[-1], DAYS[4])
    assert alarms(place.run(*window(DAYS))) == []


@pytest.mark.parametrize("at", [0, 17, 33])
def test_an_empty_file_ends_no_run(place, server, at):
    server.put(key(DAYS[at]), b"")
    ran = place.run(*window(DAYS))
    assert (ran.finished.exit_code, ran.finished.quarantined, len(ran.committed)) == (3, 1, 33)
    assert permission(place).allows(DAYS[at]) is True


@pytest.mark.parametrize("at", [0, 33])
def test_a_file_that_answers_with_errors_ends_no_run(place, server, at):
    server.faults = faults.strike({key(DAYS[at])}, Status(500, "InternalError"), times=999)
    ran = place.run(*window(DAYS))
    assert (ran.finished.exit_code, ran.finished.failed, len(ran.committed)) == (3, 1, 33)
    assert permission(place).allows(DAYS[at]) is None
    once = {"INGEST_SOURCE__ATTEMPTS": "1"}
    listed = place.here("list", "--start", DAYS[0], "--end", DAYS[-1], "--json", **once)
    assert (listed.code, listed.out.count('"permitted": true')) == (0, 33)


def test_one_refused_correction_and_a_new_day_raise_no_alarm(place, server, refuse):
    place.run(DAYS[0], DAYS[20])
    replace_at_source(server, DAYS[10])
    refuse(DAYS[10])
    ran = place.run(DAYS[0], DAYS[21])
    assert (ran.committed, alarms(ran)) == ([DAYS[21]], [])
    assert ran.probes == [DAYS[0], DAYS[20]]
    assert permission(place) == Permission(DAYS[0], DAYS[21])


def test_newest_days_that_are_taken_away_are_noticed(place, refuse):
    place.run(*window(DAYS))
    refuse(*DAYS[-4:])
    assert place.run(*window(DAYS)).finished.exit_code == 0
    assert permission(place) == Permission(DAYS[0], DAYS[-5], above=DAYS[-4])
    assert place.status().only_copies == 0


def test_a_floor_that_rolls_within_the_window_is_noticed(place, refuse):
    place.run(*window(DAYS))
    refuse(*DAYS[:3])
    ran = place.run(*window(DAYS))
    (alarm,) = alarms(ran)
    assert alarm.startswith(f"your subscription now starts at {DAYS[3]}: 3 stored sessions ({DAYS[0]} to {DAYS[2]})")
    assert (permission(place), ran.gets) == (Permission(DAYS[3], DAYS[-1], DAYS[2]), [])
    assert alarms(place.run(*window(DAYS))) == []


def test_the_floor_rolls_day_after_day_and_is_always_a_session(place, refuse):
    place.run(*window(DAYS))
    for count in range(1, 12):
        refuse(*DAYS[:count])
        place.run(*window(DAYS))
        assert permission(place) == Permission(DAYS[count], DAYS[-1], DAYS[count - 1])


def test_a_plan_that_is_lost_and_comes_back(place, refuse):
    place.run(DAYS[0], DAYS[20])
    refuse(*DAYS)
    place.run(DAYS[0], DAYS[22])
    assert permission(place).first is None
    refuse()
    assert place.run(DAYS[0], DAYS[23]).committed == DAYS[21:24]
    assert permission(place).allows(DAYS[23]) is True


def test_a_session_that_vanished_at_the_source_says_nothing_of_the_plan(place, server, refuse):
    place.run(*window(DAYS))
    del server.objects[key(DAYS[0])]
    place.run(*window(DAYS))
    refuse(*DAYS[:2])
    ran = place.run(*window(DAYS))
    assert permission(place) == Permission(DAYS[2], DAYS[-1], DAYS[1])
    assert len(alarms(ran)) == 1


def test_sessions_held_below_the_floor_cost_no_request_each(place, refuse):
    for day in DAYS[0:12:2]:
        place.run(day, day)
    refuse(*DAYS[:15])
    place.run(*window(DAYS))
    again = place.run(*window(DAYS))
    assert (again.gets, again.probes) == ([], [DAYS[15], DAYS[33], DAYS[13], DAYS[14]])


def test_a_limited_run_goes_on_where_a_floor_is_known(place, refuse):
    refuse(*DAYS[:5])
    for number in range(5, 9):
        assert place.run(*window(DAYS), max_files=1).committed == [DAYS[number]]
    assert place.run(*window(DAYS), max_files=1, max_bytes=10**9).gets == [DAYS[9]]


def test_a_lapse_seen_on_a_night_without_new_files_is_not_a_floor(place, refuse):
    place.run(DAYS[0], DAYS[20])
    refuse(*DAYS)
    assert alarms(place.run(DAYS[0], DAYS[20])) == []
    refuse()
    ran = place.run(DAYS[0], DAYS[21])
    assert (alarms(ran), ran.committed, place.status().only_copies) == ([], [DAYS[21]], 0)
    assert permission(place) == Permission(DAYS[0], DAYS[21])


@pytest.mark.parametrize("first", [33, 2])
def test_a_first_run_that_is_refused_hides_nothing(place, refuse, first):
    refuse(*DAYS[:5], DAYS[33])
    place.run(DAYS[first], DAYS[first])
    assert place.run(*window(DAYS)).committed == DAYS[5:33]


def test_a_broken_file_at_the_newest_edge_hides_none_after_it_though_the_newest_is_always_refused(place, refuse):
    refuse(DAYS[19])
    place.run(DAYS[0], DAYS[19])
    seen = []
    for number in range(20, 30):
        refuse(DAYS[19], DAYS[number])
        seen += place.run(DAYS[0], DAYS[number]).committed
    assert seen == DAYS[20:29]


def test_a_broken_file_at_the_floor_hides_no_better_plan(place, refuse):
    refuse(*DAYS[:10])
    place.run(*window(DAYS))
    refuse(DAYS[9])
    assert place.run(*window(DAYS)).committed == DAYS[:9]


def test_a_floor_is_noticed_though_the_oldest_stored_session_is_gone(place, server, refuse):
    place.run(*window(DAYS))
    del server.objects[key(DAYS[0])]
    refuse(*DAYS[1:6])
    ran = place.run(*window(DAYS[20:]))
    assert (permission(place), len(alarms(ran))) == (Permission(DAYS[6], DAYS[-1], DAYS[5]), 1)


def test_what_is_allowed_again_is_no_longer_the_only_copy(place, refuse):
    place.run(*window(DAYS))
    refuse(*DAYS[:5])
    place.run(*window(DAYS))
    assert place.status().only_copies == 5
    refuse()
    place.run(*window(DAYS))
    assert (place.status().only_copies, permission(place)) == (0, Permission(DAYS[0], DAYS[-1]))


@pytest.mark.parametrize("code", [403, 500])
def test_a_file_in_trouble_does_not_use_up_a_limit(place, server, refuse, code):
    place.run(DAYS[0], DAYS[1])
    place.run(DAYS[10], DAYS[11])
    if code == 403:
        refuse(DAYS[3])
    else:
        server.faults = faults.strike({key(DAYS[3])}, Status(500, "InternalError"), times=9999)
    taken = [day for _ in range(9) for day in place.run(DAYS[0], DAYS[11], max_files=1).committed]
    assert sorted(taken) == [day for day in DAYS[2:10] if day != DAYS[3]]
