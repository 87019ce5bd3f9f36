"""What crashes and broken disks are tried on: a source, and caches with an eventful run before them."""

from datetime import date

import pytest
from killing import nursery_of
from monthly_kit import NOVEMBER, OCTOBER, bars, objects, opening, text_of
from pipeline_kit import key, market_objects, trading_days, window
from story import DAYS, GROWN, LISTED, REPLACED, WITH_GONE, Story, make_outdated

from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.market.catalogue import STOCKS_MINUTE


@pytest.fixture(scope="module")
def story_server():
    days = market_objects(DAYS)
    days[key(DAYS[0])] = pack(WITH_GONE)
    with loopback.serve(days) as running:
        yield running


@pytest.fixture(scope="module")
def eventful(story_server, environment, tmp_path_factory):
    """The run has a fresh session, a replaced one, tickers that come and go, and a CSV that loses its only row."""
    story = Story(tmp_path_factory.mktemp("eventful"), story_server, DAYS[:3], GROWN)
    story.before.run(*window(DAYS[:2]), tracked=LISTED | {"GONE"}, concurrency=1)
    story_server.put(key(DAYS[0]), pack(REPLACED))
    return story.undisturbed()


@pytest.fixture(scope="module")
def laked(story_server, environment, eventful, tmp_path_factory):
    """The same with a lake, of which one file is written again and another one is new."""
    days = [*trading_days(date(2025, 2, 27), 2), DAYS[0]]
    story_server.objects.update(market_objects(days[:2]))
    story = Story(tmp_path_factory.mktemp("laked"), story_server, days, LISTED, lake=True)
    story.before.run(*window(days[:2]), tracked=LISTED, concurrency=1)
    story_server.put(key(days[0]), pack(REPLACED))
    return story.undisturbed()


@pytest.fixture(scope="module")
def monthly(story_server, environment, tmp_path_factory):
    """Of minutes: a fresh session, a replaced one in which a ticker has no row any more, and a new ticker."""
    names, days = ("AAPL", "GONE", "MSFT"), [OCTOBER[1], *NOVEMBER]
    texts = {day: text_of([line for name in names for line in bars(name, opening(day), 5)]) for day in days}
    texts[days[2]] = text_of([line for name in names[::2] for line in bars(name, opening(days[2]), 5)])
    story_server.objects.update(objects(texts.items()))
    story = Story(tmp_path_factory.mktemp("monthly"), story_server, days, frozenset(names), STOCKS_MINUTE)
    story.before.run(*window(days[:2]), tracked=frozenset(names[:2]), concurrency=1)
    lines = texts[days[1]].decode().splitlines()
    story_server.put(STOCKS_MINUTE.key(days[1]), pack("\n".join([*lines[:6], *lines[11:], ""]).encode()))
    return story.undisturbed()


@pytest.fixture(scope="module")
def outdated(story_server, environment, eventful, tmp_path_factory):
    """The run finds CSVs of an earlier format, and a session more."""
    story = Story(tmp_path_factory.mktemp("outdated"), story_server, DAYS[:3], LISTED)
    story.before.run(*window(DAYS[:2]), tracked=LISTED, concurrency=1)
    make_outdated(story.before)
    return story.undisturbed()


@pytest.fixture(scope="module")
def outdated_months(story_server, environment, monthly, tmp_path_factory):
    """The same of minutes, of which the run has a session of the second month."""
    story = Story(tmp_path_factory.mktemp("months"), story_server, monthly.days, frozenset({"AAPL"}), STOCKS_MINUTE)
    story.before.run(*window(story.days[:2]), tracked=story.tracked, concurrency=1)
    make_outdated(story.before)
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


@pytest.fixture(scope="module")
def nursery(story_server, environment):
    with nursery_of(story_server.endpoint_url, environment) as running:
        yield running
