"""Makes the cache of a lost machine here, from its object store; nothing is asked of the source.

The newest snapshot of the manifest that can be read is unpacked beside the place of the manifest. Then this machine
takes over the bucket, in two steps: `ingest.json` names the new manifest, so the former machine's next run is refused,
and the pointer is replaced, so the former machine can store no further snapshot. Only then is the manifest put in
place; sessions that are newer than the snapshot are taken up from their parts, and the CSVs are built. A kill before
that leaves no manifest, and the next call starts over; a kill after it leaves CSVs that the next run builds.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from ingest.cache import lock, rebuild
from ingest.cache.cache import Cache
from ingest.cache.commit import for_run
from ingest.cache.manifest import Manifest
from ingest.cache.manifest.integrity import replacement
from ingest.cache.manifest.stores.places import Place
from ingest.cache.objects.bucket import Bucket
from ingest.cache.objects.writing.guard import Guarding, SeenGuard
from ingest.cache.objects.writing.packing import Damaged, unpack
from ingest.cache.objects.writing.records import Guard, Pointer, found
from ingest.cache.objects.writing.snapshots import SeenPointer, Snapshots, snapshot_names
from ingest.cache.wholeness import missing_parts
from ingest.errors import CacheError, ManifestDamaged, OtherWriter, UsageError
from ingest.files import durable
from ingest.lake.elsewhere import trust_lake
from ingest.market.catalogue import CATALOGUE
from ingest.market.datasets import TIERS, Dataset
from ingest.market.windows import Window
from ingest.settings import Settings
from ingest.tracked.update import bring_up_to_date

Say = Callable[[str], None]
Tracked = Callable[[Dataset], Iterable[str]]
"""The tickers and patterns of a dataset that are to have CSVs."""

_PIECE = 8 << 20
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Restorable:
    """What an object store has, before anything is restored or taken over.

    `host` writes to it since `since`, and stored the newest snapshot of its manifest `at`; times are ISO 8601, UTC, and
    all three are "" if the store does not say. `snapshots` counts all of them.
    """

    archive: str
    host: str
    since: str
    at: str
    snapshots: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of it: taken over from `host`, as the writer number `generation` of this object store.

    `snapshot` is the name of the snapshot that the manifest was made from, "" if there was none. Of the `sessions` that
    are stored now, `newer` were taken up from their parts, and a part is missing of `missing`, which the next run
    downloads again. `refused` counts files in quarantine, whose bytes are not here.
    """

    archive: str
    host: str
    generation: int
    snapshot: str
    sessions: int
    newer: int
    missing: int
    refused: int


def restorable(settings: Settings) -> Restorable:
    """What there is to restore. Nothing is changed, here or there.

    Raises UsageError without [cache] archive, or if a manifest here has sessions; CacheError if there is nothing.
    """
    _refuse_held(settings)
    bucket = Bucket.of(settings)
    guard, pointer = found(bucket, Guard), found(bucket, Pointer)
    names = snapshot_names(bucket)
    if not (guard or pointer or names or _has_parts(bucket)):
        raise CacheError(f"there is nothing to restore in {settings.cache.archive}: no cache has been stored there")
    host = guard[0].host if guard else pointer[0].host if pointer else ""
    return Restorable(
        settings.cache.archive, host, guard[0].since if guard else "", pointer[0].at if pointer else "", len(names)
    )


def restore(settings: Settings, tracked: Tracked, say: Say) -> Restored:
    """Restore the cache here, and take its object store over; `say` gets what is worth knowing, in words.

    Raises what `restorable` does, CacheLocked, OtherWriter if a third machine takes over meanwhile, and CacheError.
    """
    with lock.hold(settings.cache.root):
        _refuse_held(settings)
        taken = _taken_over(settings, Bucket.of(settings), say)
        counts = [_built(settings, dataset, tracked, say) for dataset in CATALOGUE.values()]
    sums = {field.name: sum(getattr(one, field.name) for one in counts) for field in fields(_Counts)}
    return Restored(settings.cache.archive, taken.host, taken.generation, taken.snapshot, **sums)


def _refuse_held(settings: Settings) -> None:
    if not settings.cache.archive:
        raise UsageError(
            "there is no object store to restore from: set [cache] archive to that of the machine that is gone, such "
            'as "s3://BUCKET/PREFIX"'
        )
    with Manifest.read(settings.manifest_path) as manifest:
        if manifest.source.holds_anything():
            raise UsageError(
                f"the cache {settings.cache.root} has sessions of its own, and nothing is restored over them: move "
                f"{settings.manifest_path} away, or set [cache] root to another folder"
            )


def _has_parts(bucket: Bucket) -> bool:
    return any(next(bucket.listing(tier), None) for tier in TIERS)


