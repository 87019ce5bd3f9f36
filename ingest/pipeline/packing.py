"""The parts of a session on their way to their staged files: packed in memory, or as their rows come.

A kill leaves temporary files, which the next run sweeps.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Protocol

from ingest.cache.manifest import SessionRecord
from ingest.cache.part_record import note_of, stamped
from ingest.cache.parts import note as stamp
from ingest.cache.parts import parts
from ingest.cache.parts.parts import PackedPart, PartWriter
from ingest.files import durable
from ingest.files.hashing import has_hash
from ingest.market.datasets import TIERS, Tier
from ingest.pipeline.body import SessionText
from ingest.pipeline.task import Job
from ingest.splitting import streamed, whole
from ingest.splitting.result import SplitResult
from ingest.splitting.streamed import Pieces


class Parts(Protocol):
    """The parts of one session: split, then staged. In between they are `packed`, and can be described."""

    packed: Mapping[Tier, PackedPart]

    def split(self) -> SplitResult:
        """Cut the text and pack its parts. Raises UnreadableFile, CacheError."""

    def stage(self, record: SessionRecord) -> tuple[SessionRecord, tuple[Tier, ...]]:
        """Put the record into the tracked part, as a note, and make both parts durable under temporary names.

        Returns the record of what is written then, and which parts are not in their places already: of a replacement
        often one part alone has changed. Raises CacheError.
        """


def parts_of(job: Job, text: SessionText, open_files: ExitStack) -> Parts:
    """The parts of a text, by its size; `open_files` removes what is half written where the work ends early."""
    return _AsTheyCome(job, text.pieces, open_files) if text.whole is None else _InMemory(job, text.whole)


class _InMemory(Parts):
    """Written at the end, and only what is not there already."""

    def __init__(self, job: Job, text: bytes) -> None:
        self._job, self._text = job, text

    def split(self) -> SplitResult:
        found = whole.split(self._text, self._job.spec)
        self.packed = {tier: parts.pack_part(part) for tier, part in found.texts.items()}
        return found

    def stage(self, record: SessionRecord) -> tuple[SessionRecord, tuple[Tier, ...]]:
        job = self._job
        record, data = stamped(record, self.packed["tracked"].data, job.dataset.name, job.decision.tracked)
        files = {tier: data if tier == "tracked" else part.data for tier, part in self.packed.items()}
        changed = tuple(tier for tier in files if not (job.replaced and parts.holds(job.path(tier), files[tier])))
        for tier in changed:
            durable.stage(job.path(tier), files[tier])
        return record, changed


class _AsTheyCome(Parts):
    """Written while the text is read; what is there already is taken away again."""

    def __init__(self, job: Job, pieces: Pieces, open_files: ExitStack) -> None:
        self._job, self._pieces, self._open_files = job, pieces, open_files
        self._writers: Mapping[Tier, PartWriter] = {}

    def split(self) -> SplitResult:
        found = streamed.split(self._pieces, self._job.spec, self._sinks, self._job.tuning.chunk)
        self.packed = {tier: writer.end(found.ordered) for tier, writer in self._writers.items()}
        return found

    def _sinks(self, header: bytes) -> Mapping[Tier, PartWriter]:
        self._open_files.close()
        tiers = TIERS if self._job.decision.keep_rest else TIERS[:1]
        files = {tier: self._open_files.enter_context(durable.staging(self._job.path(tier))) for tier in tiers}
        self._writers = {tier: PartWriter(write, header) for tier, write in files.items()}
        return self._writers

    def stage(self, record: SessionRecord) -> tuple[SessionRecord, tuple[Tier, ...]]:
        note = note_of(record, self._job.dataset.name, self._job.decision.tracked)
        sha256 = self._writers["tracked"].append(b"" if note is None else stamp.tail(note))
        record = replace(record, tracked_sha256=sha256)
        self._open_files.close()  # both are durable from here on
        return record, self._changed(record.part_sha256)

    def _changed(self, known: Mapping[Tier, str]) -> tuple[Tier, ...]:
        path = self._job.path
        same = [tier for tier in known if self._job.replaced and has_hash(path(tier), known[tier])]
        for tier in same:
            durable.unstage(path(tier))
        return tuple(tier for tier in known if tier not in same)
