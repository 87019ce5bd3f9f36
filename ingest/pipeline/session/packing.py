"""The parts of a session on their way to staged files: packed in memory, or written as rows arrive.

A kill leaves temporary files, which the next run sweeps.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Protocol

from ingest.cache.layout import PartKey
from ingest.cache.manifest import SessionRecord
from ingest.cache.part_record import note_of, stamped
from ingest.cache.parts import note as stamp
from ingest.cache.parts import parts
from ingest.cache.parts.parts import PackedPart, PartWriter
from ingest.cache.parts.store import matches
from ingest.market.datasets import TIERS, Tier
from ingest.pipeline.session.body import SessionText
from ingest.pipeline.task import Job
from ingest.splitting import streamed, whole
from ingest.splitting.parsing import ParsedText
from ingest.splitting.result import SplitResult
from ingest.splitting.streamed import Pieces


class Parts(Protocol):
    """The parts of one session: split, then staged. In between, `packed` describes them."""

    packed: Mapping[Tier, PackedPart]

    def split(self) -> SplitResult:
        """Split the text and pack its parts. Raises UnreadableFile, CacheError."""

    def stage(self, record: SessionRecord) -> tuple[SessionRecord, tuple[PartKey, ...]]:
        """Put the record into the tracked part, as a note, and make both parts durable under temporary names.

        Returns the record of what was written, and the parts that are not already in place: a replacement often changes
        only one. Raises CacheError.
        """


def parts_of(job: Job, text: SessionText, open_files: ExitStack) -> Parts:
    """The parts of a text, by its size; `open_files` removes half-written files if the work ends early."""
    return _AsTheyCome(job, text.pieces, open_files) if text.whole is None else _InMemory(job, text.whole, text.parsed)


class _InMemory(Parts):
    """Written at the end, and only what changed."""

    def __init__(self, job: Job, text: bytes, parsed: ParsedText | None) -> None:
        self._job, self._text, self._parsed = job, text, parsed

    def split(self) -> SplitResult:
        spec, parsed = self._job.spec, self._parsed
        found = whole.split_parsed(parsed, spec) if parsed else whole.split(self._text, spec)
        self.packed = {tier: parts.pack_part(part) for tier, part in found.texts.items()}
        return found

    def stage(self, record: SessionRecord) -> tuple[SessionRecord, tuple[PartKey, ...]]:
        job, store = self._job, self._job.parts
        record, data = stamped(record, self.packed["tracked"].data, job.dataset.name, job.decision.tracked)
        files = {tier: data if tier == "tracked" else part.data for tier, part in self.packed.items()}
        changed = [
            tier for tier in files if not (job.has_stored(tier) and parts.holds(store, job.part(tier), files[tier]))
        ]
        return record, tuple(store.stage(job.session, tier, files[tier]) for tier in changed)


class _AsTheyCome(Parts):
    """Written while the text is read; a part that did not change is removed afterwards."""

    def __init__(self, job: Job, pieces: Pieces, open_files: ExitStack) -> None:
        self._job, self._pieces, self._open_files = job, pieces, open_files
        self._store = job.parts
        self._writers: Mapping[Tier, PartWriter] = {}
        self._staged: Mapping[Tier, PartKey] = {}

    def split(self) -> SplitResult:
        found = streamed.split(self._pieces, self._job.spec, self._sinks, self._job.tuning.chunk)
        self.packed = {tier: writer.end(found.ordered) for tier, writer in self._writers.items()}
        return found

    def _sinks(self, header: bytes) -> Mapping[Tier, PartWriter]:
        self._begin_again()
        tiers, session = TIERS if self._job.decision.keep_rest else TIERS[:1], self._job.session
        files = {tier: self._open_files.enter_context(self._store.staging(session, tier)) for tier in tiers}
        self._staged = {tier: file.key for tier, file in files.items()}
        block = self._job.member
        self._writers = {tier: PartWriter(file.write, header, block) for tier, file in files.items()}
        return self._writers

    def _begin_again(self) -> None:
        """Discard what was written before the text turned out to need another way of splitting."""
        self._open_files.close()
        for part in self._staged.values():
            self._store.discard(part)

    def stage(self, record: SessionRecord) -> tuple[SessionRecord, tuple[PartKey, ...]]:
        note = note_of(record, self._job.dataset.name, self._job.decision.tracked)
        sha256 = self._writers["tracked"].append(b"" if note is None else stamp.tail(note))
        record = replace(record, tracked_sha256=sha256)
        self._open_files.close()  # both are durable from here on
        return record, self._changed(record.part_sha256)

    def _changed(self, known: Mapping[Tier, str]) -> tuple[PartKey, ...]:
        job, store = self._job, self._store
        same = [tier for tier in known if job.has_stored(tier) and matches(store, job.part(tier), known[tier])]
        for tier in same:
            store.discard(self._staged[tier])
        return tuple(self._staged[tier] for tier in known if tier not in same)
