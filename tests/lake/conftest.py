"""A source with two sessions of each of two months, and a cache with a lake of them."""

import pytest
from lake_kit import DAYS
from pipeline_kit import Place, market_objects, window

from ingest.demo.servers import loopback


@pytest.fixture
def server(loopback_keys):
    with loopback.serve(market_objects(DAYS)) as running:
        yield running


@pytest.fixture
def place(server, tmp_path):
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True)
    place.run(*window(DAYS))
    return place
