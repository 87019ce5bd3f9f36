"""Whole runs of large files: what becomes of their partial downloads, whatever ends the run."""

from datetime import date

import anyio
import pytest
from large_kit import noted, shrink, spool_of
from pipeline_kit import (
    TRACKED,
    Place,
    key,
    market_day,
    market_objects,
    packed_day,
    trading_days,
    window,
)
from tuning_kit import tune

from ingest import events
from ingest.demo.files.market import pack
from ingest.demo.servers.faults import INTERNAL_ERROR, FlipByte
from ingest.errors import CacheError
from ingest.market.windows import Window
from ingest.pipeline import run
from ingest.planning.request import Request

DAYS = trading_days(date(2025, 3, 3), 2)
DAY, SPAN = DAYS[0], (DAYS[0], DAYS[0])
KEY, SIZE = key(DAY), len(packed_day(DAY))
OTHER = trading_days(date(2025, 6, 2), 1)[0]


@pytest.fixture(autouse=True)
def small(loopback_keys, monkeypatch):
    shrink(monkeypatch)


@pytest.fixture
def place(server, tmp_path):
    return Place(tmp_path / "cache", server.endpoint_url)


def spooled(place):
    """Names of the files in the folder of large files."""
    folder = place.root / "spool"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def half_done(server, place):
    """A run that gives up a session halfway."""
    server.faults = lambda request: INTERNAL_ERROR if request.key == KEY and request.nth > 3 else None
    assert place.run(*SPAN, attempts=1).finished.failed == 1
    server.faults = None
    there = noted(spool_of(place, DAY))
    assert 0 < there < SIZE
    return there


def test_large_files_end_as_small_ones_do(server, place, tmp_path, monkeypatch):
    ran = place.run(*window(DAYS))
    assert (ran.finished.exit_code, ran.finished.committed) == (0, len(DAYS))
    assert spooled(place) == []
    assert ran.finished.bytes == sum(len(packed_day(day)) for day in DAYS)
    assert ran.finished.requests == len(ran.wire.sent) == len(server.requests)
    assert len(ran.of(events.Fetched)) == len(ran.of(events.FetchStarted)) == len(DAYS)
    tune(monkeypatch, large=1 << 20)
    calm = Place(tmp_path / "calm", server.endpoint_url)
    calm.run(*window(DAYS))
    for day in DAYS:
        assert place.reassembled(day) == calm.reassembled(day) == market_day(day)
        assert place.part_text(day) == calm.part_text(day)
    names = {path.name for path in calm.tracked.glob("*.csv")}
    assert names == {path.name for path in place.tracked.glob("*.csv")}
    assert all((place.tracked / name).read_bytes() == (calm.tracked / name).read_bytes() for name in names)


def test_the_next_run_resumes_what_a_failed_one_left(server, place):
    there = half_done(server, place)
    before = server.sent[KEY]
    ran = place.run(*SPAN)
    assert ran.finished.exit_code == 0
    assert server.sent[KEY] - before == ran.finished.bytes == SIZE - there
    assert place.reassembled(DAY) == market_day(DAY)
    assert spooled(place) == []


def test_a_partial_download_of_another_version_is_discarded(server, place):
    half_done(server, place)
    server.put(KEY, packed_day(OTHER))
    before = server.sent[KEY]
    assert place.run(*SPAN).finished.exit_code == 0
    assert server.sent[KEY] - before == len(packed_day(OTHER))
    assert place.reassembled(DAY) == market_day(OTHER)
    assert spooled(place) == []


def test_a_partial_download_outlives_runs_of_other_windows_and_disturbs_no_command(server, place):
    half_done(server, place)
    assert place.run(DAYS[1], DAYS[1]).finished.exit_code == 0
    assert noted(spool_of(place, DAY)) > 0
    assert place.here("status").code in (0, 3)
    told = place.here("verify")
    assert (told.code, "spool" in told.out + told.err) == (0, False)


