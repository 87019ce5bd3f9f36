"""Who works in a cluster, as its scheduler last said: which workers may get tasks, and which may not. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

SILENT_S = 15.0
"""Seconds without a sign of life, while others gave theirs, after which a worker gets no further tasks."""


@dataclass(frozen=True, slots=True)
class Roster:
    """The workers by address.

    `threads` are those of workers that answer, `unfit` the addresses of workers that were looked over and found unfit,
    `fit` of those found fit, `tasks` the keys of the tasks that each worker has. `silent` are addresses that have
    stopped answering.
    """

    threads: Mapping[str, int] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()
    fit: frozenset[str] = frozenset()
    unfit: frozenset[str] = frozenset()
    tasks: Mapping[str, Collection[str]] = field(default_factory=dict)

    def seen(self, workers: Mapping[str, Mapping[str, Any]], tasks: Mapping[str, Collection[str]]) -> Self:
        """The roster after the scheduler has told of its workers and their tasks.

        `last_seen` is by the scheduler's clock for all of them, so no other clock matters.
        """
        newest = max((float(one["last_seen"]) for one in workers.values()), default=0.0)
        silent = {name for name, one in workers.items() if newest - float(one["last_seen"]) > SILENT_S}
        running = ((name, one) for name, one in workers.items() if one.get("status", "running") == "running")
        here = {name: int(one["nthreads"]) for name, one in running}
        threads = {name: count for name, count in here.items() if name not in silent}
        known = workers.keys()
        return replace(
            self,
            threads=threads,
            silent=frozenset(silent),
            fit=frozenset(self.fit & known),
            unfit=frozenset(self.unfit & known),
            tasks=tasks,
        )

    def looked_over(self, fit: Collection[str], unfit: Collection[str]) -> Self:
        """The roster after some workers were looked over."""
        return replace(self, fit=self.fit | frozenset(fit), unfit=self.unfit | frozenset(unfit))

    @property
    def unknown(self) -> list[str]:
        """Workers that have not been looked over."""
        return [name for name in self.threads if name not in self.fit | self.unfit]

    @property
    def usable(self) -> list[str]:
        """Workers that may get tasks."""
        return [name for name in self.threads if name in self.fit]

    @property
    def places(self) -> int:
        """Tasks that can run at once."""
        return sum(self.threads[name] for name in self.usable)

    def to_choose(self, beside: str | None = None) -> list[str]:
        """The workers to choose for a task; empty if the scheduler may choose any.

        That is the case while all workers are fit, and the task has no double, whose key is `beside`, on one of them.
        """
        double = {name for name, keys in self.tasks.items() if beside in keys}
        others = [name for name in self.usable if name not in double]
        if double:
            return others or self.usable
        return self.usable if self.unfit or self.silent else []
