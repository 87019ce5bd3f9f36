"""What asks the source: a run."""

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, overload

from ingest import events, settings
from ingest.api.progress import reported
from ingest.errors import UsageError
from ingest.market.catalogue import STOCKS_DAY, named
from ingest.market.patterns import meant
from ingest.pipeline import run as runs
from ingest.planning.request import Flags, requests_of
from ingest.settings import arguments
from ingest.settings.arguments import parse_days, parse_file, parse_names

if TYPE_CHECKING:
    from ingest.pipeline.committer import ExecutorFor


def engine_for(
    chosen: settings.Settings, executor: Executor | None = None
) -> AbstractContextManager["ExecutorFor | None"]:
    """What downloads and splits, if it is not this process: an executor of the caller's, or the engine of the settings.

    Raises UsageError if it is not an executor.
    """
    if executor is None and chosen.engine.kind == "local":
        return nullcontext()
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise UsageError(f"executor: {executor!r} is not a concurrent.futures.Executor")
    if hasattr(executor, "get_executor"):  # its futures are of another kind, and a task's double would be the same call
        raise UsageError("executor: for a Dask client, pass client.get_executor(pure=False)")
    from ingest.engines.engine import engine_of  # a local run need not import it

    return engine_of(chosen, executor)


@overload
def run(
    months: int | None = None,
    start: date | str | None = None,
    end: date | str | None = None,
    *,
    dataset: str | None = None,
    datasets: None = None,
    tickers: str | Iterable[str] | None = None,
    refresh: bool = False,
    all_permitted: bool = False,
    max_files: int | None = None,
    max_bytes: int | None = None,
    accept: bool = False,
    wait: str | None = None,
    engine: str | None = None,
    executor: Executor | None = None,
    lake: bool | None = None,
    config: Path | str | None = None,
    on_event: events.Sink = events.ignore,
    progress: bool | None = None,
) -> events.Finished: ...


@overload
def run(
    months: int | None = None,
    start: date | str | None = None,
    end: date | str | None = None,
    *,
    dataset: None = None,
    datasets: str | Iterable[str],
    tickers: str | Iterable[str] | None = None,
    refresh: bool = False,
    all_permitted: bool = False,
    max_files: int | None = None,
    max_bytes: int | None = None,
    accept: bool = False,
    wait: str | None = None,
    engine: str | None = None,
    executor: Executor | None = None,
    lake: bool | None = None,
    config: Path | str | None = None,
    on_event: events.Sink = events.ignore,
    progress: bool | None = None,
) -> Sequence[events.Finished]: ...


def run(
    months: int | None = None,
    start: date | str | None = None,
    end: date | str | None = None,
    *,
    dataset: str | None = None,
    datasets: str | Iterable[str] | None = None,
    tickers: str | Iterable[str] | None = None,
    refresh: bool = False,
    all_permitted: bool = False,
    max_files: int | None = None,
    max_bytes: int | None = None,
    accept: bool = False,
    wait: str | None = None,
    engine: str | None = None,
    executor: Executor | None = None,
    lake: bool | None = None,
    config: Path | str | None = None,
    on_event: events.Sink = events.ignore,
    progress: bool | None = None,
) -> events.Finished | Sequence[events.Finished]:
    """Download what is new and update the cache, as `ingest run` does; returns the summary.

    `dataset` names what to download (default "stocks-day"). `datasets` names several, which run one after the other;
    the result is then a sequence with one `events.Finished` for each dataset that the keys may list.

    The window is `months` calendar months back from today (default: [run] months), or `start` to `end`, both inclusive,
    or everything that the subscription allows (`all_permitted`). At most `max_files` files and `max_bytes` packed bytes
    are downloaded, oldest first; None means no limit. `tickers`, which may be patterns ("X:*-USD", or "O:SPY" for all
    contracts of a root), are tracked instead of those in the settings. `refresh` downloads stored sessions again.
    `accept` applies republished files even if they remove more than a tenth of the rows. `wait` is a duration ("90m",
    "6h", "1d"): before the run, wait up to that long for the files of the newest sessions that are over. `on_event`
    gets each event.

    `engine` says where sessions are downloaded and split: "local", "processes", or a Dask scheduler at
    "dask://HOST:PORT" (default: [engine] kind). `executor` is one of your own, in place of an engine: any
    `concurrent.futures.Executor` whose workers have this package, the keys, and a folder in common with this process.
    It stays open. `lake` says whether all that is stored is also kept as Parquet files (default: [lake] enabled).

    A terminal or a notebook shows the progress, unless there is an `on_event` or `progress` is False; with `progress`
    True it does beside `on_event`. A script whose stderr is a file or a pipe shows none. The logger "ingest" gets the
    events at INFO, and warnings at WARNING.

    Works in a notebook. Raises IngestError, and whatever `on_event` raises: that ends the run like a kill.
    """
    if dataset is not None and datasets is not None:
        raise UsageError("dataset and datasets: name one dataset or several, not both")
    if engine is not None and executor is not None:
        raise UsageError("engine and executor: name one of them, not both")
    (first, last), seconds = parse_days(start, end), arguments.parse_wait("wait", wait)
    flags = Flags(
        months=months,
        start=first,
        end=last,
        refresh=refresh,
        all_permitted=all_permitted,
        max_files=arguments.parse_count("max_files", max_files),
        max_bytes=None if max_bytes is None else str(max_bytes),
        accept=accept,
        engine=engine,
        lake=lake,
    )
    chosen = settings.load(parse_file(config), flags.settings())
    asked = [dataset or STOCKS_DAY.short] if datasets is None else parse_names("datasets", datasets)
    requests = requests_of(flags, chosen, list(dict.fromkeys(map(named, asked))))
    if tickers is not None:
        tracked = frozenset(meant(arguments.parse_tickers("tickers", tickers)))
        requests = tuple(replace(one, tracked=tracked) for one in requests)
    with reported(on_event, progress) as told, engine_for(chosen, executor) as executor_for:
        done = runs.run_sync(chosen, requests, told, seconds, executor_for=executor_for)
    if done.failures:
        raise done.failures[0]
    return done.finished if datasets is not None else done.finished[0]
