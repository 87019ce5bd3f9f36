"""A table of Iceberg over a lake that is in an object store."""

from iceberg_kit import in_lake, read, snapshots, table_of
from lake_kit import DAYS
from pipeline_kit import Place, market_objects, window
from polars.testing import assert_frame_equal
from stored_lake_kit import StoredLake

from ingest.demo.servers import loopback


def test_its_files_are_copied_to_the_table_and_read_alike(store, loopback_keys, tmp_path):
    with loopback.serve(market_objects(DAYS)) as server:
        (tmp_path / "other").mkdir()
        local = Place(tmp_path / "other" / "cache", server.endpoint_url, lake=True)
        local.run(*window(DAYS))
        how = {"archive": store.url, "store": store.endpoint, "lake": True, "iceberg": True}
        place = StoredLake(tmp_path / "cache", server.endpoint_url, **how)
        place.run(*window(DAYS[:3]))
        place.run(*window(DAYS))
    assert snapshots(place) == 2
    assert not list((place.root / "lake").rglob("part-0.parquet"))
    assert_frame_equal(read(table_of(place), place), in_lake(local))
