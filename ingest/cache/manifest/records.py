"""The rows of the manifest as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from ingest.cache.layout import PartKey
from ingest.finding import LEFT_OUT, Finding
from ingest.market.datasets import Tier
from ingest.market.patterns import covers
from ingest.splitting.diff import Correction

HeldState = Literal["none", "committed", "quarantined"]
RemoteState = Literal["listed", "forbidden", "unpublished", "absent", "holiday", "failed"]

Answer = tuple[date, RemoteState, str | None, str | None]
"""What the source said of a session: its state, the reason in words, and the ETag that the answer is about."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the plan needs to know of one session: what is stored, and what the source last answered.

    `remote_etag` is the ETag that the last answer was about, `etag` that of the stored bytes, `quarantined` that of the
    bytes in quarantine; `acceptable` says that these can be read and were refused only because they would remove rows,
    `dismissed` that somebody decided to leave them there.
    """

    held: HeldState = "none"
    remote: RemoteState | None = None
    reason: str | None = None
    remote_etag: str | None = None
    etag: str | None = None
    tracked: frozenset[str] = frozenset()
    archive_kept: bool = False
    quarantined: str | None = None
    acceptable: bool = False
    dismissed: bool = False

    @property
    def is_doubtful(self) -> bool:
        """Whether stored parts were found not to be what was written: their ETag was forgotten then."""
        return self.held == "committed" and self.etag is None


@dataclass(frozen=True, slots=True)
class HeldVersion:
    """The stored version of a session that is to be replaced: its rows, and sha256 of its source's text and parts."""

    rows: int
    text_sha256: str
    part_sha256: Mapping[Tier, str]


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which stored sessions cover a ticker: `whole` ones cover any, `partial` ones only those tracked at that time."""

    whole: frozenset[date]
    partial: Mapping[date, frozenset[str]]

    def of(self, ticker: str) -> frozenset[date]:
        """Sessions in which a ticker did not trade if it has no row."""
        kept = {day for day, tracked in self.partial.items() if covers(tracked, ticker)}
        return self.whole | kept if kept else self.whole

    def has(self, ticker: str, session: date) -> bool:
        """Whether a session covers a ticker."""
        return session in self.whole or covers(self.partial.get(session, frozenset()), ticker)


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """Everything that a commit stores of a session. Sizes are in bytes; hashes are hexadecimal sha256."""

    session: date
    etag: str
    size: int
    last_modified: str
    source_rows: int
    tracked_rows: int
    archive_rows: int
    dropped_rows: int
    text_sha256: str
    tracked_sha256: str
    archive_sha256: str | None
    tracked_row_numbers: bytes
    tracked_set: int
    archive_kept: bool
    cut: str
    columns: tuple[str, ...]
    findings: tuple[Finding, ...]
    tracked_index: bytes
    archive_index: bytes | None

    @property
    def leaves_rows_out(self) -> bool:
        """Whether rows of the refused file in quarantine were left out: its bytes then stay there."""
        return any(one.kind == LEFT_OUT for one in self.findings)

    @property
    def part_sha256(self) -> Mapping[Tier, str]:
        """sha256 of each part that the session has."""
        known: dict[Tier, str | None] = {"tracked": self.tracked_sha256, "archive": self.archive_sha256}
        return {tier: sha256 for tier, sha256 in known.items() if sha256 is not None}

    def part(self, tier: Tier) -> PartKey:
        """The key of one of its parts."""
        return PartKey(self.session, tier, sha256=self.part_sha256[tier])

    @property
    def part_index(self) -> Mapping[Tier, bytes]:
        """Index of each part that the session has, as stored."""
        known: dict[Tier, bytes | None] = {"tracked": self.tracked_index, "archive": self.archive_index}
        return {tier: known[tier] or b"" for tier in self.part_sha256}


@dataclass(frozen=True, slots=True)
class KeptCorrection:
    """A correction as the manifest stores it, with the time at which it was applied (ISO 8601, UTC)."""

    correction: Correction
    at: str


@dataclass(frozen=True, slots=True)
class QuarantinedFile:
    """A refused file whose bytes are kept.

    `reason` says why, in words. `acceptable` says that the file can be read and was refused only for the rows that it
    would remove; `held` whether another version of its session is stored. `size` is in packed bytes. `at` is the time
    of the refusal, `dismissed` that at which somebody decided to leave the file there (ISO 8601, UTC; None if nobody
    did). `sha256` is the hash of the bytes, or None if an earlier version of this program refused the file.
    """

    session: date
    etag: str
    size: int | None
    last_modified: str | None
    reason: str
    acceptable: bool
    at: str = ""
    held: bool = False
    sha256: str | None = None
    dismissed: str | None = None


@dataclass(frozen=True, slots=True)
class FindingCount:
    """How many sessions have a kind of finding, with the first and the last of them; `rows` sums its counts."""

    kind: str
    sessions: int
    rows: int
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class SessionCount:
    """How many sessions share a stored state, a remote state and a reason; with the first and last of them.

    `remote` and `reason` are None if unknown.
    """

    held: HeldState
    remote: RemoteState | None
    reason: str | None
    count: int
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the committed sessions: `findings` counts those with any, `corrections` those that changed rows."""

    source_rows: int
    findings: int
    corrections: int


FORMAT = 1
"""How numbers are written; format 0 was as published, whole numbers without a point. A new format needs a migration
that marks the CSVs of active tickers dirty."""

FORMAT_CHANGE = "prices and volumes now have a decimal point in every row (`9709000.0`)"
"""How `FORMAT` differs from the format before it, in words for whoever reads the CSVs."""


@dataclass(frozen=True, slots=True)
class Projection:
    """The state of one tracked CSV. Dates are ISO text; for minute data with the time and its offset.

    `rows` is None until the CSV is first built; `sha256` is None while it has no rows, and so no file. `yahoo` says
    whether it was built with Yahoo's rows. `period` is the month of a CSV of minutes (`2025-11`); there a state without
    a period is the ticker's, and sums up its months. `format` is that of the file, if there is one.
    """

    ticker: str
    active: bool = True
    dirty: bool = True
    first: str | None = None
    last: str | None = None
    rows: int | None = None
    sha256: str | None = None
    size: int | None = None
    mtime_ns: int | None = None
    yahoo: bool = False
    period: str = ""
    format: int = 0

    @property
    def is_outdated(self) -> bool:
        """Whether its file has an earlier format."""
        return self.sha256 is not None and self.format != FORMAT


def period_of(session: date) -> str:
    """The month whose CSV contains a session of minutes: that of its key's date, whatever the dates of its minutes."""
    return f"{session:%Y-%m}"
