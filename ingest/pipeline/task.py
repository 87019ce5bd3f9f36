"""What is to be done with one session's file, and what came of it, as values."""

from dataclasses import dataclass
from pathlib import Path

from ingest.cache.cache import Layout
from ingest.cache.commit import StagedSession
from ingest.cache.layout import PartKey
from ingest.cache.manifest import HeldVersion
from ingest.market.datasets import Dataset, Tier
from ingest.planning.plan import Decision
from ingest.settings.tuning import DEFAULT, Tuning
from ingest.sources.base import Body
from ingest.splitting.result import SplitSpec


@dataclass(frozen=True, slots=True)
class Job:
    """A fetch decision with all that its split needs.

    `tracked_set` is the manifest's number for its tickers, `replaced` what is held of its session, `accept` whether a
    replacement may take away more than a tenth of those rows. A text of more than `max_unpacked` bytes is not read.
    `spool` is the file that it comes down into where it is large.
    """

    decision: Decision
    tracked_set: int
    layout: Layout
    max_unpacked: int
    replaced: HeldVersion | None = None
    accept: bool = False
    spool: Path | None = None
    tuning: Tuning = DEFAULT

    @property
    def dataset(self) -> Dataset:
        """Whose session it is."""
        return self.layout.dataset

    def part(self, tier: Tier) -> PartKey:
        """A part of the session as it is held, or is to be."""
        return PartKey(self.decision.session, tier)

    @property
    def spec(self) -> SplitSpec:
        """How its file is to be cut."""
        return SplitSpec(self.decision.tracked, self.decision.keep_rest, self.dataset, self.decision.session)


@dataclass(frozen=True, slots=True)
class Staged:
    """It is split, and its parts are ready to be committed."""

    job: Job
    session: StagedSession


@dataclass(frozen=True, slots=True)
class Refused:
    """Its bytes are to be kept apart. `acceptable`: they can be read, and would take rows away."""

    job: Job
    body: Body
    reason: str
    acceptable: bool


@dataclass(frozen=True, slots=True)
class Forbidden:
    """The keys may not read it."""

    job: Job


@dataclass(frozen=True, slots=True)
class Gone:
    """It was listed, and is not there any more."""

    job: Job
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The source did not give it. What has come of a large object is kept for the next run."""

    job: Job
    reason: str


SessionResult = Staged | Refused | Forbidden | Gone | Failed
"""How a session that was to be fetched ended."""
