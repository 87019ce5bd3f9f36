"""Whether a worker can do the work of a run: its versions, its keys for the source, its way to the parts.

Nothing here imports polars, which reads its number of threads when it is imported.
"""

import importlib.metadata
import os
import platform
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from ingest.cache.layout import PartKey
from ingest.cache.parts.store import PartStore
from ingest.errors import CacheError, IngestError, WorkerUnfit
from ingest.market.datasets import TIERS, Tier
from ingest.settings import Limits, SourceSettings
from ingest.settings.tuning import Tuning

_SAME = ("ingest", "polars")
_NO_SUCH_PART = PartKey(date(1970, 1, 1), "archive", sha256="0" * 64)
"""What an object store is asked for, to see whether it answers."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What all tasks of a run have in common: values without keys, which a worker reads where it is.

    `run` identifies it; `versions` are those of its process. `probes` are the keys of staged parts
    that contain `run`, in those tiers that lie in a folder that all workers must share.
    """

    run: str
    source: SourceSettings
    limits: Limits
    tuning: Tuning
    versions: Mapping[str, str]
    parts: PartStore
    probes: tuple[PartKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Fitness:
    """What a worker says of itself: what is wrong with it, and what makes it slower than it could be."""

    worker: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def here() -> str:
    """What messages call this worker: its host and process."""
    return f"{socket.gethostname()}, process {os.getpid()}"


def versions() -> Mapping[str, str]:
    """The versions that decide about the bytes of a part: all workers must have the same."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, **{name: importlib.metadata.version(name) for name in _SAME}}


def differences(terms: Terms) -> tuple[str, ...]:
    """Where this process has other versions than the run's."""
    mine = versions()
    return tuple(
        f"it has {name} {mine[name]}, and the run has {other}"
        for name, other in terms.versions.items()
        if mine[name] != other
    )


def refuse_unfit_here(terms: Terms) -> None:
    """Raise WorkerUnfit if this process has other versions than the run's, or other parts: workers join at any time."""
    if problems := (*differences(terms), *_without_room(), *_without_parts(terms)):
        raise WorkerUnfit(f"worker {here()}: {'; '.join(problems)}")


def look_over(terms: Terms, threads: int = 1) -> Fitness:
    """Look at this process, which is to use so many threads for each query; blocks for a second, since polars is large.

    Nothing is requested from the source.
    """
    os.environ.setdefault("POLARS_MAX_THREADS", str(threads))
    import polars  # noqa: F401

    slow = os.environ.get("MALLOC_TRIM_THRESHOLD_") == "65536"
    notes = ("MALLOC_TRIM_THRESHOLD_ is 65536, the nanny's: it takes half as much CPU again",) if slow else ()
    return Fitness(
        here(), (*differences(terms), *_without_room(), *_without_keys(terms), *_without_parts(terms)), notes
    )


def refuse_unfit(name: str, found: Iterable[Fitness]) -> None:
    """Raise WorkerUnfit, which names each worker that cannot do the work, and why."""
    if unfit := [one for one in found if one.problems]:
        told = "; ".join(f"worker {one.worker}: {', '.join(one.problems)}" for one in unfit)
        raise WorkerUnfit(f"{name}: {told}")


def _without_keys(terms: Terms) -> tuple[str, ...]:
    """Why this process has no connection to the source, in words; nothing is requested."""
    from ingest.sources.massive.client import connect

    async def opened() -> None:
        async with connect(terms.source, terms.tuning):
            pass

    try:
        anyio.run(opened)
    except IngestError as error:
        return (error.message,)
    return ()


def _without_room() -> tuple[str, ...]:
    """Why this process cannot write temporary files, in words."""
    try:
        with TemporaryDirectory(prefix="ingest-"):
            return ()
    except OSError as error:
        return (f"it has no folder for temporary files ({error}): set TMPDIR there",)


def _without_parts(terms: Terms) -> tuple[str, ...]:
    """Why this process cannot use the parts of the run, in words."""
    parts, problems = terms.parts, list[str]()
    for key in terms.probes:
        try:
            if parts.read(key) != terms.run.encode():
                problems.append(f"its {parts.place(key.tier)} is another folder than the run's")
        except (OSError, IngestError) as error:
            problems.append(f"it has no access to {parts.place(key.tier)}, which the run writes to ({error})")
    if parts.by_content:
        with suppress(FileNotFoundError):  # the store has answered
            try:
                parts.read(_NO_SUCH_PART)
            except IngestError as error:
                problems.append(error.message)
    return tuple(problems)


def probes(parts: PartStore, session: date, run: str) -> tuple[PartKey, ...]:
    """Stage `run` in each tier whose staged parts are seen by all who share a folder; raises CacheError.

    A store that stages in a folder of its own, and puts parts elsewhere, needs no folder in common.
    """
    try:
        scratch = TemporaryDirectory(prefix="ingest-")
    except OSError as error:
        raise CacheError(f"there is no folder for temporary files ({error}): set TMPDIR") from error
    with scratch as folder:
        other = parts.working_in(Path(folder))
        return tuple(filter(None, (_probe(parts, other, session, tier, run) for tier in TIERS)))


def _probe(parts: PartStore, other: PartStore, session: date, tier: Tier, run: str) -> PartKey | None:
    key = parts.stage(session, tier, run.encode())
    with suppress(FileNotFoundError):
        if other.read(key) == run.encode():
            return key
    parts.discard(key)
    return None
