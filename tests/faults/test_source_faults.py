"""A source that fails in every way it can: the run ends as if nothing had been, or says what it could not get.

The loopback server has no disk of its own and does what its script says; the real server is in tests/pipeline.
"""

import base64
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime

import pytest
from pipeline_kit import (
    Place,
    assert_same,
    key,
    market_day,
    market_objects,
    sampled_by_name,
    trading_days,
    window,
    write_keys,
)
from tuning_kit import tune

from ingest import events
from ingest.demo.servers import faults, loopback
from ingest.demo.servers.faults import (
    CLOCK_SKEW,
    INTERNAL_ERROR,
    SLOW_DOWN,
    FlipByte,
    Latency,
    ResetBefore,
    ResetMidway,
    ShortBody,
    ShortLength,
    Silence,
    Status,
    XmlError200,
    too_many_requests,
)
from ingest.errors import Disrupted, SourceRefused, SourceUnavailable, Throttled
from ingest.sources.resilient import UP_AGAIN

DAYS = trading_days(date(2025, 3, 3), 6)
FORTY = trading_days(date(2025, 3, 3), 40)

FAULTS = {
    "SlowDown": SLOW_DOWN,
    "internal error": INTERNAL_ERROR,
    "too many requests": too_many_requests(0),
    "reset before": ResetBefore(),
    "reset midway": ResetMidway(after_bytes=2000),
    "reset at once": ResetMidway(after_bytes=0),
    "short body": ShortBody(by=700),
    "short length": ShortLength(by=700),
    "short body by a byte": ShortBody(by=1),
    "short length by a byte": ShortLength(by=1),
    "flipped in the header": FlipByte(at=1),
    "flipped in the data": FlipByte(at=14),
    "flipped in the middle": FlipByte(at=2000),
    "flipped in the checksum": FlipByte(at=-6),
    "error under status 200": XmlError200(),
    "throttled under status 200": XmlError200("SlowDown"),
    "silence before": Silence(after_bytes=0),
    "silence midway": Silence(after_bytes=2000),
    "latency": Latency(0.05),
}


@pytest.fixture(autouse=True)
def environment(loopback_keys, monkeypatch):
    # As many attempts, with waits that a test can wait for.
    tune(monkeypatch, longest_wait_s=0.01)


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """An undisturbed run of each of the windows: places by their number of days."""
    places = {}
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("calm")
        write_keys(folder / "credentials")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
        for days in (DAYS, FORTY):
            with loopback.serve(market_objects(days)) as server:
                place = Place(folder / str(len(days)), server.endpoint_url)
                assert place.run(*window(days)).finished.committed == len(days)
                places[len(days)] = place
    return places


def assert_same_but_for_times(place, calm):
    """Equal tiers and manifests; the two servers were started at different times."""
    modified = dict(calm.query("SELECT session, last_modified FROM sessions WHERE last_modified IS NOT NULL"))
    assert modified
    ours = {day for (day,) in place.query("SELECT session FROM sessions WHERE last_modified IS NOT NULL")}
    assert ours == set(modified)
    place.execute("UPDATE sessions SET last_modified = '' WHERE last_modified IS NOT NULL")
    other = Place(calm.root, calm.endpoint_url)
    other.execute("UPDATE sessions SET last_modified = '' WHERE last_modified IS NOT NULL")
    assert_same(place, other)


BRIEF = 0.4
"""Seconds of silence that are waited for where there is some; elsewhere a busy machine must not look like it."""


def place_of(server, tmp_path, **source):
    settings = {"read_timeout_s": 10, "down_after_s": 20} | source
    return Place(tmp_path / "cache", server.endpoint_url, source=settings)


@pytest.mark.parametrize("fault", sampled_by_name(FAULTS))
def test_a_fault_that_passes_leaves_no_trace(tmp_path, calm, fault):
    struck = {key(DAYS[1]), key(DAYS[4])}
    with loopback.serve(market_objects(DAYS), faults=faults.strike(struck, fault, times=2)) as server:
        ran = place_of(server, tmp_path, read_timeout_s=BRIEF).run(*window(DAYS))
        asked = Counter(request.key for request in server.requests)
    assert (ran.finished.exit_code, ran.finished.committed) == (0, 6)
    assert set(asked.values()) == ({1} if isinstance(fault, Latency) else {1, 3})
    assert {one for one, count in asked.items() if count == 3} == (set() if isinstance(fault, Latency) else struck)
    # aiohttp itself asks once more, unseen, where a connection was reset before the answer.
    unseen = isinstance(fault, ResetBefore) * len(struck)
    assert ran.finished.requests == len(ran.wire.sent) == asked.total() - unseen
    assert_same_but_for_times(place_of(server, tmp_path), calm[len(DAYS)])


