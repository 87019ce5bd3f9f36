"""What is to be done with one session's file, as a value."""

from dataclasses import dataclass
from pathlib import Path

from ingest.cache.layout import PartFolders
from ingest.cache.manifest import HeldVersion
from ingest.market.datasets import Dataset, Tier
from ingest.planning.plan import Decision
from ingest.splitting.result import SplitSpec


@dataclass(frozen=True, slots=True)
class Job:
    """A fetch decision with all that its split needs.

    `tracked_set` is the manifest's number for its tickers, `replaced` what is held of its session, `accept` whether a
    replacement may take away more than a tenth of those rows. A text of more than `max_unpacked` bytes is not read.
    """

    decision: Decision
    tracked_set: int
    dataset: Dataset
    folders: PartFolders
    max_unpacked: int
    replaced: HeldVersion | None = None
    accept: bool = False

    def path(self, tier: Tier) -> Path:
        """Where a part of the session is, or is to be."""
        return self.folders.path(self.decision.session, tier)

    @property
    def spec(self) -> SplitSpec:
        """How its file is to be cut."""
        return SplitSpec(self.decision.tracked, self.decision.keep_rest, self.dataset, self.decision.session)
