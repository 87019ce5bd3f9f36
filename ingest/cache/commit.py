"""The cache as a run writes it: parts published, the manifest committed, interrupted replacements completed.

The commit protocol is here and nowhere else. New session: parts staged → synced → published → folders synced →
transaction. Replacement of a stored session: staged → synced, with their folders → intent with the difference →
published → folders synced → transaction, which also drops the intent. A kill before the intent leaves the old session;
a kill after it leaves the new one, since `recover` completes the replacement. Removal of sessions: a transaction that
forgets them and records that their files are to be removed → files → folders synced → a transaction that drops that
record. A kill in between leaves files that nobody knows, and `recover` removes them.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

from ingest.cache import quarantine
from ingest.cache.cache import Cache, Layout, refuse_other_place
from ingest.cache.layout import PartKey
from ingest.cache.manifest import Manifest, SessionRecord
from ingest.cache.manifest.records import period_of
from ingest.cache.manifest.stores.objects import KnownObject
from ingest.cache.manifest.stores.places import Place
from ingest.cache.objects.naming import object_name
from ingest.cache.parts.store import PartStore, surely_matches
from ingest.errors import CacheError, IngestError, OtherWriter, StoreError
from ingest.files import durable
from ingest.market.datasets import TIERS, Dataset, session_of
from ingest.market.windows import Window
from ingest.settings import Settings
from ingest.sources import spool
from ingest.splitting.diff import Correction

if TYPE_CHECKING:
    import polars as pl

    from ingest.cache.objects.writing.writer import Writer


@dataclass(frozen=True, slots=True)
class StagedSession:
    """A session whose parts are staged: written under temporary names, ready to be published and committed.

    `staged` holds the keys of the parts that are not already in place, byte for byte: the session is a value and may
    come from another process. `replaces` says whether a version of the session is stored, which has to stay whole until
    this one is; `was_refused` whether bytes of the session are in quarantine. `numbers` has the
    rows of its parts, for `HandedRows`.
    """

    record: SessionRecord
    correction: Correction | None
    staged: tuple[PartKey, ...]
    replaces: bool = False
    was_refused: bool = False
    numbers: "pl.DataFrame | None" = field(default=None, compare=False, repr=False)


@contextmanager
def for_writing(settings: Settings, dataset: Dataset) -> Iterator[Cache]:
    """Open a cache for the holder of its lock, after completing replacements that a killed run had begun.

    Until the caller begins a run, `run` is the number of the newest one. Raises CacheError, and UsageError if the parts
    are somewhere else than where the settings say.
    """
    with _opened(settings, dataset) as cache:
        if cache.manifest.replacements.moving() or cache.manifest.replacements.pruning():
            _compare(cache)
            recover(cache)
        yield cache


@contextmanager
def for_run(settings: Settings, dataset: Dataset, window: Window) -> Iterator[Cache]:
    """Like `for_writing`, but begin a run: its folders exist, and whatever a kill left is repaired.

    If parts are in an object store, a snapshot of the manifest is stored there at the end. Raises what `for_writing`
    does, OtherWriter if another machine writes to that store, and UsageError without the library for the lake's tables.
    """
    settings.lake.check()
    durable.make_folder(settings.cache.root)
    with _opened(settings, dataset) as opened:
        opened.parts.create()
        durable.make_folder(opened.csvs.path)
        _compare(opened)
        opened.manifest.places.settle(Place.of(settings))
        recover(opened)
        cache = replace(opened, run=opened.manifest.runs.begin(window.start, window.end))
        with _stored_afterwards(cache):
            yield cache


@contextmanager
def _opened(settings: Settings, dataset: Dataset) -> Iterator[Cache]:
    with Manifest.open(settings.manifest_path, dataset.name) as manifest:
        refuse_other_place(manifest, settings)
        newest = next((int(run["run"]) for run in manifest.runs.newest(1)), 0)
        cache = Cache.through(manifest, Layout.of(settings, dataset), newest)
        yield replace(cache, writer=_writer(settings, manifest)) if settings.cache.archive else cache


def _writer(settings: Settings, manifest: Manifest) -> "Writer":
    from ingest.cache.objects.bucket import Bucket  # what a cache in local folders does not need
    from ingest.cache.objects.writing.writer import Writer

    return Writer(Bucket.of(settings), manifest, settings.tuning.snapshot_every_s)


def _compare(cache: Cache) -> None:
    if cache.writer:
        cache.writer.compare()


def claim(cache: Cache) -> None:
    """Become the writer of the cache's object store, if it has one, before a part is put there.

    Raises OtherWriter if another machine is.
    """
    if cache.writer:
        cache.writer.claim()


@contextmanager
def _stored_afterwards(cache: Cache) -> Iterator[None]:
    """Store a snapshot of the manifest at the end, also of a run that fails; its own error is the one that counts."""
    try:
        yield
    except OtherWriter:
        raise
    except IngestError:
        with suppress(CacheError):  # the next run stores it
            _store(cache)
        raise
    _store(cache)


def _store(cache: Cache) -> None:
    if cache.writer:
        cache.writer.snapshot(cache.run)


def commit(cache: Cache, batch: Sequence[StagedSession]) -> None:
    """Commit staged sessions, all in one transaction.

    Raises CacheError; OtherWriter if another machine writes to the object store of the parts.
    """
    claim(cache)
    staged = cache.parts.sync_staged([part for one in batch for part in one.staged])
    if replacing := [one for one in batch if one.replaces]:
        cache.parts.sync()
        cache.manifest.replacements.intend([(one.record, one.correction) for one in replacing])
    for part in staged:
        cache.parts.publish(part)
    cache.parts.sync()
    _remember(cache, staged, [one.record for one in batch])
    corrections = [one.correction for one in batch if one.correction]
    cache.manifest.sessions.commit([one.record for one in batch], corrections, cache.run)
    for one in batch:
        if one.was_refused and not one.record.leaves_rows_out:
            quarantine.drop(cache, one.record.session)
    if cache.writer:
        cache.writer.snapshot_if_due(cache.run)


def _remember(cache: Cache, put: Sequence[PartKey], records: Sequence[SessionRecord]) -> None:
    """Record what an object store said of the parts just put, and that all parts of these sessions are wanted.

    This comes before the commit: after a kill in between, the next sweep finds what nobody refers to. A part may have
    been in the store all along, unwanted.
    """
    if not cache.parts.by_content:
        return
    known = {object_name(key.tier, cache.dataset.name, cache.parts.name(key)): key for key in put if key.etag}
    parts = [record.part(tier) for record in records for tier in record.part_sha256]
    with cache.manifest.database.transaction():
        cache.manifest.objects.remember([KnownObject(name, key.size, key.etag) for name, key in known.items()])
        cache.manifest.objects.want(object_name(one.tier, cache.dataset.name, cache.parts.name(one)) for one in parts)


def discard_staged(cache: Cache, unwanted: StagedSession) -> None:
    """Remove the staged parts of a session that will not be committed: another execution of its task came first."""
    for part in unwanted.staged:
        cache.parts.discard(part)


def commit_restored(cache: Cache, records: Iterable[SessionRecord]) -> None:
    """Commit sessions whose parts were in place all along; their refused files stay refused."""
    cache.manifest.sessions.commit(records, [], cache.run, refused_stay=True)


def prune(cache: Cache, before: date) -> None:
    """Forget the sessions before a date, and remove their files; CSVs with rows of them are rebuilt by the projection.

    Raises CacheError.
    """
    _compare(cache)
    cache.manifest.replacements.prune(before)
    _finish_pruning(cache, before)
    _store(cache)


def _finish_pruning(cache: Cache, before: date) -> None:
    """Remove the files of sessions that were forgotten: parts, months, refused files, partial downloads.

    What has been stored or refused since, by a run that could not finish this, stays.
    """
    stored = cache.manifest.sessions.committed()
    known = {*stored, *(one.session for one in cache.manifest.replacements.in_quarantine())}

    def is_forgotten(day: date | None) -> bool:
        return day is not None and day < before and day not in known

    for tier in TIERS:
        cache.parts.drop_all([day for day in cache.parts.versions(tier) if is_forgotten(day)], tier)
    cache.parts.sync()
    cache.csvs.drop_months(period_of(before), set(map(period_of, stored)))
    kept = quarantine.kept_names(cache)
    quarantine.remove_kept(cache, [name for name in kept if is_forgotten(session_of(name))])
    for path in spool.partial_downloads(cache.downloads):
        if is_forgotten(spool.session_at(path)):
            spool.discard(path)
    cache.manifest.replacements.pruned()


def recover(cache: Cache) -> None:
    """Repair what a kill can leave of a dataset; the caller holds the lock. Raises CacheError.

    - A replacement recorded in the manifest (an intent) but not committed: completed if both new parts exist, published
      or staged. Otherwise the session is distrusted, and the next run downloads it again.
    - The bytes of a refused file that has been accepted: removed when its session's replacement is completed.
    - Staged or published parts of a session that was never committed: the staged ones are removed. The published ones
      stay, as orphans for `verify`, until the session is downloaded again and replaces them.
    - Temporary files beside parts, refused files and CSVs: removed.
    - CSVs newer than the manifest says, or built from sessions that it does not call projected: left alone, since the
      next projection extends only files that the manifest knows.
    - The partial download of a large file: kept, and the next run resumes it. That run also removes partial downloads
      that are no longer needed.
    - Files of sessions that were being removed: removed. An object store that does not do it, as for keys that may not
      delete, stops nothing: they are tried again next time.
    - A new manifest ready to replace a damaged one: already put in place by `Manifest.open`.
    """
    if before := cache.manifest.replacements.pruning():
        with suppress(StoreError):
            _finish_pruning(cache, before)
    _carry_replacements_through(cache)
    cache.parts.sweep()
    quarantine.sweep_refused(cache)
    cache.csvs.sweep()


def _carry_replacements_through(cache: Cache) -> None:
    """Complete replacements. This comes before the sweep, which would remove their staged parts."""
    manifest = cache.manifest
    intents = manifest.replacements.intents()
    finished = [intent for intent in intents if _carry_through(cache.parts, intent[0])]
    cache.parts.sync()
    done = {record.session for record, _ in finished}
    manifest.replacements.distrust({record.session for record, _ in intents} - done)
    if finished:
        corrections: list[Correction] = [correction for _, correction in finished if correction]
        manifest.sessions.commit([record for record, _ in finished], corrections, cache.run)
    for record, _ in finished:  # the killed run may have accepted the file in quarantine
        if not record.leaves_rows_out:
            quarantine.drop(cache, record.session)


def _carry_through(parts: PartStore, record: SessionRecord) -> bool:
    """Publish the parts of a replacement that are still staged; False if the result is not what was intended."""
    return all(_is_carried(parts, record.part(tier), sha) for tier, sha in record.part_sha256.items())


def _is_carried(parts: PartStore, key: PartKey, sha256: str) -> bool:
    """Whether a part is the intended one, if need be after publishing the staged part that has its hash."""
    if surely_matches(parts, key, sha256):
        return True
    for left in parts.staged(key.session, key.tier):
        if surely_matches(parts, left, sha256):
            parts.publish(left)
            return True
    return False
