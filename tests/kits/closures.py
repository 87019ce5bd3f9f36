"""The source of the tables in `ingest/market/closures/`: `python -m tests.kits.closures` rewrites them."""

import warnings
from collections.abc import Iterable, Iterator
from datetime import date, time, timedelta
from functools import cache
from importlib.metadata import version
from typing import Any

from ingest.market.calendars import FIRST_SESSION, FOLDER, LAST_DAY


@cache
def _calendar(exchange: str) -> Any:
    with warnings.catch_warnings():
        # It uses what pandas 3.1 deprecates (Series.values with a time zone), for opening times, not for dates.
        warnings.simplefilter("ignore", DeprecationWarning)
        import exchange_calendars

        return exchange_calendars.get_calendar(exchange, start=str(FIRST_SESSION), end=str(LAST_DAY))


def computed(exchange: str) -> Iterator[date]:
    """Weekdays on which an exchange was, is or will be closed, as exchange_calendars computes them."""
    sessions = {stamp.date() for stamp in _calendar(exchange).sessions}
    days = (FIRST_SESSION + timedelta(days=number) for number in range((LAST_DAY - FIRST_SESSION).days + 1))
    return (day for day in days if day.weekday() < 5 and day not in sessions)


def early_closes(exchange: str) -> Iterator[tuple[date, time]]:
    """Sessions that close early, with the exchange's local time of the close."""
    calendar = _calendar(exchange)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        closes = calendar.closes[calendar.early_closes].dt.tz_convert(calendar.tz)
        return ((close.date(), close.time()) for close in closes)


def main() -> None:
    """Write the tables."""
    for exchange in ("XNYS", "CMES"):
        _write(exchange, f"Weekdays without a session of {exchange}", (f"{day}\n" for day in computed(exchange)))
    early = (f"{day} {close:%H:%M}\n" for day, close in early_closes("XNYS"))
    _write("XNYS_early", "Sessions of XNYS that close early, New York's time", early)


def _write(name: str, title: str, lines: Iterable[str]) -> None:
    head = (
        f"# {title}, {FIRST_SESSION} to {LAST_DAY}, as exchange_calendars "
        f"{version('exchange_calendars')} computes them.\n# `python -m tests.kits.closures` writes this file.\n"
    )
    (FOLDER / f"{name}.txt").write_text(head + "".join(lines))


if __name__ == "__main__":
    main()
