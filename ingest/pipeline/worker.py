"""One day's body made into two staged parts and the record that is to commit them. Runs in a worker thread."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace

from ingest import finding
from ingest.cache.commit import StagedSession
from ingest.cache.manifest import SessionRecord
from ingest.cache.part_record import note_of, stamped
from ingest.cache.parts import note as stamp
from ingest.cache.parts import parts
from ingest.cache.parts.parts import PackedPart, PartWriter
from ingest.files import durable
from ingest.files.hashing import has_hash
from ingest.finding import Finding
from ingest.market.datasets import TIERS, Tier
from ingest.pipeline.body import AT_ONCE, pieces_of, text_of
from ingest.pipeline.replacement import corrected
from ingest.pipeline.task import Job
from ingest.sources.base import Body
from ingest.splitting.chunks import ahead
from ingest.splitting.diff import Correction
from ingest.splitting.placing import Placing
from ingest.splitting.streamed import Cutter, NotLines, Wish, opened, part_header
from ingest.splitting.whole import Cut, Split, split

_CUTS: tuple[Cut, Cut] = ("lines", "polars")


@dataclass(frozen=True, slots=True)
class _Day:
    """What a file holds; `tracked_rows` are the numbers of its tracked rows, as the manifest keeps them."""

    columns: tuple[str, ...]
    source_rows: int
    tracked_rows: bytes
    cut: Cut
    findings: tuple[Finding, ...]
    text_sha256: str


def prepare(job: Job, body: Body, granted: int = AT_ONCE) -> StagedSession:
    """Unpack, split, pack and stage one day; raises UnreadableFile (saying why) or CacheError.

    What is large goes through in chunks. Raises Costly, before anything is staged, where it takes more than the
    `granted` bytes of memory. Raises LosesRows for a replacement that lacks more than a tenth of what is
    held, unless the job accepts that.
    """
    text = text_of(body, job.max_unpacked, granted)
    return _prepared_at_once(job, body, text, granted) if text is not None else _prepared_in_chunks(job, body)


def _prepared_at_once(job: Job, body: Body, text: bytes, granted: int) -> StagedSession:
    decision = job.decision
    cut = split(text, decision.tracked, decision.keep_rest, job.dataset)
    packed: dict[Tier, PackedPart] = {"tracked": parts.pack_part(cut.tracked)}
    if cut.archive:
        packed["archive"] = parts.pack_part(cut.archive)
    day = _Day(
        cut.header.columns,
        cut.source_rows,
        cut.tracked_rows.astype("<u4").tobytes(),
        cut.cut,
        (*cut.findings, *_dates(job, cut)),
        hashlib.sha256(text).hexdigest(),
    )
    plain = _record(job, body, day, packed)
    plain, correction = corrected(job, plain, body, text, granted)
    record, data = stamped(plain, packed["tracked"].data, job.dataset.name, decision.tracked)
    files = {tier: data if tier == "tracked" else part.data for tier, part in packed.items()}
    return _staged(job, record, correction, _stage(job, files))


def _prepared_in_chunks(job: Job, body: Body) -> StagedSession:
    for cut in _CUTS:
        with ExitStack() as stack, suppress(NotLines):
            return _streamed(job, body, cut, stack)
    raise AssertionError("rows that polars writes are not asked for their lines")


def _streamed(job: Job, body: Body, cut: Cut, stack: ExitStack) -> StagedSession:
    decision = job.decision
    wish = Wish(decision.tracked, decision.keep_rest, job.dataset, decision.session)
    tiers = TIERS if decision.keep_rest else TIERS[:1]
    header, chunks = opened(pieces_of(body, job.max_unpacked), job.dataset)
    first = part_header(header, cut)
    writers = {tier: PartWriter(stack.enter_context(durable.staging(job.path(tier))), first) for tier in tiers}
    cutter = Cutter(header, wish, cut, writers)
    for chunk in ahead(chunks):
        cutter.add(chunk)
    cutter.check()
    done = cutter.end()
    day = _Day(header.columns, done.source_rows, done.tracked_rows, cut, done.findings, done.text_sha256)
    plain = _record(job, body, day, {tier: writer.end(done.ordered) for tier, writer in writers.items()})
    plain, correction = corrected(job, plain, body, None)
    note = note_of(plain, job.dataset.name, decision.tracked)
    record = replace(plain, tracked_sha256=writers["tracked"].append(b"" if note is None else stamp.tail(note)))
    stack.close()  # both are durable from here on
    return _staged(job, record, correction, _changed(job, record))


def _staged(job: Job, record: SessionRecord, correction: Correction | None, staged: tuple[Tier, ...]) -> StagedSession:
    held = job.decision.held
    return StagedSession(record, correction, staged, held.held == "committed", held.quarantined is not None)


def _stage(job: Job, files: Mapping[Tier, bytes]) -> tuple[Tier, ...]:
    """Write what is not there already: of a replacement often one part alone has changed."""
    changed = tuple(tier for tier in files if not (job.replaced and parts.holds(job.path(tier), files[tier])))
    for tier in changed:
        durable.stage(job.path(tier), files[tier])
    return changed


def _changed(job: Job, record: SessionRecord) -> tuple[Tier, ...]:
    """The same of parts that are staged: what is there already is taken away again."""
    known = record.part_sha256
    same = [tier for tier in known if job.replaced and has_hash(job.path(tier), known[tier])]
    for tier in same:
        durable.unstage(job.path(tier))
    return tuple(tier for tier in known if tier not in same)


def _record(job: Job, body: Body, day: _Day, packed: Mapping[Tier, PackedPart]) -> SessionRecord:
    tracked, archive = packed["tracked"], packed.get("archive")
    rest = day.source_rows - tracked.rows
    return SessionRecord(
        session=job.decision.session,
        etag=body.etag,
        size=body.size,
        last_modified=body.last_modified,
        source_rows=day.source_rows,
        tracked_rows=tracked.rows,
        archive_rows=archive.rows if archive else 0,
        dropped_rows=0 if archive else rest,
        text_sha256=day.text_sha256,
        tracked_sha256=tracked.sha256,
        archive_sha256=archive.sha256 if archive else None,
        tracked_row_numbers=day.tracked_rows,
        tracked_set=job.tracked_set,
        archive_kept=archive is not None,
        cut=day.cut,
        columns=day.columns,
        findings=(*day.findings, *(() if body.etag_is_md5 else (Finding(finding.NOT_MD5),))),
        tracked_index=tracked.index.encode(),
        archive_index=archive.index.encode() if archive else None,
    )


def _dates(job: Job, cut: Split) -> Iterator[Finding]:
    """Raises UnreadableFile where no bar can have begun in the session."""
    placing = Placing(job.dataset, job.decision.session)
    yield from placing.add(cut.stamps, cut.times)
    placing.check()