@pytest.mark.parametrize("seed", [1, 2])
def test_one_in_three_requests_struck_changes_nothing_in_the_end(tmp_path, calm, seed):
    script = faults.some_of(list(FAULTS.values()), seed, share=1 / 3, max_strikes=2)
    with loopback.serve(market_objects(FORTY), faults=script) as server:
        ran = place_of(server, tmp_path, read_timeout_s=BRIEF, concurrency=16).run(*window(FORTY))
        struck = len(server.requests) - 1 - len(FORTY)
    assert (ran.finished.exit_code, ran.finished.committed) == (0, 40)
    assert struck >= 10
    assert 41 < ran.finished.requests == len(ran.wire.sent) <= len(server.requests)
    assert_same_but_for_times(place_of(server, tmp_path), calm[len(FORTY)])


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 6))
def test_five_hundred_sessions_with_one_request_in_three_struck_end_as_without(tmp_path, seed):
    days = trading_days(date(2023, 3, 1), 500)
    script = faults.some_of(list(FAULTS.values()), seed, share=1 / 3, max_strikes=3)
    with loopback.serve(market_objects(days)) as server:
        calm = Place(tmp_path / "calm", server.endpoint_url)
        assert calm.run(*window(days)).finished.committed == 500
        seen, server.faults = len(server.requests), script
        place = place_of(server, tmp_path, read_timeout_s=BRIEF)
        ran = place.run(*window(days))
        struck = Counter(request.key for request in server.requests[seen:])
    assert (ran.finished.exit_code, ran.finished.committed, ran.finished.failed) == (0, 500, 0)
    assert sum(struck.values()) - len(struck) >= 150
    assert {event.cause == UP_AGAIN for event in ran.of(events.ConcurrencyChanged)} == {False, True}
    assert_same(place, calm)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("after_bytes", [0, 1, 2000])
def test_silence_is_cut_after_the_timeout(tmp_path, after_bytes):
    fault = Silence(after_bytes, seconds=600)
    with loopback.serve(market_objects(DAYS), faults=faults.strike_once({key(DAYS[2])}, fault)) as server:
        ran = place_of(server, tmp_path, read_timeout_s=BRIEF).run(*window(DAYS))
    (event,) = ran.of(events.Retrying)
    assert (event.session, event.attempt) == (DAYS[2], 1)
    assert "imeout" in event.cause
    assert (ran.finished.exit_code, ran.finished.committed) == (0, 6)


@pytest.mark.parametrize("fault", [SLOW_DOWN, INTERNAL_ERROR, XmlError200(), ResetMidway(9), Silence(0)], ids=repr)
def test_a_listing_that_fails_is_asked_for_again(tmp_path, calm, fault):
    script = faults.first_of(faults.strike_listing(1, fault), faults.strike_listing(3, fault))
    with loopback.serve(market_objects(DAYS), faults=script, page_size=4) as server:
        ran = place_of(server, tmp_path, read_timeout_s=BRIEF).run(*window(DAYS))
    assert (ran.finished.exit_code, ran.gets) == (0, DAYS)
    assert [event.session for event in ran.of(events.Retrying)] == [None, None]
    assert_same_but_for_times(place_of(server, tmp_path), calm[len(DAYS)])


def test_a_listing_is_asked_for_anew_where_its_token_is_good_no_longer(tmp_path, calm):
    script = faults.strike_listing(2, Status(400, "InvalidArgument"))
    with loopback.serve(market_objects(DAYS), faults=script, page_size=4) as server:
        ran = place_of(server, tmp_path).run(*window(DAYS))
        tokens = ["continuation-token" in request.query for request in server.requests if not request.key]
    assert (ran.finished.exit_code, ran.gets) == (0, DAYS)
    assert tokens == [False, True, False, True]
    assert_same_but_for_times(place_of(server, tmp_path), calm[len(DAYS)])


