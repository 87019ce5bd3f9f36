"""Whatever happens, what the lake calls clean has the rows of the parts, and a run with the lake on makes it whole."""

import shutil
from dataclasses import replace
from datetime import date

import polars as pl
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from pipeline_kit import TRACKED, Place, key, market_day, pack, trading_days, window
from polars.testing import assert_frame_equal

from ingest.cache.cache import Cache
from ingest.demo.servers import loopback
from ingest.errors import CacheError
from ingest.lake.folder import LakeFolder
from ingest.lake.frames import lake_schema
from ingest.lake.partitions import Standing
from ingest.lake.state import build_lake, drop_lake
from ingest.maintenance.pruning import Selection, remove_from
from ingest.maintenance.verify import verify
from ingest.market.catalogue import STOCKS_DAY
from ingest.reading import history as stored

DAYS = trading_days(date(2025, 2, 26), 5)
"""Three sessions of February, two of March."""

CHOSEN = st.sampled_from(DAYS)


def version(day, number):
    """A version of a day: some of its lines, in their order or backwards, one of them twice."""
    header, *lines = market_day(day).splitlines(keepends=True)
    kept = lines[number % 3 :] if number < 3 else lines[::-1]
    return b"".join([header, *kept, kept[0]])


class Lakes(RuleBasedStateMachine):
    server = folder = None

    @initialize()
    def begin(self):
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
        self.server.objects.clear()
        for day in DAYS:
            self.server.put(key(day), pack(version(day, 0)))
        self.place = Place(self.folder / "cache", self.server.endpoint_url, lake=True)
        self.place.run(*window(DAYS[:3]), accept=True)

    @rule(day=CHOSEN, number=st.integers(0, 3))
    def publish(self, day, number):
        self.server.put(key(day), pack(version(day, number)))

    @rule(last=CHOSEN, tracked=st.sampled_from([TRACKED, frozenset({"ZVZZT"})]), save_others=st.booleans())
    def run_without(self, last, tracked, save_others):
        run = replace(self.place, lake=False).run
        run(DAYS[0], last, tracked=tracked, accept=True, save_others=save_others)

    @rule(last=CHOSEN)
    def run(self, last):
        self.place.run(DAYS[0], last, accept=True)
        self.whole()

    @rule()
    def build(self):
        try:
            build_lake(self.place.settings(), STOCKS_DAY)
        except CacheError:  # of a lost manifest
            assert not self.held()
            return
        self.whole()

    @rule()
    def drop(self):
        drop_lake(self.place.settings(), STOCKS_DAY)

    @rule(before=CHOSEN, lake=st.booleans())
    def prune(self, before, lake):
        chosen = replace(self.place, lake=lake).settings()
        remove_from(chosen, STOCKS_DAY, sorted(TRACKED), Selection(before=before), lambda _: None)

    @rule(
        partition=st.sampled_from(["2025-02", "2025-03", "2024-12"]),
        data=st.sampled_from([None, b"", b"x" * 400]),
    )
    def harm(self, partition, data):
        file = LakeFolder(self.place.root / "lake" / "stocks-day", STOCKS_DAY).file(partition)
        if data is None:
            file.unlink(missing_ok=True)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)

    @rule()
    def lose_the_manifest(self):
        for path in self.place.root.glob("manifest.sqlite*"):
            path.unlink()

    def held(self):
        with Cache.read(self.place.settings(), STOCKS_DAY) as cache:
            return cache.manifest.sessions.committed()

    def whole(self):
        assert verify(self.place.settings(), deep=True).broken == ()
        with Cache.read(self.place.settings(), STOCKS_DAY) as cache:
            standing = Standing.of(cache)
            assert (standing.looked().due, standing.looked().unwanted) == ([], [])

    @invariant()
    def what_is_clean_is_right(self):
        with Cache.read(self.place.settings(), STOCKS_DAY) as cache:
            standing = Standing.of(cache)
            clean = [one for one in standing.wanted.values() if standing.is_clean(one)]
        for one in clean:
            days = list(one.sessions)
            rows = stored.scan(replace(self.place, lake=False).settings(), STOCKS_DAY, days[0], days[-1])
            expected = self.from_parts(rows, days)
            assert_frame_equal(pl.read_parquet(standing.folder.file(one.name)), expected)

    def from_parts(self, rows, days):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ingest.cache.manifest.lake.LakeFiles.exists", lambda _: False)
            found = rows.filter(pl.col("date").is_in(days)).drop("source").collect()
        return found.cast(dict(lake_schema(STOCKS_DAY))).sort("ticker", "date")


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::ingest.errors.IngestWarning")
def test_in_any_order_of_runs_corrections_and_damage(loopback_keys, tmp_path, monkeypatch):
    with loopback.serve({}) as server:
        monkeypatch.setattr(Lakes, "server", server)
        monkeypatch.setattr(Lakes, "folder", tmp_path)
        run_state_machine_as_test(
            Lakes,
            settings=settings(
                max_examples=40, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
