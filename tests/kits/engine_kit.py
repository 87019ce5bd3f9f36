"""Runs whose sessions are downloaded and split elsewhere, and how to compare them with local ones."""

from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from unittest.mock import patch

import pytest
from pipeline_kit import Place, write_keys

from ingest import events
from ingest.engines.cluster import ExecutorCluster
from ingest.engines.elsewhere import Elsewhere
from ingest.settings import EngineSettings

OF_TIME = ("run", "seconds", "requests")
"""Numbers of a run that differ from time to time: a request may be repeated."""

UNORDERED = (events.Committed, events.Forbidden, events.Vanished, events.Failed, events.Quarantined, events.Fetched)


@contextmanager
def keys_everywhere(folder):
    """Keys where this process, and each that it starts, looks for them."""
    write_keys(folder / "credentials")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
        environment.setenv("AWS_CONFIG_FILE", str(folder / "none"))
        yield


@contextmanager
def elsewhere(executor_for):
    """Within this, the runs of a `Place` have their sessions downloaded and split by this."""
    with patch.object(Place, "_engine", lambda place, chosen: nullcontext(executor_for)):
        yield


def over(cluster, **engine):
    """An executor over this cluster, for `elsewhere`, with these settings of [engine]."""

    def executor_for(source, settings, sink, stop):
        chosen = settings.model_copy(update={"engine": EngineSettings(**engine)})
        return Elsewhere(lambda terms, sink: cluster, source, chosen, sink, stop)

    return executor_for


def summary(ran):
    """The numbers of a run, and what became of each session."""
    numbers = {name: value for name, value in asdict(ran.finished).items() if name not in OF_TIME}
    told = [(type(one).__name__, one.session, getattr(one, "reason", "")) for one in ran.of(UNORDERED)]
    return numbers, sorted(told)


class Died(Exception):
    """What a scripted cluster raises when a worker has died."""


class Scripted(ExecutorCluster):
    """A pool of threads, and what is to go wrong.

    `script` gets each order and how many orders for its first session there were before. It returns the future of that
    call, or an order (perhaps another one) to be done. All orders are kept, and what they were `beside`.
    """

    name = "the scripted workers"

    def __init__(self, pool, script=None, places=2):
        super().__init__(pool)
        self.script, self.count, self.orders, self.beside, self.why = script, places, [], [], None

    def submit(self, work, order, beside=None):
        before = [one.task.jobs[0].session for one in self.orders].count(order.task.jobs[0].session)
        self.orders.append(order)
        self.beside.append(beside)
        made = self.script(order, before) if self.script else order
        return made if isinstance(made, Future) else super().submit(work, made)

    def places(self):
        return self.count

    def workers(self):
        return self.count

    def ended(self):
        return self.why

    def deaths(self, error):
        return int(isinstance(error, Died))

    @property
    def sessions(self):
        """The sessions of each order, in their order."""
        return [[job.session for job in one.task.jobs] for one in self.orders]


def ended_with(error):
    """A call that has failed."""
    call = Future()
    call.set_exception(error)
    return call
