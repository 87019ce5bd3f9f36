"""Caches whose parts lie in a bucket, and one story that such a cache and a local one live through.

`BucketPlace` is a `Place` with `[cache] archive`. `live` takes places through the same runs, each with a change of the
source before it: `answers` are what a command said in each, without what differs by design.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from minutes_kit import minutes_text, some_minutes
from pipeline_kit import Place, flat, trading_days, window

from ingest.cache.cache import Layout
from ingest.cache.layout import PartKey
from ingest.cache.manifest import Manifest
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.market.catalogue import STOCKS_DAY, named
from ingest.market.datasets import Dataset
from ingest.settings import CacheSettings, Settings
from ingest.settings.sections.store import Store

DAYS = trading_days(date(2025, 3, 3), 10)
SPAN = window(DAYS)
MINUTES, OPTIONS = named("stocks-minute"), named("options-day")
DATASETS = (STOCKS_DAY, MINUTES, OPTIONS)

_OTHERS = [(f"T{n:02}", f"{n + 1}") for n in range(60)]
_ROWS = [("AAPL", "100.5"), ("BRK.B", "7.25"), *_OTHERS, ("TRUE", "7")]
_CONTRACTS = [(f"O:{root}250321C{n:08}", f"{n + 1}") for root in ("AAA", "BBB", "CCC") for n in range(10)]
LISTED = {
    STOCKS_DAY: frozenset({"AAPL", "TRUE"}),
    MINUTES: frozenset({"AAPL"}),
    OPTIONS: frozenset({"O:AAA*"}),
}
GROWN = {
    STOCKS_DAY: LISTED[STOCKS_DAY] | {"BRK.B", "T1*"},
    MINUTES: LISTED[MINUTES] | {"MSFT"},
    OPTIONS: LISTED[OPTIONS] | {"O:BBB250321C00000003"},
}


@dataclass
class BucketPlace(Place):
    """A cache with parts of one tier or of both in a bucket; keys for it are in the environment."""

    archive: str = ""
    store: str = ""
    """The store's endpoint."""
    tiers: str = "both"

    def settings(self, **chosen: Any) -> Settings:
        made = super().settings(**chosen)
        section = Store(endpoint=self.store, region="us-east-1", tiers=self.tiers)
        cache = CacheSettings(root=self.root, archive=self.archive)
        return made.model_copy(update={"cache": cache, "store": section})

    def environment(self, **more: str) -> dict[str, str]:
        own = {
            "INGEST_CACHE__ARCHIVE": self.archive,
            "INGEST_STORE__ENDPOINT": self.store,
            "INGEST_STORE__REGION": "us-east-1",
            "INGEST_STORE__TIERS": self.tiers,
        }
        return super().environment(**{**own, **more})

    def config(self, lists: Sequence[Path] = (), tickers: Sequence[str] = ()) -> Path:
        path = super().config(lists, tickers)
        store = {"endpoint": self.store, "region": "us-east-1", "tiers": self.tiers}
        text = path.read_text().replace("[cache]\n", f"[cache]\narchive = {json.dumps(self.archive)}\n")
        lines = [f"{name} = {json.dumps(value)}" for name, value in store.items()]
        path.write_text("\n".join([text, "[store]", *lines, ""]))
        return path


def parts_of(place: Place) -> dict[tuple[date, str], bytes]:
    """The bytes of each part of a committed session."""
    layout = Layout.of(place.settings(), place.dataset)
    with Manifest.read(place.root / "manifest.sqlite", place.dataset.name) as manifest:
        records = list(manifest.sessions.records())
    keys: list[PartKey] = [one.part(tier) for one in records for tier in one.part_sha256]
    return {(key.session, key.tier): layout.parts.read(key) for key in keys}


def csvs_of(place: Place) -> dict[str, bytes]:
    """The bytes of each tracked CSV."""
    files = (path for path in sorted(place.tracked.rglob("*.csv")) if path.is_file())
    return {str(path.relative_to(place.root)): path.read_bytes() for path in files}


# The story


def objects() -> dict[str, bytes]:
    """The source's files as the story begins."""
    found = {STOCKS_DAY.key(day): pack(flat(_ROWS)) for day in DAYS}
    found |= {OPTIONS.key(day): pack(flat(_CONTRACTS)) for day in DAYS[:4]}
    return found | {MINUTES.key(day): pack(_minutes(day)) for day in DAYS[:3]}


def _minutes(day: date, seed: int = 0) -> bytes:
    names = ("AAPL", "MSFT", "ZVZZT")
    return minutes_text({name: some_minutes(day, share=0.1, seed=seed + at) for at, name in enumerate(names)})


@dataclass(frozen=True)
class Step:
    """A change of the source, and what each cache then does; the deed returns what was seen."""

    name: str
    change: Callable[[loopback.Server], None]
    deed: Callable[[Place], object]


def _nothing(server: loopback.Server) -> None:
    pass


