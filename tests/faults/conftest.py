"""What crashes and broken disks are tried on: a source, and caches with an eventful run before them."""

import os

import pytest
from pipeline_kit import key, market_objects, window, write_keys
from story import DAYS, GROWN, LISTED, REPLACED, WITH_GONE, Story

from ingest.demo import loopback
from ingest.demo.market import pack


@pytest.fixture(scope="module")
def story_server():
    days = market_objects(DAYS)
    days[key(DAYS[0])] = pack(WITH_GONE)
    with loopback.serve(days) as running:
        yield running


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    file = tmp_path_factory.mktemp("keys") / "credentials"
    write_keys(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
        patch.setenv("AWS_CONFIG_FILE", str(file.with_name("none")))
        yield dict(os.environ)


@pytest.fixture(scope="module")
def eventful(story_server, environment, tmp_path_factory):
    """The run has a fresh session, a replaced one, tickers that come and go, and a CSV that loses its only row."""
    story = Story(tmp_path_factory.mktemp("eventful"), story_server, DAYS[:3], GROWN)
    story.before.run(*window(DAYS[:2]), tracked=LISTED | {"GONE"}, concurrency=1)
    story_server.put(key(DAYS[0]), pack(REPLACED))
    return story.undisturbed()


@pytest.fixture(scope="module")
def first(story_server, environment, eventful, tmp_path_factory):
    """The run is a cache's first."""
    return Story(tmp_path_factory.mktemp("first"), story_server, DAYS[:3], LISTED).undisturbed()


@pytest.fixture(scope="module")
def orphaned(story_server, environment, eventful, tmp_path_factory):
    """The run finds the parts of two sessions, and no manifest that knows them."""
    story = Story(tmp_path_factory.mktemp("orphaned"), story_server, DAYS[:3], LISTED)
    story.before.run(*window(DAYS[:2]), tracked=LISTED, concurrency=1)
    (story.before.root / "manifest.sqlite").unlink()
    return story.undisturbed()
