"""When Yahoo is asked, and when what it said before suffices."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from ingest.corporate import Actions
from ingest.datasets import STOCKS_DAY
from ingest.freshness import due, is_known, newest_session
from ingest.manifest import Manifest
from ingest.manifest.quotes import Asking, Quotes
from ingest.sessions import NEW_YORK

FIRST, LAST = date(2025, 3, 3), date(2025, 3, 14)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


When = Callable[[], Asking | None]
"""An asking as old as it is said to be when the test begins, not when tests were collected."""


def asking(age: timedelta, known: bool = True, message: str = "", first: date = FIRST, last: date = LAST) -> When:
    return lambda: Asking(known, first, last, (datetime.now(UTC) - age).isoformat(timespec="seconds"), message)


@pytest.mark.parametrize(
    ("before", "suffices"),
    [
        (lambda: None, False),
        (asking(300 * DAY), True),
        (asking(MINUTE, first=FIRST + DAY), False),
        (asking(300 * DAY, last=LAST - DAY), False),
        # What an answer did not have is not asked for again within an hour.
        (asking(HOUR - MINUTE, last=LAST - DAY), True),
        (asking(HOUR + MINUTE, last=LAST - DAY), False),
        # An answer that could not be used: a day where the ticker is known, a week where Yahoo does not have it.
        (asking(DAY - MINUTE, message="no"), True),
        (asking(DAY + MINUTE, message="no"), False),
        (asking(DAY + MINUTE, known=False, message="no"), True),
        (asking(7 * DAY - MINUTE, known=False, message="no"), True),
        (asking(7 * DAY + MINUTE, known=False, message="no"), False),
        (asking(MINUTE, known=False, message="no", first=FIRST + DAY), False),
    ],
)
def test_what_was_asked_before_suffices(before: When, suffices: bool) -> None:
    assert is_known(before(), FIRST, LAST) is suffices


def test_a_refusal_of_a_known_ticker_is_for_a_day_and_of_another_for_a_week(tmp_path: Path) -> None:
    with Manifest.open(tmp_path / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        quotes = Quotes(manifest)
        quotes.keep("AAPL", Asking(True, FIRST, LAST), Actions(), [])
        for ticker in ("AAPL", "MSFT"):
            quotes.refuse(ticker, FIRST, LAST, "another security")
        found = {}
        for age in (timedelta(0), 25 * HOUR, 8 * DAY):
            at = (datetime.now(UTC) - age).isoformat(timespec="seconds")
            with manifest.transaction() as db:
                db.execute("UPDATE askings SET asked_at = ?", (at,))
            found[age] = due(quotes, STOCKS_DAY, ["MSFT", "AAPL"], FIRST, LAST)
    assert list(found.values()) == [[], ["AAPL"], ["AAPL", "MSFT"]]


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
