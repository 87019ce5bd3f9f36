"""Workers that put parts into an object store: what the coordinator commits is what a local run has in its folders."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date

import pytest
from engine_kit import Scripted, elsewhere, keys_everywhere, over, summary
from machines_kit import Machine
from pipeline_kit import LONG, Place, flat, key, market_day, market_objects, pack, trading_days, window
from tuning_kit import tune

from ingest.cache.cache import Layout
from ingest.cache.manifest import Manifest
from ingest.demo.servers import loopback
from ingest.engines.engine import Engine
from ingest.engines.fitness import look_over
from ingest.errors import WorkerUnfit
from ingest.market.catalogue import STOCKS_DAY
from ingest.settings import EngineSettings

DAYS = trading_days(date(2025, 3, 3), 5)
SPAN = window(DAYS)


@pytest.fixture(scope="module", autouse=True)
def keys(tmp_path_factory):
    with keys_everywhere(tmp_path_factory.mktemp("keys")):
        yield


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def server():
    with loopback.serve(market_objects(DAYS)) as running:
        yield running


@pytest.fixture
def far(server, store, tmp_path):
    return Machine(tmp_path / "far", server.endpoint_url, store=store)


def parts(place):
    """The bytes of each committed part, wherever it is."""
    layout = Layout.of(place.settings(), STOCKS_DAY)
    with Manifest.read(place.root / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        found = [one.part(tier) for one in manifest.sessions.records() for tier in one.part_sha256]
    return {(part.session, part.tier): layout.parts.read(part) for part in found}


def csvs(place):
    return {path.name: path.read_bytes() for path in place.tracked.glob("*.csv")}


@pytest.mark.parametrize("engine", ["threads", pytest.param("processes", marks=LONG)])
def test_parts_in_a_store_are_those_of_a_local_run(far, server, tmp_path, pool, engine, monkeypatch):
    tune(monkeypatch, task_sessions=2, carried_body=1000)
    place = Place(tmp_path / "here", server.endpoint_url)
    made = Engine(
        EngineSettings(kind="local" if engine == "threads" else engine), pool if engine == "threads" else None
    )
    for _ in range(2):
        here = place.run(*SPAN)
        with elsewhere(made):
            there = far.run(*SPAN)
        assert summary(there) == summary(here)
        server.put(key(DAYS[0]), pack(market_day(DAYS[0]).replace(b"\nAAPL,", b"\nAAPL,9")))
        server.put(key(DAYS[1]), pack(market_day(DAYS[1]))[:-9])
        server.put(key(DAYS[2]), pack(flat([("AAPL", 5)] * 2)))
    made.close()
    assert (parts(far), csvs(far)) == (parts(place), csvs(place))
    assert {one.name for one in (far.root / "quarantine").iterdir()} == {f"{day}.csv.gz" for day in DAYS[1:3]}
    assert not list((tmp_path / "far" / "massive_cache").rglob("*.gz"))
    assert not list(far.root.rglob("*.tmp"))


def test_a_worker_without_the_stores_keys_is_unfit(far, pool, monkeypatch):
    """Clients are kept by their place, so the worker gets one of its own, whose keys are other ones."""

    def script(order, before):
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
        parts = order.terms.parts
        parts = replace(parts, bucket=replace(parts.bucket, url=f"{parts.bucket.url}/worker"))
        return replace(order, terms=replace(order.terms, parts=parts))

    with elsewhere(over(Scripted(pool, script))):
        ran = far.run(*SPAN, fails=WorkerUnfit)
    assert ran.error.message.startswith("worker ")
    assert f"{far.store.url}/worker" in ran.error.message


def test_a_look_at_a_worker_asks_the_store_and_the_keys(far, pool):
    cluster = Scripted(pool)
    with elsewhere(over(cluster)):
        far.run(*SPAN)
    (first, *_) = cluster.orders
    assert first.terms.probes == ()
    assert look_over(first.terms).problems == ()
