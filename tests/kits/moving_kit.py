"""Caches whose parts are moved: each a copy of one with days, minutes and a correction, made once a module."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Self

from minutes_kit import minutes_text, some_minutes
from pipeline_kit import Place as Cache
from pipeline_kit import flat, window
from runs_kit import DAYS

from ingest.cache.cache import Layout
from ingest.cache.layout import PartKey
from ingest.cache.manifest import Manifest
from ingest.cache.manifest.stores.places import Place
from ingest.cache.objects.bucket import Bucket
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.maintenance import moving
from ingest.maintenance.verify import verify
from ingest.market.catalogue import STOCKS_DAY, named
from ingest.reading.history import scan
from ingest.settings import CacheSettings, Settings
from ingest.settings.sections.store import Store

MINUTES = named("stocks-minute")
DATASETS = (STOCKS_DAY, MINUTES)
TRACKED = frozenset({"AAPL", "T01"})
SESSIONS = {STOCKS_DAY: DAYS[:5], MINUTES: DAYS[:2]}
PARTS = 2 * sum(map(len, SESSIONS.values()))

_ROWS = [("AAPL", "100.5"), *((f"T{n:02}", str(n + 1)) for n in range(40))]


@dataclass
class Movable(Cache):
    """A cache whose settings name a place in an object store, or none."""

    server: loopback.Server | None = None
    store: Bucket | None = None
    tiers: str = "both"

    def settings(self, *given: Any, **more: Any) -> Settings:
        made = super().settings(*given, **more)
        if self.store is None:
            return made
        cache = CacheSettings(root=self.root, archive=self.store.url)
        store = Store(endpoint=self.store.endpoint, region=self.store.region, tiers=self.tiers)
        return made.model_copy(update={"cache": cache, "store": store})

    def environment(self, **more: str) -> dict[str, str]:
        if self.store is None:
            return super().environment(**more)
        named = {"INGEST_CACHE__ARCHIVE": self.store.url, "INGEST_STORE__TIERS": self.tiers}
        return super().environment(**(named | self._access() | more))

    def _access(self) -> dict[str, str]:
        return {"INGEST_STORE__ENDPOINT": self.store.endpoint, "INGEST_STORE__REGION": self.store.region}

    def at(self, store: Bucket | None, tiers: str = "both") -> Self:
        """The same cache with other settings."""
        return replace(self, store=store, tiers=tiers)

    def move(self, **how: Any) -> moving.Moved:
        """Move the parts to where the settings say."""
        settings = self.settings()
        return moving.move(settings, moving.target_of(settings, None), **how)

    def where(self) -> Place | None:
        with Manifest.read(self.root / "manifest.sqlite", STOCKS_DAY.name) as manifest:
            return manifest.places.current()

    def seen(self) -> dict[str, Any]:
        """What is stored, and what readers and `verify` say, whatever the place."""
        found: dict[str, Any] = {}
        for dataset in DATASETS:
            with Manifest.read(self.root / "manifest.sqlite", dataset.name) as manifest:
                found[f"{dataset.short} records"] = list(manifest.sessions.records())
                found[f"{dataset.short} findings"] = manifest.findings.counts()
            found[f"{dataset.short} parts"] = self.parts(dataset)
            found[f"{dataset.short} rows"] = scan(self.settings(), dataset, None, None, ("massive",)).collect().rows()
            found[f"{dataset.short} verified"] = self.broken(dataset)
        return found

    def broken(self, dataset: Any = STOCKS_DAY) -> list[str]:
        return [one.what for one in verify(self.settings(), True, dataset).problems if one.kind != "orphan"]

    def parts(self, dataset: Any = STOCKS_DAY) -> dict[tuple[date, str], bytes]:
        layout = Layout.of(self.settings(), dataset)
        with Manifest.read(self.root / "manifest.sqlite", dataset.name) as manifest:
            keys: list[PartKey] = [one.part(tier) for one in manifest.sessions.records() for tier in one.part_sha256]
        return {(key.session, key.tier): layout.parts.read(key) for key in keys}

    def files(self) -> list[Path]:
        """The local files of parts."""
        folders = (self.root / "data_cache", self.root / "massive_cache")
        found = (path for folder in folders for path in folder.rglob("*.csv.gz*"))
        return sorted(path for path in found if path.is_file())


@contextmanager
def filled(folder: Path) -> Iterator[Movable]:
    """A local cache with days, minutes and a correction, beside its source."""
    with loopback.serve({STOCKS_DAY.key(day): pack(flat(_ROWS)) for day in DAYS}) as server:
        for day in DAYS:
            server.put(MINUTES.key(day), pack(minutes_text({"AAPL": some_minutes(day), "T07": some_minutes(day, 9)})))
        place = Movable(folder / "cache", server.endpoint_url, server=server)
        for dataset, days in SESSIONS.items():
            run(place, dataset, days)
        server.put(STOCKS_DAY.key(DAYS[1]), pack(flat([*_ROWS[:-1], ("T39", "7.5")])))
        run(place, STOCKS_DAY, SESSIONS[STOCKS_DAY])
        yield place


def run(place: Movable, dataset: Any, days: Sequence[date], **how: Any) -> Any:
    return replace(place, dataset=dataset).run(*window(days), tracked=TRACKED, **how)


def copied(place: Movable, folder: Path) -> Movable:
    shutil.copytree(place.root, folder / "cache")
    return replace(place, root=folder / "cache")
