"""The engine of a run, according to the settings, or over an executor of the caller's own."""

from collections.abc import Iterator
from concurrent.futures import Executor as Pool
from contextlib import contextmanager

import anyio

from ingest import events
from ingest.engines.cluster import Cluster, ExecutorCluster
from ingest.engines.elsewhere import Elsewhere
from ingest.engines.fitness import Terms
from ingest.engines.processes import Processes, share_of
from ingest.pipeline.committer import Executor
from ingest.settings import EngineSettings, Settings
from ingest.sources.resilient import ResilientSource


class Engine:
    """Executors for the datasets of a run, over one cluster, which is connected when the first has something to do."""

    def __init__(self, settings: EngineSettings, pool: Pool | None = None) -> None:
        self._settings, self._pool = settings, pool
        self._cluster: Cluster | None = None

    def __call__(
        self, source: ResilientSource, settings: Settings, sink: events.Sink, stop: anyio.Event, /
    ) -> Executor:
        """See `ExecutorFor`."""
        if self._pool is None and self._settings.kind == "processes":
            settings = share_of(settings)
        return Elsewhere(self._opened, source, settings, sink, stop)

    def _opened(self, terms: Terms, sink: events.Sink) -> Cluster:
        if self._cluster is None:
            self._cluster = self._open()
        self._cluster.look_over(terms, sink)
        return self._cluster

    def _open(self) -> Cluster:
        if self._pool is not None:
            return ExecutorCluster(self._pool)
        if self._settings.kind == "processes":
            return Processes()
        from ingest.engines.dask import open_dask  # it needs an extra

        return open_dask(self._settings)

    def close(self) -> None:
        """Let go of the cluster."""
        if self._cluster is not None:
            self._cluster.close()


@contextmanager
def engine_of(settings: Settings, pool: Pool | None = None) -> Iterator[Engine]:
    """The engine for a run; within the block it may be connected to its workers."""
    engine = Engine(settings.engine, pool)
    try:
        yield engine
    finally:
        engine.close()
