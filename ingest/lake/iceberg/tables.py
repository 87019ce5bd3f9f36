"""The catalog, and the table of a dataset in it: opened, made, registered again where it was lost."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest.errors import CacheError, IngestError
from ingest.files import durable, opening
from ingest.files.aside import named_aside
from ingest.hints import Hint, call
from ingest.lake.frames import lake_schema
from ingest.lake.iceberg.catalog import forget_other_names, reading, registered
from ingest.lake.iceberg.naming import NAMESPACE, TableFolder
from ingest.market.datasets import Dataset
from ingest.settings.sections.lake import Lake, require_iceberg

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.io import FileIO
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata

_FORMAT = 2
"""The newest that pyiceberg writes and that every engine reads."""

_PROPERTIES = {
    "format-version": str(_FORMAT),
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    "commit.manifest.min-count-to-merge": "20",
}

_UNLISTED = "the lists of its data files cannot be read"
_MOVED = "the cache was moved or copied, and the paths in the table lead elsewhere"


@contextmanager
def translated(doing: str, *hints: Hint, if_lost: Sequence[Hint] = ()) -> Iterator[None]:
    """Raise what pyiceberg and the libraries below it raise, which have no exception in common, as a CacheError.

    It has these hints, and others `if_lost` if a file is gone.
    """
    try:
        yield
    except IngestError:
        raise
    except Exception as error:
        told = str(error).strip().partition("\n")[0]
        more = if_lost if isinstance(error, FileNotFoundError) else ()
        raise CacheError(f"Iceberg: cannot {doing}: {told or type(error).__name__}", *hints, *more) from error


@dataclass(frozen=True, slots=True)
class OpenTable:
    """A catalog and the table of a dataset in it. `is_ours`: it is the one beside the lake.

    `table` is None if there is none, or none that can be used; `why` then says why in words, or is "" if it is new.
    """

    catalog: "Catalog"
    is_ours: bool
    table: "Table | None"
    why: str = ""


def open_table(folder: TableFolder, dataset: Dataset, lake: Lake) -> OpenTable:
    """Open the table of a dataset; nothing is written, except an empty catalog beside the lake.

    Raises UsageError if the library is not installed, CacheError if the catalog cannot be used.
    """
    require_iceberg()
    with translated(f"open the catalog {lake.catalog}"):
        catalog, is_ours = _catalog(folder, lake)
    from pyiceberg.exceptions import NoSuchTableError

    what, lost = f"read the table {folder.table} of the catalog {lake.catalog}", [to_make_again(dataset)]
    with translated(what, if_lost=[] if is_ours else lost):
        if is_ours:
            return _beside_the_lake(catalog, folder)
        try:
            table = catalog.load_table(folder.table)
        except NoSuchTableError:
            return OpenTable(catalog, False, None)
        if _is_current_listed(table.metadata, table.io):
            return OpenTable(catalog, False, table)
        return OpenTable(catalog, False, _taken_back(table), _UNLISTED)


def _catalog(folder: TableFolder, lake: Lake) -> "tuple[Catalog, bool]":
    from pyiceberg.catalog import load_catalog
    from sqlalchemy import URL

    if known := configured(lake.catalog):
        return known, False
    _put_damaged_aside(folder)
    forget_other_names(folder, lake.catalog)
    durable.make_folder(folder.root)
    uri = URL.create("sqlite", database=str(folder.catalog)).render_as_string()
    warehouse = folder.location.rpartition("/")[0]
    return load_catalog(lake.catalog, type="sql", uri=uri, warehouse=warehouse), True


def configured(name: str) -> "Catalog | None":
    """The catalog of this name in pyiceberg's own configuration; None if it does not know it."""
    from pyiceberg.catalog import load_catalog
    from pyiceberg.utils.config import Config

    known = Config().get_catalog_config(name)  # as it is now, and not when pyiceberg was imported
    return load_catalog(name, **{key: str(value) for key, value in known.items()}) if known else None


def _put_damaged_aside(folder: TableFolder) -> None:
    """Move a database that is none, or that is damaged, out of the way; its tables are registered again."""
    if opening.is_there(folder.catalog) and not is_database(folder):
        durable.move(folder.catalog, named_aside(folder.catalog))


def is_database(folder: TableFolder) -> bool:
    """Whether the catalog beside the lake is a database that is whole."""
    if not opening.is_file(folder.catalog):
        return False
    try:
        with reading(folder) as db:
            return bool(db.execute("PRAGMA quick_check").fetchall() == [("ok",)])
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        return False


def _beside_the_lake(catalog: "Catalog", folder: TableFolder) -> OpenTable:
    from pyiceberg.exceptions import NoSuchTableError
    from sqlalchemy.exc import SQLAlchemyError

    from ingest.lake.iceberg.snapshots import is_damage

    try:
        table = catalog.load_table(folder.table)
    except NoSuchTableError:
        return OpenTable(catalog, True, _registered_again(catalog, folder))
    except Exception as error:  # whatever a file may be in place of a table's metadata
        if isinstance(error, SQLAlchemyError) or not is_damage(error):
            raise
        if not str(registered(folder, catalog.name)).startswith(f"{folder.location}/"):
            return OpenTable(catalog, True, None, _MOVED)
        why = f"its metadata cannot be read: {str(error).partition(chr(10))[0]}"
        return OpenTable(catalog, True, _registered_again(catalog, folder, is_known=True), why)
    if table.metadata.location != folder.location:
        return OpenTable(catalog, True, None, _MOVED)
    if _is_current_listed(table.metadata, table.io):
        return OpenTable(catalog, True, table)
    return OpenTable(catalog, True, _registered_again(catalog, folder, is_known=True), _UNLISTED)


