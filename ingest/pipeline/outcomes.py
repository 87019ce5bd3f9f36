"""How a session that was to be fetched ended."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ingest.sources.base import Body

if TYPE_CHECKING:  # polars: who counts outcomes does without
    from ingest.cache.commit import StagedSession
    from ingest.pipeline.task import Job

OutcomeKind = Literal["committed", "forbidden", "absent", "failed", "quarantined"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one session: with its staged parts where it is to be committed, its bytes where they are refused.

    `acceptable` says that what was refused can be read, and would take rows away. `spooled` is the file that its large
    object came down into, of no use any more once this is recorded.
    """

    job: "Job"
    kind: OutcomeKind
    reason: str | None = None
    staged: "StagedSession | None" = None
    refused: Body | None = None
    acceptable: bool = False
    spooled: Path | None = None
