"""The trading calendar: known closures, windows in months, New York's date."""

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest
from closures import computed, early_closes
from hypothesis import given
from hypothesis import strategies as st

from ingest.market.calendars import Calendar, last_due, months_back, today

CALENDAR = Calendar.of("XNYS")
DAYS = st.dates(date(2000, 1, 1), date(2032, 12, 31))


class TestToday:
    @pytest.mark.parametrize(
        ("moment", "day"),
        [
            (datetime(2025, 1, 2, 4, 59, 59, tzinfo=UTC), date(2025, 1, 1)),
            (datetime(2025, 1, 2, 5, tzinfo=UTC), date(2025, 1, 2)),
            (datetime(2025, 7, 2, 3, 59, tzinfo=UTC), date(2025, 7, 1)),
            (datetime(2025, 7, 2, 4, tzinfo=UTC), date(2025, 7, 2)),
            (datetime(2025, 7, 2, 9, tzinfo=timezone(timedelta(hours=9))), date(2025, 7, 1)),
        ],
    )
    def test_is_new_yorks(self, moment: datetime, day: date) -> None:
        assert today(moment) == day

    def test_now(self) -> None:
        assert abs(today() - datetime.now(UTC).date()) <= timedelta(days=1)

    def test_needs_a_time_zone(self) -> None:
        with pytest.raises(ValueError, match="time zone"):
            today(datetime(2025, 1, 1))  # noqa: DTZ001 - that is the point


class TestLastDue:
    @pytest.mark.parametrize(
        ("moment", "day"),
        [
            (datetime(2025, 1, 9, 15, 59, 59, tzinfo=UTC), date(2025, 1, 7)),
            (datetime(2025, 1, 9, 16, tzinfo=UTC), date(2025, 1, 8)),
            (datetime(2025, 1, 10, 4, 59, tzinfo=UTC), date(2025, 1, 8)),
            (datetime(2025, 1, 10, 5, tzinfo=UTC), date(2025, 1, 8)),
            (datetime(2025, 7, 9, 14, 59, tzinfo=UTC), date(2025, 7, 7)),
            (datetime(2025, 7, 9, 15, tzinfo=UTC), date(2025, 7, 8)),
        ],
    )
    def test_is_yesterday_from_eleven_in_new_york_on(self, moment: datetime, day: date) -> None:
        assert last_due(moment) == day

    def test_needs_a_time_zone(self) -> None:
        with pytest.raises(ValueError, match="time zone"):
            last_due(datetime(2025, 1, 1))  # noqa: DTZ001 - that is the point


class TestMonthsBack:
    @pytest.mark.parametrize(
        ("day", "months", "back"),
        [
            (date(2025, 11, 12), 24, date(2023, 11, 12)),
            (date(2025, 3, 31), 1, date(2025, 2, 28)),
            (date(2024, 3, 31), 1, date(2024, 2, 29)),
            (date(2024, 2, 29), 12, date(2023, 2, 28)),
            (date(2025, 1, 15), 1, date(2024, 12, 15)),
            (date(2025, 12, 31), 1, date(2025, 11, 30)),
            (date(2025, 5, 5), 0, date(2025, 5, 5)),
            (date(2025, 5, 5), 1200, date(1925, 5, 5)),
        ],
    )
    def test_examples(self, day: date, months: int, back: date) -> None:
        assert months_back(day, months) == back

    @given(DAYS, st.integers(0, 1200))
    def test_month_and_day(self, day: date, months: int) -> None:
        back = months_back(day, months)
        assert (day.year - back.year) * 12 + day.month - back.month == months
        assert back.day == min(day.day, monthrange(back.year, back.month)[1])

    def test_before_the_year_one(self) -> None:
        assert months_back(date(1, 2, 1), 1) == date(1, 1, 1)
        with pytest.raises(ValueError, match="no date"):
            months_back(date(1, 1, 1), 1)


