"""The window of a run: what the user asked for, cut to what can exist."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import UsageError
from ingest.market.calendars import months_back
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.windows import Window, choose

TODAY = date(2024, 5, 31)
FIRST = STOCKS_DAY.first_session


def _choose(months: int = 24, start: date | None = None, end: date | None = None) -> Window:
    return choose(months, start, end, TODAY, STOCKS_DAY)


@pytest.mark.parametrize(
    ("months", "start", "end", "window"),
    [
        (24, None, None, (date(2022, 5, 31), TODAY)),
        (1, None, None, (date(2024, 4, 30), TODAY)),
        (3, None, None, (date(2024, 2, 29), TODAY)),
        (24, date(2023, 1, 2), None, (date(2023, 1, 2), TODAY)),
        (24, date(2023, 1, 2), date(2023, 1, 31), (date(2023, 1, 2), date(2023, 1, 31))),
        (12, None, date(2023, 3, 31), (date(2022, 3, 31), date(2023, 3, 31))),
        (24, TODAY, TODAY, (TODAY, TODAY)),
        (24, FIRST, FIRST, (FIRST, FIRST)),
    ],
)
def test_a_window_is_what_was_asked_for_both_ends_included(
    months: int, start: date | None, end: date | None, window: tuple[date, date]
) -> None:
    assert _choose(months, start, end) == Window(*window)


def test_before_the_first_session_there_is_nothing_and_it_is_said() -> None:
    window = _choose(start=date(1999, 1, 1), end=date(2003, 12, 31))
    assert (window.start, window.end) == (FIRST, date(2003, 12, 31))
    assert window.notices == (f"{STOCKS_DAY.name} begins on {FIRST}: the window begins there",)


def test_after_today_there_is_nothing_and_it_is_said() -> None:
    window = _choose(start=TODAY, end=date(2024, 6, 1))
    assert (window.start, window.end) == (TODAY, TODAY)
    assert window.notices == (f"2024-06-01 is still to come: the window ends today, {TODAY}",)


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (date(2024, 2, 2), date(2024, 2, 1), r"starts on 2024-02-02 and ends on 2024-02-01\. Swap the two dates"),
        (date(2024, 6, 1), None, r"after today .*: choose a start in the past"),
        (date(2024, 6, 1), date(2024, 6, 2), r"begins on 2024-06-01, which is after today"),
        (date(1999, 1, 1), date(2003, 9, 9), r"begins on 2003-09-10: no data up to 2003-09-09"),
        (None, date(1999, 1, 1), r"no data up to 1999-01-01"),
        (None, date(1, 1, 1), r"no data up to 0001-01-01"),
        (None, date(2026, 7, 31), r"begins on 2024-07-31, which is after today"),
    ],
)
def test_a_window_of_which_nothing_is_left_is_refused(start: date | None, end: date | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        _choose(start=start, end=end)


@given(
    st.integers(1, 300),
    st.none() | st.dates(date(1990, 1, 1), date(2030, 1, 1)),
    st.none() | st.dates(date(1990, 1, 1)),
)
def test_a_window_is_inside_what_can_exist_and_what_was_asked_for(
    months: int, start: date | None, end: date | None
) -> None:
    try:
        window = _choose(months, start, end)
    except UsageError:
        begin, last = start or months_back(end or TODAY, months), end or TODAY
        assert begin > min(last, TODAY) or last < FIRST
        return
    assert FIRST <= window.start <= window.end <= TODAY
    assert window.start >= (start or FIRST)
    assert window.end <= (end or TODAY)
    assert bool(window.notices) or (start in (None, window.start) and end in (None, window.end))
