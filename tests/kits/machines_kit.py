"""Caches of several machines whose parts, guard and snapshots are in one place of an object store."""

import json
import shutil
from dataclasses import dataclass, replace

from pipeline_kit import Place

from ingest.cache.objects.bucket import Bucket
from ingest.settings import CacheSettings
from ingest.settings.sections.store import Store

GUARD, POINTER = "ingest.json", "manifest/latest.json"


@dataclass
class Machine(Place):
    """A cache, its source, and the place in an object store that `[cache] archive` names."""

    store: Bucket | None = None
    tiers: str = "both"

    def settings(self, *given, **named):
        cache = CacheSettings(root=self.root, archive=self.store.url)
        store = Store(endpoint=self.store.endpoint, region=self.store.region, tiers=self.tiers)
        return super().settings(*given, **named).model_copy(update={"cache": cache, "store": store})

    def environment(self, **more):
        store = {
            "INGEST_CACHE__ARCHIVE": self.store.url,
            "INGEST_STORE__ENDPOINT": self.store.endpoint,
            "INGEST_STORE__REGION": self.store.region,
            "INGEST_STORE__TIERS": self.tiers,
        }
        return super().environment(**store | more)

    def copied(self, name):
        """A machine with a copy of the whole cache."""
        root = self.root.with_name(name)
        shutil.copytree(self.root, root)
        return replace(self, root=root)

    def another(self, name):
        """A machine with nothing but the settings."""
        return replace(self, root=self.root.with_name(name))

    def told(self, name):
        """What a JSON object in the store says."""
        return json.loads(self.store.get(name)[0])

    def objects(self):
        """ETags of all objects by name."""
        return {one.name: one.etag for one in self.store.listing()}

    def snapshots(self):
        return sorted(name for name in self.objects() if name.endswith(".sqlite.z"))

    def stored(self):
        return [day for (day,) in self.query("SELECT session FROM sessions WHERE held = 'committed' ORDER BY session")]

    def is_held(self):
        """Whether the manifest has sessions."""
        return (self.root / "manifest.sqlite").exists() and self.stored() != []
