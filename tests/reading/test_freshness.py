"""When Yahoo is asked, and when an earlier answer suffices."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from ingest.cache.manifest import Manifest
from ingest.cache.manifest.yahoo import ActionCoverage, Refusal
from ingest.market.calendars import NEW_YORK
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.corporate_actions import Actions
from ingest.reading.adjusting.freshness import due, has_events, has_rows, newest_event, newest_session, still_stands

FIRST, LAST = date(2025, 3, 3), date(2025, 3, 13)
"""A Thursday, and the newest session that is over in most of these tests."""

DAY = timedelta(days=1)


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK)


def asked(when: datetime, first: date = FIRST, last: date = LAST) -> ActionCoverage:
    return ActionCoverage(first, last, when.astimezone(UTC).isoformat(timespec="seconds"))


@pytest.mark.parametrize(
    ("before", "now", "suffices"),
    [
        # The evening before, and the same night.
        (asked(at(LAST, 18)), at(LAST, 19), True),
        (asked(at(LAST, 18)), at(LAST, 23, 59), True),
        (asked(at(LAST, 18), first=FIRST + DAY), at(LAST, 19), False),
        # The next day is a session: its corporate actions may be in force, however late Yahoo was asked before.
        (asked(at(LAST, 18)), at(LAST + DAY, 0), False),
        (asked(at(LAST, 23, 59)), at(LAST + DAY, 0, 5), False),
        (asked(at(LAST, 18)), at(LAST + DAY, 8), False),
        (asked(at(LAST + DAY, 8)), at(LAST + DAY, 8, 59), True),
        (asked(at(LAST + DAY, 8)), at(LAST + DAY, 9, 1), False),
        (asked(at(LAST + DAY, 9)), at(LAST + DAY, 9, 29), True),
        (asked(at(LAST + DAY, 9)), at(LAST + DAY, 9, 30), False),
        (asked(at(LAST + DAY, 9, 29)), at(LAST + DAY, 9, 31), False),
        # The clock was set back since.
        (asked(at(LAST + 2 * DAY, 18), last=LAST - DAY), at(LAST, 18, 59), False),
        # An answer from an open session suffices until it is over; then its own row is requested.
        (asked(at(LAST + DAY, 9, 30)), at(LAST + DAY, 16, 59), True),
        (asked(at(LAST + DAY, 9, 30)), at(LAST + DAY, 17), False),
        (asked(at(LAST + DAY, 9, 30), last=LAST - DAY), at(LAST + DAY, 10, 31), False),
        # An answer that ended too early is requested again after an hour.
        (asked(at(LAST, 18), last=LAST - DAY), at(LAST, 18, 59), True),
        (asked(at(LAST, 18), last=LAST - DAY), at(LAST, 19, 1), False),
        # Nothing happens at the weekend.
        (asked(at(LAST + DAY, 18), last=LAST + DAY), at(LAST + 3 * DAY, 23), True),
        (asked(at(LAST + DAY, 18), last=LAST + DAY), at(LAST + 4 * DAY, 0), False),
    ],
)
def test_events_are_known_up_to_the_newest_that_may_be_in_force(
    before: ActionCoverage, now: datetime, suffices: bool
) -> None:
    assert has_events(before, STOCKS_DAY, FIRST, now) is suffices


def test_without_a_request_nothing_is_known() -> None:
    assert not has_events(None, STOCKS_DAY, FIRST)
    assert not has_rows(None, FIRST, LAST)
    assert not still_stands(None, STOCKS_DAY)


@pytest.mark.parametrize(
    ("first", "last", "age", "suffices"),
    [
        (FIRST, LAST, 300 * DAY, True),
        (FIRST + DAY, LAST, timedelta(minutes=1), False),
        (FIRST, LAST - DAY, 300 * DAY, False),
        (FIRST, LAST - DAY, timedelta(minutes=59), True),
        (FIRST, LAST - DAY, timedelta(minutes=61), False),
        (FIRST, LAST - DAY, timedelta(minutes=-61), False),
    ],
)
def test_rows_are_known_for_the_days_of_an_answer(first: date, last: date, age: timedelta, suffices: bool) -> None:
    now = at(LAST, 18)
    assert has_rows(asked(now - age, first, last), FIRST, LAST, now) is suffices


@pytest.mark.parametrize(
    ("refused", "now", "does"),
    [
        (at(LAST, 18), at(LAST + DAY, 9, 29), True),
        (at(LAST, 18), at(LAST + DAY, 9, 30), False),
        (at(LAST + DAY, 8), at(LAST + DAY, 9, 29), True),
        (at(LAST + DAY, 8), at(LAST + DAY, 9, 30), False),
        (at(LAST + DAY, 9, 30), at(LAST + DAY, 16, 59), True),
        (at(LAST, 16, 59), at(LAST, 17), False),
        (at(LAST + DAY, 10), at(LAST + DAY, 17), False),
        (at(LAST + DAY, 18), at(LAST + 4 * DAY, 9), True),
        # The clock was set, and values that no version writes.
        (at(LAST + DAY, 18), at(LAST + DAY, 17), False),
        (at(date(1600, 1, 1), 0), at(LAST, 18), False),
        (at(date(2200, 1, 1), 0), at(LAST, 18), False),
    ],
)
def test_a_refusal_holds_until_another_session_opens_or_is_over(refused: datetime, now: datetime, does: bool) -> None:
    assert still_stands(Refusal(FIRST, LAST, "no", refused.isoformat()), STOCKS_DAY, now) is does


def test_a_refusal_counts_only_for_the_same_request(tmp_path: Path) -> None:
    with Manifest.open(tmp_path / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        quotes = manifest.yahoo
        quotes.refuse("META", Refusal(FIRST, LAST, "another security"))
        questions = [FIRST, FIRST + DAY, FIRST - DAY]
        assert [due(quotes, STOCKS_DAY, ["META"], first, LAST) for first in questions] == [[], ["META"], ["META"]]
        assert due(quotes, STOCKS_DAY, ["MSFT", "META"], FIRST, LAST) == ["MSFT"]
        quotes.forget_refusals()
        assert due(quotes, STOCKS_DAY, ["MSFT", "META"], FIRST, LAST) == ["META", "MSFT"]


def test_an_answer_takes_the_place_of_refusals_within_its_span_alone(tmp_path: Path) -> None:
    with Manifest.open(tmp_path / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        quotes = manifest.yahoo
        for first in (FIRST, FIRST + DAY, FIRST + 2 * DAY):
            quotes.refuse("META", Refusal(first, LAST, "no"))
        quotes.refuse("MSFT", Refusal(FIRST + DAY, LAST, "no"))
        quotes.keep("META", ActionCoverage(FIRST + DAY, LAST), Actions(), [])
        assert set(quotes.refusals(["META", "MSFT"])) == {("META", FIRST), ("MSFT", FIRST + DAY)}


@pytest.mark.parametrize(
    ("day", "clock", "newest"),
    [
        (date(2025, 3, 5), (16, 59), date(2025, 3, 4)),
        (date(2025, 3, 5), (17, 0), date(2025, 3, 5)),
        (date(2025, 3, 8), (12, 0), date(2025, 3, 7)),
        (date(2025, 3, 10), (9, 0), date(2025, 3, 7)),
        (date(2025, 4, 18), (23, 0), date(2025, 4, 17)),
    ],
)
def test_a_session_is_over_an_hour_after_its_close(day: date, clock: tuple[int, int], newest: date) -> None:
    now = datetime(day.year, day.month, day.day, *clock, tzinfo=NEW_YORK)
    assert newest_session(STOCKS_DAY, now) == newest_session(STOCKS_DAY, now.astimezone(UTC)) == newest


@pytest.mark.parametrize(
    ("now", "newest"),
    [
        (at(LAST, 0), LAST),
        (at(LAST, 23), LAST),
        (at(LAST + DAY, 4), LAST + DAY),
        (at(LAST + 2 * DAY, 12), LAST + DAY),
        (at(LAST + 4 * DAY, 0), LAST + 4 * DAY),
        (at(date(2025, 4, 18), 12), date(2025, 4, 17)),
    ],
)
def test_the_newest_event_is_of_today_where_today_is_a_session(now: datetime, newest: date) -> None:
    assert newest_event(STOCKS_DAY, now) == newest_event(STOCKS_DAY, now.astimezone(UTC)) == newest
