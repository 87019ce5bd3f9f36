"""One day's body made into two staged parts and the record that is to commit them. Runs in a worker thread."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ingest.datasets import Dataset
from ingest.errors import CacheError
from ingest.manifest import Correction, SessionRecord
from ingest.plan import Decision
from ingest.sources.base import Body
from ingest.split import Split, split
from ingest.tiers import blockgzip, durable, parts
from ingest.tiers.layout import PartFolders, Tier
from ingest.tiers.parts import PackedPart


@dataclass(frozen=True, slots=True)
class Job:
    """A fetch decision with all that its split needs; `tracked_set` is the manifest's number for its tickers.

    A text of more than `max_unpacked` bytes is not read.
    """

    decision: Decision
    tracked_set: int
    dataset: Dataset
    folders: PartFolders
    max_unpacked: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """A session whose parts are staged: durable under temporary names, ready to be published and committed."""

    job: Job
    record: SessionRecord
    correction: Correction | None


def prepare(job: Job, body: Body) -> Prepared:
    """Unpack, split, pack and stage one day; raises UnreadableFile (saying why) or CacheError."""
    text = blockgzip.unpack(body.data, job.max_unpacked)
    decision = job.decision
    cut = split(text, decision.tracked, decision.keep_rest, job.dataset)
    packed: dict[Tier, PackedPart] = {"tracked": parts.pack(cut.tracked)}
    if cut.archive:
        packed["archive"] = parts.pack(cut.archive)
    record = _record(job, body, cut, packed, hashlib.sha256(text).hexdigest())
    correction = _correction(job, record, text)
    for tier, part in packed.items():
        durable.stage(job.folders.path(decision.session, tier), part.data)
    return Prepared(job, record, correction)


def _record(job: Job, body: Body, cut: Split, packed: dict[Tier, PackedPart], text_sha256: str) -> SessionRecord:
    tracked, archive = packed["tracked"], packed.get("archive")
    rest = cut.source_rows - tracked.rows
    findings = cut.findings if body.etag_is_md5 else (*cut.findings, "the ETag is not the md5 of the bytes")
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
        findings=findings,
        tracked_index=tracked.index.encode(),
        archive_index=archive.index.encode() if archive else None,
    )


def _correction(job: Job, record: SessionRecord, text: bytes) -> Correction | None:
    """The difference to what is held; None for a new session, for equal rows, and where the held rows can't be read.

    Compared is what is held alone: where the rest was dropped, the rows of the tickers tracked at that time.
    """
    held = job.decision.held
    if held.held != "committed" or held.etag == record.etag:
        return None
    tiers: list[Tier] = ["tracked", "archive"] if held.archive_kept else ["tracked"]
    try:
        old = [parts.read_text(job.folders.path(record.session, tier)) for tier in tiers]
    except CacheError:
        return None  # damaged, which is what its replacement mends
    again = split(text, held.tracked, held.archive_kept, job.dataset)
    before, after = _rows(old), _rows(part.text for part in (again.tracked, again.archive) if part)
    if before == after:
        return None
    removed, added = tuple((before - after).elements()), tuple((after - before).elements())
    return Correction(record.session, held.etag or "", record.etag, record.columns, removed, added)


def _rows(texts: Iterable[bytes]) -> Counter[str]:
    """Lines below the header, whatever their ends."""
    plain = (text.decode().replace("\r", "").removesuffix("\n") for text in texts)
    return Counter(line for text in plain for line in text.split("\n")[1:])
