"""The view of each dataset: over the lake where it is clean, and over the parts for all other sessions."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from ingest.cache.cache import Cache
from ingest.cache.manifest.lake import LakeFile
from ingest.files import durable, opening
from ingest.lake.frames import lake_schema
from ingest.lake.objects import LakeObjects
from ingest.lake.partitions import Standing, view_name
from ingest.maintenance.status import asked_or_held
from ingest.market.datasets import Dataset
from ingest.querying.objects import ScannedFile, path_of
from ingest.querying.parts.table import PartsTable, Scans
from ingest.settings import Settings

_SIGNS = re.compile(r"[*?[]")
"""What makes a pattern of a path."""


@dataclass(frozen=True, slots=True)
class View:
    """The view of a dataset: `files` of the lake, and `parts` with the rows of the sessions that these do not have.

    `partial` are sessions (ascending) that were stored without tickers that were not tracked. `objects` are those of
    the files, by their paths, that are in an object store.
    """

    dataset: Dataset
    files: Sequence[str]
    parts: PartsTable | None
    days: Sequence[date]
    partial: Sequence[date] = ()
    objects: Mapping[str, ScannedFile] = field(default_factory=dict)
    states: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Size and time of each file, by its path; not of objects, whose paths stand for one version."""

    @property
    def name(self) -> str:
        """Its name in SQL: `stocks_day`."""
        return view_name(self.dataset)

    @property
    def parts_name(self) -> str:
        """The name of the table with the rest."""
        return f"{self.name}_parts"

    def is_current(self) -> bool:
        """Whether the files are still those that the view was made of. Raises CacheError."""
        return all(_state(path) == state for path, state in self.states.items())

    @property
    def named_files(self) -> list[str]:
        """The files as DuckDB's messages name them."""
        return [*self.files, *map(_as_pattern, self.files)]

    @property
    def statement(self) -> str:
        """The statement that makes the view."""
        columns = ", ".join(map(_column, lake_schema(self.dataset)))
        files = ", ".join(map(_quoted, map(_as_pattern, self.files)))
        sources = [f"read_parquet([{files}], hive_partitioning = false)"] if self.files else []
        sources += [self.parts_name] if self.parts else []
        rows = " UNION ALL ".join(f"SELECT {columns} FROM {one}" for one in sources)  # noqa: S608 - names from here
        return f"CREATE VIEW {self.name} AS {rows}"


def _column(name: str) -> str:
    return "time::TIMESTAMPTZ AS time" if name == "time" else f'"{name}"'  # `right` is a word of SQL


def _as_pattern(path: str) -> str:
    """The pattern that matches this path alone: DuckDB takes each path for one, and reads all files that match."""
    return _SIGNS.sub(r"[\g<0>]", path)


def _has_pattern(path: str) -> bool:
    """Whether there is such a pattern: where it has signs, a backslash in a name cannot be written."""
    return not (_SIGNS.search(path) and os.sep == "/" and "\\" in path)


def _quoted(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def views(settings: Settings, scans: Scans | None = None) -> list[View]:
    """The view of each dataset with stored sessions; `scans` is told of those of the parts. Raises CacheError."""
    return [one for dataset in asked_or_held((), settings) if (one := _view(settings, dataset, scans))]


def _view(settings: Settings, dataset: Dataset, scans: Scans | None) -> View | None:
    with Cache.read(settings, dataset) as cache:
        standing = Standing.of(cache)
        partial = sorted(cache.manifest.sessions.coverage().partial)
        found = standing.clean()
    if not standing.wanted:
        return None
    clean = [one for one in found if _has_pattern(standing.folder.source(one.name))]
    named = frozenset(one.name for one in clean)
    days = [day for name, one in standing.wanted.items() if name not in named for day in one.sessions]
    known = [standing.files[one.name] for one in clean]
    told = scans or Scans()
    files, objects = _files(standing, known, told)
    parts = PartsTable(settings, dataset, days, told) if days else None
    states = {} if objects else {path: (one.size, one.mtime_ns) for path, one in zip(files, known, strict=True)}
    return View(dataset, files, parts, days, partial=partial, objects=objects, states=states)


def _state(path: str) -> tuple[int, int] | None:
    with durable.translated("look at", Path(path)):
        found = opening.state(Path(path))
    return None if found is None else (found.st_size, found.st_mtime_ns)


def _files(
    standing: Standing, clean: Sequence[LakeFile], scans: Scans
) -> tuple[Sequence[str], Mapping[str, ScannedFile]]:
    """The files that are clean: their paths for DuckDB, and how those are read that it does not read itself."""
    folder = standing.folder
    if not isinstance(folder, LakeObjects):
        return [folder.source(one.partition) for one in clean], {}
    named = {path_of(folder.dataset.short, one.partition): ScannedFile(folder.stored(one), scans) for one in clean}
    return list(named), named