def _taken_back(table: "Table") -> "Table":
    """A table at its newest snapshot whose lists are whole. Raises FileNotFoundError if it has none."""
    from ingest.lake.iceberg.snapshots import listed

    whole = [one.snapshot_id for one in listed(table)]
    if not whole:
        raise FileNotFoundError(_UNLISTED)
    table.manage_snapshots().set_current_snapshot(snapshot_id=whole[-1]).commit()
    return table.refresh()


def _is_current_listed(metadata: "TableMetadata", io: "FileIO") -> bool:
    from ingest.lake.iceberg.snapshots import is_listed

    current = metadata.current_snapshot()
    return current is None or is_listed(current, io)


def _registered_again(catalog: "Catalog", folder: TableFolder, is_known: bool = False) -> "Table | None":
    """The table from the newest metadata of its folder that is whole and of this place; None if there is none."""
    names = opening.names(folder.path / "metadata", "*.metadata.json")
    for name in sorted(names, reverse=True):
        location = f"{folder.location}/metadata/{name}"
        if not _is_whole(catalog, location, folder):
            continue
        if is_known:
            catalog.drop_table(folder.table)
        catalog.create_namespace_if_not_exists(NAMESPACE)
        return catalog.register_table(folder.table, location)
    return None


def _is_whole(catalog: "Catalog", location: str, folder: TableFolder) -> bool:
    from pyiceberg.io import load_file_io
    from pyiceberg.serializers import FromInputFile

    from ingest.lake.iceberg.snapshots import is_damage

    try:
        io = load_file_io(catalog.properties, location)
        metadata = FromInputFile.table_metadata(io.new_input(location))
        for snapshot in metadata.snapshots:
            snapshot.manifests(io)
        is_current = _is_current_listed(metadata, io)
    except Exception as error:
        if is_damage(error):
            return False
        raise
    return is_current and bool(metadata.location == folder.location)


def make_table(opened: OpenTable, folder: TableFolder, dataset: Dataset) -> "Table":
    """Make the table of a dataset, in place of one that cannot be used. Raises CacheError."""
    with translated(f"make the table {folder.table}"):
        opened.catalog.create_namespace_if_not_exists(NAMESPACE)
        if opened.is_ours:
            _forget(opened, folder)
        about = {"ingest.dataset": dataset.short, "ingest.adjust": "none", "ingest.interval": dataset.interval}
        return opened.catalog.create_table(
            folder.table,
            table_schema(dataset),
            location=folder.location if opened.is_ours else None,
            partition_spec=partition_spec(dataset),
            properties=_PROPERTIES | about | name_mapping(dataset),
        )


def _forget(opened: OpenTable, folder: TableFolder) -> None:
    """Remove what the catalog beside the lake has of a table, and the metadata that nothing can use any more."""
    from pyiceberg.exceptions import NoSuchTableError

    with suppress(NoSuchTableError):
        opened.catalog.drop_table(folder.table)
    for name in opening.names(folder.path / "metadata"):
        durable.remove_file(folder.path / "metadata" / name)


def table_schema(dataset: Dataset) -> "Schema":
    """The columns of a table: those of the lake, each with its place, from 1, as its number. Times are in microseconds.

    Nanoseconds would need version 3 of the format, which pyiceberg cannot write and Spark cannot read.
    """
    import polars as pl
    from pyiceberg import types
    from pyiceberg.schema import Schema

    kinds = {pl.String: types.StringType, pl.Date: types.DateType, pl.Datetime: types.TimestamptzType}
    kinds |= {pl.Float64: types.DoubleType, pl.Int64: types.LongType}
    columns = [
        types.NestedField(number, name, kinds[kind.base_type()](), required=False)
        for number, (name, kind) in enumerate(lake_schema(dataset).items(), 1)
    ]
    return Schema(*columns)


def name_mapping(dataset: Dataset) -> dict[str, str]:
    """The property that says which column of a file is which: the lake's own files do not number theirs."""
    return {"schema.name-mapping.default": table_schema(dataset).name_mapping.model_dump_json()}


def partition_spec(dataset: Dataset) -> "PartitionSpec":
    """How a table is partitioned: a data file has the rows of one partition."""
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.transforms import DayTransform, MonthTransform

    number = table_schema(dataset).find_field("date").field_id
    if dataset.by_month:
        return PartitionSpec(PartitionField(number, 1000, MonthTransform(), "date_month"))
    return PartitionSpec(PartitionField(number, 1000, DayTransform(), "date_day"))


def to_make_again(dataset: Dataset) -> Hint:
    """What to do with a table that nothing puts right."""
    return call("lake drop", "to make the table again", dataset=dataset.short)


def check_columns(table: "Table", dataset: Dataset) -> None:
    """Raise CacheError unless a table has the columns of the lake, in the format that is written; it may have more."""
    if table.format_version != _FORMAT:
        told = f"the table {'.'.join(table.name())} was changed to version {table.format_version} of the format"
        raise CacheError(f"Iceberg: {told}, which cannot be written", to_make_again(dataset))
    columns = table.metadata.schema()
    for wanted in table_schema(dataset).fields:
        name = columns.find_column_name(wanted.field_id)
        if name != wanted.name or columns.find_field(wanted.field_id).field_type != wanted.field_type:
            told = f"the column {wanted.name} of the table {'.'.join(table.name())} is not that of the lake"
            raise CacheError(f"Iceberg: {told}", to_make_again(dataset))
