"""What a report says of one dataset, collected at one moment, whatever a run commits meanwhile."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from ingest.cache.cache import Cache
from ingest.cache.lock import holder
from ingest.cli.report.days import Day, days_of
from ingest.finding import Finding
from ingest.maintenance.corrections import told
from ingest.maintenance.status import Status, status_in
from ingest.market.datasets import Dataset
from ingest.settings import Settings
from ingest.splitting.diff import Change

_CHANGES = 200
"""Changes to list; all are counted."""

_RUNS = 60


@dataclass(frozen=True, slots=True)
class Changes:
    """What republished files changed: the newest ones, by session, the number of all, and counts by session."""

    newest: Sequence[Change]
    count: int
    by_session: Mapping[date, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """One dataset: its status, its days in order, its newest runs, what was changed, and the newest of each finding."""

    dataset: Dataset
    status: Status
    days: Sequence[Day]
    runs: Sequence[Mapping[str, Any]]
    changes: Changes
    examples: Mapping[str, tuple[date, Finding]]


def collected(settings: Settings, dataset: Dataset) -> DatasetReport:
    """What is to be said of a dataset. Raises CacheError."""
    with Cache.read(settings, dataset) as cache:
        found = cache.manifest.at_once(lambda: _of(cache, str(settings.cache.root)))
    return replace(found, status=replace(found.status, running=holder(settings.cache.root)))


def _of(cache: Cache, root: str) -> DatasetReport:
    changes = _changes(cache)
    return DatasetReport(
        dataset=cache.dataset,
        status=status_in(cache, root),
        days=days_of(cache, changes.by_session),
        runs=cache.manifest.runs.with_summaries(_RUNS),
        changes=changes,
        examples={one.kind: (day, one) for day, one in cache.manifest.findings.between()},
    )


def _changes(cache: Cache) -> Changes:
    newest, by_session = deque[Change](maxlen=_CHANGES), dict[date, Counter[str]]()
    for correction in cache.manifest.replacements.corrections():
        if correction.correction.kind != "equal rows":
            for change in told(correction):
                newest.append(change)
                by_session.setdefault(change.session, Counter())[change.ticker] += 1
    count = sum(counter.total() for counter in by_session.values())
    return Changes(tuple(reversed(newest)), count, by_session)
