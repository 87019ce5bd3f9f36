"""Numbers for Prometheus, in a file for node_exporter's textfile collector; the extra `metrics` installs the library.

The file is written whole under a temporary name and renamed: a kill leaves the earlier one. It has all datasets that
the cache holds. Runs that the manifest does not record (their keys were missing, say) stay in it until a later run.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ingest import events
from ingest.cache.cache import Cache
from ingest.cli.nightly.log_file import file_place
from ingest.errors import CacheError, UsageError
from ingest.files import durable, opening
from ingest.maintenance.status import asked_or_held, status
from ingest.market.catalogue import CATALOGUE
from ingest.market.datasets import Dataset
from ingest.planning.plan import Plan
from ingest.planning.request import datasets_asked
from ingest.settings import Settings

MISSING = "the library prometheus-client is not installed: pip install 'ingest[metrics]'"

_MOST_BYTES = 1 << 20
_PREFIX = "ingest_"
_GAUGES = {
    "newest_session_timestamp_seconds": "Midnight UTC of the newest stored session",
    "newest_session_age_sessions": "Sessions after the newest stored one, as ingest status counts them",
    "sessions": "Stored sessions",
    "stored_bytes": "Size on disk",
    "rows": "Rows of the stored sessions",
    "findings_sessions": "Stored sessions with findings",
    "quarantined_files": "Refused files that wait for a decision",
    "last_run_seconds": "How long the last run took",
    "last_run_exit_code": "Exit code of the last run",
    "last_run_timestamp_seconds": "When the last run ended",
    "last_success_timestamp_seconds": "When the last run with exit code 0 ended",
}

_ENDS = ("last_run_timestamp_seconds", "last_success_timestamp_seconds")

_Values = dict[tuple[str, str], float]
"""By gauge (without the prefix) and tier; the tier is empty where a gauge has none."""


@dataclass(frozen=True, slots=True, order=True)
class _Run:
    """How a run of a dataset ended: when (Unix time), its exit code, how many seconds it took."""

    ended: float
    code: float
    seconds: float


class Metrics:
    """The file, and what this run adds to it. As a rendering it notes how the run of each dataset ended."""

    def __init__(self, file: str, chosen: Settings, names: Sequence[str]) -> None:
        """Raises UsageError if the file, or the library, cannot be used, and CacheError if it cannot be written."""
        if find_spec("prometheus_client") is None:
            raise UsageError(MISSING)
        self._path, self._chosen, self._names = file_place("metrics file", file), chosen, names
        if why := durable.irreplaceable(self._path):
            raise UsageError(f"the metrics file {self._path} cannot be written: it {why}")
        self._began = time.time()
        self._finished: dict[str, events.Finished] = {}
        _refuse(self._path)
        durable.unstage(self._path, durable.stage(self._path, b"", sync=False))

    def event(self, event: events.Event) -> None:
        """Note the end of a dataset's run."""
        if isinstance(event, events.Finished):
            self._finished[event.dataset] = event

    def plan(self, plan: Plan, dataset: str) -> None:
        """Note nothing."""

    def confirm(self, estimate: str) -> bool:
        """False: this asks nobody."""
        return False

    def write(self, code: int) -> str:
        """Replace the file, after a run that ended with `code`; returns what went wrong."""
        ended = time.time()
        earlier, (stored, problem) = _read(self._path), self._stored()
        asked = {one.short: one for one in self._asked()}
        values = {name: _until(ended, stored.get(name, {})) for name in sorted({*earlier, *stored, *asked})}
        for name, found in values.items():
            before = _until(ended, earlier.get(name, {}))
            own = [self._run(asked[name], code, ended)] if name in asked else []
            found.update(_last_of([*_runs(before), *_runs(found), *own]))
            found.update(_success_of(before, found))
        try:
            durable.replace(self._path, _text(values))
        except CacheError as error:
            return error.message
        return problem

    def _asked(self) -> Sequence[Dataset]:
        with suppress(UsageError):  # an unknown dataset, of which the run has told
            return datasets_asked(self._names, self._chosen)
        return ()

    def _run(self, dataset: Dataset, code: int, ended: float) -> _Run:
        if one := self._finished.get(dataset.name):
            return _Run(ended, one.exit_code, one.seconds)
        return _Run(ended, code, ended - self._began)

    def _stored(self) -> tuple[dict[str, _Values], str]:
        try:
            kinds = asked_or_held((), self._chosen)
            return {one.short: dict(_of_dataset(self._chosen, one)) for one in kinds}, ""
        except (CacheError, UsageError) as error:
            return {}, f"{self._path} tells of the last runs alone: {error.message}"


