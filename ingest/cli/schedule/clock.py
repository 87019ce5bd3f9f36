"""A time of day in UTC on this computer's clock, for schedulers that know no other."""

from datetime import UTC, datetime


def local_time(hour: int, minute: int) -> tuple[tuple[int, int], str]:
    """Hour and minute on this computer's clock today, and what to know about it."""
    here = datetime.now(UTC).replace(hour=hour, minute=minute).astimezone()
    note = f"{hour:02}:{minute:02} UTC is {here:%H:%M} on this computer's clock today"
    return (here.hour, here.minute), f"{note}; where clocks change, it begins an hour off for half of the year"
