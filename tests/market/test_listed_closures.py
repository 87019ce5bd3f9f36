"""Days that a calendar calls closed and of which the source has a file: the listing beats the calendar, everywhere."""

from datetime import UTC, date, datetime

import pytest
from pipeline_kit import SAME, Place

import ingest
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.errors import IngestWarning
from ingest.maintenance.verify import verify
from ingest.market.calendars import Calendar
from ingest.market.catalogue import named
from ingest.reading.adjusting.freshness import newest_session
from ingest.reading.smart.query import listed_sessions, window_of

pytestmark = pytest.mark.usefixtures("loopback_keys")

FUTURES, MINUTES = named("futures-cme-day"), named("futures-cme-minute")
BEFORE, CLOSED, AFTER = date(2025, 1, 8), date(2025, 1, 9), date(2025, 1, 10)
GOOD_FRIDAY = date(2025, 4, 18)
HEADER = "ticker,exchange,session_end_date,window_start,open,high,low,close,volume,dollar_volume,transactions"


def text_of(day):
    stamp = int(datetime(day.year, day.month, day.day, 15, tzinfo=UTC).timestamp()) * 10**9
    return f"{HEADER},settlement_price\nESH5,4,{day},{stamp},6000,6010,5990,6001.25,150,900000,70,6001\n".encode()


@pytest.fixture(params=[FUTURES, MINUTES], ids=lambda one: one.short)
def place(request, tmp_path):
    dataset = request.param
    with loopback.serve({dataset.key(day): pack(text_of(day)) for day in (BEFORE, CLOSED, AFTER)}) as server:
        found = Place(tmp_path / "cache", server.endpoint_url, dataset=dataset)
        found.server = server
        found.config = tmp_path / "config.toml"
        found.config.write_text(
            f'[source]\nendpoint_url = "{server.endpoint_url}"\nsame_as = "{SAME}"\nattempts = 1\n'
            f'[cache]\nroot = "{found.root}"\n[fallback]\nenabled = false\n[tracked]\nlists = []\n'
        )
        yield found


def ask(place, **window):
    interval = "1d" if place.dataset is FUTURES else "1m"
    chosen = {"interval": interval, "dataset": place.dataset.short, "config": place.config} | window
    frame = ingest.get_smart_data("ESH5", data_source="massive", **chosen)
    return [stamp.date() for stamp in frame.index]


def test_the_calendar_of_the_exchange_is_closed_then():
    assert not any(map(Calendar.of("CMES").is_session, (CLOSED, GOOD_FRIDAY)))


def test_a_listed_closure_is_looked_for_where_all_else_is_held(place):
    for day in (BEFORE, AFTER):
        place.run(day, day)
    assert ask(place, start=BEFORE, end=date(2025, 1, 11)) == [BEFORE, CLOSED, AFTER]
    assert place.state(CLOSED) == ("committed", "listed")


def test_a_closure_that_is_none_is_asked_for_alone(place):
    assert ask(place, start="2025-01-09", end="2025-01-10") == [CLOSED]


def test_a_closure_without_a_file_is_looked_for_once(place):
    del place.server.objects[place.dataset.key(CLOSED)]
    place.run(BEFORE, BEFORE)
    place.run(AFTER, AFTER)
    for _ in range(2):
        assert ask(place, start=BEFORE, end=date(2025, 1, 11)) == [BEFORE, AFTER]
    place.execute("UPDATE runs SET finished_at = '2025-01-12T00:00:00+00:00'")
    runs = place.query("SELECT count(*) FROM runs")
    assert ask(place, start=BEFORE, end=date(2025, 1, 11)) == [BEFORE, AFTER]
    assert place.query("SELECT count(*) FROM runs") == runs == [(3,)]


def test_a_listed_closure_that_is_not_held_is_missing(place):
    place.server.forbidden.add(place.dataset.key(CLOSED))
    place.run(BEFORE, AFTER)
    assert place.state(CLOSED) == ("none", "forbidden")
    assert place.status().gaps == ((CLOSED, CLOSED, 1),)
    (gap,) = verify(place.settings(), dataset=place.dataset).problems
    assert (gap.kind, gap.session) == ("gap", CLOSED)
    assert "the source said: forbidden" in gap.reason
    if place.dataset is MINUTES:
        with pytest.warns(IngestWarning, match=f"1 of 3 sessions are missing .{CLOSED}"):
            assert ask(place, start=BEFORE, end=date(2025, 1, 11), fetch=False) == [BEFORE, AFTER]


def test_what_is_newer_than_what_is_held_counts_for_its_age(place):
    place.server.forbidden.add(place.dataset.key(CLOSED))
    place.run(BEFORE, BEFORE)
    older = place.status().age_sessions
    place.run(BEFORE, CLOSED)
    assert place.status().age_sessions == older + 1


def test_sessions_are_counted_back_over_a_listed_closure(place):
    place.run(BEFORE, AFTER)
    listed = listed_sessions(place.settings(), place.dataset)
    assert listed == {BEFORE, CLOSED, AFTER}
    end = date(2025, 1, 11)
    assert window_of("2d", None, end, place.dataset) == (BEFORE, AFTER)
    assert window_of("2d", None, end, place.dataset, listed) == (CLOSED, AFTER)
    evening = datetime(2025, 1, 10, 3, tzinfo=UTC)  # nine in Chicago
    assert newest_session(place.dataset, evening) == BEFORE
    assert newest_session(place.dataset, evening, listed) == CLOSED
