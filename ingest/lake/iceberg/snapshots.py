"""What is in the snapshots of a table, how one is made, and how old ones go."""

import errno
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pyiceberg.io.pyarrow import parquet_file_to_data_file
from pyiceberg.manifest import DataFile, DataFileContent, ManifestFile

from ingest.lake.iceberg.replacing import replacing

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import ManifestEntry
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

MADE = "ingest.made"
"""The property of a snapshot that says when it was made, in milliseconds by this computer's clock."""

_DIGITS = 20


@dataclass(frozen=True, slots=True)
class CurrentFiles:
    """What the current snapshot has: data files by URL, and whether an engine has marked rows of them as deleted."""

    files: Mapping[str, DataFile]
    has_deletes: bool


def current_files(table: "Table") -> CurrentFiles:
    """What the current snapshot of a table has."""
    current = table.current_snapshot()
    found = _live(table, current.manifests(table.io)) if current else []
    data = {one.file_path: one for one in found if one.content == DataFileContent.DATA}
    return CurrentFiles(data, len(data) < len(found))


def _live(table: "Table", manifests: Iterable[ManifestFile]) -> list[DataFile]:
    """The files that manifests have, except those that they call deleted."""
    return [entry.data_file for one in manifests for entry in _entries(one, table.io)]


def _entries(manifest: ManifestFile, io: "FileIO") -> "list[ManifestEntry]":
    """What a manifest has. Its size is compared first: of one that was cut pyiceberg reads bytes beyond the end."""
    if len(io.new_input(manifest.manifest_path)) != manifest.manifest_length:
        raise ValueError(f"{manifest.manifest_path} has been changed since it was written")
    return manifest.fetch_manifest_entry(io, discard_deleted=True)


def is_listed(snapshot: "Snapshot", io: "FileIO") -> bool:
    """Whether the lists of a snapshot's data files are whole. Raises what says nothing of them: see `is_damage`."""
    try:
        for one in snapshot.manifests(io):
            _entries(one, io)
    except Exception as error:  # whatever a file may be in place of a list
        if is_damage(error, snapshot.manifest_list):
            return False
        raise
    return True


def needed_data(table: "Table", snapshots: "Iterable[Snapshot]") -> dict[int, dict[str, int] | None]:
    """The data files that snapshots need, by their ids: URLs, with sizes in bytes; None if the lists are not whole.

    A list that several snapshots share is read once. Raises what says nothing of the lists: see `is_damage`.
    """
    known = dict[str, dict[str, int]]()

    def sizes(one: ManifestFile) -> dict[str, int]:
        if one.manifest_path not in known:
            found = (entry.data_file for entry in _entries(one, table.io))
            known[one.manifest_path] = {file.file_path: file.file_size_in_bytes for file in found}
        return known[one.manifest_path]

    def needed(snapshot: "Snapshot") -> dict[str, int] | None:
        try:
            return {url: size for one in snapshot.manifests(table.io) for url, size in sizes(one).items()}
        except Exception as error:  # whatever a file may be in place of a list
            if is_damage(error, snapshot.manifest_list):
                return None
            raise

    return {one.snapshot_id: needed(one) for one in snapshots}


def listed(table: "Table") -> "list[Snapshot]":
    """The snapshots whose lists are whole: a tag keeps one of which nothing is left."""
    return [one for one in table.metadata.snapshots if is_listed(one, table.io)]


def is_damage(error: Exception, url: str = "file:") -> bool:
    """Whether an error while a file was read says that the file is gone or damaged.

    Of one that may be read another time, such as without permission or with too many open files, nothing is known. Nor
    is it of most errors of a file that a network leads to: each library has its own for one that fails.
    """
    if isinstance(error, FileNotFoundError):
        return True
    if not url.startswith(("file:", "/")):
        return isinstance(error, (ValueError, EOFError))
    if isinstance(error, OSError):
        return error.errno in (None, errno.ENOENT, errno.EISDIR, errno.ENOTDIR)
    return not isinstance(error, MemoryError)


def commit(table: "Table", added: Sequence[str], removed: Iterable[DataFile], properties: Mapping[str, str]) -> None:
    """Make a snapshot with the data files at some URLs, and without others. Raises what pyiceberg raises."""
    files = [parquet_file_to_data_file(table.io, table.metadata, url) for url in added]
    with table.transaction() as transaction, replacing(transaction, table.io, dict(properties)) as snapshot:
        for file in removed:
            snapshot.delete_data_file(file)
        for file in files:
            snapshot.append_data_file(file)


@dataclass(frozen=True, slots=True)
class References:
    """All that snapshots need, as URLs: `data`, with the size of each file, and the `metadata` that lists it."""

    data: Mapping[str, int]
    metadata: frozenset[str]

    @classmethod
    def of(cls, table: "Table", snapshots: Iterable["Snapshot"]) -> "References":
        """What these snapshots of a table need. Raises what pyiceberg raises, if one cannot be read."""
        lists = {one.manifest_list: one.manifests(table.io) for one in snapshots}
        manifests = {one.manifest_path: one for some in lists.values() for one in some}
        data = {one.file_path: one.file_size_in_bytes for one in _live(table, manifests.values())}
        return cls(data, frozenset((*lists, *manifests)))


def expirable(table: "Table", keep: timedelta) -> "list[Snapshot]":
    """Snapshots older than `keep`, except those that a branch or a tag needs."""
    limit = (datetime.now(UTC) - keep).timestamp() * 1000
    needed = {ref.snapshot_id for ref in table.metadata.refs.values()}
    return [one for one in table.metadata.snapshots if _made(one) < limit and one.snapshot_id not in needed]


def _made(snapshot: "Snapshot") -> int:
    """When a snapshot was made, in milliseconds. Its own date is later if that of another was ahead of the clock."""
    told = snapshot.summary.additional_properties.get(MADE, "") if snapshot.summary else ""
    return min(int(told), snapshot.timestamp_ms) if told.isdecimal() and len(told) < _DIGITS else snapshot.timestamp_ms


def expire(table: "Table", old: "Sequence[Snapshot]") -> None:
    """Remove snapshots from a table, and then the files that no other one needs. Raises what pyiceberg raises."""
    before = References.of(table, [one for one in old if is_listed(one, table.io)])
    table.maintenance.expire_snapshots().by_ids([one.snapshot_id for one in old]).commit()
    table.refresh()
    after = References.of(table, listed(table))
    for url in sorted({*before.data, *before.metadata} - {*after.data, *after.metadata}):
        with suppress(FileNotFoundError):
            table.io.delete(url)
