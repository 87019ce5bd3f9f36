"""Brings a table up to date with the files of the lake, by one snapshot.

Data files are durable before the snapshot that names them, and nothing is noted before that snapshot is there. After a
kill anywhere, the next update finds what is missing by looking, and removes files that no snapshot names.
"""

import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from ingest.cache.cache import Cache
from ingest.cache.manifest.lake import LakeFile
from ingest.cache.parts.ahead import read_ahead
from ingest.errors import CacheError
from ingest.events import TableWritten
from ingest.files import durable, opening
from ingest.lake.folder import LakePlace
from ingest.lake.iceberg.naming import DataName, Goal, TableFolder, Version, require
from ingest.lake.iceberg.noting import Noted
from ingest.lake.partitions import lake_of
from ingest.settings.sections.lake import Lake

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

    from ingest.lake.iceberg.files import DataFiles
    from ingest.lake.iceberg.snapshots import Held

_TRIES = 3
_THREADS = 2
_PIECE = 8 << 20
_ABANDONED = timedelta(days=1)
"""How old a file of metadata that nothing names has to be: another program may be making a snapshot."""


def bring_table_up_to_date(cache: Cache, lake: Lake, look: bool = False) -> TableWritten | None:
    """Make the table of a dataset equal to the clean files of its lake; None if there was nothing to do.

    With `look` the table itself is looked at in any case. Requires the lock. Raises UsageError if the library is not
    installed, and CacheError.
    """
    require()
    started, folder, goal = time.monotonic(), TableFolder.of(cache), Goal.of(cache)
    noted = Noted.read(folder)
    if not look and noted.is_up_to_date(folder, goal, lake.catalog):
        return None
    update = _Update(cache, lake, folder, goal, noted, look=look)
    for _ in range(_TRIES):
        if (done := update.attempt()) is not None:
            return replace(done, seconds=time.monotonic() - started) if done.snapshot or done.notice else None
    told = "other programs keep changing the table"
    raise CacheError(f"Iceberg: {told} {folder.table}; the next run, or the next build, updates it")


@dataclass(frozen=True, slots=True)
class _Change:
    """What a snapshot is to add and to remove, and how many of the removed files are not ours."""

    add: "Sequence[Version]"
    remove: "Sequence[DataFile]"
    others: int

    @classmethod
    def of(cls, files: "DataFiles", held: "Held", goal: Goal) -> "_Change":
        """What makes a snapshot equal to a goal."""

        def is_whole(name: DataName, file: "DataFile") -> bool:
            wanted = goal.versions.get(name.partition)
            return wanted is None or files.is_whole(wanted, file.file_path, file.file_size_in_bytes)

        have, remove, others = set[str](), [], 0
        for file in held.files.values():
            name = DataName.parse(file.file_path)
            others += name is None
            if name and name.partition not in have and _is_right(name, goal, held) and is_whole(name, file):
                have.add(name.partition)
            else:
                remove.append(file)
        return cls([one for one in goal.versions.values() if one.partition not in have], remove, others)


def _is_right(name: DataName, goal: Goal, held: "Held") -> bool:
    if name.partition in goal.keep:
        return True
    wanted = goal.versions.get(name.partition)
    return wanted is not None and wanted.made_of == name.made_of and not held.has_deletes