@pytest.mark.parametrize("times", [1, 2])
def test_a_file_that_is_not_gzip_is_fetched_once_more_and_then_quarantined(server, place, times):
    """Without an MD5 only the gzip checksum shows it."""
    server.put(KEY, packed_day(DAY), etag="0123-2")
    struck = []

    def flip(request):
        if request.conditions.get("range") == "bytes=2000-2999" and len(struck) < times:
            struck.append(request)
            return FlipByte(at=100)
        return None

    server.faults = flip
    ran = place.run(*SPAN)
    assert server.sent[KEY] == 2 * SIZE
    assert spooled(place) == []
    if times == 1:
        assert ran.finished.exit_code == 0
        assert place.reassembled(DAY) == market_day(DAY)
    else:
        flipped = bytearray(packed_day(DAY))
        flipped[2100] ^= 0xFF
        assert (ran.finished.exit_code, ran.finished.quarantined) == (3, 1)
        assert (place.root / "quarantine" / f"{DAY}.csv.gz").read_bytes() == flipped
        assert place.query("SELECT size FROM quarantine") == [(SIZE,)]
        assert place.here("verify").code in (0, 3)


@pytest.mark.parametrize("answer", ["forbidden", "absent"])
def test_a_file_that_is_refused_or_gone_on_its_way_leaves_nothing(server, place, answer):
    def refuse(request):
        if request.key == KEY and request.nth == 3:
            server.forbidden.update({KEY} if answer == "forbidden" else ())
            server.objects.pop(KEY) if answer == "absent" else None

    server.faults = refuse
    ran = place.run(*SPAN)
    assert (ran.finished.exit_code, getattr(ran.finished, answer)) == (0, 1)
    assert spooled(place) == []


def test_a_stop_ends_with_the_ranges_under_way_and_the_next_run_goes_on(server, place, monkeypatch):
    tune(monkeypatch, ranges_at_once=1)
    stop = anyio.Event()

    def sink(event):
        if isinstance(event, events.Downloading):
            stop.set()

    async def work():
        return await run.run(place.settings(concurrency=1), [Request(Window(*SPAN), frozenset(TRACKED))], sink, stop)

    finished = anyio.run(work).only()
    assert (finished.exit_code, finished.interrupted, finished.not_attempted) == (130, True, 1)
    there = noted(spool_of(place, DAY))
    assert there == 1000
    ran = place.run(*SPAN)
    assert [event.resumed for event in ran.of(events.Fetched)] == [there]
    assert server.sent[KEY] == SIZE
    assert place.reassembled(DAY) == market_day(DAY)


def test_a_spool_folder_that_cannot_be_made_ends_the_run(place):
    place.root.mkdir()
    (place.root / "spool").write_text("in the way")
    ran = place.run(*SPAN, fails=CacheError)
    assert ran.finished.exit_code == 5
    assert str(place.root / "spool") in str(ran.error)


def test_four_large_files_are_in_flight_together_under_the_default_budget(place, server):
    days = trading_days(date(2025, 3, 3), 8)
    server.objects.update(market_objects(days))
    under_way, most = set(), []

    def count(event):
        if isinstance(event, events.FetchStarted):
            under_way.add(event.session)
        elif isinstance(event, events.Committed):
            under_way.discard(event.session)
        most.append(len(under_way))

    assert place.run(*window(days), sink=count).finished.committed == 8
    assert max(most) == 4


def test_a_large_file_that_takes_rows_away_is_accepted_from_where_it_lies(server, place):
    place.run(*SPAN)
    fewer = b"".join(market_day(DAY).splitlines(keepends=True)[:100])
    server.put(KEY, pack(fewer))
    assert place.run(*SPAN).finished.quarantined == 1
    kept = place.root / "quarantine" / f"{DAY}.csv.gz"
    assert kept.read_bytes() == pack(fewer)
    assert spooled(place) == []
    asked = len(server.requests)
    shown = place.here("quarantine", "show", DAY)
    assert (shown.code, market_day(DAY).decode().splitlines()[0] in shown.out) == (0, True)
    assert place.here("quarantine", "accept", DAY).code == 0
    assert place.reassembled(DAY) == fewer
    assert (kept.exists(), len(server.requests)) == (False, asked)
