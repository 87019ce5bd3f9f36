"""A source that fails in every way it can: the run ends as if nothing had been, or says what it could not get.

The loopback server has no disk of its own and does what its script says; the real server is in tests/runs.
"""

from collections import Counter
from datetime import date

import pytest
from pipeline_kit import Place, assert_same, key, market_day, market_objects, trading_days, window, write_keys

from ingest import events
from ingest.demo import faults, loopback
from ingest.demo.faults import (
    INTERNAL_ERROR,
    SLOW_DOWN,
    FlipByte,
    Latency,
    ResetBefore,
    ResetMidway,
    ShortBody,
    ShortLength,
    Silence,
    XmlError200,
    too_many_requests,
)
from ingest.errors import Disrupted, SourceUnavailable, Throttled

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
    monkeypatch.setattr("ingest.sources.retrying._BACKOFF", lambda state: 0.01)


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


def place_of(server, tmp_path, **source):
    settings = {"read_timeout_s": 0.4, "down_after_s": 20} | source
    return Place(tmp_path / "cache", server.endpoint_url, source=settings)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_that_passes_leaves_no_trace(tmp_path, calm, fault):
    struck = {key(DAYS[1]), key(DAYS[4])}
    with loopback.serve(market_objects(DAYS), faults=faults.strike(struck, fault, times=2)) as server:
        ran = place_of(server, tmp_path).run(*window(DAYS))
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
        ran = place_of(server, tmp_path, concurrency=16).run(*window(FORTY))
        struck = len(server.requests) - 1 - len(FORTY)
    assert (ran.finished.exit_code, ran.finished.committed) == (0, 40)
    assert struck >= 10
    assert 41 < ran.finished.requests == len(ran.wire.sent) <= len(server.requests)
    assert_same_but_for_times(place_of(server, tmp_path), calm[len(FORTY)])


@pytest.mark.parametrize("fault", [SLOW_DOWN, INTERNAL_ERROR, XmlError200(), ResetMidway(9), Silence(0)], ids=repr)
def test_a_listing_that_fails_is_asked_for_again(tmp_path, calm, fault):
    script = faults.first_of(faults.strike_listing(1, fault), faults.strike_listing(3, fault))
    with loopback.serve(market_objects(DAYS), faults=script, page_size=4) as server:
        ran = place_of(server, tmp_path).run(*window(DAYS))
    assert (ran.finished.exit_code, ran.gets) == (0, DAYS)
    assert [event.session for event in ran.of(events.Retrying)] == [None, None]
    assert_same_but_for_times(place_of(server, tmp_path), calm[len(DAYS)])


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
        place = place_of(server, tmp_path, attempts=3)
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


def test_concurrency_goes_down_with_congestion_and_comes_up_again(tmp_path):
    objects = market_objects(FORTY)
    early = {key(day) for day in FORTY[8:16]}
    with loopback.serve(objects, faults=faults.strike_once(early, SLOW_DOWN)) as server:
        ran = place_of(server, tmp_path, concurrency=8).run(*window(FORTY))
    limits = [(event.limit, event.cause) for event in ran.of(events.ConcurrencyChanged)]
    assert limits[0][0] < 8
    assert "SlowDown" in limits[0][1]
    assert min(limit for limit, _ in limits) >= 4
    assert limits[-1] == (8, "all is well again")
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
