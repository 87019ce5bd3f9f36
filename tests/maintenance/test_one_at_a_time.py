"""Records that grow with the number of sessions are read one by one, and are never all in memory."""

import gc
import tracemalloc
from datetime import date, timedelta

import pytest
from pipeline_kit import Place, market_objects, trading_days, window

from ingest.cache import rebuild
from ingest.cache.cache import Cache, Layout
from ingest.cache.manifest import Manifest, SessionRecord
from ingest.cache.manifest.sessions import KnownSessions
from ingest.demo.servers import loopback
from ingest.maintenance.corrections import changed_values
from ingest.maintenance.verify import cache as verifying
from ingest.maintenance.verify import session as looking
from ingest.market.catalogue import STOCKS_DAY
from ingest.splitting.diff import Correction

DAYS = trading_days(date(2025, 3, 3), 24)
COLUMNS = ("ticker", "close")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Place:
    from pipeline_kit import write_keys

    folder = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch, loopback.serve(market_objects(DAYS)) as server:
        write_keys(folder / "credentials")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
        place = Place(folder / "cache", server.endpoint_url)
        place.run(*window(DAYS))
    return place


def _alive() -> set[int]:
    return {id(one) for one in gc.get_objects() if isinstance(one, SessionRecord)}


@pytest.fixture
def others() -> set[int]:
    """The records that other tests of this process still hold."""
    gc.collect()
    return _alive()


def test_verify_holds_few_records_at_a_time(filled: Place, others, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    look = looking.check_session

    def counting(*given, **named):  # type: ignore[no-untyped-def]
        seen.append(len(_alive() - others))
        return look(*given, **named)

    monkeypatch.setattr(looking, "check_session", counting)
    monkeypatch.setattr(verifying.os, "cpu_count", lambda: 1)
    found = verifying.verify(filled.settings())
    assert (found.sessions, found.problems, len(seen)) == (24, (), 24)
    assert max(seen) <= 8


def test_a_rebuild_holds_one_record_at_a_time(filled: Place, others, tmp_path, monkeypatch) -> None:
    seen: list[int] = []
    commit = KnownSessions._commit_one

    def counting(self, *given):  # type: ignore[no-untyped-def]
        seen.append(len(_alive() - others))
        commit(self, *given)

    monkeypatch.setattr(KnownSessions, "_commit_one", counting)
    with Manifest.open(tmp_path / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        layout, run = Layout.of(filled.settings(), STOCKS_DAY), manifest.runs.begin(*window(DAYS))
        taken = rebuild.take_up(Cache.through(manifest, layout, run), DAYS)
        assert list(taken) == manifest.sessions.committed() == DAYS
        with Manifest.open(filled.root / "manifest.sqlite", STOCKS_DAY.name) as first:
            assert manifest.sessions.coverage() == first.sessions.coverage()
    assert max(seen) <= 4


def _corrections(place: Place, count: int, lines: int) -> None:
    """Store `count` corrections of `lines` lines each."""
    with Manifest.open(place.root / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        run = manifest.runs.begin(*window(DAYS))
        for n in reversed(range(count)):
            removed, added = (tuple(f"T{row:05},{close}" for row in range(lines)) for close in (1, 2))
            quoted = ('"A""B",1',), ('"A""B",3',)
            one = Correction(
                DAYS[0] + timedelta(days=n),
                "old",
                "new",
                COLUMNS,
                removed + quoted[0],
                added + quoted[1],
                "new etag",
                COLUMNS,
            )
            manifest.sessions.commit([], [one], run)


def test_corrections_of_a_ticker_take_the_memory_of_one(filled: Place, tmp_path) -> None:
    place = Place(tmp_path / "cache", filled.endpoint_url)
    place.root.mkdir()
    _corrections(place, 12, 1500)

    def peak(ticker: str | None, first: int) -> tuple[int, int]:
        tracemalloc.start()
        start = DAYS[0] + timedelta(days=first)
        count = sum(1 for _ in changed_values(place.settings(), ticker, start, DAYS[0] + timedelta(days=30)))
        taken = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return count, taken

    (few, of_one), (many, of_all) = peak(None, 11), peak(None, 0)
    assert (few, many) == (1501, 12 * 1501)
    assert of_all < 1.5 * of_one
    found, taken = peak("T00007", 0)
    assert (found, taken < of_one / 10) == (12, True)


def test_a_ticker_is_found_whatever_it_is_called(filled: Place, tmp_path) -> None:
    place = Place(tmp_path / "cache", filled.endpoint_url)
    place.root.mkdir()
    _corrections(place, 3, 12)
    found = list(changed_values(place.settings(), 'A"B'))
    assert [(one.session - DAYS[0], one.old, one.new) for one in found] == [
        (timedelta(days=n), "1", "3") for n in range(3)
    ]
    every = list(changed_values(place.settings()))
    assert [one.session for one in every] == sorted(one.session for one in every)
    for ticker in {one.ticker for one in every}:
        assert list(changed_values(place.settings(), ticker)) == [one for one in every if one.ticker == ticker]
    assert list(changed_values(place.settings(), "0000")) == list(changed_values(place.settings(), "A\0B")) == []
