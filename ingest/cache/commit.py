"""The cache as a run writes it: parts published, manifest committed, replacements carried through.

The commit protocol is here and nowhere else. New session: parts staged → published → folders synced → transaction.
Replacement of a held session: staged → folders synced → intent with the difference → published → folders synced →
transaction, which also drops the intent. A kill before the intent leaves the old session, one after it leaves the new
one, since `recover` carries the intent through.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ingest.cache.cache import Cache, Layout
from ingest.cache.layout import PartKey
from ingest.cache.manifest import Manifest, SessionRecord
from ingest.cache.parts.store import PartStore, surely_matches
from ingest.files import durable
from ingest.market.datasets import Dataset, is_part_name
from ingest.market.windows import Window
from ingest.settings import Settings
from ingest.splitting.diff import Correction


@dataclass(frozen=True, slots=True)
class StagedSession:
    """A session whose parts are staged: durable under temporary names, ready to be published and committed.

    `staged` are the keys of the parts that are not already in place, byte for byte: the session is a value and may come
    from another process. `replaces` says whether a version of the session is stored, and has to stay whole until this
    one is; `was_refused` whether bytes of it lie in quarantine.
    """

    record: SessionRecord
    correction: Correction | None
    staged: tuple[PartKey, ...]
    replaces: bool = False
    was_refused: bool = False


@contextmanager
def for_writing(settings: Settings, dataset: Dataset) -> Iterator[Cache]:
    """A cache opened by the holder of its lock, after what a killed run had begun was carried through.

    Until a run of its own begins its `run` is the newest there was. Raises CacheError.
    """
    with _opened(settings, dataset) as cache:
        if cache.manifest.replacements.moving():
            recover(cache)
        yield cache


@contextmanager
def for_run(settings: Settings, dataset: Dataset, window: Window) -> Iterator[Cache]:
    """The same for a run of its own, which begins: its folders are there, and nothing of a kill is left."""
    Layout.of(settings, dataset).parts.create()
    with _opened(settings, dataset) as opened:
        recover(opened)
        yield replace(opened, run=opened.manifest.runs.begin(window.start, window.end))


@contextmanager
def _opened(settings: Settings, dataset: Dataset) -> Iterator[Cache]:
    with Manifest.open(settings.manifest_path, dataset.name) as manifest:
        newest = next((int(run["run"]) for run in manifest.runs.newest(1)), 0)
        yield Cache.through(manifest, Layout.of(settings, dataset), newest)


def commit(cache: Cache, batch: Sequence[StagedSession]) -> None:
    """Make staged sessions done, all in one transaction. Raises CacheError."""
    if replacing := [one for one in batch if one.replaces]:
        cache.parts.sync()
        cache.manifest.replacements.intend([(one.record, one.correction) for one in replacing])
    for one in batch:
        for part in one.staged:
            cache.parts.publish(part)
    cache.parts.sync()
    corrections = [one.correction for one in batch if one.correction]
    cache.manifest.sessions.commit([one.record for one in batch], corrections, cache.run)
    for one in batch:
        if one.was_refused:
            durable.remove(cache.quarantined(one.record.session))


def discard_staged(cache: Cache, unwanted: StagedSession) -> None:
    """Remove the staged parts of a session that will not be committed: another execution of its task came first."""
    for part in unwanted.staged:
        cache.parts.discard(part)


def commit_restored(cache: Cache, records: Iterable[SessionRecord]) -> None:
    """Make sessions done whose parts were in their places all along; what was refused of them stays refused."""
    cache.manifest.sessions.commit(records, [], cache.run, refused_stay=True)


def recover(cache: Cache) -> None:
    """Repair what a kill can leave of a dataset; the caller holds the lock. Raises CacheError.

    - A replacement that was told to the manifest (an intent) and is not committed: it is carried through where both of
      its parts are to be had, under their names or staged, and else the session is distrusted, and fetched again.
    - The bytes of a refused file that an acceptance has applied: they are removed with their session's intent.
    - Parts that were staged, or published, of a session that no transaction names: the staged ones are removed; the
      published ones stay, orphans to `verify`, until the session is fetched again and they are replaced.
    - Temporary files beside parts, refused files and CSVs: removed.
    - CSVs that are newer than the manifest says, or made of sessions that it calls unseen: nothing is done here, since
      the next projection builds upon none that is not the file that the manifest knows.
    - A large file that is half on its way: kept, since the next run goes on from there; it removes those of no use.
    - A manifest that was about to take a damaged one's place: `Manifest.open` has finished that before.
    """
    _carry_replacements_through(cache)
    cache.parts.sweep()
    durable.sweep(cache.quarantine, is_part_name)
    cache.csvs.sweep()


def _carry_replacements_through(cache: Cache) -> None:
    """What is staged of them is lost to a sweep, so this comes first."""
    manifest = cache.manifest
    intents = manifest.replacements.intents()
    finished = [intent for intent in intents if _carry_through(cache.parts, intent[0])]
    cache.parts.sync()
    done = {record.session for record, _ in finished}
    manifest.replacements.distrust({record.session for record, _ in intents} - done)
    if finished:
        corrections: list[Correction] = [correction for _, correction in finished if correction]
        manifest.sessions.commit([record for record, _ in finished], corrections, cache.run)
    for record, _ in finished:  # the run that was killed may have applied what was in quarantine
        durable.remove(cache.quarantined(record.session))


def _carry_through(parts: PartStore, record: SessionRecord) -> bool:
    """Publish what is still staged of a replacement; False where the result is not what was intended."""
    return all(_is_carried(parts, PartKey(record.session, tier), sha) for tier, sha in record.part_sha256.items())


def _is_carried(parts: PartStore, key: PartKey, sha256: str) -> bool:
    """Whether a part is what was intended, or has become so: it is known by its hash among those that are staged."""
    if surely_matches(parts, key, sha256):
        return True
    for left in parts.staged(key.session, key.tier):
        if surely_matches(parts, left, sha256):
            parts.publish(left)
            return True
    return False
