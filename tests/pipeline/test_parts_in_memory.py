"""A cache whose parts are not in any folder: prepared, committed, replaced, recovered, read, verified and rebuilt.

So nothing between a split and a reader knows where parts are, except their store.
"""

from contextlib import contextmanager
from dataclasses import replace
from datetime import date

import pytest
from pipeline_kit import TRACKED, Place, market_day, pack, trading_days, window

from ingest.cache import rebuild, steady, wholeness
from ingest.cache.cache import Layout
from ingest.cache.commit import commit, for_run, recover
from ingest.cache.layout import PartKey
from ingest.cache.manifest import Held
from ingest.cache.parts.bars import all_bars, bars
from ingest.cache.parts.memory import MemoryParts
from ingest.errors import CacheError
from ingest.maintenance.verify import orphans
from ingest.maintenance.verify.evidence import Evidence
from ingest.maintenance.verify.session import check_session
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.datasets import TIERS
from ingest.market.windows import Window
from ingest.pipeline.task import Job
from ingest.pipeline.worker import prepare
from ingest.planning.plan import Decision
from ingest.settings.tuning import Tuning
from ingest.sources.base import Body
from ingest.tracked.update import bring_csvs_up_to_date

DAYS = trading_days(date(2025, 3, 3), 3)
TUNINGS = (Tuning(), Tuning(at_once=0, chunk=2000, piece=700))
CHANGED = market_day(DAYS[0]).replace(b"\nAAPL,", b"\nAAPL,9").replace(b"\nZ", b"\nZZ", 1)
WANTED = frozenset({"AAPL", "TRUE", "T0001", "BAC"})


class Dying(MemoryParts):
    """Refuses to publish after this many parts."""

    left = 1 << 30

    def publish(self, staged):
        if not self.left:
            raise CacheError("killed")
        self.left -= 1
        super().publish(staged)


@contextmanager
def opened(place, parts):
    with for_run(place.settings(), STOCKS_DAY, Window(*window(DAYS))) as cache:
        yield replace(cache, parts=parts)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "cache", "http://127.0.0.1:1")


@pytest.fixture
def cache(place):
    with opened(place, Dying()) as found:
        yield found


def fetched(cache, tuning, day, text=None, etag="e"):
    held = cache.manifest.sessions.all().get(day, Held())
    decision = Decision(day, "fetch", "new", "listed", None, held, TRACKED, keep_rest=True)
    number = cache.manifest.tracked_sets.number(TRACKED)
    replaced = cache.manifest.replacements.held([day]).get(day)
    job = Job(decision, number, cache.dataset, cache.parts, 1 << 30, replaced=replaced, accept=True, tuning=tuning)
    return prepare(job, Body(pack(text or market_day(day)), etag, "2025-03-10T15:00:00+00:00"))


def rows(cache):
    (found,) = steady.steadily(cache, DAYS, lambda parts: bars(cache.parts, cache.dataset, parts, WANTED))
    return found


def problems(cache):
    held = cache.manifest.sessions.all()
    root = cache.manifest.database.path.parent
    found = [
        problem
        for record in cache.manifest.sessions.records()
        for problem in check_session(record, TRACKED, Evidence.of(cache), root, deep=True).problems
    ]
    return [*found, *orphans.find_orphans(cache, held, ())]


def test_a_first_run_has_a_folder_for_its_csvs_wherever_its_parts_are(place, monkeypatch):
    layout = Layout.of(place.settings(), STOCKS_DAY)
    monkeypatch.setattr(Layout, "of", lambda settings, dataset: replace(layout, parts=MemoryParts()))
    with for_run(place.settings(), STOCKS_DAY, Window(*window(DAYS))) as cache:
        assert cache.csvs.path.is_dir()


@pytest.mark.parametrize("tuning", TUNINGS, ids=["at once", "in chunks"])
def test_everything_done_with_parts_works_in_memory(place, cache, tmp_path, tuning):
    commit(cache, [fetched(cache, tuning, day) for day in DAYS])
    other = Place(tmp_path / "files" / "cache", "http://127.0.0.1:1")
    with for_run(other.settings(), STOCKS_DAY, Window(*window(DAYS))) as files:
        commit(files, [fetched(files, tuning, day) for day in DAYS])
        assert {part: cache.parts.read(part) for part in keys()} == {part: files.parts.read(part) for part in keys()}
        assert rows(cache).equals(rows(files))
        assert rows(cache).height > 2 * len(DAYS)
    (parts,) = cache.manifest.sessions.parts(DAYS[:1])
    assert all_bars(cache.parts, cache.dataset, parts).height == market_day(DAYS[0]).count(b"\n") - 1
    assert problems(cache) == []
    cache.manifest.csvs.follow(TRACKED)
    bring_csvs_up_to_date(cache, False, lambda event: None)
    assert list(place.csv("AAPL")) == [str(day) for day in DAYS]
    assert list(place.root.rglob("*.csv.gz")) == []


def keys():
    return [PartKey(day, tier) for day in DAYS for tier in TIERS]


@pytest.mark.parametrize("tuning", TUNINGS, ids=["at once", "in chunks"])
@pytest.mark.parametrize("published", [0, 1])
def test_an_interrupted_replacement_is_completed_and_read_meanwhile(cache, tuning, published):
    commit(cache, [fetched(cache, tuning, DAYS[0])])
    before = rows(cache)
    cache.parts.left = published
    with pytest.raises(CacheError, match="killed"):
        commit(cache, [fetched(cache, tuning, DAYS[0], CHANGED, "changed")])
    broken_off = rows(cache)
    cache.parts.left = 9
    recover(cache)
    after = rows(cache)
    assert broken_off.equals(after)
    assert not after.equals(before)
    assert cache.parts.leftovers("tracked") == cache.parts.leftovers("archive") == []
    assert problems(cache) == []


def test_a_part_that_is_lost_or_damaged_is_found(cache):
    commit(cache, [fetched(cache, TUNINGS[0], day) for day in DAYS])
    lost, damaged = PartKey(DAYS[0], "archive"), PartKey(DAYS[1], "tracked")
    del cache.parts._held[lost]
    cache.parts._held[damaged] = cache.parts.read(damaged)[:-1]
    assert wholeness.missing_parts(cache, cache.manifest.sessions.all()) == {DAYS[0]}
    assert [(one.kind, one.what) for one in problems(cache)] == [
        ("missing", f"memory/archive/{DAYS[0]}.csv.gz"),
        ("damaged", f"memory/tracked/{DAYS[1]}.csv.gz"),
    ]
    with pytest.raises(CacheError, match=f"cannot read the part memory/archive/{DAYS[0]}"):
        rows(cache)


def test_a_lost_manifest_is_rebuilt_from_the_parts(place, cache, tmp_path):
    commit(cache, [fetched(cache, TUNINGS[0], day) for day in DAYS])
    another = Place(tmp_path / "another" / "cache", "http://127.0.0.1:1")
    with opened(another, cache.parts) as bare:
        assert {*rebuild.part_days(bare.parts)} == {*DAYS}
        assert rebuild.rebuild(bare) == "the manifest was empty: 3 sessions were restored from their parts"
        assert rows(bare).equals(rows(cache))
        assert problems(bare) == []