@dataclass(frozen=True, slots=True)
class _Update:
    """A table that is being brought up to date."""

    cache: Cache
    lake: Lake
    folder: TableFolder
    goal: Goal
    noted: Noted
    look: bool

    def attempt(self) -> TableWritten | None:
        """Try once; None if somebody else has changed the table meanwhile. Raises CacheError."""
        from ingest.lake.iceberg.files import DataFiles
        from ingest.lake.iceberg.snapshots import held
        from ingest.lake.iceberg.tables import check_columns, make_table, open_table, translated

        dataset = self.cache.dataset
        opened = open_table(self.folder, dataset, self.lake)
        nothing = TableWritten(self.folder.table, snapshot="", added=0, removed=0, rows=0, sessions=0, seconds=0.0)
        if opened.table is None and not self.goal.versions:
            return nothing
        table = opened.table or make_table(opened, self.folder, dataset)
        check_columns(table, dataset)
        known = self.cache.manifest.lake.all()
        files = DataFiles(table, self.folder, dataset, partial(_stored, lake_of(self.cache), known), self.look)
        with translated(f"read the table {self.folder.table}"):
            change = _Change.of(files, held(table), self.goal)
        is_clean = table.metadata_location == self.noted.metadata and len(list(files.found())) == self.noted.files
        notice = _notice(opened.why, opened.table is None, change.others) or self._rival(table)
        done = replace(nothing, notice=notice if change.add or change.remove or opened.why else "")
        if change.add or change.remove:
            sessions = self._sessions(change, is_new=opened.table is None)
            urls = list(read_ahead(files.put, change.add, _THREADS))
            if not self._committed(table, urls, change, sessions):
                return None
            done = _described(done, table, change, sessions)
        self._tidy(table, files, is_clean and opened.table is not None and not opened.why)
        return done

    @property
    def _name(self) -> str:
        return f"{platform.node()}:{self.folder.root.resolve()}"

    def _rival(self, table: "Table") -> str:
        """What there is to say if another cache has made the newest snapshot of a table that is elsewhere."""
        current = table.current_snapshot()
        other = current.summary.additional_properties.get("ingest.cache") if current and current.summary else None
        if other in (None, self._name) or self.folder.local(f"{table.location()}/"):
            return ""
        return f"its rows were those of another cache, {other}, and are those of this one now; two need two catalogs"

    def _sessions(self, change: _Change, is_new: bool) -> list[date]:
        """The sessions whose rows a snapshot adds, changes or removes; all of its partitions if that is not known."""
        if self.noted.sessions is not None and not is_new and (found := self.noted.changed(self.goal)):
            return found
        added = {one.partition for one in change.add}
        return [date.fromisoformat(day) for day in self.goal.sessions if day in added or day[:7] in added]

    def _committed(self, table: "Table", urls: Sequence[str], change: _Change, sessions: Sequence[date]) -> bool:
        """Make the snapshot; False if the table is not as it was any more. Raises CacheError."""
        from pyiceberg.exceptions import CommitFailedException, ValidationException

        from ingest.lake.iceberg.snapshots import commit
        from ingest.lake.iceberg.tables import translated

        told = {
            "version": version("ingest"),
            "sessions": str(len(sessions)),
            "contents": self.goal.contents,
            "cache": self._name,
        }
        span = {"first": str(min(sessions)), "last": str(max(sessions))} if sessions else {}
        properties = {f"ingest.{name}": value for name, value in (told | span).items()}
        with translated(f"make a snapshot of the table {self.folder.table}"):
            try:
                commit(table, urls, change.remove, properties)
            except (CommitFailedException, ValidationException):
                return False
            table.refresh()
        return True

    def _tidy(self, table: "Table", files: "DataFiles", is_clean: bool) -> None:
        """Remove old snapshots and files that no snapshot needs; then note that all is well."""
        from ingest.lake.iceberg.snapshots import expirable, expire
        from ingest.lake.iceberg.tables import translated

        with translated(f"remove old snapshots of the table {self.folder.table}"):
            old = expirable(table, timedelta(days=self.lake.keep_snapshots_days))
            if self.look or old or not is_clean:
                old += self._unreadable(table, files)
            if old:
                expire(table, old)
        if not is_clean or old:
            self._sweep(table, files)
        metadata = self.folder.local(table.metadata_location)
        Noted(
            contents=self.goal.contents,
            metadata=table.metadata_location,
            size=opening.size(metadata) if metadata else -1,
            files=len(list(files.found())),
            sessions=self.noted.sessions_after(self.goal),
            lists=self._lists(table),
        ).write(self.folder)

    def _lists(self, table: "Table") -> dict[str, int]:
        """The files beside the lake in which the newest snapshot says what it has: their names and sizes in bytes."""
        if (current := table.current_snapshot()) is None:
            return {}
        urls = (current.manifest_list, *(one.manifest_path for one in current.manifests(table.io)))
        files = [file for url in urls if (file := self.folder.local(url))]
        return {file.name: opening.size(file) for file in files}

    def _unreadable(self, table: "Table", files: "DataFiles") -> "list[Snapshot]":
        """Earlier snapshots without a list or, with `look`, a file, beside the lake: nothing can bring it back."""
        from ingest.lake.iceberg.snapshots import References, expirable, is_listed

        def is_readable(one: "Snapshot") -> bool:
            if not is_listed(one, table.io):
                return False
            data = References.of(table, [one]).data if self.look else {}
            return all(files.is_there(url, size) for url, size in data.items() if self.folder.local(url))

        limit = timedelta(days=self.lake.keep_snapshots_days)
        young = [one for one in expirable(table, timedelta(days=-1)) if one not in expirable(table, limit)]
        return [one for one in young if not is_readable(one)]

    def _sweep(self, table: "Table", files: "DataFiles") -> None:
        """Remove what killed updates have left beside the lake. A table that is elsewhere is not searched."""
        from ingest.lake.iceberg.snapshots import References, listed
        from ingest.lake.iceberg.tables import translated

        if files.here is None:
            return
        with translated(f"read the snapshots of the table {self.folder.table}"):
            needed = References.of(table, listed(table))
        data = {self.folder.local(url) for url in needed.data}
        for path in files.found():
            if path not in data:
                durable.remove(path)
        log = [one.metadata_file for one in table.metadata.metadata_log]
        known = {self.folder.local(url) for url in (*needed.metadata, *log, table.metadata_location)}
        limit = time.time() - _ABANDONED.total_seconds()
        folder = self.folder.path / "metadata"
        for path in (folder / name for name in opening.names(folder)):
            if path not in known and path.stat().st_mtime < limit:
                durable.remove(path)


def _stored(place: LakePlace, known: Mapping[str, LakeFile], partition: str) -> Iterator[bytes]:
    """The bytes of a file of a lake that is in an object store, piece by piece. Raises CacheError."""
    from ingest.lake.objects import LakeObjects

    if isinstance(place, LakeObjects):
        stored, size = place.stored(known[partition]), known[partition].size
        yield from (stored.read(begin, begin + _PIECE) for begin in range(0, size, _PIECE))


def _described(done: TableWritten, table: "Table", change: _Change, sessions: Sequence[date]) -> TableWritten:
    """What was done, once the snapshot is made."""
    current, rows = table.current_snapshot(), sum(one.rows for one in change.add)
    return replace(
        done,
        snapshot=str(current.snapshot_id) if current else "",
        added=len(change.add),
        removed=len(change.remove),
        rows=rows,
        sessions=len(sessions),
    )


def _notice(why: str, is_new: bool, others: int) -> str:
    """What there is to say of a table that was not as it was left, in words; "" if nothing."""
    if why:
        then = "it is made again, without its earlier snapshots" if is_new else "an earlier state of it is taken up"
        return f"{why}; {then}"
    return f"{others:,} data files of other programs were removed from it" if others else ""
