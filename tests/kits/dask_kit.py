"""Runs whose sessions are downloaded and split by the workers of a Dask cluster."""

import subprocess
from collections import Counter
from datetime import date

from cluster import Cluster
from pipeline_kit import Place, assert_same, trading_days, window

from ingest.maintenance.verify import verify

DAYS = trading_days(date(2025, 3, 3), 12)


class Field:
    """A cache, the cluster that its sessions go to, and a cache that a run without it made."""

    def __init__(self, root, url: str, cluster: Cluster, expected: Place) -> None:
        self.cluster, self.expected = cluster, expected
        self.place = Place(root, url, engine={"kind": "dask", "address": cluster.address})
        self.root, self.address = root, cluster.address

    def run(self, days=DAYS, **more):
        return self.place.run(*window(days), **more)

    def command(self, *more: str) -> list[str]:
        start, end = window(DAYS)
        return self.place.command("run", "--start", start, "--end", end, *more)

    def start(self, *more: str, **environment) -> subprocess.Popen:
        """A run as a process of its own, whose output is read by its end."""
        return subprocess.Popen(
            self.command(*more),
            env=self.place.environment(**environment),
            cwd=self.root.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def times(self, point: str) -> Counter:
        """How often workers came to a point, by session."""
        return Counter(session for name, session in self.cluster.reached if name == point)

    def check(self, downloads=()) -> None:
        """Another run, in this process, downloads no others than these; then the cache is that of an undisturbed run.

        It sweeps what workers have left that were killed.
        """
        ran = Place(self.root, self.place.endpoint_url).run(*window(DAYS))
        assert sorted(ran.gets) == sorted(downloads)
        assert_same(self.place, self.expected)
        assert verify(self.place.settings()).problems == ()
