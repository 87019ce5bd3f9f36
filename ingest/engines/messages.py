"""What goes to a worker and what comes back, as values: small, and without keys."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

from ingest import events
from ingest.engines.fitness import Terms
from ingest.engines.tasks import Task
from ingest.errors import IngestError
from ingest.pipeline.task import Job, SessionResult


@dataclass(frozen=True, slots=True)
class Order:
    """A task for a worker, which may have `downloads` at once.

    `adapted` is what another worker's limit on downloads has adapted to, None if the source has not slowed any down.
    """

    terms: Terms
    task: Task
    downloads: int
    adapted: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a session, without its job: the coordinator has that, and need not get it back."""

    session: date
    kind: type[SessionResult]
    values: Mapping[str, Any]

    @classmethod
    def of(cls, result: SessionResult, **instead: object) -> "Outcome":
        """The outcome of a result, with some of its values replaced."""
        named = {one.name: getattr(result, one.name) for one in fields(result) if one.name != "job"}
        return cls(result.job.session, type(result), named | instead)

    def result(self, job: Job, **instead: object) -> SessionResult:
        """The result again, for the same job."""
        return self.kind(job, **{**self.values, **instead})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker has done of a task: all of it, or what came before the `failure` that ends the run.

    `told` are the events that it had for the run. `requests` were sent to the source since its last answer. `adapted`
    is its limit on downloads, if the source has asked it to slow down.
    """

    worker: str
    outcomes: tuple[Outcome, ...]
    told: tuple[events.Event, ...] = ()
    requests: int = 0
    adapted: int | None = None
    failure: IngestError | None = None

    def is_for(self, task: Task) -> bool:
        """Whether it tells of each session of this task, and of no other; of fewer if it has a failure."""
        told, asked = sorted(one.session for one in self.outcomes), sorted(job.session for job in task.jobs)
        return told == asked or (self.failure is not None and set(told) < set(asked))
