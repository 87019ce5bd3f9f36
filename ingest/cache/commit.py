"""The cache as a run writes it: parts published, manifest committed, replacements carried through."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Self

from ingest.cache.layout import PartFolders, quarantine_folder, spool_folder
from ingest.cache.manifest import Manifest, SessionRecord
from ingest.cache.manifest.findings import Judgements
from ingest.cache.manifest.records import QuarantinedFile
from ingest.files import durable, opening
from ingest.files.hashing import md5_of, sha256_of
from ingest.market.datasets import TIERS, Dataset, Tier, is_part_name, part_name
from ingest.settings import Settings
from ingest.sources import spool
from ingest.sources.base import Body, looks_like_md5
from ingest.splitting.diff import Correction


@dataclass(frozen=True, slots=True)
class StagedSession:
    """A session whose parts are staged: durable under temporary names, ready to be published and committed.

    `staged` names those that are not in their places already, byte for byte. `replaces` says whether a version of the
    session is held, and has to stay whole until this one is; `was_refused` whether bytes of it lie in quarantine.
    """

    record: SessionRecord
    correction: Correction | None
    staged: tuple[Tier, ...]
    replaces: bool = False
    was_refused: bool = False


@dataclass(frozen=True, slots=True)
class Store:
    """Where a run's results go. The commit protocol is here and nowhere else.

    New session: parts staged (prepare) → published → folders synced → transaction.
    Replacement of a held session: staged → folders synced → intent with the difference → published → folders
    synced → transaction, which also drops the intent. A kill before the intent leaves the old session, one after
    it leaves the new one, since `recover` carries the intent through.
    """

    manifest: Manifest
    folders: PartFolders
    quarantine: Path
    spool: Path
    run: int

    @classmethod
    @contextmanager
    def opened(cls, settings: Settings, dataset: Dataset) -> Iterator[Self]:
        """A cache opened for writing by who holds its lock, after what a killed run had begun was carried through.

        Until a run of its own begins its `run` is the newest there was. Raises CacheError.
        """
        kept = (quarantine_folder(settings, dataset), spool_folder(settings, dataset))
        with Manifest.open(settings.manifest_path, dataset.name) as manifest:
            newest = next((int(run["run"]) for run in manifest.last_runs(1)), 0)
            store = cls(manifest, PartFolders.of(settings, dataset), *kept, newest)
            if manifest.moving():
                store.recover()
            yield store

    def commit(self, batch: Sequence[StagedSession]) -> None:
        """Make staged sessions done, all in one transaction. Raises CacheError."""
        if replacing := [one for one in batch if one.replaces]:
            self._sync()
            self.manifest.intend([(one.record, one.correction) for one in replacing])
        for one in batch:
            self._publish(one)
        self._sync()
        corrections = [one.correction for one in batch if one.correction]
        self.manifest.commit([one.record for one in batch], corrections, self.run)
        for one in batch:
            if one.was_refused:
                durable.remove(self.quarantine_path(one.record.session))

    def recover(self) -> int:
        """Finish what a killed run began and remove its temporary files; returns the number of sessions finished."""
        intents = self.manifest.intents()
        finished = [intent for intent in intents if self._carry_through(intent[0])]
        self._sync()
        self.manifest.distrust({record.session for record, _ in intents} - {record.session for record, _ in finished})
        if finished:
            corrections: list[Correction] = [correction for _, correction in finished if correction]
            self.manifest.commit([record for record, _ in finished], corrections, self.run)
        for record, _ in finished:  # the run that was killed may have applied what was in quarantine
            durable.remove(self.quarantine_path(record.session))
        for folder in (*map(self.folders.folder, TIERS), self.quarantine):
            durable.sweep(folder, is_part_name)
        return len(finished)

    def quarantine_path(self, session: date) -> Path:
        """Where the bytes of a session's refused file are kept."""
        return kept_at(self.quarantine, session)

    def spool_path(self, session: date) -> Path:
        """Where a session's file lies while it is on its way, if it is a large one."""
        return spool.spool_path(self.spool, session)

    def quarantine_file(self, session: date, body: Body, reason: str, acceptable: bool) -> None:
        """Keep the bytes of a file that was refused, and say so. Raises CacheError.

        A kill before the row leaves bytes that no row knows: the next run refuses the file, and keeps it, again.
        """
        path, size = self.quarantine_path(session), body.size
        durable.make_folder(self.quarantine)
        if body.path is None:
            durable.replace(path, body.data)
        else:
            durable.take_over(path, body.path)
        with durable.translated("read", path):
            sha256 = sha256_of(path)
        kept = QuarantinedFile(session, body.etag, size, body.last_modified, reason, acceptable, sha256=sha256)
        Judgements(self.manifest).quarantine(kept, self.run)

    def _publish(self, one: StagedSession) -> None:
        for tier in one.staged:
            durable.publish(self.folders.path(one.record.session, tier))

    def _carry_through(self, record: SessionRecord) -> bool:
        """Publish what is still staged of a replacement; False where the result is not what was intended."""
        return all(
            _is_carried(self.folders.path(record.session, tier), sha) for tier, sha in record.part_sha256.items()
        )

    def _sync(self) -> None:
        for tier in TIERS:
            durable.sync_folder(self.folders.folder(tier))


def _is_carried(path: Path, sha256: str) -> bool:
    """Whether a part is what was intended, or has become so: it is known by its hash among those that are staged."""
    if _has(path, sha256):
        return True
    for left in durable.staged(path):
        if _has(left, sha256):
            durable.carry_on(path, left)
            return True
    return False


def _has(path: Path, sha256: str) -> bool:
    with durable.translated("read", path):
        try:
            return sha256_of(path) == sha256
        except (FileNotFoundError, opening.NotAFile):
            return False


def kept_at(quarantine: Path, session: date) -> Path:
    """Where the bytes of a session's refused file are, below the folder of quarantine."""
    return quarantine / part_name(session)


def wrong_with(path: Path, one: QuarantinedFile) -> str | None:
    """Why a kept file is not the one that was refused, in words; None where it is. Raises OSError."""
    if not opening.is_there(path):
        return "it is gone"
    size = opening.size(path)
    if one.size not in (None, size):
        return f"it has {size:,} bytes in place of the {one.size:,} that were refused"
    if one.sha256 is None:
        same = not looks_like_md5(one.etag) or md5_of(path) == one.etag
    else:
        same = sha256_of(path) == one.sha256
    return None if same else "its bytes are not those that were refused"
