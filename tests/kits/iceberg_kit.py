"""Reads the tables of Iceberg that tests have made, and the lake's rows to compare them with."""

import polars as pl
from pyiceberg.catalog import load_catalog
from sqlalchemy import URL

from ingest.lake.partitions import view_name


def table_of(place, **catalog):
    """The table of a place's dataset, in the catalog beside its lake or in another one."""
    file = URL.create("sqlite", database=str(place.root / "lake" / "iceberg" / "catalog.db"))
    beside = {"type": "sql", "uri": file.render_as_string()}
    return load_catalog("ingest", **(catalog or beside)).load_table(f"ingest.{view_name(place.dataset)}")


def in_lake(place):
    """The rows of the lake's files, as a table can have them."""
    rows = pl.read_parquet(place.root / "lake" / place.dataset.short / "**" / "*.parquet", hive_partitioning=False)
    times = [pl.col("time").dt.cast_time_unit("us")] if "time" in rows.columns else []
    return rows.with_columns(times).sort(order(place))


def order(place):
    return [*place.dataset.kind.order, "date"]


def read(table, place, snapshot=None):
    """The rows of a snapshot of a table, read by pyiceberg."""
    return pl.from_arrow(table.scan(snapshot_id=snapshot).to_arrow()).sort(order(place))


def snapshots(place):
    """How many the table has."""
    return len(table_of(place).metadata.snapshots)


def table_folder(place):
    return place.root / "lake" / "iceberg" / view_name(place.dataset)


def data_files(place):
    return sorted((table_folder(place) / "data").iterdir())
