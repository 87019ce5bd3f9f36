"""An attempt to make a table equal to the files of the lake; another program may change the table meanwhile."""

import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from importlib.metadata import version

from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from ingest.cache.cache import Cache
from ingest.cache.manifest.lake import LakeFile
from ingest.cache.parts.ahead import read_ahead
from ingest.events import TableWritten
from ingest.files import opening
from ingest.lake.folder import LakePlace
from ingest.lake.iceberg.files import DataFiles
from ingest.lake.iceberg.naming import DataName, Goal, LakeVersion, TableFolder, known_again_by
from ingest.lake.iceberg.noting import Noted
from ingest.lake.iceberg.righting import put_right
from ingest.lake.iceberg.snapshots import MADE, CurrentFiles, commit, current_files
from ingest.lake.iceberg.tables import OpenTable, check_columns, make_table, open_table, translated
from ingest.lake.iceberg.tidying import tidy
from ingest.lake.partitions import lake_of
from ingest.settings.sections.lake import Lake

_THREADS = 2
_PIECE = 8 << 20


@dataclass(frozen=True, slots=True)
class _Change:
    """What a snapshot is to add and to remove, and how many of the removed files are not ours."""

    add: Sequence[LakeVersion]
    remove: Sequence[DataFile]
    others: int

    @classmethod
    def of(cls, files: DataFiles, now: CurrentFiles, goal: Goal) -> "_Change":
        """What makes a snapshot equal to a goal."""
        have, remove, others = set[str](), [], 0
        for file in now.files.values():
            name = DataName.parse(file.file_path)
            others += name is None
            if name and name.partition not in have and _is_right(file, name, files, now, goal):
                have.add(name.partition)
            else:
                remove.append(file)
        return cls([one for partition, one in goal.versions.items() if partition not in have], remove, others)

    def __bool__(self) -> bool:
        return bool(self.add or self.remove)