def test_a_first_page_that_is_refused_is_not_asked_for_again(tmp_path):
    with loopback.serve(market_objects(DAYS), faults=faults.always(Status(400, "InvalidArgument"))) as server:
        ran = place_of(server, tmp_path).run(*window(DAYS), fails=SourceRefused)
    assert (ran.finished.exit_code, ran.finished.requests) == (4, 1)


@pytest.mark.timeout(30)
def test_pages_that_go_round_in_a_circle_end_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(loopback, "_token", lambda following: base64.urlsafe_b64encode(key(DAYS[0]).encode()).decode())
    with loopback.serve(market_objects(DAYS), page_size=2) as server:
        ran = place_of(server, tmp_path, attempts=2).run(*window(DAYS), fails=Disrupted)
    assert ran.finished.exit_code == 4
    assert "came twice" in ran.of(events.Retrying)[0].cause


def test_pages_that_overlap_name_each_session_once(tmp_path, calm, monkeypatch):
    monkeypatch.setattr(loopback, "_token", lambda last: base64.urlsafe_b64encode(last[:-1].encode()).decode())
    with loopback.serve(market_objects(DAYS), page_size=3) as server:
        ran = place_of(server, tmp_path).run(*window(DAYS))
        pages = sum(not request.key for request in server.requests)
    assert (ran.finished.exit_code, ran.gets, pages) == (0, DAYS, 3)
    assert_same_but_for_times(place_of(server, tmp_path), calm[len(DAYS)])


@pytest.mark.parametrize(
    ("removed", "gets"),
    [(None, DAYS[1:]), (DAYS[1], DAYS[1:]), (DAYS[3], DAYS[1:]), (DAYS[4], [*DAYS[1:4], DAYS[5]])],
    ids=["added only", "of the first page", "the last of the first page", "of the second page"],
)
def test_a_listing_that_changes_between_its_pages(tmp_path, removed, gets):
    """One session appears on the page that has passed, another goes; the next run makes good what was missed."""
    objects = market_objects(DAYS)
    late = objects.pop(key(DAYS[0]))
    with loopback.serve(objects, page_size=3) as server:

        def change(request):
            if not request.key and request.nth == 2:
                server.put(key(DAYS[0]), late)
                server.objects.pop(key(removed) if removed else "", None)

        server.faults = change
        place = place_of(server, tmp_path)
        ran = place.run(*window(DAYS))
        assert (ran.gets, ran.finished.exit_code) == (gets, 0)
        place.run(*window(DAYS))
        assert place.state(DAYS[0])[0] == "committed"
        whole = Place(tmp_path / "whole", server.endpoint_url)
        whole.run(*window(DAYS))
    assert place.tiers() == whole.tiers()


def test_a_clock_that_is_wrong_is_no_fault_of_a_file(tmp_path):
    with loopback.serve(market_objects(DAYS), faults=faults.always(CLOCK_SKEW), clock_ahead_s=-3600) as server:
        ran = place_of(server, tmp_path).run(*window(DAYS), fails=SourceRefused)
    assert (ran.finished.exit_code, ran.finished.requests, ran.of(events.Retrying)) == (4, 1, [])
    assert "clock is wrong" in str(ran.error)
    assert "off by +3,60" in str(ran.error)


@pytest.mark.parametrize(
    ("fault", "error"),
    [(SLOW_DOWN, Throttled), (INTERNAL_ERROR, Disrupted), (ResetBefore(), Disrupted)],
    ids=["throttled", "broken", "reset"],
)
def test_a_listing_that_never_comes_ends_the_run(tmp_path, fault, error):
    with loopback.serve(market_objects(DAYS), faults=faults.always(fault)) as server:
        ran = place_of(server, tmp_path, attempts=3).run(*window(DAYS), fails=error)
        assert {request.key for request in server.requests} == {""}
    assert (ran.finished.exit_code, ran.finished.requests, len(ran.wire.sent)) == (4, 3, 3)


