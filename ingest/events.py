"""What a run reports, as plain values. The pipeline emits them and does not know who shows them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from ingest.finding import Finding
from ingest.hints import Hint
from ingest.notebook import in_html


@dataclass(frozen=True, slots=True)
class Awaiting:
    """The source lists no file of a session that is due; the run begins later.

    `dataset` is the full name. `since`, `next` and `until` are times, ISO 8601, UTC: when the wait began, when the
    source is asked again (None if the time is over: the run begins without the file), and when it ends at the latest.
    `cause` is the error if the source did not answer.
    """

    dataset: str
    session: date
    since: str
    next: str | None
    until: str
    cause: str = ""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run of a dataset has started, and holds the lock.

    `run` is its number in the manifest, `dataset` the full name, `start` and `end` the window (both inclusive),
    `tracked` the number of tickers and patterns on the lists.
    """

    run: int
    dataset: str
    start: date
    end: date
    tracked: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the user should know; the run continues.

    `hints` are what the user can do about it, as values; `message` does not contain them.
    """

    message: str
    level: Literal["info", "warning"] = "info"
    hints: tuple[Hint, ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan is made: `fetch` sessions of `bytes` packed bytes to download.

    `reasons` counts every session of the window by "action: reason".
    """

    fetch: int
    bytes: int
    reasons: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Workers:
    """`workers` processes of an engine are there now to download and split; `engine` names it."""

    workers: int
    engine: str


@dataclass(frozen=True, slots=True)
class FetchStarted:
    """A download of `bytes` packed bytes begins."""

    session: date
    bytes: int


@dataclass(frozen=True, slots=True)
class Downloading:
    """Progress of a large file, a few times a second: `bytes` of `of` packed bytes have arrived.

    `resumed` of them were downloaded by an earlier run.
    """

    session: date
    bytes: int
    of: int
    resumed: int = 0


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file of `bytes` packed bytes was downloaded and passed its checks, after `seconds`.

    `resumed` of its bytes were downloaded by an earlier run.
    """

    session: date
    bytes: int
    seconds: float
    resumed: int = 0


@dataclass(frozen=True, slots=True)
class Retrying:
    """An attempt failed; the next one follows after `wait_s` seconds.

    `session` is None for a listing; `attempt` counts from 1; `cause` is the error as text.
    """

    session: date | None
    attempt: int
    wait_s: float
    cause: str


@dataclass(frozen=True, slots=True)
class ConcurrencyChanged:
    """The limit on concurrent downloads was lowered, or is back at its former value; `cause` says why."""

    limit: int
    cause: str


@dataclass(frozen=True, slots=True)
class Committed:
    """A session is done: both parts are durable and recorded in the manifest.

    `bytes` is the packed size of its file. `source_rows` is the sum of `tracked_rows`, `archive_rows` and
    `dropped_rows` (those that [archive] save_others = false leaves out). `reason` is the plan's. `corrected` says that
    rows of the stored version changed.
    """

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
    """The source lists the session, but the subscription does not include it."""

    session: date


@dataclass(frozen=True, slots=True)
class Vanished:
    """The session was listed a moment ago, but its file is gone; the next run lists it again."""

    session: date


@dataclass(frozen=True, slots=True)
class Failed:
    """A session was given up for this run, for this `reason`; the next run tries again."""

    session: date
    reason: str


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A session's file was refused; its bytes are kept at `path`.

    It was unreadable twice or, if it is `acceptable`, it would remove more than a tenth of the stored rows. `dataset`
    is the short name. `dismissed` says that the same version was refused and dismissed before.
    """

    session: date
    reason: str
    path: str
    acceptable: bool = False
    dataset: str = "stocks-day"
    dismissed: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """Findings on a session of this run that only a comparison with its neighbours shows."""

    session: date
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Projected:
    """Tracked CSVs are up to date: `files` changed, after `seconds`. `rows` is the number of rows in these files."""

    files: int
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class LakeWritten:
    """The lake is up to date: `files` of `rows` rows were written and `removed` ones removed, in `seconds`.

    A `notice` says in words what was in their place and was moved away.
    """

    files: int
    removed: int
    rows: int
    seconds: float
    notice: str = ""


@dataclass(frozen=True, slots=True)
class TableWritten:
    """A table of Iceberg is up to date: its new `snapshot` has `added` data files of `rows` rows, `removed` ones not.

    `sessions` counts those whose rows it adds, changes or removes. `snapshot` is "" if there was nothing to change but
    a `notice`: in words, what was wrong with the table.
    """

    table: str
    snapshot: str
    added: int
    removed: int
    rows: int
    sessions: int
    seconds: float
    notice: str = ""


@dataclass(frozen=True, slots=True)
class YahooAsked:
    """Yahoo was asked about a ticker, the `number`th (from 1) of `of`.

    `rows` counts the rows that were stored, for sessions that Massive does not have.
    """

    ticker: str
    rows: int
    number: int
    of: int


@dataclass(frozen=True, slots=True)
class Stopping:
    """The user asked to stop: the run finishes the `in_flight` requests and commits their sessions.

    A request that gets no byte for `give_up_s` seconds is given up: its session is left for the next run. With 0 none
    is: workers elsewhere do what they have begun.
    """

    in_flight: int
    give_up_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PendingDownload:
    """A download that a stopping run waits for: `bytes` of `of` packed bytes, the last `silent_s` seconds ago."""

    session: date
    bytes: int
    of: int
    silent_s: float


@dataclass(frozen=True, slots=True)
class Draining:
    """A stopping run still waits for these `downloads`; reported every few seconds."""

    downloads: tuple[PendingDownload, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a run of a dataset.

    Numbers of sessions in the window (`start` to `end`, both inclusive) after the run: `committed`, `forbidden`,
    `unpublished`, `absent`, `failed`, `quarantined`, `not_attempted` (planned, but not reached or over a limit) and
    `damaged` (stored, but a part is missing or wrong), `dismissed` (quarantined, and dismissed by somebody).

    For this run alone: `fetched` sessions committed, `bytes` packed bytes downloaded, `requests` to the source, the
    rows of committed sessions as in `Committed`, `corrections`, `files_projected` CSVs changed, `yahoo_rows` stored,
    `lake_files` of the lake written, and `seconds`; `findings` counts the committed sessions by kind of finding.
    `exit_code` is that of `ingest run`; `interrupted` is True if the user stopped the run.
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
    dismissed: int = 0
    lake_files: int = 0

    def _repr_html_(self) -> str:
        """A table, for a notebook."""
        return in_html(self)


Ended = Committed | Forbidden | Vanished | Failed | Quarantined
"""Each session that a run tries to download ends with one of these."""

Event = (
    (Awaiting | RunStarted | Notice | Planned | Workers)
    | (FetchStarted | Downloading | Fetched | Retrying | ConcurrencyChanged)
    | Ended
    | (Found | Projected | LakeWritten | TableWritten | YahooAsked)
    | (Stopping | Draining | Finished)
)
Sink = Callable[[Event], None]


def name_of(event: Event) -> str:
    """The event's name in logs and JSON: `RunStarted` is `run_started`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()


def ignore(event: Event) -> None:
    """A sink that ignores all events."""
