"""A source, a cluster that shares a folder with this process, and what a run without it makes of that source."""

import pytest
from cluster import cluster_in
from dask_kit import DAYS, Field
from pipeline_kit import Place, market_objects, window

from ingest.demo.servers import loopback


@pytest.fixture(scope="module")
def source(environment):
    with loopback.serve(market_objects(DAYS)) as running:
        yield running


@pytest.fixture(scope="module")
def expected(source, tmp_path_factory):
    """What a run in one process makes."""
    place = Place(tmp_path_factory.mktemp("expected") / "cache", source.endpoint_url)
    place.run(*window(DAYS))
    return place


@pytest.fixture(scope="module")
def cluster(environment, tmp_path_factory):
    with cluster_in(tmp_path_factory.mktemp("cluster"), points=True) as running:
        yield running


@pytest.fixture
def field(cluster, source, expected, tmp_path):
    """An empty cache whose sessions go to the module's cluster, which has two workers without orders."""
    cluster.afresh()
    return Field(tmp_path / "cache", source.endpoint_url, cluster, expected)


@pytest.fixture(scope="module")
def kept(environment, tmp_path_factory):
    """A cluster whose workers have nannies, which start others for those that die."""
    with cluster_in(tmp_path_factory.mktemp("kept"), nanny=True, points=True) as running:
        yield running


@pytest.fixture
def nannies(kept, source, expected, tmp_path):
    """Like `field`, with nannies."""
    kept.afresh(nanny=True)
    return Field(tmp_path / "cache", source.endpoint_url, kept, expected)
