"""A cache that keeps its lake as a table of Iceberg, too, what is read of both, and how one session is corrected."""

import polars as pl
import pytest
from lake_kit import DAYS
from pipeline_kit import Place, key, market_day, pack, window
from pyiceberg.catalog import load_catalog
from sqlalchemy import URL

from ingest.lake.partitions import view_name


@pytest.fixture
def place(server, tmp_path):
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True, iceberg=True)
    place.run(*window(DAYS))
    return place


def correct(server, name=b"AAPL2"):
    """Publish a session again, with another name for a ticker."""
    server.put(key(DAYS[1]), pack(market_day(DAYS[1]).replace(b"\nAAPL,", b"\n" + name + b",")))


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
