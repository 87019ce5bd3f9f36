"""`@top:N` over many nights, beside a model: whose CSVs are kept up to date, and what is in each."""

import json
import random
import statistics
from datetime import date

import pytest
from pipeline_kit import Place, flat, key, sampled, trading_days

from ingest.cache.cache import Cache
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.lake import top
from ingest.maintenance.verify import verify
from ingest.market.catalogue import STOCKS_DAY

DAYS = trading_days(date(2025, 3, 3), 12)
NAMES = [f"T{n}" for n in range(8)]
COUNTED = 4


class World:
    """The vendor's files, the list, and what a cache should make of them."""

    def __init__(self, seed, server, folder):
        self.rng, self.server = random.Random(seed), server
        self.place, self.list = Place(folder / "cache", server.endpoint_url), folder / "stocks.txt"
        self.published, self.stored, self.active = {}, {}, set()
        self.count, self.named = 3, {"T7"}
        self._write()

    def _write(self):
        top = [f"@top:{self.count}"] if self.count else []
        self.list.write_text("\n".join([*top, *sorted(self.named), ""]))

    def publish(self):
        """A new session, or one that is published again."""
        new = len(self.published) < len(DAYS) and self.rng.random() < 0.8
        day = DAYS[len(self.published)] if new or not self.published else self.rng.choice(list(self.published))
        rows = [(name, self.rng.randint(1, 9)) for name in NAMES if self.rng.random() < 0.97 or name < "T5"]
        self.published[day] = rows
        self.server.put(key(day), pack(flat([(name, str(close)) for name, close in rows])))

    def edit(self):
        """Another list."""
        self.count, self.named = self.rng.randint(0, 5), set(self.rng.sample(NAMES, 2))
        self._write()

    def night(self):
        """A run; the set is that of what was stored before it."""
        self.publish()
        self.active = self.named | self.top()
        self.ask("run", "--accept", "--start", DAYS[0], "--end", DAYS[-1])
        self.stored |= self.published

    def lake(self):
        """The lake, built or gone."""
        self.ask("lake", *self.rng.choice([("build",), ("drop", "--yes")]))

    def command(self):
        """A change of the list by a command, which works the set out anew."""
        name = self.rng.choice(NAMES)
        self.named ^= {name}
        self.ask("track", "add" if name in self.named else "remove", name)
        if self.stored:
            self.active = self.named | self.top()

    def top(self):
        """The most traded of the newest stored sessions, by the standard library."""
        amounts = {}
        for day in sorted(self.stored)[-COUNTED:]:
            for at, (name, close) in enumerate(self.stored[day]):
                amounts.setdefault(name, []).append(close * (1000 + at))
        ranked = sorted(amounts, key=lambda name: (-statistics.median(amounts[name]), name))
        return set(ranked[: self.count])

    def ask(self, *words):
        named = {"INGEST_TRACKED__LISTS": json.dumps([str(self.list)]), "INGEST_TRACKED__TICKERS": "[]"}
        told = self.place.here(*words, **named)
        assert told.code == 0, told.err

    def check(self):
        with Cache.read(self.place.settings(), STOCKS_DAY) as cache:
            assert {row.ticker for row in cache.manifest.csvs.active()} == self.active
        for name in self.active:
            closes = {
                str(day): f"{dict(rows)[name]}.0" for day, rows in sorted(self.stored.items()) if name in dict(rows)
            }
            assert self.place.closes(name) == closes
        assert verify(self.place.settings(), deep=True).problems == ()


@pytest.mark.parametrize("seed", sampled(range(12), every=6))
def test_each_night_the_set_is_that_of_what_was_stored_when_it_began(seed, loopback_keys, tmp_path, monkeypatch):
    monkeypatch.setattr(top, "SESSIONS", COUNTED)
    with loopback.serve({}) as server:
        world = World(seed, server, tmp_path)
        for _ in range(14):
            world.rng.choice([world.night, world.night, world.night, world.edit, world.lake, world.command])()
            if world.stored:
                world.night()
                world.check()