@pytest.mark.parametrize(
    "fault",
    [SLOW_DOWN, INTERNAL_ERROR, ResetMidway(100), ShortLength(5), XmlError200(), Silence(100)],
    ids=lambda fault: type(fault).__name__,
)
def test_a_session_that_fails_for_good_stops_no_other_and_is_tried_again(tmp_path, calm, fault):
    bad = key(DAYS[2])
    with loopback.serve(market_objects(DAYS), faults=faults.strike({bad}, fault, times=99)) as server:
        place = place_of(server, tmp_path, read_timeout_s=BRIEF, attempts=3)
        ran = place.run(*window(DAYS))
        assert (ran.finished.exit_code, ran.finished.committed, ran.finished.failed) == (3, 5, 1)
        assert [event.session for event in ran.of(events.Failed)] == [DAYS[2]]
        assert ran.gets.count(DAYS[2]) == 3
        assert place.state(DAYS[2]) == ("none", "failed")
        again = place.run(*window(DAYS))
        assert again.reasons == {"fetch: failed before": 1, "skip: committed": 5}
        assert (again.gets, again.finished.exit_code) == ([DAYS[2]] * 3, 3)
        server.faults = None
        assert place.run(*window(DAYS)).finished.exit_code == 0
    assert_same_but_for_times(place, calm[len(DAYS)])


def test_the_same_byte_flipped_three_times_is_not_what_the_source_has(tmp_path, calm):
    """The second time is believed over the ETag, until the bytes turn out to be no gzip."""
    bad = key(DAYS[2])
    with loopback.serve(market_objects(DAYS), faults=faults.strike({bad}, FlipByte(2000), times=3)) as server:
        ran = place_of(server, tmp_path).run(*window(DAYS))
    assert (ran.finished.exit_code, ran.finished.quarantined, ran.gets.count(DAYS[2])) == (0, 0, 4)
    assert_same_but_for_times(place_of(server, tmp_path), calm[len(DAYS)])


def test_a_file_that_is_always_damaged_is_quarantined_as_it_came(tmp_path):
    """Its md5 is wrong each time and its bytes are the same each time: so it is what the source has."""
    bad = key(DAYS[2])
    with loopback.serve(market_objects(DAYS), faults=faults.strike({bad}, FlipByte(2000), times=99)) as server:
        place = place_of(server, tmp_path)
        ran = place.run(*window(DAYS))
    assert (ran.finished.exit_code, ran.finished.committed, ran.finished.quarantined) == (3, 5, 1)
    assert 2 <= ran.gets.count(DAYS[2]) <= 6
    assert place.state(DAYS[2]) == ("quarantined", "listed")


def test_a_403_is_not_retried_nor_a_reason_to_slow_down(tmp_path):
    closed = {key(day) for day in DAYS[3:]}
    with loopback.serve(market_objects(DAYS), forbidden=closed) as server:
        ran = place_of(server, tmp_path).run(*window(DAYS))
        assert set(Counter(request.key for request in server.requests).values()) == {1}
    assert (ran.finished.exit_code, ran.finished.committed, ran.finished.forbidden) == (0, 3, 3)
    assert ran.of(events.Retrying) == ran.of(events.ConcurrencyChanged) == []


def test_a_file_that_is_gone_when_asked_for_is_absent(tmp_path):
    objects = market_objects(DAYS)
    with loopback.serve(objects) as server:

        def remove(event):
            if isinstance(event, events.Planned):
                del server.objects[key(DAYS[2])]

        place = place_of(server, tmp_path)
        ran = place.run(*window(DAYS), sink=remove)
    assert (ran.finished.exit_code, ran.finished.absent, ran.finished.committed) == (0, 1, 5)
    assert place.state(DAYS[2]) == ("none", "absent")


def test_a_file_that_is_gone_and_answered_with_403_is_asked_for_once(tmp_path):
    """S3 says 403 in place of 404 to who may not list."""
    with loopback.serve(market_objects(DAYS)) as server:

        def remove(event):
            if isinstance(event, events.Planned):
                del server.objects[key(DAYS[2])]
                server.faults = faults.strike({key(DAYS[2])}, Status(403, "AccessDenied"), times=99)

        place = place_of(server, tmp_path)
        ran = place.run(*window(DAYS), sink=remove)
        assert (ran.finished.exit_code, ran.finished.forbidden, ran.finished.committed) == (0, 1, 5)
        assert ran.gets.count(DAYS[2]) == 1
        assert ran.of(events.Retrying) == ran.of(events.ConcurrencyChanged) == []
        assert place.run(*window(DAYS)).gets == []  # it is listed no longer
        server.put(key(DAYS[2]), market_objects(DAYS)[key(DAYS[2])])
        server.faults = None
        assert place.run(*window(DAYS)).finished.committed == 6


