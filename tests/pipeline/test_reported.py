"""What a run says: its plan, its events, and status after it."""

import json
from datetime import date

from pipeline_kit import Place, flat, key, market_day, market_objects, weekdays, window
from runs_kit import DAYS, ROWS, SPAN, dates


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(filled, tmp_path):
    other = Place(tmp_path / "other" / "cache", filled.endpoint_url, filled.bucket)
    other.root.parent.mkdir()
    done = other.here("run", "--dry-run", "--json", "--start", SPAN[0], "--end", SPAN[1])
    *decisions, plan = map(json.loads, done.out.splitlines())
    assert (done.code, plan["fetch"], plan["reasons"]) == (0, 8, {"fetch: new": 8})
    assert [(one["session"], one["action"], one["reason"]) for one in decisions] == [
        (str(day), "fetch", "new") for day in DAYS
    ]
    assert plan["bytes"] == sum(map(len, market_objects(DAYS).values()))
    assert list(other.root.parent.iterdir()) == []
    for_people = other.here("run", "--dry-run", "--start", SPAN[0], "--end", SPAN[1])
    assert for_people.code == 0
    assert "new" in for_people.out
    assert list(other.root.parent.iterdir()) == []


def test_a_dry_run_on_a_filled_cache_changes_nothing(filled_here, put):
    filled_here.run(*window(DAYS[:5]))
    put(DAYS[1], flat(ROWS))
    before = (filled_here.tiers(), filled_here.logical_manifest(), filled_here.query("SELECT * FROM runs"))
    plan = filled_here.preview(*SPAN)
    assert {decision.session: decision.reason for decision in plan.fetches} == {
        DAYS[1]: "new etag",
        **dict.fromkeys(DAYS[5:], "new"),
    }
    assert (filled_here.tiers(), filled_here.logical_manifest(), filled_here.query("SELECT * FROM runs")) == before


def test_json_is_one_object_per_line_with_the_summary_last(filled):
    done = filled.cli("run", "--json", "--start", SPAN[0], "--end", SPAN[1])
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    names = [line["kind"] for line in lines]
    assert (done.returncode, done.stderr) == (0, "")
    assert names[:2] == ["run_started", "planned"]
    assert (names[-1], names.count("finished"), names.count("committed")) == ("finished", 1, 8)
    assert names.index("projected") > max(n for n, name in enumerate(names) if name == "committed")
    assert (lines[-1]["committed"], lines[-1]["exit_code"]) == (8, 0)
    assert {line["session"] for line in lines if line["kind"] == "committed"} == set(dates(DAYS))


def test_quiet_says_nothing_when_all_is_well_and_warns_when_not(filled_here, put):
    done = filled_here.here("run", "--quiet", "--start", SPAN[0], "--end", SPAN[1])
    assert (done.code, done.out, done.err) == (0, "", "")
    put(DAYS[0], packed=b"nonsense")
    done = filled_here.here("run", "--quiet", "--start", SPAN[0], "--end", SPAN[1])
    assert (done.code, done.out) == (3, "")
    assert str(DAYS[0]) in done.err


def test_status_counts_what_is_stored_and_what_is_missing(filled_here, seaweed, bucket, put):
    seaweed.delete(bucket, key(DAYS[2]))
    put(DAYS[6], packed=b"nonsense")
    filled_here.run(DAYS[0], date(2025, 3, 14))
    found = filled_here.status()
    assert (found.first, found.last) == (DAYS[0], DAYS[7])
    assert found.gaps == ((DAYS[2], DAYS[2], 1), (DAYS[6], DAYS[6], 1))
    counts = {(row.held, row.remote): row.count for row in found.sessions}
    assert counts == {
        ("committed", "listed"): 6,
        ("none", "absent"): 1,
        ("quarantined", "listed"): 1,
        ("none", "unpublished"): 2,
    }
    assert found.source_rows == sum(market_day(day).count(b"\n") - 1 for day in (*DAYS[:2], *DAYS[3:6], DAYS[7]))
    assert (found.tracked_tickers, found.dirty_files, found.corrections) == (4, 0, 0)
    assert {tier.name: tier.files for tier in found.tiers} == {
        "tracked CSVs": 4,
        "tracked parts": 6,
        "archive parts": 6,
    }
    tiers = filled_here.tiers()
    assert sum(tier.bytes for tier in found.tiers) == sum(map(len, tiers.values()))
    assert [run["exit_code"] for run in found.runs] == [3]


def test_status_of_a_missing_cache_creates_none(tmp_path, filled):
    other = Place(tmp_path / "other" / "cache", filled.endpoint_url)
    other.root.parent.mkdir()
    done = other.here("status", "--json")
    found = json.loads(done.out)
    assert (done.code, found["first"], found["runs"]) == (0, None, [])
    assert other.here("status", "--max-age", 3).code == 3
    assert list(other.root.parent.iterdir()) == []


def test_the_exit_code_of_status_shows_whether_the_newest_session_is_too_old(filled):
    filled.run(*SPAN)
    age = filled.status().age_sessions
    assert age > 100
    fresh, stale = filled.here("status", "--max-age", age), filled.here("status", "--max-age", age - 1)
    assert (fresh.code, stale.code) == (0, 3)
    assert f"{age} sessions old" in stale.err


def test_the_calendar_tells_holidays_from_absent_files(place, put):
    days = weekdays(date(2025, 4, 16), date(2025, 4, 22))
    for day in (days[0], days[-1]):
        put(day, flat(ROWS))
    place.run(days[0], days[-1])
    assert [place.state(day) for day in days[1:4]] == [("none", "absent"), ("none", "holiday"), ("none", "absent")]