@dataclass(frozen=True, slots=True)
class _Taken:
    host: str
    generation: int
    snapshot: str


def _taken_over(settings: Settings, bucket: Bucket, say: Say) -> _Taken:
    """Put a manifest in place that is the bucket's writer. It starts over if the former one stores a snapshot now."""
    for _ in range(_TRIES):
        guard, pointer = found(bucket, Guard), found(bucket, Pointer)
        building = replacement.begin(settings.manifest_path)
        snapshot = _unpacked(bucket, pointer, settings.manifest_path, say)
        with Manifest.open(building) as manifest:
            manifest.places.restored(Place.of(settings))
            if generation := _fenced(bucket, manifest, guard, pointer):
                break
    else:
        raise OtherWriter(f"{bucket.url} is being written by another machine: end that, and try again")
    for end in ("", "-wal", "-shm", "-journal"):  # of a manifest without sessions
        durable.remove(settings.manifest_path.with_name(settings.manifest_path.name + end))
    replacement.put_in_place(settings.manifest_path)
    return _Taken(guard[0].host if guard else "", generation, snapshot)


def _fenced(bucket: Bucket, manifest: Manifest, guard: SeenGuard, pointer: SeenPointer) -> int:
    """The generation of this manifest, once it is the writer; 0 if the former one has stored a snapshot meanwhile."""
    identity = manifest.identity
    identity.renew()
    Guarding(bucket, identity).take_over(guard)
    try:
        Snapshots(bucket, identity).take_over(pointer, pointer[0].run if pointer else 0)
    except OtherWriter:
        return 0
    return known.generation if (known := identity.store(bucket.url)) else 0


def _unpacked(bucket: Bucket, pointer: SeenPointer, path: Path, say: Say) -> str:
    """Unpack the newest snapshot that can be read beside the manifest's place; returns its name, "" without one."""
    newest, sha256 = (pointer[0].snapshot, pointer[0].sha256) if pointer else ("", "")
    for name in dict.fromkeys([newest, *snapshot_names(bucket)] if newest else snapshot_names(bucket)):
        why = _fault(bucket, name, sha256 if name == newest else "", replacement.begin(path))
        if not why:
            return name
        say(f"the snapshot {bucket.described(name)} cannot be used ({why})")
    replacement.begin(path)
    say(
        f"there is no snapshot in {bucket.url}: sessions are restored from their parts; corrections, Yahoo's rows and "
        "what was known of refused files are not"
    )
    return ""


def _fault(bucket: Bucket, name: str, sha256: str, path: Path) -> str:
    """Unpack a snapshot, and say what is wrong with it, in words; "" if nothing is."""
    try:
        unpacked = unpack(_pieces(bucket, name), path)
        if sha256 not in {"", unpacked}:
            return "its bytes are not those that were stored"
        with Manifest.open(path) as manifest:
            return next((one.reason for one in manifest.database.flaws()), "")
    except FileNotFoundError:
        return "it is missing"
    except (Damaged, ManifestDamaged) as error:
        return str(error)


def _pieces(bucket: Bucket, name: str) -> Iterator[bytes]:
    size = bucket.head(name).size
    for begin in range(0, size, _PIECE):
        yield from bucket.ranges(name, [(begin, min(begin + _PIECE, size))])


@dataclass(frozen=True, slots=True)
class _Counts:
    sessions: int = 0
    newer: int = 0
    missing: int = 0
    refused: int = 0


def _built(settings: Settings, dataset: Dataset, tracked: Tracked, say: Say) -> _Counts:
    """Take up what the snapshot does not know of a dataset, and build its CSVs."""
    with Cache.read(settings, dataset) as cache:
        days = rebuild.part_days(cache.parts).union(cache.manifest.sessions.committed())
    if not days:
        return _Counts()
    with for_run(settings, dataset, Window(min(days), max(days))) as cache:
        cache.manifest.csvs.forget_all()
        missing = missing_parts(cache, cache.manifest.sessions.all())
        unknown = days.difference(cache.manifest.sessions.committed())
        trust_lake(cache)
        newer = rebuild.take_up(cache, unknown | missing, by_name=cache.parts.by_content)
        _bring_up_to_date(cache, settings, tracked, say)
        cache.manifest.runs.finish(cache.run, 0, {"restored": len(newer)})
        sessions, refused = cache.manifest.sessions.committed(), cache.manifest.replacements.in_quarantine()
    return _Counts(len(sessions), len(newer), len(missing.difference(newer)), len(refused))


def _bring_up_to_date(cache: Cache, settings: Settings, tracked: Tracked, say: Say) -> None:
    try:
        bring_up_to_date(cache, settings, tracked(cache.dataset), say)
    except CacheError as error:
        say(f"not all CSVs of {cache.dataset.short} could be built; the next run builds the others: {error.message}")
