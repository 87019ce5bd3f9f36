"""A session's task is a value: it may run in another process, twice, and too late. What is committed stays whole."""

from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context

import pytest
from pipeline_kit import TRACKED, Place, market_day, pack, trading_days, window

from ingest.cache.commit import commit, for_run
from ingest.cache.manifest import Held
from ingest.maintenance.verify import verify
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.windows import Window
from ingest.pipeline.task import Job
from ingest.pipeline.worker import prepare
from ingest.planning.plan import Decision
from ingest.settings.tuning import Tuning
from ingest.sources.base import Body

DAY, OTHER = trading_days(date(2025, 3, 3), 2)
TUNINGS = (Tuning(), Tuning(at_once=0, chunk=2000, piece=700))


@pytest.fixture(scope="module")
def elsewhere():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.mark.parametrize("tuning", TUNINGS, ids=["at once", "in chunks"])
def test_a_task_that_runs_twice_and_late_tears_no_part(tmp_path, elsewhere, tuning):
    place = Place(tmp_path / "cache", "http://127.0.0.1:1")
    files = [Body(pack(market_day(day)), f"e{day.day}", "2025-03-05T15:00:00+00:00") for day in (DAY, OTHER)]
    with for_run(place.settings(), STOCKS_DAY, Window(*window([DAY]))) as cache:
        decision = Decision(DAY, "fetch", "new", "listed", None, Held(), TRACKED, keep_rest=True)
        job = Job(decision, cache.manifest.tracked_sets.number(TRACKED), cache.layout, 1 << 30, tuning=tuning)
        mine = prepare(job, files[0])
        theirs = elsewhere.submit(prepare, job, files[1]).result()
        assert (mine.record.etag, theirs.record.etag) == (files[0].etag, files[1].etag)
        commit(cache, [mine])
        again = elsewhere.submit(prepare, job, files[1]).result()
        assert (again.record, again.correction) == (theirs.record, theirs.correction)
    assert place.reassembled(DAY) == market_day(DAY)
    assert len(list(place.root.rglob("*.tmp"))) == 4
    with for_run(place.settings(), STOCKS_DAY, Window(*window([DAY]))):
        assert list(place.root.rglob("*.tmp")) == []
    assert verify(place.settings(), True, STOCKS_DAY).problems == ()
