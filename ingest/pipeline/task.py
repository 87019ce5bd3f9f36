"""The task of one session, and its result, as values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from ingest.cache.cache import Cache
from ingest.cache.commit import StagedSession
from ingest.cache.layout import PartKey
from ingest.cache.manifest import HeldVersion
from ingest.cache.parts.members import BLOCK
from ingest.cache.parts.store import PartStore
from ingest.market.datasets import Dataset, Tier
from ingest.planning.plan import Decision
from ingest.planning.request import Request
from ingest.settings import Settings
from ingest.settings.tuning import DEFAULT, Tuning
from ingest.sources.base import Body, RemoteObject
from ingest.splitting.result import SplitSpec


@dataclass(frozen=True, slots=True)
class Job:
    """A decision to download, with everything that its split needs.

    `tracked_set` is the manifest's number for its tickers, `replaced` the stored version of its session, `accept`
    whether a replacement may remove more than a tenth of those rows. A text of more than `max_unpacked` bytes is not
    read. `spool` is the file for the partial download of a large object. `every`: the result has all numbers of the
    rows, too, if they are known (see `SplitSpec`).
    """

    decision: Decision
    tracked_set: int
    dataset: Dataset
    parts: PartStore
    max_unpacked: int
    replaced: HeldVersion | None = None
    accept: bool = False
    spool: Path | None = None
    tuning: Tuning = DEFAULT
    every: bool = False

    def has_stored(self, tier: Tier) -> bool:
        """Whether a version of the session is stored that has a part in this tier."""
        return self.replaced is not None and tier in self.replaced.part_sha256

    def part(self, tier: Tier) -> PartKey:
        """The key of a stored part of the session, if a version is stored."""
        known = self.replaced.part_sha256 if self.replaced else {}
        return PartKey(self.session, tier, sha256=known.get(tier, ""))

    @property
    def session(self) -> date:
        """The session of the file."""
        return self.decision.session

    @property
    def item(self) -> RemoteObject:
        """The object to download."""
        if self.decision.item is None:
            raise AssertionError(f"{self.session} was planned for download but is not listed")
        return self.decision.item

    @property
    def member(self) -> int:
        """Bytes of text in a member of a part that is written as it comes: where a ticker has one row, fewer."""
        large = self.tuning.large_member
        return large if self.dataset.kind.timed else min(large, BLOCK)

    @property
    def spec(self) -> SplitSpec:
        """How to split the file."""
        return SplitSpec(self.decision.tracked, self.decision.keep_rest, self.dataset, self.session, self.every)


def jobs_of(
    cache: Cache, decisions: Sequence[Decision], request: Request, settings: Settings, every: bool = False
) -> list[Job]:
    """The tasks of a plan's decisions; takes one transaction for each of the few tracked sets."""
    tuning, manifest = settings.tuning, cache.manifest
    numbers = {tickers: manifest.tracked_sets.number(tickers) for tickers in {one.tracked for one in decisions}}
    replaced = manifest.replacements.held(one.session for one in decisions if one.held.held == "committed")
    jobs = [
        Job(
            one,
            numbers[one.tracked],
            cache.dataset,
            cache.parts,
            settings.limits.max_unpacked_bytes,
            replaced=replaced.get(one.session),
            accept=request.accept,
            tuning=tuning,
            every=every,
        )
        for one in decisions
    ]
    return [replace(job, spool=cache.download(job.session)) if job.item.size >= tuning.large else job for job in jobs]


@dataclass(frozen=True, slots=True)
class Staged:
    """The file is split, and its parts are ready to be committed."""

    job: Job
    session: StagedSession


@dataclass(frozen=True, slots=True)
class Refused:
    """The file was refused; its bytes are to be kept. `acceptable` says that it can be read but would remove rows."""

    job: Job
    body: Body
    reason: str
    acceptable: bool


@dataclass(frozen=True, slots=True)
class Forbidden:
    """The keys may not read the file."""

    job: Job


@dataclass(frozen=True, slots=True)
class Gone:
    """The file was listed, but no longer exists."""

    job: Job
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The source did not deliver the file. The partial download of a large object is kept for the next run."""

    job: Job
    reason: str


SessionResult = Staged | Refused | Forbidden | Gone | Failed
"""How the task of a session ended."""
