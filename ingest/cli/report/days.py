"""The state of each day of a dataset, for its calendar. Reads the manifest and looks for the parts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import chain
from typing import Final, Literal, get_args

from ingest.cache.cache import Cache
from ingest.cache.manifest.records import Held, QuarantinedFile
from ingest.cache.wholeness import not_whole
from ingest.reading.adjusting.freshness import calendar_of

State = Literal["held", "corrected", "quarantined", "damaged", "missing", "forbidden", "pending", "holiday"]
STATES: Final[tuple[State, ...]] = get_args(State)


@dataclass(frozen=True, slots=True)
class Day:
    """One day and its state.

    A stored one has the `rows` and packed `bytes` of its file and the time of its commit (ISO 8601, UTC; None if it is
    unknown). `refused` is the file that is in quarantine. `changes` counts the values and rows that republished files
    changed, by ticker; `findings` the rows by kind of finding. `remote` and `reason` are what the source last said.
    """

    day: date
    state: State
    rows: int = 0
    bytes: int = 0
    at: str | None = None
    is_stored: bool = False
    refused: QuarantinedFile | None = None
    changes: Mapping[str, int] = field(default_factory=dict)
    findings: Mapping[str, int] = field(default_factory=dict)
    remote: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the manifest knows of the sessions of a dataset."""

    known: Mapping[date, Held]
    stored: Mapping[date, tuple[int, int, str | None]]
    refused: Mapping[date, QuarantinedFile]
    broken: frozenset[date]
    changes: Mapping[date, Mapping[str, int]]
    findings: Mapping[date, Mapping[str, int]]

    @classmethod
    def of(cls, cache: Cache, changes: Mapping[date, Mapping[str, int]]) -> "_Facts":
        manifest, found = cache.manifest, dict[date, dict[str, int]]()
        known = manifest.sessions.all()
        for day, one in manifest.findings.between():
            found.setdefault(day, {})[one.kind] = one.count
        return cls(
            known=known,
            stored={day: (size, rows, at) for day, size, rows, at in manifest.sessions.stored()},
            refused={one.session: one for one in manifest.replacements.in_quarantine()},
            broken=frozenset(not_whole(cache, known)) - manifest.replacements.moving(),
            changes=changes,
            findings=found,
        )

    def day(self, day: date, is_session: bool) -> Day:
        """What is known of a day."""
        known = self.known.get(day, Held())
        size, rows, at = self.stored.get(day, (0, 0, None))
        return Day(
            day,
            self._state(day, known, is_session),
            rows=rows,
            bytes=size,
            at=at,
            is_stored=day in self.stored,
            refused=self.refused.get(day),
            changes=self.changes.get(day, {}),
            findings=self.findings.get(day, {}),
            remote=known.remote,
            reason=known.reason,
        )

    def _state(self, day: date, known: Held, is_session: bool) -> State:
        if day in self.broken:
            return "damaged"
        if day in self.refused or known.held == "quarantined":
            return "quarantined"
        if day in self.stored:
            return "corrected" if day in self.changes else "held"
        return _absent(known, is_session)


def _absent(known: Held, is_session: bool) -> State:
    match known.remote:
        case "forbidden":
            return "forbidden"
        case "unpublished":
            return "pending"
        case "holiday":
            return "holiday"
        case None:
            return "missing" if is_session else "holiday"
        case _:
            return "missing"


def days_of(cache: Cache, changes: Mapping[date, Mapping[str, int]]) -> list[Day]:
    """All days of the dataset's week, from the oldest session that the manifest knows to the newest.

    A closed day of the week is a holiday. Days outside the week are left out, unless the manifest knows them.
    `changes` are those of republished files, by session and ticker.
    """
    facts, calendar = _Facts.of(cache, changes), calendar_of(cache)
    days = sorted(chain(facts.known, facts.refused))
    span = _span(days[0], days[-1]) if days else ()
    return [
        facts.day(day, calendar.is_session(day))
        for day in span
        if day.weekday() in calendar.week or calendar.is_session(day) or day in facts.known
    ]


def _span(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range((last - first).days + 1))
