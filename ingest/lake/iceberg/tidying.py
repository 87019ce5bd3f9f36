"""Removes what a table does not need any more: old snapshots, unreadable ones, and files that killed updates left."""

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

from pyiceberg.table.snapshots import Snapshot

from ingest.files import durable, opening
from ingest.lake.iceberg.files import DataFiles
from ingest.lake.iceberg.snapshots import References, expirable, expire, listed, needed_data
from ingest.lake.iceberg.tables import translated

_ABANDONED = timedelta(days=1)
"""How old a file of metadata that nothing names has to be: another program may be making a snapshot."""


def tidy(files: DataFiles, keep: timedelta, was_tidy: bool) -> int:
    """Remove snapshots older than `keep`, and files that no snapshot needs, of which there are none if it `was_tidy`.

    Returns how many younger ones went because they cannot be read. A table that is elsewhere is not searched for files.
    Raises CacheError.
    """
    with translated(f"remove old snapshots of the table {files.folder.table}"):
        old = expirable(files.table, keep)
        lost = _unreadable(files, old) if files.look or old or not was_tidy else []
        if old or lost:
            expire(files.table, [*old, *lost])
    if (old or lost or not was_tidy) and files.here is not None:
        with translated(f"read the snapshots of the table {files.folder.table}"):
            needed = References.of(files.table, listed(files.table))
        _sweep_data(files, needed)
        _sweep_metadata(files, needed)
    return len(lost)


def _unreadable(files: DataFiles, old: Sequence[Snapshot]) -> list[Snapshot]:
    """The snapshots that cannot be read and that nothing keeps, besides old ones."""
    young = [one for one in expirable(files.table, timedelta(days=-1)) if one not in old]
    needed = needed_data(files.table, young)
    return [one for one in young if not _is_readable(needed[one.snapshot_id], files)]


def _is_readable(needed: Mapping[str, int] | None, files: DataFiles) -> bool:
    """Whether a snapshot has its lists and, with `look`, the files beside the lake: nothing can bring them back."""
    if needed is None or not files.look:
        return needed is not None
    return all(files.is_there(url, size) for url, size in needed.items() if files.folder.local(url))


def _sweep_data(files: DataFiles, needed: References) -> None:
    data = {files.folder.local(url) for url in needed.data}
    for path in files.found():
        if path not in data:
            durable.remove_file(path)


def _sweep_metadata(files: DataFiles, needed: References) -> None:
    log = [one.metadata_file for one in files.table.metadata.metadata_log]
    known = {files.folder.local(url) for url in (*needed.metadata, *log, files.table.metadata_location)}
    limit = time.time() - _ABANDONED.total_seconds()
    folder = files.folder.path / "metadata"
    for path in (folder / name for name in opening.names(folder)):
        if path not in known and path.stat().st_mtime < limit:
            durable.remove_file(path)