def _refuse(path: Path) -> None:
    """Refuse a file that is another program's."""
    with durable.translated("read", path), suppress(FileNotFoundError):
        text = opening.read(path, linked=True)
        if text.strip() and f"# HELP {_PREFIX}".encode() not in text:
            raise UsageError(f"{path} is no metrics file of ingest, and stays as it is: name another one")


def _of_dataset(chosen: Settings, dataset: Dataset) -> Iterator[tuple[tuple[str, str], float]]:
    """What is stored of a dataset, as `ingest status` says it, and its last run with an end."""
    found = status(chosen, dataset)
    if found.last is not None and found.age_sessions is not None:
        midnight = datetime(found.last.year, found.last.month, found.last.day, tzinfo=UTC)
        yield ("newest_session_timestamp_seconds", ""), midnight.timestamp()
        yield ("newest_session_age_sessions", ""), found.age_sessions
    yield ("sessions", ""), sum(one.count for one in found.sessions if one.held == "committed")
    for tier in found.tiers:
        yield ("stored_bytes", tier.name.lower().replace(" ", "_")), tier.bytes
    yield ("rows", ""), found.source_rows
    yield ("findings_sessions", ""), found.findings
    yield ("quarantined_files", ""), found.quarantined
    for run in [one for one in found.runs if one["exit_code"] is not None][:1]:
        began, ended = _unix(run["started_at"]), _unix(run["finished_at"])
        yield from _last_of([_Run(ended, run["exit_code"], ended - began)]).items()
    with Cache.read(chosen, dataset) as cache:
        succeeded = cache.manifest.runs.succeeded_at()
    if succeeded:
        yield ("last_success_timestamp_seconds", ""), _unix(succeeded)


def _unix(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _until(now: float, values: _Values) -> _Values:
    """Values without runs after now, of a clock that was ahead: they would be the newest ones until then."""
    return {key: value for key, value in values.items() if key[0] not in _ENDS or value <= now}


def _runs(values: _Values) -> list[_Run]:
    """The last run that these values tell of, if any."""
    told = [values.get((f"last_run_{name}", "")) for name in ("timestamp_seconds", "exit_code", "seconds")]
    return [] if None in told else [_Run(*(one for one in told if one is not None))]


def _last_of(runs: Sequence[_Run]) -> _Values:
    if not runs:
        return {}
    last = max(runs)
    return {
        ("last_run_timestamp_seconds", ""): last.ended,
        ("last_run_exit_code", ""): last.code,
        ("last_run_seconds", ""): last.seconds,
    }


def _success_of(earlier: _Values, now: _Values) -> _Values:
    key = ("last_success_timestamp_seconds", "")
    times = [values[key] for values in (earlier, now) if key in values]
    times += [one.ended for one in _runs(now) if one.code == 0]
    return {key: max(times)} if times else {}


def _read(path: Path) -> dict[str, _Values]:
    """What the earlier file says, by dataset; nothing if it cannot be read."""
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, _Values] = {}
    with suppress(OSError, ValueError):
        for family in text_string_to_metric_families(opening.read(path, _MOST_BYTES, linked=True).decode()):
            for sample in family.samples:
                values = found.setdefault(sample.labels.get("dataset", ""), {})
                values[sample.name.removeprefix(_PREFIX), sample.labels.get("tier", "")] = sample.value
    return {name: found[name] for name in found if name in {one.short for one in CATALOGUE.values()}}


def _text(values: Mapping[str, _Values]) -> bytes:
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    registry = CollectorRegistry()
    gauge = partial(Gauge, registry=registry)
    for name, what in _GAUGES.items():
        labels = ("dataset", "tier") if name == "stored_bytes" else ("dataset",)
        one: Any = gauge(_PREFIX + name, what, labels)
        for dataset, found in values.items():
            for (which, tier), value in found.items():
                if which == name:
                    one.labels(*(dataset, tier)[: len(labels)]).set(value)
    return generate_latest(registry)
