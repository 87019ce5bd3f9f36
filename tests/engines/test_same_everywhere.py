"""A run whose sessions are split elsewhere leaves the same bytes and records, and says the same, as a local one."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import date
from multiprocessing import get_context

import pytest
from engine_kit import elsewhere, keys_everywhere, summary
from pipeline_kit import (
    LONG,
    Place,
    assert_same,
    flat,
    key,
    market_day,
    market_objects,
    pack,
    sampled,
    trading_days,
    window,
)
from tuning_kit import tune

from ingest import events
from ingest.demo.files.files import files_of
from ingest.demo.servers import loopback
from ingest.engines.engine import Engine
from ingest.maintenance.verify import verify
from ingest.market.catalogue import STOCKS_DAY, named
from ingest.settings import EngineSettings

DAYS = trading_days(date(2025, 3, 3), 8)
CRYPTO = named("crypto-day")
COINS = [("X:BTC-EUR", 9), ("X:BTC-USD", 10), ("X:ETH-USD", 2), ("X:ETH-USDT", 2)]


@pytest.fixture(scope="module", autouse=True)
def keys(tmp_path_factory):
    with keys_everywhere(tmp_path_factory.mktemp("keys")):
        yield


@pytest.fixture(scope="module")
def threads(keys):
    with ThreadPoolExecutor(2) as pool:
        yield Engine(EngineSettings(), pool)


@pytest.fixture(scope="module")
def pool(keys):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield Engine(EngineSettings(), pool)


@pytest.fixture(scope="module")
def processes(keys):
    engine = Engine(EngineSettings(kind="processes"))
    yield engine
    engine.close()


def nothing(server):
    """The source stays as it is."""


def stories():
    """By name: the dataset, the source's files, and the runs: what changes before each, and its arguments."""
    rows = [(f"T{number:03}", 10 + number) for number in range(200)]
    listed = {"start": DAYS[0], "end": DAYS[-1]}

    def corrected(server):
        for day in DAYS[2:5]:
            server.put(key(day), pack(market_day(day).replace(b"\nAAPL,", b"\nAAPL,9").replace(b"\nTRUE,", b"\nTRUF,")))

    def spoilt(server):
        server.put(key(DAYS[0]), pack(market_day(DAYS[0]))[:-9])  # unreadable
        server.put(key(DAYS[1]), b"no gzip at all")
        server.put(key(DAYS[2]), pack(flat(rows[:20])))  # loses rows
        server.forbidden.add(key(DAYS[3]))
        server.put(key(DAYS[4]), pack(market_day(DAYS[4]) + b"a line,that,is,no,row\n"))

    yield "corrections", STOCKS_DAY, market_objects(DAYS), [(nothing, listed), (corrected, listed), (nothing, listed)]
    yield (
        "refused",
        STOCKS_DAY,
        market_objects(DAYS[:3]),
        [(nothing, listed), (spoilt, listed), (nothing, listed | {"accept": True}), (nothing, listed)],
    )
    dropped = listed | {"save_others": False}
    more = listed | {"tracked": frozenset({"AAPL", "MSFT"})}
    yield "no others", STOCKS_DAY, market_objects(DAYS), [(nothing, dropped), (corrected, dropped), (nothing, more)]
    coins = {CRYPTO.key(day): pack(flat(COINS)) for day in DAYS}
    patterns = [(nothing, listed | {"tracked": frozenset({name})}) for name in ("X:*-USD", "X:ETH-USDT")]
    yield "patterns", CRYPTO, coins, patterns
    for name in ("stocks-minute", "options-day"):
        dataset, files = named(name), files_of(named(name), 20)
        objects = {dataset.key(day): pack(files.text(day)) for day in DAYS[:3]}
        tracked = frozenset(files.always(DAYS[2])[:3])
        yield name, dataset, objects, [(nothing, {"start": DAYS[0], "end": DAYS[2], "tracked": tracked})]


STORIES = {name: story for name, *story in stories()}


def told_alike(place, far, server, steps, engine):
    for change, arguments in steps:
        change(server)
        here = place.run(**arguments)
        with elsewhere(engine):
            there = far.run(**arguments)
        assert summary(there) == summary(here)
        if here.of(events.FetchStarted):
            assert there.of(events.Workers)


USUAL = {("threads", "corrections"), ("threads", "refused"), ("processes", "patterns")}
EACH = [(engine, name) for engine in ("threads", "processes") for name in STORIES]


@pytest.mark.parametrize(("engine", "name"), [pytest.param(*one, marks=() if one in USUAL else LONG) for one in EACH])
def test_bytes_records_and_summaries_are_those_of_a_local_run(engine, name, tmp_path, request):
    dataset, objects, steps = STORIES[name]
    with loopback.serve(dict(objects), forbidden=set()) as server:
        place, far = (Place(tmp_path / one, server.endpoint_url, dataset=dataset) for one in ("here", "there"))
        told_alike(place, far, server, steps, request.getfixturevalue(engine))
    assert_same(far, place)
    assert refused(far) == refused(place)
    assert not list(far.root.rglob("*.tmp"))
    assert verify(far.settings(), True, dataset).problems == verify(place.settings(), True, dataset).problems


def refused(place):
    return {path.name: path.read_bytes() for path in (place.root / "quarantine").glob("*")}


@pytest.mark.parametrize("engine", sampled(["threads", "processes"], 2))
def test_large_files_and_large_refused_ones_are_those_of_a_local_run(engine, tmp_path, request, monkeypatch):
    """Each is downloaded in ranges, into a file of the worker's; what is refused comes back by way of the parts."""
    tune(monkeypatch, large=2000, range_bytes=1500, carried_body=1000, task_sessions=3)

    def spoilt(server):
        server.put(key(DAYS[0]), pack(market_day(DAYS[0]))[:-9])
        server.put(key(DAYS[1]), pack(flat([("AAPL", 5)] * 2)))
        server.put(key(DAYS[2]), pack(market_day(DAYS[3])))

    steps = [(nothing, {"start": DAYS[0], "end": DAYS[-1]}), (spoilt, {"start": DAYS[0], "end": DAYS[-1]})]
    with loopback.serve(market_objects(DAYS)) as server:
        place, far = (Place(tmp_path / one, server.endpoint_url) for one in ("here", "there"))
        told_alike(place, far, server, steps, request.getfixturevalue(engine))
    assert_same(far, place)
    assert len(refused(far)) == 2
    assert refused(far) == refused(place)
    assert not list(far.root.rglob("*.tmp"))
    assert not list((far.root / "spool").rglob("*.part*"))


@LONG
def test_pythons_own_pool_of_processes_does_as_well(pool, tmp_path):
    dataset, objects, steps = STORIES["corrections"]
    with loopback.serve(dict(objects)) as server:
        place, far = (Place(tmp_path / one, server.endpoint_url, dataset=dataset) for one in ("here", "there"))
        told_alike(place, far, server, steps, pool)
    assert_same(far, place)


def test_each_task_has_so_many_sessions_and_none_is_lost(threads, tmp_path, monkeypatch):
    tune(monkeypatch, task_sessions=3)
    with loopback.serve(market_objects(DAYS)) as server:
        place = Place(tmp_path / "there", server.endpoint_url)
        with elsewhere(threads):
            done = place.run(*window(DAYS)).finished
            assert (done.committed, done.requests >= len(DAYS)) == (len(DAYS), True)
            assert place.run(*window(DAYS)).finished.fetched == 0
