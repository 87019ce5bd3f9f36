"""Keys, buckets and caches for whole runs against the real S3 server."""

import pytest
from pipeline_kit import Place, key, market_objects, write_keys
from runs_kit import DAYS

from ingest.demo.files.market import pack
from ingest.demo.servers import seaweed as weed


@pytest.fixture(scope="module")
def reader(seaweed):
    """Keys that may read everything, for all tests."""
    return seaweed.reader()


@pytest.fixture
def keys(reader, tmp_path, monkeypatch):
    """The reader's keys, written where a run looks for them."""
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    write_keys(tmp_path / "credentials", reader.access_key, reader.secret_key)
    return reader


@pytest.fixture
def own_keys(seaweed, tmp_path, keys):
    """Keys for this test alone, whose permissions it may change."""
    who = seaweed.reader()
    write_keys(tmp_path / "credentials", who.access_key, who.secret_key)
    return who


@pytest.fixture
def place(seaweed, bucket, tmp_path, keys):
    return Place(tmp_path / "cache", seaweed.endpoint_url, bucket)


@pytest.fixture(scope="module")
def library(seaweed):
    """A bucket with the market's files of all DAYS, for all tests that do not change it: a new one takes a second."""
    weed.make_bucket(seaweed.server, seaweed.writer, "library")
    seaweed.fill("library", market_objects(DAYS).items())
    yield "library"
    seaweed.server.client(seaweed.writer).delete_bucket(Bucket="library")


@pytest.fixture
def filled(seaweed, library, tmp_path, keys):
    """A place whose source is the library."""
    return Place(tmp_path / "cache", seaweed.endpoint_url, library)


@pytest.fixture
def filled_here(place, seaweed, bucket):
    """The place, with the library's files in a bucket of its own."""
    seaweed.fill(bucket, market_objects(DAYS).items())
    return place


@pytest.fixture
def put(seaweed, bucket):
    """Store a day's text, or these packed bytes."""

    def store(day, text=None, packed=None):
        return seaweed.put(bucket, key(day), pack(text) if packed is None else packed)

    return store
