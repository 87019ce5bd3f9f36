"""A lake in an object store and one in a folder live through one story, and answer as one at its end."""

from dataclasses import replace

import pytest
from bucket_kit import DATASETS, MINUTES, OPTIONS, STORY, live, objects
from pipeline_kit import Place
from stored_lake_kit import StoredLake

import ingest
from ingest.demo.servers import loopback
from ingest.lake.state import lake_state
from ingest.maintenance.verify import verify
from ingest.market.catalogue import STOCKS_DAY

pytestmark = pytest.mark.polars_scans_objects

SHORT = ("days", "minutes", "options", "corrections", "corrected minutes", "without others", "shrunk")


@pytest.fixture(scope="module", params=["some", pytest.param("whole", marks=pytest.mark.long)])
def places(request, seaweed, patch, tmp_path_factory):
    """A cache on the disk with its lake, and one in a store with its own."""
    folder, name = tmp_path_factory.mktemp(request.param), f"lakes-{request.param}"
    with loopback.serve(objects()) as server:
        for one in ("local", "stored"):
            (folder / one).mkdir()
        local = Place(folder / "local" / "cache", server.endpoint_url, lake=True)
        stored = StoredLake(folder / "stored" / "cache", server.endpoint_url, lake=True)
        tiers = "archive" if request.param == "whole" else "both"
        stored = replace(stored, archive=f"s3://flatfiles/{name}", store=seaweed.endpoint_url, tiers=tiers)
        live(server, [local, stored], [one for one in STORY if request.param == "whole" or one.name in SHORT])
        yield local, stored


def test_the_manifests_know_the_same_files(places):
    local, stored = (place.logical_manifest()["lake"] for place in places)
    assert local == stored
    assert len(local) > 3


@pytest.mark.filterwarnings("ignore::ingest.errors.IngestWarning")
@pytest.mark.parametrize("dataset", DATASETS, ids=lambda one: one.short)
def test_all_rows_are_the_same_by_polars_and_by_sql(dataset, places):
    order = ["date", *dataset.kind.order]
    view = dataset.short.replace("-", "_")
    for read in (
        lambda config: ingest.scan(config=config, dataset=dataset.short).collect().sort(order),
        lambda config: ingest.sql(f"from {view} order by {', '.join(order)}", config=config),
    ):
        local, stored = (read(place.config()) for place in places)
        assert local.height
        assert local.equals(stored)


@pytest.mark.parametrize("dataset", [STOCKS_DAY, MINUTES, OPTIONS], ids=lambda one: one.short)
def test_both_are_whole(dataset, places):
    for place in places:
        assert lake_state(place.settings(), dataset).due == 0
        assert verify(place.settings(), deep=True, dataset=dataset).broken == ()
