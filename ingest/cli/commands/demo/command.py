"""`ingest demo`: the same code path as `ingest run`, against a server of its own."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.text import Text

from ingest.cli.commands.demo import cluster, folder, store, telling
from ingest.cli.commands.demo.exhibits import Exhibit, exhibit_of
from ingest.cli.commands.fetching.run import execute
from ingest.cli.rendering import choose_rendering
from ingest.cli.rendering.answers import Answers
from ingest.demo.servers import server
from ingest.demo.servers.child import sigterm_as_exit
from ingest.market.catalogue import STOCKS_DAY, named
from ingest.planning.request import request_of
from ingest.settings import EngineSettings, Settings
from ingest.sources.massive.origins import OWN_VARIABLES


@dataclass(frozen=True, slots=True)
class _Demo:
    """A demo while its source runs."""

    console: Answers
    folder: Path
    exhibits: Sequence[Exhibit]
    source: server.DemoSource
    engine: EngineSettings

    def settings(self, exhibit: Exhibit) -> Settings:
        """The settings of a run over the exhibit."""
        return folder.settings_of(self.source, self.folder, exhibit).model_copy(update={"engine": self.engine})

    @property
    def engine_flag(self) -> str:
        """The flag for the cluster, if there is one."""
        return f" --engine {self.engine.address.replace('tcp://', 'dask://')}" if self.engine.address else ""


def demo_command(
    months: int | None,
    datasets: Iterable[str],
    place: Path,
    *,
    objects: bool = False,
    lake: bool = False,
    engine: Literal["dask"] | None = None,
) -> int:
    """Serve, run, show, and run again; returns the exit code. Raises IngestError.

    With `objects` parts are objects in a bucket, with a `lake` all rows are in Parquet files, too, and with an `engine`
    the runs are on a cluster.
    """
    if objects:
        store.refuse_without_store()
    if engine:
        cluster.refuse_without_dask()
    console, place = Answers(), folder.absolute(place)
    chosen = tuple(dict.fromkeys(map(named, datasets))) or (STOCKS_DAY,)
    exhibits = [exhibit_of(dataset, months, place) for dataset in chosen]
    folder.refresh(place, exhibits, lake)
    with _served(console, exhibits, objects) as source, _keys_of(source):
        folder.configure(place, exhibits, lake, source)
        with cluster.clustered(console, engine) as workers:
            code = _twice(_Demo(console, place, exhibits, source, workers))
        if objects and code == 0:
            code = store.move_back(console, place)
        folder.configure(place, exhibits, lake)
        for one in exhibits if code == 0 else ():
            folder.note_that_nothing_happened(place, one)
    if code == 0:
        console.print(telling.what_next(place, exhibits, lake))
    return code


@contextmanager
def _served(console: Answers, exhibits: Sequence[Exhibit], with_store: bool) -> Iterator[server.DemoSource]:
    """Generate and serve the files until the block is left, and say so."""
    began = time.monotonic()
    console.print(f"Starting an S3 server on this machine and generating {telling.generated(exhibits)} …")
    with sigterm_as_exit(), server.serve([one.shelf for one in exhibits], with_store) as source:
        took = time.monotonic() - began
        console.print(
            f"{source.kind} at {source.endpoint_url} serves {source.objects} files (ready in {took:.1f} s); "
            f"{telling.forbidden(exhibits)}, as a subscription with delayed data would.\n"
        )
        if source.store:
            console.print(f"The parts go to another bucket of it, with keys of its own: {source.store}\n")
        yield source


@contextmanager
def _keys_of(source: server.DemoSource) -> Iterator[None]:
    """Let the block find the keys of the demo, and not those of the user, which are not for this server."""
    names = ("AWS_SHARED_CREDENTIALS_FILE", *OWN_VARIABLES)
    before = {name: value for name in names if (value := os.environ.pop(name, None)) is not None}
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(source.credentials)
    try:
        yield
    finally:
        del os.environ["AWS_SHARED_CREDENTIALS_FILE"]
        os.environ.update(before)


def _twice(demo: _Demo) -> int:
    for again in (False, True):
        if again:
            demo.console.print("# again: nothing is downloaded", style="dim")
        for one in demo.exhibits:
            if code := _run(demo, one):
                return code
            if not again:
                telling.show_rows(demo.console, demo.settings(one), one)
                telling.show_lake(demo.console, demo.settings(one), one)
            demo.console.print()
        if not again and demo.source.store and (code := _shown_in_bucket(demo)):
            return code
    return 0


def _shown_in_bucket(demo: _Demo) -> int:
    config = demo.folder / "config.toml"
    store.show_places(demo.console, config)
    return store.read_back(demo.console, config, demo.exhibits[0]) or store.restore_lost(demo.console, demo.folder)


def _run(demo: _Demo, exhibit: Exhibit) -> int:
    chosen = demo.settings(exhibit)
    flags = f"{exhibit.dataset_flag} {exhibit.said}{' --lake' if chosen.lake.enabled else ''}{demo.engine_flag}"
    demo.console.print(Text.assemble(("$ ingest run", "bold"), flags))
    with choose_rendering(json=False, quiet=False) as rendering:
        return execute(chosen, request_of(exhibit.flags, chosen, rendering.event, exhibit.dataset), rendering)
