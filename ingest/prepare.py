"""One day's body made into two staged parts and the record that is to commit them. Runs in a worker thread."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from ingest import differences, finding
from ingest.datasets import Dataset
from ingest.differences import Rows
from ingest.errors import CacheError
from ingest.finding import Finding
from ingest.manifest import Correction, Replaced, SessionRecord
from ingest.plan import Decision
from ingest.quality import dates
from ingest.sources.base import Body
from ingest.split import Split, read_header, split
from ingest.stamping import stamped
from ingest.tiers import blockgzip, durable, parts
from ingest.tiers.layout import PartFolders, Tier
from ingest.tiers.parts import PackedPart


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
    replaced: Replaced | None = None
    accept: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """A session whose parts are staged: durable under temporary names, ready to be published and committed.

    `staged` names those that are not in their places already, byte for byte.
    """

    job: Job
    record: SessionRecord
    correction: Correction | None
    staged: tuple[Tier, ...]


def prepare(job: Job, body: Body) -> Prepared:
    """Unpack, split, pack and stage one day; raises UnreadableFile (saying why) or CacheError.

    Raises LosesRows for a replacement that lacks more than a tenth of what is held, unless the job accepts that.
    """
    text = blockgzip.unpack(body.data, job.max_unpacked)
    decision = job.decision
    cut = split(text, decision.tracked, decision.keep_rest, job.dataset)
    packed: dict[Tier, PackedPart] = {"tracked": parts.pack(cut.tracked)}
    if cut.archive:
        packed["archive"] = parts.pack(cut.archive)
    plain = _record(job, body, cut, packed, hashlib.sha256(text).hexdigest())
    correction = _correction(job, plain, text)
    record, data = stamped(plain, packed["tracked"].data, job.dataset.name, decision.tracked)
    files = {tier: data if tier == "tracked" else part.data for tier, part in packed.items()}
    return Prepared(job, record, correction, _stage(job, files))


def _stage(job: Job, files: Mapping[Tier, bytes]) -> tuple[Tier, ...]:
    """Write what is not there already: of a replacement often one part alone has changed."""
    paths = {tier: job.folders.path(job.decision.session, tier) for tier in files}
    changed = tuple(tier for tier in files if not (job.replaced and parts.holds(paths[tier], files[tier])))
    for tier in changed:
        durable.stage(paths[tier], files[tier])
    return changed


def _record(job: Job, body: Body, cut: Split, packed: dict[Tier, PackedPart], text_sha256: str) -> SessionRecord:
    tracked, archive = packed["tracked"], packed.get("archive")
    rest = cut.source_rows - tracked.rows
    return SessionRecord(
        session=job.decision.session,
        etag=body.etag,
        size=len(body.data),
        last_modified=body.last_modified,
        source_rows=cut.source_rows,
        tracked_rows=tracked.rows,
        archive_rows=archive.rows if archive else 0,
        dropped_rows=0 if archive else rest,
        text_sha256=text_sha256,
        tracked_sha256=tracked.sha256,
        archive_sha256=archive.sha256 if archive else None,
        tracked_row_numbers=cut.tracked_rows.astype("<u4").tobytes(),
        tracked_set=job.tracked_set,
        archive_kept=archive is not None,
        cut=cut.cut,
        columns=cut.header.columns,
        findings=_findings(job, body, cut),
        tracked_index=tracked.index.encode(),
        archive_index=archive.index.encode() if archive else None,
    )


def _findings(job: Job, body: Body, cut: Split) -> tuple[Finding, ...]:
    odd = () if body.etag_is_md5 else (Finding(finding.NOT_MD5),)
    return (*cut.findings, *dates(cut.stamps, job.decision.session, job.dataset.zone), *odd)


def _correction(job: Job, record: SessionRecord, text: bytes) -> Correction | None:
    """The difference to what is held; None for a new session, and where what is held is not what it was.

    Compared is what is held alone: where the rest was dropped, the rows of the tickers tracked at that time.
    """
    held, replaced = job.decision.held, job.replaced
    if replaced is None:
        return None
    etags = (held.etag or "", record.etag)
    if replaced.text_sha256 == record.text_sha256:
        nothing = differences.rows_of(record.columns, ())
        return differences.difference(record.session, etags, nothing, nothing) if held.etag else None
    before, after = versions(job, replaced, text)
    if before is None:  # damaged, which is what its replacement mends: only the numbers of rows can be compared
        if not job.accept:
            differences.refuse_loss(replaced.rows - after.lines.total(), replaced.rows)
        return None
    if not job.accept:
        differences.check_loss(before, after)
    return differences.difference(record.session, etags, before, after)


def versions(job: Job, replaced: Replaced, text: bytes) -> tuple[Rows | None, Rows]:
    """The rows held of a session, and those of a text that is to replace them, of the same tickers.

    None in the place of the rows held where their parts are not what was written. Raises UnreadableFile.
    """
    held = job.decision.held
    again = split(text, held.tracked, held.archive_kept, job.dataset)
    after = differences.rows_of(again.header.columns, (part.text for part in (again.tracked, again.archive) if part))
    old = _held_texts(job, replaced)
    return (differences.rows_of(read_header(old[0], job.dataset).columns, old) if old else None), after


def _held_texts(job: Job, replaced: Replaced) -> list[bytes] | None:
    """Texts of the parts held; None where one of them is not the file that the manifest knows."""
    try:
        return [
            parts.read_known(job.folders.path(job.decision.session, tier), sha256)
            for tier, sha256 in replaced.part_sha256.items()
        ]
    except CacheError:
        return None
