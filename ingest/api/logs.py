"""The logger `ingest` of the standard library: what runs report, one record an event.

Warnings are at WARNING, progress within a session at DEBUG, all others at INFO; each record has the event as `event`.
Without a handler of yours nothing is printed.
"""

import logging
from dataclasses import fields
from functools import lru_cache

from ingest import events
from ingest.hints import in_python

_WARNINGS = (events.Vanished, events.Failed, events.Quarantined, events.ConcurrencyChanged)
_DETAILS = (events.FetchStarted, events.Downloading, events.Fetched)


@lru_cache(maxsize=1)
def logger() -> logging.Logger:
    """The logger, which is silent unless the program configures logging."""
    found = logging.getLogger("ingest")
    found.addHandler(logging.NullHandler())
    return found


def is_heard() -> bool:
    """Whether the program has a handler for warnings, so that they need not be shown elsewhere."""
    one: logging.Logger | None = logger()
    while one:
        if any(not isinstance(handler, logging.NullHandler) for handler in one.handlers):
            return logger().isEnabledFor(logging.WARNING)
        one = one.parent if one.propagate else None
    return False


def log(event: events.Event) -> None:
    """Log an event, if its level is enabled."""
    level = level_of(event)
    if logger().isEnabledFor(level):
        logger().log(level, "%s", line_of(event), extra={"event": event})


def level_of(event: events.Event) -> int:
    """The level of an event."""
    if isinstance(event, _WARNINGS) or (isinstance(event, events.Notice) and event.level == "warning"):
        return logging.WARNING
    return logging.DEBUG if isinstance(event, _DETAILS) else logging.INFO


def line_of(event: events.Event) -> str:
    """An event as one line: its message, or its name and what it says."""
    if isinstance(event, events.Notice):
        return in_python(event.message, event.hints)
    values = {one.name: getattr(event, one.name) for one in fields(event)}
    told = [f"{name}={value}" for name, value in values.items() if value is not False and value not in (None, "", ())]
    return " ".join([events.name_of(event), *told])