def _run(dataset: Dataset, days: Sequence[date], tracked: frozenset[str], **settings: Any) -> Callable[[Place], object]:
    def deed(place: Place) -> object:
        ran = replace(place, dataset=dataset).run(*window(days), tracked=tracked, **settings)
        summary = replace(ran.finished, seconds=0.0)
        notices = sorted(_neutral(place, one) for one in ran.notices)
        return ran.committed, ran.reasons, summary, notices, sorted(ran.gets)

    return deed


def _command(*arguments: object) -> Callable[[Place], object]:
    def deed(place: Place) -> object:
        return said(place, *arguments)

    return deed


def _republish(server: loopback.Server) -> None:
    server.put(STOCKS_DAY.key(DAYS[1]), pack(flat([*_ROWS[:-1], ("TRUE", "8"), ("ZZZ", "1")])))
    server.put(STOCKS_DAY.key(DAYS[2]), pack(flat(_ROWS[8:])))
    server.put(STOCKS_DAY.key(DAYS[3]), b"not a gzip file")
    server.put(STOCKS_DAY.key(DAYS[4]), pack(flat([*_ROWS[:-1], ("TRUE", "9")])))
    server.put(MINUTES.key(DAYS[1]), pack(_minutes(DAYS[1], seed=5)))


def _republish_as_it_was(server: loopback.Server) -> None:
    server.put(STOCKS_DAY.key(DAYS[4]), pack(flat(_ROWS)))


def _forbid(server: loopback.Server) -> None:
    server.forbidden.add(STOCKS_DAY.key(DAYS[7]))


def _bad_rows(server: loopback.Server) -> None:
    text = flat(_ROWS) + b"T61,1000,not a price,1,1,1,1,1\n"
    server.put(STOCKS_DAY.key(DAYS[6]), pack(text))


STORY = (
    Step("days", _nothing, _run(STOCKS_DAY, DAYS[:6], LISTED[STOCKS_DAY])),
    Step("minutes", _nothing, _run(MINUTES, DAYS[:3], LISTED[MINUTES])),
    Step("options", _nothing, _run(OPTIONS, DAYS[:4], LISTED[OPTIONS])),
    Step("corrections", _republish, _run(STOCKS_DAY, DAYS[:6], LISTED[STOCKS_DAY])),
    Step("corrected minutes", _nothing, _run(MINUTES, DAYS[:3], LISTED[MINUTES])),
    Step("nothing to do", _nothing, _run(STOCKS_DAY, DAYS[:6], LISTED[STOCKS_DAY])),
    Step("accept", _nothing, _command("quarantine", "accept", DAYS[2])),
    Step("dismiss", _nothing, _command("quarantine", "dismiss", DAYS[3])),
    Step("reverted", _republish_as_it_was, _run(STOCKS_DAY, DAYS[:6], LISTED[STOCKS_DAY])),
    Step("bad rows", _bad_rows, _run(STOCKS_DAY, DAYS[:7], LISTED[STOCKS_DAY])),
    Step("without them", _nothing, _command("quarantine", "accept", "--without-bad-rows", DAYS[6])),
    Step("forbidden", _forbid, _run(STOCKS_DAY, DAYS[:8], LISTED[STOCKS_DAY])),
    Step("without others", _nothing, _run(STOCKS_DAY, DAYS[:9], LISTED[STOCKS_DAY], save_others=False)),
    Step("grown", _nothing, _run(STOCKS_DAY, DAYS[:9], GROWN[STOCKS_DAY])),
    Step("grown options", _nothing, _run(OPTIONS, DAYS[:4], GROWN[OPTIONS])),
    Step("grown minutes", _nothing, _run(MINUTES, DAYS[:3], GROWN[MINUTES])),
    Step("refreshed", _nothing, _run(STOCKS_DAY, DAYS[:2], GROWN[STOCKS_DAY], refresh=True)),
    Step("shrunk", _nothing, _run(STOCKS_DAY, DAYS, LISTED[STOCKS_DAY])),
)


def live(server: loopback.Server, places: Sequence[Place], story: Sequence[Step] = STORY) -> None:
    """Take the places through a story; what they see must be equal at each step."""
    for step in story:
        step.change(server)
        seen = [step.deed(place) for place in places]
        assert all(one == seen[0] for one in seen), f"{step.name}: {seen}"


# What commands answer

_TIMES = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?|\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)|\d+(\.\d+)? ?(ms|s)\b|\d\d:\d\d:\d\d"
)


def said(place: Place, *arguments: object) -> tuple[int, str, str]:
    """Exit code, output and messages of a command, without times and places."""
    told = place.here(*arguments)
    return told.code, _neutral(place, told.out), _neutral(place, told.err)


def _neutral(place: Place, text: str) -> str:
    for root in (str(place.root), str(place.root.parent)):
        text = text.replace(root, "ROOT")
    return _TIMES.sub("TIME", text)
