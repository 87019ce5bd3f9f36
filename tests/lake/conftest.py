"""A cache with a lake of two sessions of each of two months."""

import pytest
from lake_kit import DAYS
from pipeline_kit import Place, window


@pytest.fixture
def place(server, tmp_path):
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True)
    place.run(*window(DAYS))
    return place
