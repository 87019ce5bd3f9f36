"""Arguments of the public functions: one name instead of many, dates as text. Pure."""

import math
from collections.abc import Iterable
from datetime import date, datetime
from numbers import Integral
from pathlib import Path
from typing import cast

from ingest.errors import UsageError, WrongArgument
from ingest.market.windows import span
from ingest.settings.values import parse_duration


def parse_names(argument: str, value: str | Iterable[str], what: str = "name") -> list[str]:
    """Names, in their order; a string is a single name, not its letters.

    Raises UsageError for an invalid name; the message says for which argument.
    """
    if isinstance(value, str):
        value = [value]
    try:
        found = list(value)
    except TypeError as error:
        raise UsageError(f"{argument}: {value!r} is not a {what}") from error
    if strange := [one for one in found if not isinstance(one, str) or not one or not _is_text(one)]:
        raise UsageError(f"{argument}: {strange[0]!r} is not a {what}")
    return found


def parse_tickers(argument: str, value: str | Iterable[str]) -> list[str]:
    """Tickers, as `names`. Raises UsageError."""
    return parse_names(argument, value, "ticker: text, as the vendor spells it")


def parse_ticker(value: str) -> str:
    """A single ticker. Raises UsageError."""
    return parse_tickers("ticker", [value])[0]


def parse_count(argument: str, value: object) -> int | None:
    """A maximum number; None for no limit. Raises UsageError."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        raise WrongArgument(argument, f"{value!r}: must be a whole number, 0 or more")
    return int(value)


def parse_amount(argument: str, value: object) -> float | None:
    """An amount; None for none. Raises UsageError, also for one that is infinite or no number."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not -math.inf < value < math.inf:
        raise WrongArgument(argument, f"{value!r}: must be an amount such as 5e6")
    return float(value)


def parse_wait(argument: str, value: str | None) -> int:
    """Seconds to wait; None is 0. Raises UsageError."""
    if value is None:
        return 0
    try:
        return parse_duration(value)
    except (AttributeError, ValueError) as error:
        told = "must be a duration in minutes, hours or days, such as 90m, 6h or 1d, of at most 30 days"
        raise WrongArgument(argument, f"{value!r}: {told}") from error


def parse_sessions(argument: str, value: date | str | Iterable[date | str]) -> list[date]:
    """Sessions, each once, in their order; a single one needs no list around it. Raises UsageError."""
    if isinstance(value, str | date) or not isinstance(value, Iterable):
        return [parse_day(argument, value)]
    return list(dict.fromkeys(parse_day(argument, one) for one in value))


def parse_file(value: Path | str | None) -> Path | None:
    """The path of a file; None if none is named."""
    return Path(value) if value else None


def _is_text(name: str) -> bool:
    """Whether it can be encoded: a lone surrogate cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_day(argument: str, value: date | str) -> date:
    """A date: a date, the date of a datetime in its own zone, numpy's, or ISO 8601 text. Raises UsageError."""
    try:
        found = value if isinstance(value, date) else _parsed(value)
        return date(found.year, found.month, found.day)  # also of a datetime; pandas' NaT has no numbers
    except (TypeError, ValueError) as error:
        raise WrongArgument(argument, f"{value!r}: a date, or text such as 2025-11-11") from error


def _parsed(value: object) -> date:
    text = str(value) if type(value).__name__ == "datetime64" else cast("str", value)  # not a date of Python's
    try:
        return date.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(text)


def parse_days(start: date | str | None, end: date | str | None) -> tuple[date | None, date | None]:
    """The first and the last day of a window, if given. Raises UsageError if start is after end."""
    first = None if start is None else parse_day("start", start)
    last = None if end is None else parse_day("end", end)
    span(first, last)
    return first, last
