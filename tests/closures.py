"""The source of the tables in `ingest/closures/`: `python -m tests.closures` writes them anew."""

import warnings
from collections.abc import Iterator
from datetime import date, timedelta
from importlib.metadata import version

from ingest.sessions import FIRST_SESSION, FOLDER, LAST_DAY


def computed(exchange: str) -> Iterator[date]:
    """Weekdays on which an exchange was, is or will be closed, as exchange_calendars computes them."""
    with warnings.catch_warnings():
        # It uses what pandas 3.1 deprecates (Series.values with a time zone), for opening times, not for dates.
        warnings.simplefilter("ignore", DeprecationWarning)
        import exchange_calendars

        calendar = exchange_calendars.get_calendar(exchange, start=str(FIRST_SESSION), end=str(LAST_DAY))
    sessions = {stamp.date() for stamp in calendar.sessions}
    days = (FIRST_SESSION + timedelta(days=number) for number in range((LAST_DAY - FIRST_SESSION).days + 1))
    return (day for day in days if day.weekday() < 5 and day not in sessions)


def main() -> None:
    """Write the tables."""
    for exchange in ("XNYS", "CMES"):
        head = (
            f"# Weekdays without a session of {exchange}, {FIRST_SESSION} to {LAST_DAY}, as exchange_calendars "
            f"{version('exchange_calendars')} computes them.\n# `python -m tests.closures` writes this file.\n"
        )
        lines = "".join(f"{day}\n" for day in computed(exchange))
        (FOLDER / f"{exchange}.txt").write_text(head + lines)


if __name__ == "__main__":
    main()