def test_a_file_that_is_replaced_after_the_listing_is_stored_as_what_it_is(tmp_path):
    with loopback.serve(market_objects(DAYS)) as server:

        def replace(event):
            if isinstance(event, events.Planned):
                server.put(key(DAYS[2]), market_objects(FORTY)[key(FORTY[20])])

        place = place_of(server, tmp_path)
        ran = place.run(*window(DAYS), sink=replace)
        assert (ran.finished.exit_code, ran.finished.committed) == (0, 6)
        assert place.reassembled(DAYS[2]) == market_day(FORTY[20])
        assert place.run(*window(DAYS)).gets == []


def test_retry_after_is_obeyed(tmp_path):
    with loopback.serve(
        market_objects(DAYS), faults=faults.strike_once({key(DAYS[2])}, too_many_requests(1))
    ) as server:
        ran = place_of(server, tmp_path).run(*window(DAYS))
    (event,) = ran.of(events.Retrying)
    assert (event.session, event.wait_s, event.attempt) == (DAYS[2], 1.0, 1)
    assert "TooManyRequests" in event.cause
    assert ran.finished.exit_code == 0


@pytest.mark.parametrize(("seconds", "waits"), [(2, {1.0, 2.0}), (-50, {0.0})])
def test_retry_after_as_a_date_is_told_by_the_clock_of_the_source(tmp_path, seconds, waits):
    ahead = timedelta(hours=5)

    def script(request):
        then = format_datetime(datetime.now(UTC) + ahead + timedelta(seconds=seconds), usegmt=True)
        return too_many_requests(then) if request.key == key(DAYS[2]) and request.nth == 1 else None

    with loopback.serve(market_objects(DAYS), faults=script, clock_ahead_s=ahead.total_seconds()) as server:
        ran = place_of(server, tmp_path).run(*window(DAYS))
    (event,) = ran.of(events.Retrying)
    assert event.session == DAYS[2]
    assert event.wait_s in waits
    assert ran.finished.exit_code == 0


def test_concurrency_goes_down_with_congestion_and_comes_up_again(tmp_path):
    objects = market_objects(FORTY)
    early = {key(day) for day in FORTY[8:16]}
    with loopback.serve(objects, faults=faults.strike_once(early, SLOW_DOWN)) as server:
        ran = place_of(server, tmp_path, concurrency=8).run(*window(FORTY))
    limits = [(event.limit, event.cause) for event in ran.of(events.ConcurrencyChanged)]
    assert limits[0][0] < 8
    assert "SlowDown" in limits[0][1]
    assert min(limit for limit, _ in limits) >= 4
    assert limits[-1] == (8, UP_AGAIN)
    assert server.most_at_once <= 8
    assert ran.finished.exit_code == 0


def test_concurrency_is_a_ceiling_even_with_latency(tmp_path):
    slow = faults.first_of(lambda request: Latency(0.03) if request.key else None)
    with loopback.serve(market_objects(FORTY), faults=slow) as server:
        place_of(server, tmp_path, concurrency=3).run(*window(FORTY[:15]))
        assert server.most_at_once == 3
        Place(tmp_path / "wide", server.endpoint_url).run(*window(FORTY), concurrency=32)
        assert 8 < server.most_at_once <= 32


def test_a_source_that_falls_silent_ends_the_run_and_keeps_what_was_committed(tmp_path):
    with loopback.serve(market_objects(FORTY)) as server:
        here = []

        def fall_silent(event):
            if isinstance(event, events.Fetched):
                here.append(event.session)
            if len(here) == 4:
                server.faults = faults.always(ResetBefore())

        place = place_of(server, tmp_path, attempts=20, down_after_s=0.5, concurrency=4)
        ran = place.run(*window(FORTY), sink=fall_silent, fails=SourceUnavailable)
        assert ran.finished.exit_code == 4
        assert 1 <= ran.finished.committed == len(ran.committed) < 40
        assert list(place.csv("AAPL")) == [str(day) for day in ran.committed]
        assert list(place.root.rglob("*.tmp")) == []
        server.faults = None
        again = place.run(*window(FORTY))
        assert (again.finished.exit_code, again.finished.committed) == (0, 40)
        assert sorted(again.gets) == [day for day in FORTY if day not in ran.committed]
