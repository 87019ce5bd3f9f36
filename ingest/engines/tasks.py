"""Which sessions a worker gets together, and what becomes of tasks that are slow or that workers die of. Pure."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from statistics import median

from ingest.pipeline.task import Job
from ingest.settings.tuning import Tuning

Kind = tuple[bool, bool]
"""Whether a task is one large file, and whether it replaces stored sessions: a comparison takes as long as a split."""


@dataclass(frozen=True, slots=True)
class Task:
    """Sessions that one worker downloads and splits. `is_last_try`: workers have died of it, so this one is alone."""

    number: int
    jobs: tuple[Job, ...]
    is_last_try: bool = False

    @property
    def bytes(self) -> int:
        """Packed bytes to download, at least one."""
        return max(sum(job.item.size for job in self.jobs), 1)

    @property
    def kind(self) -> Kind:
        """Tasks of the same kind take the same time per byte."""
        return self.jobs[0].spool is not None, any(job.replaced for job in self.jobs)


def grouped(jobs: Iterable[Job], tuning: Tuning) -> Iterator[tuple[Job, ...]]:
    """Jobs in groups for a task each, in their order: so many bytes or sessions, and a large file alone.

    The jobs of a group share equal ticker lists, which travel once with each group.
    """
    group, size = list[Job](), 0
    for job in jobs:
        if job.spool:
            yield (job,)
            continue
        group.append(job)
        size += job.item.size
        if size >= tuning.task_bytes or len(group) >= tuning.task_sessions:
            yield _sharing(group)
            group, size = [], 0
    if group:
        yield _sharing(group)


def _sharing(jobs: Sequence[Job]) -> tuple[Job, ...]:
    """The same jobs, in which equal sets of tickers are one object: it is pickled once."""
    known: dict[frozenset[str], frozenset[str]] = {}

    def shared(job: Job) -> Job:
        decision = job.decision
        tracked, held = (known.setdefault(one, one) for one in (decision.tracked, decision.held.tracked))
        return replace(job, decision=replace(decision, tracked=tracked, held=replace(decision.held, tracked=held)))

    return tuple(map(shared, jobs))


@dataclass(slots=True)
class _Open:
    """A task under way: how many executions of it are, how many there were, and when the last one was begun."""

    task: Task
    running: int = 0
    begun: int = 0
    since: float = 0.0


class Board:
    """What is to be done, what is under way, and how long it usually takes. Times are in seconds, on any clock."""

    def __init__(self, jobs: Iterable[Job], tuning: Tuning) -> None:
        self._tuning = tuning
        self._queue = deque(Task(number, group) for number, group in enumerate(grouped(jobs, tuning)))
        self._count = len(self._queue)
        self._suspects = deque[Task]()
        self._open: dict[int, _Open] = {}
        self._deaths: dict[int, int] = {}
        self._paces: dict[Kind, list[float]] = {}
        self._stopped = False

    @property
    def under_way(self) -> int:
        """Sessions that are with a worker now."""
        return sum(len(one.task.jobs) for one in self._open.values())

    @property
    def is_done(self) -> bool:
        """Whether nothing is to be done, and nothing under way."""
        return not (self._queue or self._suspects or self._open)

    def stop(self) -> None:
        """Begin no other task, and none again."""
        self._stopped = True
        self._queue.clear()
        self._suspects.clear()

    def next(self) -> Task | None:
        """The task to begin now. One that workers have died of comes last, with nothing else under way."""
        if self._queue:
            return self._queue.popleft()
        return self._suspects.popleft() if self._suspects and not self._open else None

    def begun(self, task: Task, now: float) -> None:
        """Note that a task was given to a worker, perhaps not for the first time."""
        one = self._open.setdefault(task.number, _Open(task))
        one.running += 1
        one.begun += 1
        one.since = now

    def recalled(self, task: Task) -> None:
        """Note that an execution did not begin, and will not."""
        self._end_one(task)

    def answered(self, task: Task, now: float) -> bool:
        """Note an answer; False if the task was answered before."""
        one = self._open.pop(task.number, None)
        if one is None:
            return False
        self._paces.setdefault(task.kind, []).append((now - one.since) / task.bytes)
        return True

    def died(self, task: Task, deaths: int) -> tuple[date, ...]:
        """Note that so many workers died of a task; returns the sessions that are given up.

        Another execution of it that is under way may still answer. If none is, the task begins again; after several
        deaths each of its sessions alone, once, and whatever else is under way of it is over: it would kill, too.
        """
        if task.number not in self._open:
            return ()
        self._deaths[task.number] = self._deaths.get(task.number, 0) + deaths
        is_deadly = self._deaths[task.number] >= self._tuning.most_deaths
        if not self._end_one(task, is_last=is_deadly) or self._stopped:
            return ()
        if task.is_last_try:
            return tuple(job.session for job in task.jobs)
        if is_deadly:
            self._suspects.extend(self._alone(job) for job in task.jobs)
        else:
            self._queue.appendleft(task)
        return ()

    def is_open(self, task: Task) -> bool:
        """Whether an answer to it would still be taken."""
        return task.number in self._open

    def _end_one(self, task: Task, *, is_last: bool = False) -> bool:
        """Note that an execution has ended without an answer; True if no other is under way, or is waited for."""
        if (one := self._open.get(task.number)) is None:
            return False
        one.running -= 1
        if one.running and not is_last:
            return False
        del self._open[task.number]
        return True

    def _alone(self, job: Job) -> Task:
        self._count += 1
        return Task(self._count, (job,), is_last_try=True)

    def overdue(self, now: float) -> list[Task]:
        """Tasks that take so long that another worker should have them, too; the longest first.

        Never one that is alone because workers have died of it: another worker might die as well.
        """
        held = (one for one in self._open.values() if not one.task.is_last_try)
        late = [one for one in held if now - one.since > self._patience(one)]
        return [one.task for one in sorted(late, key=lambda one: one.since)]

    def stuck(self, now: float) -> int:
        """Executions that take too long, or that were given to others, too: they need no place, or have lost theirs."""
        late = {task.number for task in self.overdue(now)}
        return sum(one.running - (number not in late) for number, one in self._open.items())

    def _patience(self, one: _Open) -> float:
        """Seconds that an execution may take; each further one gets twice as many. For ever if none has ended yet."""
        paces = self._paces.get(one.task.kind) or [pace for some in self._paces.values() for pace in some]
        if not paces:
            return float("inf")
        usual = self._tuning.backup_factor * median(paces) * one.task.bytes
        return float(max(usual, self._tuning.backup_after_s) * 2 ** (one.begun - 1))
