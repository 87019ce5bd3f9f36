"""One day's body made into two staged parts and the record that is to commit them. Runs in a worker thread."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ingest.datasets import Dataset
from ingest.errors import UnreadableFile
from ingest.manifest import Correction, SessionRecord
from ingest.plan import Decision
from ingest.sources.base import Body
from ingest.split import Split, split
from ingest.tiers import blockgzip, durable, parts
from ingest.tiers.layout import PartFolders, Tier
from ingest.tiers.parts import PackedPart


@dataclass(frozen=True, slots=True)
class Job:
    """A fetch decision with all that its split needs; `tracked_set` is the manifest's number for its tickers."""

    decision: Decision
    tracked_set: int
    dataset: Dataset
    folders: PartFolders


@dataclass(frozen=True, slots=True)
class Prepared:
    """A session whose parts are staged: durable under temporary names, ready to be published and committed."""

    job: Job
    record: SessionRecord
    correction: Correction | None


def prepare(job: Job, body: Body) -> Prepared:
    """Unpack, split, pack and stage one day; raises UnreadableFile (saying why) or CacheError."""
    text = _unpacked(body.data)
    decision = job.decision
    cut = split(text, decision.tracked, decision.keep_rest, job.dataset)
    packed: dict[Tier, PackedPart] = {"tracked": parts.pack(cut.tracked)}
    if cut.archive:
        packed["archive"] = parts.pack(cut.archive)
    record = _record(job, body, cut, packed, hashlib.sha256(text).hexdigest())
    correction = _correction(job, record, cut)
    for tier, part in packed.items():
        durable.stage(job.folders.path(decision.session, tier), part.data)
    return Prepared(job, record, correction)


def _unpacked(data: bytes) -> bytes:
    try:
        return blockgzip.unpack(data)
    except (OSError, EOFError) as error:
        raise UnreadableFile(f"not a whole gzip file: {error}") from error


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


def _correction(job: Job, record: SessionRecord, cut: Split) -> Correction | None:
    """The difference to what is held; None for a new session, for equal text, and where the held text can't be read."""
    held = job.decision.held
    if held.held != "committed" or held.etag == record.etag:
        return None
    tiers: list[Tier] = ["tracked", "archive"] if held.archive_kept else ["tracked"]
    paths = [job.folders.path(record.session, tier) for tier in tiers]
    if not all(path.exists() for path in paths):
        return None
    old = Counter(line for path in paths for line in _rows(parts.read_text(path)))
    new_parts = [cut.tracked, cut.archive] if held.archive_kept else [cut.tracked]
    new = Counter(line for part in new_parts if part for line in _rows(part.text))
    if old == new:
        return None
    return Correction(record.session, held.etag or "", record.etag, record.columns, _only(old, new), _only(new, old))


def _rows(text: bytes) -> Iterable[str]:
    return text.decode().split("\n")[1:]


def _only(these: Counter[str], those: Counter[str]) -> tuple[str, ...]:
    return tuple((these - those).elements())
