"""What a run reports, as plain values. The pipeline emits them; who shows them is no concern of its own."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from ingest.finding import Finding
from ingest.hints import Hint


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run has taken the cache; the window is inclusive at both ends."""

    run: int
    dataset: str
    start: date
    end: date
    tracked: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the user should know and that stops nothing."""

    message: str
    level: Literal["info", "warning"] = "info"
    hints: tuple[Hint, ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan stands: so many sessions and bytes (packed) to fetch; `reasons` counts every session of the window."""

    fetch: int
    bytes: int
    reasons: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class FetchStarted:
    """A download begins."""

    session: date
    bytes: int


@dataclass(frozen=True, slots=True)
class Downloading:
    """So many bytes of a large file are here, `resumed` of them from an earlier run; told a few times a second."""

    session: date
    bytes: int
    of: int
    resumed: int = 0


@dataclass(frozen=True, slots=True)
class Fetched:
    """A body is here and passed its checks; `resumed` of its bytes are those that an earlier run had left."""

    session: date
    bytes: int
    seconds: float
    resumed: int = 0


@dataclass(frozen=True, slots=True)
class Retrying:
    """An attempt failed; the next one follows after `wait_s`. `session` is None for a listing."""

    session: date | None
    attempt: int
    wait_s: float
    cause: str


@dataclass(frozen=True, slots=True)
class ConcurrencyChanged:
    """The number of downloads allowed at once went down, or is up again at what it was before."""

    limit: int
    cause: str


@dataclass(frozen=True, slots=True)
class Committed:
    """A session is done: both parts durable, the manifest says so."""

    session: date
    bytes: int
    source_rows: int
    tracked_rows: int
    archive_rows: int
    dropped_rows: int
    reason: str
    corrected: bool = False
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Forbidden:
    """The source lists the session, and the plan of these keys does not include it."""

    session: date


@dataclass(frozen=True, slots=True)
class Vanished:
    """The session was listed a moment ago, and its file is not there; the next listing will tell."""

    session: date


@dataclass(frozen=True, slots=True)
class Failed:
    """A session was given up for this run; the next run tries again."""

    session: date
    reason: str


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A session's file was refused; its bytes are kept at `path`.

    Either it was unreadable twice, or, where it is `acceptable`, it would take away more than a tenth of what is held.
    """

    session: date
    reason: str
    path: str
    acceptable: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """Something noteworthy about a session of this run shows only beside its neighbours."""

    session: date
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Projected:
    """Tracked CSVs were brought up to date."""

    files: int
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class YahooAsked:
    """One of the tracked tickers was asked for at Yahoo: `rows` sessions that Massive lacks came of it."""

    ticker: str
    rows: int
    number: int
    of: int


@dataclass(frozen=True, slots=True)
class Stopping:
    """The user asked to stop: what is in flight is finished and committed."""

    in_flight: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a run of a dataset.

    `committed` to `quarantined`, and `damaged` (held, and a part is missing or not what it should be), count the
    sessions of the window as they stand after the run, `fetched` those that
    this run committed, `not_attempted` those that it was to fetch and did not come to. The rest is of this run alone:
    `bytes` are packed bytes downloaded, `requests` all that went to the source, `yahoo_rows` those kept of Yahoo's;
    `findings` counts the sessions fetched by what was found in them.
    """

    run: int
    dataset: str
    start: date
    end: date
    exit_code: int
    interrupted: bool
    seconds: float
    requests: int
    bytes: int
    fetched: int
    committed: int
    forbidden: int
    unpublished: int
    absent: int
    failed: int
    quarantined: int
    not_attempted: int
    source_rows: int
    tracked_rows: int
    archive_rows: int
    dropped_rows: int
    corrections: int
    files_projected: int
    yahoo_rows: int
    findings: Mapping[str, int]
    damaged: int = 0


Ended = Committed | Forbidden | Vanished | Failed | Quarantined
"""Each session that was to be fetched ends in one of these."""

Event = (
    RunStarted
    | Notice
    | Planned
    | FetchStarted
    | Downloading
    | Fetched
    | Retrying
    | ConcurrencyChanged
    | Committed
    | Forbidden
    | Vanished
    | Failed
    | Quarantined
    | Found
    | Projected
    | YahooAsked
    | Stopping
    | Finished
)
Sink = Callable[[Event], None]


def name_of(event: Event) -> str:
    """The event's name in logs and JSON: `RunStarted` is `run_started`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()


def ignore(event: Event) -> None:
    """A sink for who wants to hear nothing."""
