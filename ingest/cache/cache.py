"""The cache of one dataset: where its files lie, and, opened, what its manifest says of them.

Readers open it without a lock: a run may be writing meanwhile. Who holds the lock opens it by `commit.for_writing`,
which carries through what a killed run had begun. Nothing is written here, so a crash leaves nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Self

from ingest.cache.csv_files import CsvFolder
from ingest.cache.manifest import Manifest
from ingest.cache.parts.local import LocalParts
from ingest.cache.parts.store import PartStore
from ingest.market.datasets import Dataset, Tier, part_name
from ingest.settings import Settings
from ingest.sources.spool import spool_path


def part_folders(settings: Settings, dataset: Dataset) -> dict[Tier, Path]:
    """The folders that the settings have for the parts of a dataset."""
    tracked, archive = dataset.folder(settings.tracked_path), dataset.folder(settings.archive_path)
    return {"tracked": tracked / "sessions", "archive": archive}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the files of a dataset's cache lie.

    `parts` are those of both tiers, `csvs` that of the tracked CSVs; below `quarantine` are the bytes of refused files,
    below `downloads` large files that are on their way.
    """

    dataset: Dataset
    parts: PartStore
    csvs: CsvFolder
    quarantine: Path
    downloads: Path

    @staticmethod
    def of(settings: Settings, dataset: Dataset) -> "Layout":
        """Where the settings have it."""
        tracked = dataset.folder(settings.tracked_path)
        return Layout(
            dataset,
            LocalParts(**part_folders(settings, dataset)),
            CsvFolder(tracked, dataset),
            dataset.folder(settings.quarantine_path),
            dataset.folder(settings.spool_path),
        )

    def quarantined(self, session: date) -> Path:
        """Where the bytes of a session's refused file are kept."""
        return self.quarantine / part_name(session)

    def download(self, session: date) -> Path:
        """Where a session's file lies while it is on its way, if it is a large one."""
        return spool_path(self.downloads, session)


@dataclass(frozen=True, slots=True)
class Cache(Layout):
    """The cache of one dataset, opened. `run` is the number of the run that writes to it; 0 for readers."""

    manifest: Manifest
    run: int = 0

    @classmethod
    def through(cls, manifest: Manifest, layout: Layout, run: int = 0) -> Self:
        """A cache whose manifest is open already."""
        folders = (layout.quarantine, layout.downloads)
        return cls(layout.dataset, layout.parts, layout.csvs, *folders, manifest=manifest, run=run)

    @classmethod
    @contextmanager
    def read(cls, settings: Settings, dataset: Dataset) -> Iterator[Self]:
        """Open a cache for reading; one that is not there reads as an empty one. Raises CacheError."""
        with Manifest.read(settings.manifest_path, dataset.name) as manifest:
            yield cls.through(manifest, Layout.of(settings, dataset))
