"""The cache of one dataset: where its files are, and, once opened, what its manifest says of them.

Readers open it without a lock: a run may be writing meanwhile. The holder of the lock opens it with
`commit.for_writing`, which completes what a killed run had begun. Nothing is written here, so a crash leaves nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ingest.cache.csv_files import CsvFolder
from ingest.cache.manifest import Manifest
from ingest.cache.manifest.stores.places import Place
from ingest.cache.parts.local import LocalParts
from ingest.cache.parts.store import PartStore
from ingest.errors import CacheError, UsageError
from ingest.hints import call
from ingest.market.datasets import Dataset, Tier
from ingest.settings import Settings
from ingest.sources.spool import spool_path

if TYPE_CHECKING:
    from ingest.cache.objects.bucket import Bucket
    from ingest.cache.objects.writing.writer import Writer


def part_folders(settings: Settings, dataset: Dataset) -> dict[Tier, Path]:
    """The folders for the parts of a dataset, for each tier that is not in an object store."""
    local = _local(settings, dataset)
    if not settings.cache.archive:
        return {"tracked": local.tracked, "archive": local.archive}
    return {"tracked": local.tracked} if settings.store.tiers == "archive" else {}


def _local(settings: Settings, dataset: Dataset) -> LocalParts:
    tracked, archive = dataset.folder(settings.tracked_path), dataset.folder(settings.archive_path)
    return LocalParts(tracked / "sessions", archive)


def _parts(settings: Settings, dataset: Dataset) -> PartStore:
    local = _local(settings, dataset)
    if not settings.cache.archive:
        return local
    from ingest.cache.objects.opening import in_bucket  # most caches have none

    return in_bucket(settings, dataset, local)


def _lake_store(settings: Settings) -> "Bucket | None":
    if settings.lake.place == "local" or not settings.cache.archive:
        return None
    from ingest.cache.objects.bucket import Bucket

    return Bucket.of(settings)


def refuse_other_place(manifest: Manifest, settings: Settings) -> None:
    """Raise UsageError if the parts are somewhere else than where the settings say: all of them would seem missing."""
    known, named = manifest.places.current(), Place.of(settings)
    if known is None or not known.differing(named) or not manifest.places.holds_parts():
        return
    cache, there = settings.cache, "there" if named.url else "to local folders"
    where = f"{cache.archive_dir} and {cache.tracked_dir}" if not known.url else known
    said = f"[cache] archive is {named}" if named.url else "[cache] archive names no object store"
    raise UsageError(
        f"the parts of the cache {cache.root} are in {where}, and {said}: {_as_it_was(known, settings)}",
        call("move", f"to move the parts {there}"),
    )


def _as_it_was(known: Place, settings: Settings) -> str:
    """How to set the settings back; those that are right already are not named."""
    if not known.url:
        return 'set [cache] archive = "", or move them'
    lines = {"[cache] archive": (known.url, settings.cache.archive)}
    lines["[store] endpoint"] = (known.endpoint, settings.store.endpoint)
    lines["[store] tiers"] = (known.tiers, settings.store.tiers)
    changed = [f'{name} = "{was}"' for name, (was, now) in lines.items() if was != now]
    return f"set {' and '.join(changed)}, or move them"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the files of a dataset's cache are.

    `parts` stores the parts of both tiers, `csvs` is the folder of the tracked CSVs. `quarantine` is the folder for the
    bytes of refused files, `downloads` the one for partial downloads of large files. `lake_store` is the place in an
    object store that the lake is in, None if it is in the cache's folder.
    """

    dataset: Dataset
    parts: PartStore
    csvs: CsvFolder
    quarantine: Path
    downloads: Path
    lake_store: "Bucket | None"

    @staticmethod
    def of(settings: Settings, dataset: Dataset) -> "Layout":
        """The layout according to the settings."""
        tracked = dataset.folder(settings.tracked_path)
        return Layout(
            dataset,
            parts=_parts(settings, dataset),
            csvs=CsvFolder(tracked, dataset),
            quarantine=dataset.folder(settings.quarantine_path),
            downloads=dataset.folder(settings.spool_path),
            lake_store=_lake_store(settings),
        )

    def download(self, session: date) -> Path:
        """File for a session's partial download, if the object is a large one."""
        return spool_path(self.downloads, session)


@dataclass(frozen=True, slots=True)
class Cache(Layout):
    """The cache of one dataset, opened. `run` is the number of the run that writes to it; 0 for readers.

    `place` is where the parts were when a reader opened it; None for writers, from whom nobody takes them away.
    `writer` keeps other machines from writing to the same object store; None for readers, and if all parts are local.
    """

    manifest: Manifest
    run: int = 0
    place: Place | None = None
    writer: "Writer | None" = None

    @classmethod
    def through(cls, manifest: Manifest, layout: Layout, run: int = 0) -> Self:
        """A cache with a manifest that is already open."""
        places = (layout.quarantine, layout.downloads, layout.lake_store)
        return cls(layout.dataset, layout.parts, layout.csvs, *places, manifest=manifest, run=run)

    @classmethod
    @contextmanager
    def read(cls, settings: Settings, dataset: Dataset) -> Iterator[Self]:
        """Open a cache for reading; a missing one reads as empty.

        Raises CacheError, and UsageError if its parts are somewhere else than where the settings say.
        """
        with Manifest.read(settings.manifest_path, dataset.name) as manifest:
            refuse_other_place(manifest, settings)
            yield replace(cls.through(manifest, Layout.of(settings, dataset)), place=Place.of(settings))

    def refuse_moved(self) -> None:
        """Raise CacheError if the parts were moved away since a reader has opened the cache."""
        now = self.manifest.places.current()
        if self.place and now and self.place.differing(now):
            raise CacheError(f"the parts were moved to {now} while they were read: read them there")