def _is_right(file: DataFile, name: DataName, files: DataFiles, now: CurrentFiles, goal: Goal) -> bool:
    """Whether a data file has the rows that its partition should have, and is whole."""
    if name.partition in goal.keep:
        return True
    wanted = goal.versions.get(name.partition)
    if wanted is None or wanted.made_of != name.made_of or now.has_deletes:
        return False
    return files.is_whole(wanted, file.file_path, file.file_size_in_bytes)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What an attempt is made with: the goal, what the last update noted, and whether to `look` at each file."""

    cache: Cache
    lake: Lake
    folder: TableFolder
    goal: Goal
    noted: Noted
    look: bool

    def make(self) -> TableWritten | None:
        """Make it; None if somebody else has changed the table meanwhile. Raises CacheError."""
        opened = open_table(self.folder, self.cache.dataset, self.lake)
        nothing = TableWritten(self.folder.table, snapshot="", added=0, removed=0, rows=0, sessions=0, seconds=0.0)
        if opened.table is None and not self.goal.versions:
            return nothing
        files = self._files(opened)
        changed = put_right(files.table, self.cache.dataset, is_here=files.here is not None)
        with translated(f"read the table {self.folder.table}"):
            change = _Change.of(files, current_files(files.table), self.goal)
        was_tidy = self._is_as_left(opened, files)
        nothing = replace(nothing, notice=self._notice(opened, files.table, change) or changed)
        done = self._committed(files, change, nothing, is_new=opened.table is None) if change else nothing
        return None if done is None else self._tidied(files, was_tidy, done)

    def _files(self, opened: OpenTable) -> DataFiles:
        """Those of the table, which is made if there is none. Raises CacheError."""
        dataset = self.cache.dataset
        table = opened.table or make_table(opened, self.folder, dataset)
        check_columns(table, dataset)
        fetch = partial(_stored, lake_of(self.cache))
        return DataFiles(table, self.folder, dataset, fetch, self.noted.data, look=self.look)

    def _is_as_left(self, opened: OpenTable, files: DataFiles) -> bool:
        """Whether the table and the files beside the lake are those of the last update."""
        if opened.table is None or opened.why:
            return False
        names = {path.name for path in files.found()}
        return opened.table.metadata_location == self.noted.metadata and names == self.noted.data.keys()

    def _notice(self, opened: OpenTable, table: Table, change: _Change) -> str:
        """What there is to say of a table that was not as it was left, in words; "" if nothing."""
        if opened.why:
            is_new = opened.table is None
            then = "it is made again, without its earlier snapshots" if is_new else "an earlier state of it is taken up"
            return f"{opened.why}; {then}"
        if change.others:
            return f"{change.others:,} data files of other programs were removed from it"
        return self._rival(table) if change else ""

    def _rival(self, table: Table) -> str:
        """What there is to say if another cache has made the newest snapshot of a table that is elsewhere."""
        current = table.current_snapshot()
        other = current.summary.additional_properties.get("ingest.cache") if current and current.summary else None
        if other in (None, self._name) or self.folder.local(f"{table.location()}/"):
            return ""
        return f"its rows were those of another cache, {other}, and are those of this one now; two need two catalogs"

    @property
    def _name(self) -> str:
        return f"{platform.node()}:{self.folder.root.resolve()}"

    def _committed(
        self, files: DataFiles, change: _Change, nothing: TableWritten, *, is_new: bool
    ) -> TableWritten | None:
        """Make the snapshot; None if the table is not as it was any more. Raises CacheError."""
        sessions = self._sessions(change, is_new)
        urls = list(read_ahead(files.put, change.add, _THREADS))
        with translated(f"make a snapshot of the table {self.folder.table}"):
            try:
                commit(files.table, urls, change.remove, self._properties(sessions))
            except (CommitFailedException, ValidationException):
                return None
            files.table.refresh()
        return _described(nothing, files.table, change, sessions)

    def _sessions(self, change: _Change, is_new: bool) -> list[date]:
        """The sessions whose rows a snapshot adds, changes or removes; all of its partitions if that is not known."""
        if self.noted.sessions is not None and not is_new and (found := self.noted.changed(self.goal)):
            return found
        added = {one.file.partition for one in change.add}
        return [date.fromisoformat(day) for day in self.goal.sessions if day in added or day[:7] in added]

    def _properties(self, sessions: Sequence[date]) -> dict[str, str]:
        """What the snapshot says of itself."""
        told = {"version": version("ingest"), "sessions": str(len(sessions)), "contents": self.goal.contents}
        span = {"first": str(min(sessions)), "last": str(max(sessions))} if sessions else {}
        about = {f"ingest.{name}": value for name, value in (told | {"cache": self._name} | span).items()}
        return about | {MADE: str(time.time_ns() // 1_000_000)}

    def _tidied(self, files: DataFiles, was_tidy: bool, done: TableWritten) -> TableWritten:
        """Remove what the table does not need any more, then note that all is well; says what could not be kept."""
        lost = tidy(files, timedelta(days=self.lake.keep_snapshots_days), was_tidy)
        told = f"{lost:,} earlier snapshots were dropped from it, since files of theirs are gone or damaged"
        self._note(files)
        return replace(done, notice="; ".join(filter(None, (done.notice, told)))) if lost else done

    def _note(self, files: DataFiles) -> None:
        url = files.table.metadata_location
        metadata = self.folder.local(url)
        Noted(
            contents=self.goal.contents,
            metadata=url,
            size=opening.size(metadata) if metadata else -1,
            sessions=self.noted.sessions_after(self.goal),
            lists=_lists(files),
            data={path.name: known for path in files.found() if (known := known_again_by(path))},
        ).write(self.folder)


def _stored(place: LakePlace, file: LakeFile) -> Iterator[bytes]:
    """The bytes of a file of a lake that is in an object store, piece by piece. Raises CacheError."""
    from ingest.lake.objects import LakeObjects  # most lakes are in a folder

    if isinstance(place, LakeObjects):
        stored = place.stored(file)
        yield from (stored.read(begin, begin + _PIECE) for begin in range(0, file.size, _PIECE))


def _described(nothing: TableWritten, table: Table, change: _Change, sessions: Sequence[date]) -> TableWritten:
    """What was done, once the snapshot is made."""
    current = table.current_snapshot()
    return replace(
        nothing,
        snapshot=str(current.snapshot_id) if current else "",
        added=len(change.add),
        removed=len(change.remove),
        rows=sum(one.file.rows for one in change.add),
        sessions=len(sessions),
    )


def _lists(files: DataFiles) -> dict[str, int]:
    """The files beside the lake in which the newest snapshot says what it has: their names and sizes in bytes."""
    if (current := files.table.current_snapshot()) is None:
        return {}
    urls = (current.manifest_list, *(one.manifest_path for one in current.manifests(files.table.io)))
    found = [file for url in urls if (file := files.folder.local(url))]
    return {file.name: opening.size(file) for file in found}
