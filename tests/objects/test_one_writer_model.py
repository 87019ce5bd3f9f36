"""Whatever machines do to one bucket, in whatever order: never do two of them believe to be its writer.

At the end a writer that does not look at the pointer is checked, too, and the check must notice.
"""

from contextlib import closing, contextmanager, suppress
from datetime import date, timedelta
from functools import cache
from itertools import count
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from kills import Killed
from manifest_kit import DATASET
from memory_bucket_kit import MemoryBucket
from writers_kit import Machine

from ingest.cache.manifest import Manifest
from ingest.cache.manifest.database import Database
from ingest.cache.manifest.file import opening, schema
from ingest.cache.objects.writing import snapshots
from ingest.cache.objects.writing.packing import Packed
from ingest.errors import OtherWriter

CRASHES = st.none() | st.tuples(st.sampled_from(["before", "after"]), st.sampled_from(["put_new", "put_over"]))
WHO = st.integers(0, 2)


@cache
def new_manifest():
    with closing(opening.memory()) as db:
        schema.migrate(db, Path("manifest.sqlite"))
        return db.serialize()


class InMemory(Machine):
    """A machine whose manifest is in memory: each step of the model takes milliseconds."""

    def __init__(self, bucket, like=None):
        super().__init__(Path("manifest.sqlite"), bucket)
        self.db = opening.memory()
        self.db.deserialize(like.db.serialize() if like else new_manifest())

    @contextmanager
    def opened(self):
        yield Manifest(Database(self.db, self.path, DATASET, writable=True))


@contextmanager
def nothing_packed(database):
    yield Packed(b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


@pytest.fixture(autouse=True)
def _pack_nothing(monkeypatch):
    monkeypatch.setattr(snapshots, "packed", nothing_packed)


class Machines(RuleBasedStateMachine):
    """Two machines, and a copy of one: runs, crashes, copies, takeovers, and two that write at once."""

    def __init__(self):
        super().__init__()
        self.bucket, self.days = MemoryBucket(), count()
        self.machines = [InMemory(self.bucket), InMemory(self.bucket)]
        self.machines[0].run(self.day())
        self.machines.append(InMemory(self.bucket, like=self.machines[0]))
        self.have_written = [self.machines[0]]
        self.last = self.machines[0]

    def teardown(self):
        for machine in self.machines:
            machine.db.close()

    def day(self):
        return date(2020, 1, 1) + timedelta(next(self.days))

    def wrote(self, machine, before):
        """Note who has replaced the pointer."""
        if self.bucket.objects.get("manifest/latest.json") != before:
            self.have_written = [*(one for one in self.have_written if one is not machine), machine]
            self.last = machine

    @rule(who=WHO, crash=CRASHES)
    def run(self, who, crash):
        machine, before = self.machines[who], self.bucket.objects.get("manifest/latest.json")

        def killed(call, name):
            if call == crash[1]:
                raise Killed

        if crash:
            setattr(self.bucket, crash[0], killed)
        with suppress(OtherWriter, Killed):
            machine.run(self.day())
        self.bucket.before = self.bucket.after = lambda *_: None
        self.wrote(machine, before)

    @rule(who=WHO, other=WHO)
    def both_at_once(self, who, other):
        machines = self.machines[who], self.machines[other]
        with machines[0].writing() as one, machines[1].writing() as another, suppress(OtherWriter):
            for writer in (one, another):
                writer.compare()
            for machine, writer in zip(machines, (one, another), strict=True):
                before = self.bucket.objects.get("manifest/latest.json")
                writer.claim()
                machine.commit(writer, self.day())
                writer.snapshot(1)
                self.wrote(machine, before)

    @rule(who=WHO)
    def copied(self, who):
        self.replace(self.machines[2], InMemory(self.bucket, like=self.machines[who]))

    def replace(self, machine, by):
        self.have_written = [one for one in self.have_written if one is not machine]
        self.last = None if self.last is machine else self.last
        self.machines[self.machines.index(machine)] = by
        machine.db.close()

    @rule(who=WHO)
    def restored(self, who):
        """A machine loses its manifest, and takes over with what the bucket has."""
        restored = InMemory(self.bucket)
        self.replace(self.machines[who], restored)
        restored.take_over()
        self.have_written.append(restored)
        self.last = restored

    @invariant()
    def one_writer_at_most(self):
        assert sum(machine.is_writer() for machine in self.have_written) <= 1

    @invariant()
    def whoever_wrote_last_is_not_its_own_rival(self):
        if self.last:
            assert self.last.is_writer()


FEW = settings(stateful_step_count=10)


@pytest.mark.parametrize("examples", [12, pytest.param(500, marks=pytest.mark.long)])
def test_two_machines_never_both_believe_to_be_the_writer(examples):
    run_state_machine_as_test(Machines, settings=settings(FEW, max_examples=examples))


def test_the_check_notices_a_writer_that_ignores_the_pointer(monkeypatch):
    monkeypatch.setattr(snapshots.Snapshots, "_is_ours", lambda *_: True)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Machines, settings=settings(FEW, max_examples=100, phases=[Phase.generate]))
