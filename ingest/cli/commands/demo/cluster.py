"""`ingest demo --engine dask`: the runs of the demo on a Dask cluster of this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ingest.cli.rendering.answers import Answers
from ingest.demo.servers import cluster
from ingest.errors import UsageError
from ingest.settings import EngineSettings

_WORKERS = 2


def refuse_without_dask() -> None:
    """Raise UsageError if Dask is not installed."""
    if not cluster.available():
        raise UsageError("--engine dask needs Dask: pip install 'ingest[dask]'")


@contextmanager
def clustered(console: Answers, engine: str | None) -> Iterator[EngineSettings]:
    """Run a scheduler and workers until the block is left, and say so; without an `engine` there is none.

    The workers see the keys that are in the environment now. Raises SourceUnavailable.
    """
    if engine is None:
        yield EngineSettings()
        return
    console.print(f"Starting a Dask scheduler and {_WORKERS} workers on this machine …")
    with TemporaryDirectory(prefix="ingest-demo-") as folder, cluster.serve(Path(folder), _WORKERS) as running:
        console.print(
            f"The scheduler is at {running.engine}. The workers, processes "
            f"{' and '.join(str(one.pid) for one in running.workers)}, download, split and store; this process plans, "
            "commits and writes the CSVs.\n"
        )
        yield EngineSettings(kind="dask", address=running.address)
