"""The window of a run: which days the user asked for, made sense of."""

from dataclasses import dataclass
from datetime import date

from ingest.datasets import Dataset
from ingest.errors import UsageError
from ingest.sessions import months_back


@dataclass(frozen=True, slots=True)
class Window:
    """Days from `start` to `end`, both inclusive, and what had to be said about them."""

    start: date
    end: date
    notices: tuple[str, ...] = ()


def choose(months: int, start: date | None, end: date | None, today: date, dataset: Dataset) -> Window:
    """The window of `months` back from today, or from `start` to `end`; today is New York's.

    A window is cut to what can exist: from the dataset's first session to today; raises UsageError where nothing of
    it is left or it is the wrong way round.
    """
    last = end or today
    if last < dataset.first_session:
        raise UsageError(f"{dataset.name} begins on {dataset.first_session}: there is nothing up to {last}")
    first = start or months_back(last, months)
    if first > last:
        raise UsageError(f"the window is the wrong way round: --start {first} is after --end {last}")
    if first > today:
        raise UsageError(f"the window begins on {first}, which is after today ({today}, New York)")
    notices = []
    if first < dataset.first_session:
        notices.append(f"{dataset.name} begins on {dataset.first_session}: the window begins there")
    if last > today:
        notices.append(f"{last} is still to come: the window ends today, {today}")
    return Window(max(first, dataset.first_session), min(last, today), tuple(notices))


def span(start: date | None, end: date | None) -> tuple[date, date]:
    """First and last day of what is held from `start` to `end`, both inclusive, as far back and on as None lets it.

    Raises UsageError where it is the wrong way round.
    """
    first, last = start or date.min, end or date.max
    if first > last:
        raise UsageError(f"the window is the wrong way round: start {first} is after end {last}")
    return first, last
