"""Turns one session's download into two staged parts and the record to commit them. Runs in a worker thread."""

from collections.abc import Mapping
from contextlib import ExitStack

from ingest import finding
from ingest.cache.commit import StagedSession
from ingest.cache.manifest import SessionRecord
from ingest.cache.parts.parts import PackedPart
from ingest.finding import Finding
from ingest.market.datasets import Tier
from ingest.pipeline.body import text_of
from ingest.pipeline.packing import parts_of
from ingest.pipeline.replacement import corrected
from ingest.pipeline.task import Job
from ingest.sources.base import Body
from ingest.splitting.result import SplitResult


def prepare(job: Job, body: Body, granted: int | None = None) -> StagedSession:
    """Unpack, split, pack and stage one session; raises UnreadableFile (saying why) or CacheError.

    A large text is split in chunks. Raises Costly, before anything is staged, if the session needs more than the
    `granted` bytes of memory. Raises LosesRows if a replacement is missing more than a tenth of the stored rows, unless
    the job accepts that.
    """
    text = text_of(body, job.max_unpacked, job.tuning, granted)
    with ExitStack() as open_files:
        parts = parts_of(job, text, open_files)
        found = parts.split()
        plain = _described(job, body, found, parts.packed)
        plain, correction = corrected(job, plain, text, granted)
        record, staged = parts.stage(plain)
    held = job.decision.held
    return StagedSession(record, correction, staged, held.held == "committed", held.quarantined is not None)


def _described(job: Job, body: Body, found: SplitResult, packed: Mapping[Tier, PackedPart]) -> SessionRecord:
    """The record of the session, before its tracked part gets a note."""
    tracked, archive = packed["tracked"], packed.get("archive")
    return SessionRecord(
        session=job.session,
        etag=body.etag,
        size=body.size,
        last_modified=body.last_modified,
        source_rows=found.source_rows,
        tracked_rows=tracked.rows,
        archive_rows=archive.rows if archive else 0,
        dropped_rows=0 if archive else found.source_rows - tracked.rows,
        text_sha256=found.text_sha256,
        tracked_sha256=tracked.sha256,
        archive_sha256=archive.sha256 if archive else None,
        tracked_row_numbers=found.tracked_rows,
        tracked_set=job.tracked_set,
        archive_kept=archive is not None,
        cut=found.cut,
        columns=found.header.columns,
        findings=(*found.findings, *(() if body.etag_is_md5 else (Finding(finding.NOT_MD5),))),
        tracked_index=tracked.index.encode(),
        archive_index=archive.index.encode() if archive else None,
    )
