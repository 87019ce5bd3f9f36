"""Names: of tables, of their folders, and of data files, which say what is in them. Nothing here needs pyiceberg."""

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ingest.cache.cache import Cache
from ingest.cache.manifest.lake import LakeFile
from ingest.errors import CacheError
from ingest.files import durable, opening
from ingest.files.aside import make_room
from ingest.lake.folder import LakePlace
from ingest.lake.partitions import Standing, view_name
from ingest.market.datasets import Dataset

NAMESPACE = "ingest"

_DIGITS = 16
"""Of a hash, in a name: two versions of one partition never have the same."""

_OF_METADATA = (".metadata.json", ".avro")
_NAME = re.compile(r"([0-9]{4}-[0-9]{2}(?:-[0-9]{2})?)-([0-9a-f]{16})(?:-([0-9a-f]{16}))?\.parquet")


@dataclass(frozen=True, slots=True)
class DataName:
    """The name of a data file: its partition, the beginning of the hash of the lake's file, and that of its own bytes.

    The two are the same where it is the lake's file.
    """

    partition: str
    made_of: str
    own: str

    @classmethod
    def parse(cls, path: str) -> Self | None:
        """That of a path or URL; None if it is not one of ours."""
        found = _NAME.fullmatch(path.rpartition("/")[2])
        return cls(found[1], found[2], found[3] or found[2]) if found else None

    @classmethod
    def of(cls, partition: str, made_of: str, own: str) -> Self:
        """The name for a file, with the hashes (sha256, in hexadecimal) of the lake's file and of its own bytes."""
        return cls(partition, made_of[:_DIGITS], own[:_DIGITS])

    def __str__(self) -> str:
        """The name in a folder."""
        parts = (self.partition, self.made_of) if self.own == self.made_of else (self.partition, self.made_of, self.own)
        return f"{'-'.join(parts)}.parquet"


def known_again_by(path: Path) -> tuple[int, int] | None:
    """The size of a file, in bytes, and when it was changed, in nanoseconds; None if there is none. Raises OSError."""
    found = opening.state(path)
    return (found.st_size, found.st_mtime_ns) if found is not None and stat.S_ISREG(found.st_mode) else None


@dataclass(frozen=True, slots=True)
class LakeVersion:
    """What a table should have of a partition: the rows of a file of the lake.

    `path` is where that is; None if it is an object of a store.
    """

    file: LakeFile
    path: Path | None

    @classmethod
    def of(cls, file: LakeFile, place: LakePlace) -> Self:
        """That of a file in a place."""
        return cls(file, None if place.url else Path(place.source(file.partition)))

    @property
    def made_of(self) -> str:
        """The beginning of its hash, as names of data files have it."""
        return self.file.sha256[:_DIGITS]

    @property
    def name(self) -> str:
        """The name of its data file, if that is the lake's file."""
        return str(DataName.of(self.file.partition, self.file.sha256, self.file.sha256))

    def is_at(self, path: Path) -> bool:
        """Whether a data file is another name of the lake's file, or a copy that nobody has changed."""
        theirs = opening.state(path)
        if self.path is None or theirs is None:
            return theirs is not None and theirs.st_size == self.file.size
        ours = opening.state(self.path)
        if ours is None:
            return False
        if (ours.st_ino, ours.st_dev) == (theirs.st_ino, theirs.st_dev):
            return True
        return known_again_by(path) == known_again_by(self.path)


@dataclass(frozen=True, slots=True)
class Goal:
    """What a table should be: `versions` by partition, and the partitions to `keep` as the table has them.

    Those are of files of the lake that are outdated: until they are written again, nothing is known of them.
    `sessions` says what each session of the others is made of.
    """

    versions: Mapping[str, LakeVersion]
    keep: frozenset[str]
    sessions: Mapping[str, str]

    @classmethod
    def of(cls, cache: Cache) -> Self:
        """The goal for the files of the lake as they are. Raises CacheError."""
        standing = Standing.of(cache)
        clean = [one for one in standing.wanted.values() if standing.is_clean(one)]
        names = {one.name for one in clean}
        files = [standing.files[one.name] for one in clean]
        # Without a row a file has no statistics, and so no place in a table.
        versions = {one.partition: LakeVersion.of(one, standing.folder) for one in files if one.rows}
        made_of = cache.manifest.lake.made_of()
        sessions = {day.isoformat(): _short(made_of[day]) for one in clean for day in one.sessions}
        return cls(versions, frozenset(standing.wanted.keys() - names), sessions)

    @property
    def contents(self) -> str:
        """A hash of all of it: equal ones have the same rows."""
        text = "\n".join(f"{partition} {one.made_of}" for partition, one in self.versions.items())
        return _short(f"{text}\n{sorted(self.keep)}")


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


@dataclass(frozen=True, slots=True)
class TableFolder:
    """The place of a dataset's table beside the lake: `lake/iceberg/stocks_day`, and of the catalog of all tables."""

    root: Path
    view: str

    @classmethod
    def of(cls, cache: Cache) -> Self:
        """That of a cache's dataset."""
        return cls.beside(cache.manifest.database.path, cache.dataset)

    @classmethod
    def beside(cls, manifest: Path, dataset: Dataset) -> Self:
        """That of a dataset in the cache of a manifest."""
        return cls(manifest.parent / "lake" / "iceberg", view_name(dataset))

    @property
    def table(self) -> str:
        """The table's name in any catalog."""
        return f"{NAMESPACE}.{self.view}"

    @property
    def path(self) -> Path:
        """The folder of the table, if it is here."""
        return self.root / self.view

    @property
    def catalog(self) -> Path:
        """The database of the catalog, if no other one is configured."""
        return self.root / "catalog.db"

    @property
    def noted(self) -> Path:
        """What the last update has left, so that a run with nothing to do sees it at once."""
        return self.root / f"{self.view}.json"

    def make_room(self) -> list[str]:
        """Put aside what is of another type in place of folders and files; returns it in words. Raises CacheError."""
        data, metadata = self.path / "data", self.path / "metadata"
        said = make_room((self.root.parent, self.root, self.path, data, metadata), (self.catalog, self.noted))
        with durable.translated("look into", self.path):
            files = [data / name for name in opening.inside(data) if DataName.parse(name)]
            files += [metadata / name for name in opening.inside(metadata) if name.endswith(_OF_METADATA)]
        return said + make_room((), files)

    @property
    def location(self) -> str:
        """The URL of the folder, as it is in the table. Raises CacheError if no URL can name it.

        A cache that is reached by way of a link is the same one: what is taken for a move costs earlier snapshots.
        """
        path = self.path.resolve().as_posix()
        if any(sign in path for sign in "#?"):
            raise CacheError(f"a table of Iceberg cannot be in a folder whose name has # or ?: {path}")
        return f"file://{path}" if path.startswith("/") else f"file:///{path}"

    def local(self, url: str) -> Path | None:
        """The file of a URL in this folder; None for any other."""
        begin = f"{self.location}/"
        return self.path / url.removeprefix(begin) if url.startswith(begin) else None


def is_configured(catalog: str) -> bool:
    """Whether pyiceberg's own configuration may know a catalog; if not, it is the one beside the lake."""
    begin = f"pyiceberg_catalog__{catalog}__".replace("-", "_")
    if any(name.lower().replace("-", "_").startswith(begin) for name in os.environ):
        return True
    folders = (os.environ.get("PYICEBERG_HOME"), os.path.expanduser("~"), os.getcwd())  # noqa: PTH109, PTH111
    return any(folder and Path(folder, ".pyiceberg.yaml").is_file() for folder in folders)