class TestClosures:
    @pytest.mark.parametrize(
        "day",
        [
            date(2025, 1, 9),  # mourning for President Carter
            date(2018, 12, 5),  # and for President Bush
            date(2012, 10, 29),  # hurricane Sandy
            date(2012, 10, 30),
            date(2007, 1, 2),  # mourning for President Ford
            date(2004, 6, 11),  # and for President Reagan
            date(2022, 6, 20),  # Juneteenth, the Monday after
            date(2023, 6, 19),
            date(2024, 3, 29),  # Good Fridays
            date(2025, 4, 18),
            date(2026, 4, 3),
            date(2025, 7, 4),
            date(2026, 7, 3),  # Independence Day on a Saturday
            date(2025, 11, 27),
            date(2025, 11, 29),  # a Saturday
        ],
    )
    def test_closed(self, day: date) -> None:
        assert not CALENDAR.is_session(day)

    @pytest.mark.parametrize(
        "day",
        [
            date(2003, 9, 10),
            date(2012, 10, 26),
            date(2012, 10, 31),
            date(2021, 6, 18),  # Juneteenth was not observed yet
            date(2021, 12, 31),  # New Year's Day on a Saturday moves nothing
            date(2025, 1, 8),
            date(2025, 1, 10),
            date(2025, 11, 28),  # half a day is a session
        ],
    )
    def test_open(self, day: date) -> None:
        assert CALENDAR.is_session(day)

    @pytest.mark.parametrize(("year", "count"), [(2012, 250), (2022, 251), (2023, 250), (2024, 252), (2025, 250)])
    def test_counts(self, year: int, count: int) -> None:
        assert CALENDAR.count_between(date(year, 1, 1), date(year, 12, 31)) == count

    def test_where_it_begins_and_ends(self) -> None:
        every = CALENDAR.between(date.min, date.max)
        assert (every[0], every[-1]) == (date(2003, 9, 10), date(2100, 12, 31))
        assert all(day.weekday() < 5 for day in every)
        assert not CALENDAR.is_session(date(2003, 9, 9))
        assert not CALENDAR.is_session(date(2101, 1, 3))

    def test_the_table_is_what_exchange_calendars_computes(self) -> None:
        assert sorted(CALENDAR.closures) == list(computed("XNYS")), "run `python -m tests.kits.closures`"


class TestHours:
    @pytest.mark.parametrize(
        ("day", "close"),
        [
            (date(2025, 11, 28), time(13)),  # the day after Thanksgiving
            (date(2025, 12, 24), time(13)),
            (date(2025, 7, 3), time(13)),
            (date(2025, 11, 26), time(16)),
            (date(2021, 12, 24), time(16)),  # a holiday, on which nothing closes early
        ],
    )
    def test_the_close_of_new_york(self, day: date, close: time) -> None:
        assert CALENDAR.close(day) == close

    def test_the_table_of_early_closes_is_what_exchange_calendars_computes(self) -> None:
        assert dict(CALENDAR.early) == dict(early_closes("XNYS")), "run `python -m tests.kits.closures`"
        assert all(CALENDAR.is_session(day) for day in CALENDAR.early)

    @pytest.mark.parametrize("market", ["daily", "forex", "CMES"])
    def test_markets_around_the_clock_have_none(self, market: str) -> None:
        assert Calendar.of(market).close(date(2025, 11, 28)) is None


class TestCalendar:
    def test_empty_windows(self) -> None:
        assert CALENDAR.between(date(2025, 1, 3), date(2025, 1, 2)) == ()
        assert CALENDAR.between(date(2025, 1, 4), date(2025, 1, 5)) == ()
        assert CALENDAR.between(date(1999, 1, 1), date(2003, 9, 9)) == ()
        assert CALENDAR.between(date(2101, 1, 1), date.max) == ()

    @given(DAYS, DAYS)
    def test_between_agrees_with_is_session(self, start: date, span: date) -> None:
        end = start + timedelta(days=span.toordinal() % 40)
        days = (start + timedelta(days=n) for n in range((end - start).days + 1))
        expected = tuple(day for day in days if CALENDAR.is_session(day))
        assert CALENDAR.between(start, end) == expected
        assert CALENDAR.count_between(start, end) == len(expected)
