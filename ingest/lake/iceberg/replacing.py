"""A snapshot that replaces data files, with few lists of files however many such snapshots there were before it.

pyiceberg's own keeps each list that an earlier snapshot has written, so a table that is updated every night would have
hundreds of them, which every reader opens. Here lists of what was deleted go, and small lists are merged, as for
appends.
"""

from typing import TYPE_CHECKING

from pyiceberg.manifest import ManifestContent, ManifestFile
from pyiceberg.table import TableProperties
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update import AddSnapshotUpdate, TableUpdate, UpdatesAndRequirements
from pyiceberg.table.update.snapshot import _ManifestMergeManager, _OverwriteFiles
from pyiceberg.utils.properties import property_as_int

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.table import Transaction


class _Replaced(_OverwriteFiles):
    """A snapshot that drops data files and adds others."""

    def _existing_manifests(self) -> list[ManifestFile]:
        """The lists of files that stay; those of deleted rows go, since their files are all replaced."""
        return [
            one
            for one in super()._existing_manifests()
            if one.content == ManifestContent.DATA and (one.has_added_files() or one.has_existing_files())
        ]

    def _commit(self) -> UpdatesAndRequirements:
        """Date the snapshot later than what the table has, whatever the clock says.

        Engines in Java refuse to read a table whose times go back, and what was known at a time would be ambiguous.
        """
        updates, requirements = super()._commit()
        return tuple(map(self._dated, updates)), requirements

    def _dated(self, update: TableUpdate) -> TableUpdate:
        if not isinstance(update, AddSnapshotUpdate):
            return update
        table = self._transaction.table_metadata
        newest = max(table.last_updated_ms, *(one.timestamp_ms for one in table.snapshots), 0)
        made = max(update.snapshot.timestamp_ms, newest + 1)
        return AddSnapshotUpdate(snapshot=update.snapshot.model_copy(update={"timestamp_ms": made}))

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        """Merge small lists of files."""
        found = self._transaction.table_metadata.properties
        size = property_as_int(
            found, TableProperties.MANIFEST_TARGET_SIZE_BYTES, TableProperties.MANIFEST_TARGET_SIZE_BYTES_DEFAULT
        )
        count = property_as_int(
            found, TableProperties.MANIFEST_MIN_MERGE_COUNT, TableProperties.MANIFEST_MIN_MERGE_COUNT_DEFAULT
        )
        merging = _ManifestMergeManager(int(size or 0), int(count or 0), True, self)
        return list(merging.merge_manifests(manifests))


def replacing(transaction: "Transaction", io: "FileIO", properties: dict[str, str]) -> _Replaced:
    """A new snapshot of the table, which is made when its block ends."""
    is_first = transaction.table_metadata.current_snapshot() is None
    operation = Operation.APPEND if is_first else Operation.OVERWRITE
    return _Replaced(operation=operation, transaction=transaction, io=io, snapshot_properties=properties)
