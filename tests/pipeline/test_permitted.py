"""Runs with keys whose subscription allows part of the listing, against a real S3 server that refuses the rest."""

import json
from datetime import date, timedelta

import pytest
from pipeline_kit import Place, key, market_objects, trading_days, window, write_keys

from ingest import events
from ingest.demo.servers import seaweed as weed
from ingest.market.permission import REFUSED, Permission

DAYS = trading_days(date(2025, 3, 3), 40)


@pytest.fixture(scope="module")
def bucket(seaweed):
    """A bucket with the files of all days, which no test changes: a new one takes a second."""
    weed.make_bucket(seaweed.server, seaweed.writer, "permitted")
    seaweed.fill("permitted", market_objects(DAYS).items())
    yield "permitted"
    seaweed.server.client(seaweed.writer).delete_bucket(Bucket="permitted")


@pytest.fixture
def who(seaweed, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    keys = seaweed.reader()
    write_keys(tmp_path / "credentials", keys.access_key, keys.secret_key)
    return keys


@pytest.fixture
def allow(seaweed, bucket, who):
    """Change the subscription: this many of the oldest and of the newest sessions are refused."""

    def change(old, new):
        refused = {key(day) for day in (*DAYS[:old], *DAYS[len(DAYS) - new :])}
        seaweed.permit(who, *weed.reader_actions(bucket, map(key, DAYS), refused))

    return change


@pytest.fixture
def place(seaweed, bucket, tmp_path, who):
    return Place(tmp_path / "cache", seaweed.endpoint_url, bucket)


def permission(place):
    (row,) = place.query("SELECT first, last, below, above FROM permission_windows")
    return Permission(*(date.fromisoformat(text) if text else None for text in row))


def test_a_first_run_finds_the_edges_and_fetches_what_is_between_them(place, allow):
    allow(12, 4)
    ran = place.run(*window(DAYS))
    assert (ran.finished.exit_code, ran.finished.committed, ran.finished.forbidden) == (0, 24, 16)
    assert ran.committed == DAYS[12:36]
    assert ran.gets == DAYS[12:36]
    assert 2 < len(ran.probes) <= 13
    assert ran.finished.requests == len(ran.wire.sent)
    assert permission(place) == Permission(DAYS[12], DAYS[35], DAYS[11], DAYS[36])
    assert ran.notices == [
        f"your subscription allows {DAYS[12]} to {DAYS[35]}: 16 listed sessions of this window are outside ({REFUSED})"
    ]
    assert place.state(DAYS[0]) == place.state(DAYS[39]) == ("none", "forbidden")


def test_the_next_runs_ask_beside_the_edges_alone(place, allow):
    allow(12, 4)
    place.run(*window(DAYS))
    again = place.run(*window(DAYS))
    assert (again.gets, again.probes) == ([], [DAYS[n] for n in (12, 35, 10, 11, 36, 37, 39)])
    assert again.finished.requests == 8
    assert (again.finished.exit_code, again.finished.committed, again.finished.forbidden) == (0, 24, 16)


def test_a_plan_that_allows_all_costs_two_bytes(place, who):
    ran = place.run(*window(DAYS))
    assert (ran.probes, ran.gets, ran.notices) == ([DAYS[-1], DAYS[0]], DAYS, [])
    assert permission(place) == Permission(DAYS[0], DAYS[-1])


def test_few_sessions_are_asked_for_as_they_are(place, allow):
    allow(2, 0)
    ran = place.run(*window(DAYS[:6]))
    assert (ran.probes, sorted(ran.gets), ran.committed) == ([], DAYS[:6], DAYS[2:6])
    assert permission(place) == Permission(DAYS[2], DAYS[5], DAYS[1])


def test_sessions_that_the_floor_passes_stay_and_are_warned_about_once(place, allow):
    allow(5, 0)
    place.run(*window(DAYS))
    allow(8, 0)
    # Replaced at the source, so that the run asks for it, and learns.
    place.execute(f"UPDATE sessions SET etag = 'before' WHERE session IN ('{DAYS[7]}', '{DAYS[20]}')")
    ran = place.run(*window(DAYS))
    assert (ran.finished.exit_code, ran.finished.committed) == (0, 35)
    assert permission(place) == Permission(DAYS[8], DAYS[39], DAYS[7])
    alarms = [event.message for event in ran.of(events.Notice) if event.level == "warning"]
    (alarm,) = alarms
    assert alarm.startswith(f"your subscription now starts at {DAYS[8]}: 3 stored sessions ({DAYS[5]} to {DAYS[7]})")
    assert "back them up" in alarm
    again = place.run(*window(DAYS))
    assert [event for event in again.of(events.Notice) if event.level == "warning"] == []


def test_a_floor_before_the_window_is_asked_each_time_and_found_where_it_rolled(place, allow):
    allow(5, 0)
    place.run(*window(DAYS))
    late = window(DAYS[30:])
    quiet = place.run(*late)
    assert (quiet.probes, quiet.gets, quiet.finished.requests) == ([DAYS[5], DAYS[39]], [], 3)
    allow(18, 0)
    rolled = place.run(*late)
    assert (rolled.finished.exit_code, rolled.gets, rolled.probes[0]) == (0, [], DAYS[5])
    assert len(rolled.probes) <= 9
    assert permission(place) == Permission(DAYS[18], DAYS[39], DAYS[17])
    (alarm,) = [event.message for event in rolled.of(events.Notice) if event.level == "warning"]
    assert alarm.startswith(f"your subscription now starts at {DAYS[18]}: 13 stored sessions ({DAYS[5]} to {DAYS[17]})")
    assert place.status().only_copies == 13
    assert place.run(*late).probes == [DAYS[n] for n in (18, 39, 16, 17)]


def test_a_worse_plan_is_found_out_before_much_is_asked(place, allow):
    place.run(DAYS[30], DAYS[39])
    allow(25, 0)
    ran = place.run(*window(DAYS))
    assert (ran.committed, ran.finished.forbidden) == (DAYS[25:30], 25)
    assert len(ran.probes) <= 8
    assert sorted(ran.gets) == DAYS[25:30]
    assert permission(place) == Permission(DAYS[25], DAYS[39], DAYS[24])


def test_a_better_plan_opens_in_waves(place, allow):
    allow(30, 0)
    place.run(*window(DAYS))
    allow(0, 0)
    ran = place.run(*window(DAYS))
    assert (ran.committed, ran.finished.forbidden) == (DAYS[:30], 0)
    assert len(ran.probes) <= 6
    assert permission(place).first == DAYS[0]


def test_a_subscription_without_any_file_is_reported_and_probed_at_its_edges(place, allow):
    allow(40, 0)
    ran = place.run(*window(DAYS))
    assert (ran.finished.exit_code, ran.finished.committed, ran.finished.forbidden) == (0, 0, 40)
    assert len(ran.probes) + len(ran.gets) <= 12
    assert ran.notices == [
        f"your subscription allows none of the 40 files listed in this window that are not stored: {REFUSED}"
    ]
    again = place.run(*window(DAYS))
    assert (again.gets, len(again.probes) <= 8) == ([], True)


def test_a_dry_run_finds_the_edges_and_keeps_nothing(place, allow):
    allow(12, 4)
    plan = place.preview(*window(DAYS))
    assert [decision.session for decision in plan.fetches] == DAYS[12:36]
    assert not place.root.exists()


@pytest.mark.parametrize(
    ("limits", "fetched"), [({"max_files": 3}, 3), ({"max_files": 0}, 0), ({"max_bytes": 1}, 0), ({}, 40)]
)
def test_limits_take_the_oldest_and_leave_the_rest_for_later(place, who, limits, fetched):
    ran = place.run(*window(DAYS), **limits)
    assert ran.committed == DAYS[:fetched]
    assert (ran.finished.exit_code, ran.finished.not_attempted) == (0, 40 - fetched)
    assert place.run(*window(DAYS)).committed == DAYS[fetched:]


def test_all_that_is_permitted_is_all_that_a_run_takes(place, allow):
    allow(12, 4)
    done = place.here("run", "--all-permitted", "--json")
    summary = json.loads(done.out.splitlines()[-1])
    assert (done.code, summary["committed"], summary["start"]) == (0, 24, "2003-09-10")
    assert f"sessions of this window (2003-09-10 to {DAYS[0] - timedelta(days=3)})" in done.out


def test_limits_are_read_from_the_command_line(place, who):
    done = place.here("run", "--start", DAYS[0], "--end", DAYS[-1], "--max-bytes", "20 kB", "--json")
    summary = json.loads(done.out.splitlines()[-1])
    assert (done.code, summary["fetched"] + summary["not_attempted"], summary["bytes"] <= 20_000) == (0, 40, True)
    assert summary["fetched"] >= 3
    refused = place.here("run", "--max-bytes", "20 parsecs")
    assert (refused.code, "--max-bytes '20 parsecs'" in refused.err) == (2, True)


def test_one_newest_file_that_stays_refused_hides_none_that_come_after_it(place, seaweed, bucket, who):
    seaweed.permit(who, *weed.reader_actions(bucket, map(key, DAYS), {key(DAYS[20])}))
    place.run(DAYS[0], DAYS[20])
    for number in range(21, 24):
        assert place.run(DAYS[0], DAYS[number]).committed == [DAYS[number]]
