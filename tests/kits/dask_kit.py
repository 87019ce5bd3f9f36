"""Runs whose sessions are downloaded and split by the workers of a Dask cluster."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import date

from bucket_kit import BucketPlace, csvs_of, parts_of
from cluster import Cluster
from pipeline_kit import Place, assert_same, trading_days, window

from ingest.maintenance.verify import verify

_TUNED = """
from dataclasses import replace
from ingest.settings import tuning
tuning.DEFAULT = replace(tuning.DEFAULT, task_sessions=2, backup_after_s=1.0)
from ingest.__main__ import main
main()
"""
"""The command with small tasks."""

DAYS = trading_days(date(2025, 3, 3), 12)


class Field:
    """A cache, the cluster that its sessions go to, and a cache that a run without it made."""

    def __init__(self, root, url: str, cluster: Cluster, expected: Place) -> None:
        self.cluster, self.expected = cluster, expected
        self.place = Place(root, url, engine={"kind": "dask", "address": cluster.address})
        self.root, self.address = root, cluster.address

    @property
    def locally(self) -> Place:
        """The same cache for runs in this process."""
        return replace(self.place, engine={})

    def run(self, days=DAYS, **more):
        return self.place.run(*window(days), **more)

    def command(self, *more: str) -> list[str]:
        start, end = window(DAYS)
        words = ["run", "--start", str(start), "--end", str(end), *more]
        return [sys.executable, "-W", "error", "-c", _TUNED, *words]

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

    def check(self, downloads=(), each_time=()) -> None:
        """Another run, in this process, downloads no others than these; then the cache is that of an undisturbed run.

        `each_time` are downloads of any run, as of a session that fails. Workers may have tasks of the run before,
        and stage parts after the sweep: those are published by nobody, and removed by the run after that.
        """
        assert sorted(self.locally.run(*window(DAYS)).gets) == sorted([*downloads, *each_time])
        self._compare()
        self.cluster.settle()
        assert sorted(self.locally.run(*window(DAYS)).gets) == sorted(each_time)
        self._compare()
        assert list(self.root.rglob("*.tmp")) == []
        assert verify(self.place.settings()).problems == verify(self.expected.settings()).problems

    def _compare(self) -> None:
        assert_same(self.place, self.expected, staged=True)


class BucketField(Field):
    """The same with all parts in a bucket."""

    def __init__(self, root, url: str, cluster: Cluster, expected: Place, store: str) -> None:
        super().__init__(root, url, cluster, expected)
        archive = f"s3://flatfiles/{root.parent.name.replace('_', '-')}"
        self.place = BucketPlace(root, url, archive=archive, store=store, engine=self.place.engine)

    def _compare(self) -> None:
        assert parts_of(self.place) == parts_of(self.expected)
        assert csvs_of(self.place) == csvs_of(self.expected)
        ours, theirs = self.place.logical_manifest(), self.expected.logical_manifest()
        assert {name: ours[name] for name in theirs} == theirs
