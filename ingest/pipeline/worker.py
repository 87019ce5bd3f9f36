"""Turns one session's download into two staged parts and the record to commit them. Runs in a worker thread."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Self

from ingest import finding
from ingest.cache.commit import StagedSession
from ingest.cache.manifest import SessionRecord
from ingest.cache.parts.parts import PackedPart
from ingest.finding import Finding
from ingest.market.datasets import Tier
from ingest.pipeline.session.body import Costly, SessionText, cost_of, text_of
from ingest.pipeline.session.packing import parts_of
from ingest.pipeline.session.replacement import corrected
from ingest.pipeline.task import Job
from ingest.sources.base import Body
from ingest.splitting.parsing import parse_together
from ingest.splitting.result import SplitResult


def prepare(job: Job, body: Body, granted: int | None = None, text: SessionText | None = None) -> StagedSession:
    """Unpack, split, pack and stage one session; raises UnreadableFile (saying why) or CacheError.

    A large text is split in chunks. Raises Costly, before anything is staged, if the session needs more than the
    `granted` bytes of memory. Raises LosesRows if a replacement is missing more than a tenth of the stored rows, unless
    the job accepts that. `text` takes the place of the download's own text.
    """
    return _prepared(job, body, text or text_of(body, job.max_unpacked, job.tuning, granted), granted)


def prepare_together(sessions: Iterable[tuple[Job, Body]], granted: int) -> list[StagedSession | Exception]:
    """Like `prepare` for each of several small sessions, but their texts are parsed in one query.

    An exception takes the place of the result that it prevented. Texts that in sum need more memory than
    `Tuning.together` are not held at the same time.
    """
    groups = _groups((_Unpacked.of(job, body, granted) for job, body in sessions))
    return [one.prepared(granted) for group in groups for one in _parsed(group)]


@dataclass(frozen=True, slots=True)
class _Unpacked:
    """A download with its text, or with the reason that there is none."""

    job: Job
    body: Body
    text: SessionText | Exception

    @classmethod
    def of(cls, job: Job, body: Body, granted: int) -> Self:
        try:
            return cls(job, body, text_of(body, job.max_unpacked, job.tuning, granted))
        except Exception as error:
            return cls(job, body, error)

    @property
    def cost(self) -> int:
        return self.text.cost if isinstance(self.text, SessionText) else 0

    @property
    def whole(self) -> bytes | None:
        return self.text.whole if isinstance(self.text, SessionText) else None

    def prepared(self, granted: int) -> StagedSession | Exception:
        if isinstance(self.text, Exception):
            return self.text
        try:
            return _prepared(self.job, self.body, self.text, granted)
        except Exception as error:
            return error


def _groups(sessions: Iterable[_Unpacked]) -> Iterator[list[_Unpacked]]:
    """As many at a time as may be in memory, in their order; all texts of a group are split alike."""
    group, room = list[_Unpacked](), 0
    for one in sessions:
        if group and (one.cost > room or not _are_alike(group[0].job, one.job)):
            yield group
            group = []
        room = (room if group else one.job.tuning.together) - one.cost
        group.append(one)
    if group:
        yield group


def _are_alike(one: Job, other: Job) -> bool:
    mine, others = ((job.dataset.name, job.decision.tracked, job.every) for job in (one, other))
    return mine == others


def _parsed(group: Sequence[_Unpacked]) -> Iterator[_Unpacked]:
    """The same sessions, with their rows if these could be parsed in one query."""
    texts, job = [one.whole for one in group if one.whole is not None], group[0].job
    found = parse_together(texts, job.decision.tracked, job.dataset, job.every) if len(texts) > 1 else None
    rows = iter(found or ())
    for one in group:
        if isinstance(one.text, SessionText) and one.whole is not None:
            yield replace(one, text=replace(one.text, parsed=next(rows, None)))
        else:
            yield one


def _prepared(job: Job, body: Body, text: SessionText, granted: int | None) -> StagedSession:
    with ExitStack() as open_files:
        parts = parts_of(job, text, open_files)
        found = parts.split()
        _check_order(job, text, found, granted)
        plain = _described(job, body, found, parts.packed)
        plain = replace(plain, findings=(*text.findings, *plain.findings))
        plain, correction = corrected(job, plain, text, granted)
        record, staged = parts.stage(plain)
    held = job.decision.held
    replaces, was_refused = held.held == "committed", held.quarantined is not None
    return StagedSession(record, correction, staged, replaces, was_refused, numbers=found.numbers)


def _check_order(job: Job, text: SessionText, found: SplitResult, granted: int | None) -> None:
    """Raise Costly for a text whose repeated rows were not looked for in chunks, but can be looked for at once."""
    most, unsorted = job.tuning.at_once, any(one.kind == finding.UNSORTED for one in found.findings)
    if unsorted and granted is not None and granted < most and not job.spool and cost_of(text.pieces(), most) <= most:
        raise Costly(most)


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
