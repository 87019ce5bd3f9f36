"""Puts right what another program has changed about a table: how it is partitioned, and where its new files go.

A data file has the rows of one month or one session, and its place says what it is. So neither can follow a change.
"""

from typing import TYPE_CHECKING

from ingest.lake.iceberg.tables import name_mapping, partition_spec, translated
from ingest.market.datasets import Dataset

if TYPE_CHECKING:
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.table import Table

_ELSEWHERE = (
    "write.data.path",
    "write.metadata.path",
    "write.object-storage.enabled",
    "write.py-location-provider.impl",
)
"""Properties that send new files to other places than the table's own folders."""

_CHANGED = "another program had changed how it is partitioned, read or placed; that is undone"


def put_right(table: "Table", dataset: Dataset, is_here: bool) -> str:
    """Give a table the partitions and properties that it was made with; returns what there is to say, "" if nothing.

    One that `is_here`, beside the lake, has its files in its own folders. Raises CacheError.
    """
    strange = [name for name in _ELSEWHERE if is_here and name in table.properties]
    lost = {name: value for name, value in name_mapping(dataset).items() if name not in table.properties}
    now, wanted = _by_meaning(table.spec()), _by_meaning(partition_spec(dataset))
    if not (strange or lost or now != wanted):
        return ""
    with translated(f"put the table {'.'.join(table.name())} right"), table.transaction() as change:
        change.remove_properties(*strange)
        change.set_properties(lost)
        if now != wanted:
            with change.update_spec() as split:
                for field in now.keys() - wanted.keys():
                    split.remove_field(now[field].name)
                for field in wanted.keys() - now.keys():
                    split.add_field("date", wanted[field].transform, wanted[field].name)
    return _CHANGED


def _by_meaning(spec: "PartitionSpec") -> "dict[tuple[int, str, str], PartitionField]":
    """The fields of a specification by what they say: its number, and theirs, are the table's own."""
    return {(one.source_id, str(one.transform), one.name): one for one in spec.fields}
