"""Whatever happens to an object store, in whatever order: no object that a session refers to is ever removed.

Two datasets are put, committed, replaced, reverted, pruned and swept; runs are killed at any point, workers of earlier
runs put what they like, removals take effect long after they were given up, clocks leap. Replaced versions stay as long
as was promised, and then they go. At the end each rule of the collector is broken, and the model must notice.
"""

import hashlib
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from kills import Killed
from manifest_kit import session_record
from memory_bucket_kit import MemoryBucket

from ingest.cache import commit as committing
from ingest.cache.cache import Cache, Layout
from ingest.cache.commit import StagedSession, commit, prune, recover
from ingest.cache.manifest import Manifest
from ingest.cache.manifest.database import Database
from ingest.cache.manifest.file import opening, schema
from ingest.cache.manifest.replacements import Replacements
from ingest.cache.manifest.sessions import KnownSessions
from ingest.cache.manifest.stores.objects import KnownObjects
from ingest.cache.objects.collecting import garbage, sweep
from ingest.cache.objects.collecting.clock import NAME
from ingest.cache.objects.collecting.sweep import Sweep
from ingest.cache.objects.naming import ObjectName, object_name
from ingest.cache.objects.parts import ObjectParts
from ingest.cache.parts.local import LocalParts
from ingest.cache.wholeness import missing_parts, present_names
from ingest.errors import CacheError, StoreUnavailable
from ingest.market.catalogue import STOCKS_DAY, STOCKS_MINUTE
from ingest.market.datasets import TIERS
from ingest.settings import CacheSettings, Settings

DATASETS = (STOCKS_DAY, STOCKS_MINUTE)
DAYS = (date(2025, 3, 3), date(2025, 3, 4))
KEEP, HOUR = timedelta(hours=24), timedelta(hours=1)
EVER = datetime(1970, 1, 1, tzinfo=UTC)
KILLS = {
    "intend": (Replacements, "intend"),
    "remember": (KnownObjects, "remember"),
    "commit": (KnownSessions, "commit"),
}
WHICH, DAY = st.sampled_from([0, 0, 0, 1]), st.sampled_from([*DAYS[:1] * 3, DAYS[1]])
CONTENT, HOURS = st.sampled_from("ABABC"), st.sampled_from([1, 25, 60])


def parts_of(content):
    """What a version of a session consists of. Two versions have the same tracked part."""
    return {"tracked": b"t" if content in "AB" else b"tracked C", "archive": f"archive {content}".encode()}


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def names_of(dataset, day, content):
    """The objects of a version, and their bytes."""
    found = parts_of(content).items()
    return {object_name(tier, dataset.name, str(ObjectName.of(day, sha256(data)))): data for tier, data in found}


def is_of(name, day):
    return f"/{day}." in name


WRITER = SimpleNamespace(claim=lambda: None, compare=lambda: None)


class Store(MemoryBucket):
    """A store that may do later what it was asked to remove, and has not answered."""

    def __init__(self, clock):
        super().__init__(clock=clock)
        self.is_slow, self.to_remove = False, []

    def remove(self, names):
        self.to_remove += names
        if self.is_slow:
            raise StoreUnavailable("no answer")
        self.arrive()

    def arrive(self):
        names, self.to_remove = self.to_remove, []
        super().remove(names)


class Collector(RuleBasedStateMachine):
    """A store and two caches in it, beside what sessions should refer to and when that ended."""

    def __init__(self):
        super().__init__()
        self.now, self.leapt = datetime(2025, 6, 1, tzinfo=UTC), False
        self.store = Store(lambda: self.now)
        self.folder = TemporaryDirectory()
        self.open = ExitStack()
        db = self.open.enter_context(opening.memory())
        schema.migrate(db, Path("m"))
        self.caches = [
            self.cache(dataset, Database(db, Path("m"), dataset.name, writable=True)) for dataset in DATASETS
        ]
        self.committed = [{}, {}]
        self.running, self.plan, self.results = None, set(), []
        self.lost, self.left, self.strays = set(), {}, {}
        self.theirs = dict.fromkeys(self.strangers(), b"")
        for one in self.theirs:
            self.store.put_new(one, b"", sha256(b""))

    def cache(self, dataset, database):
        root = Path(self.folder.name)
        layout = Layout.of(Settings(cache=CacheSettings(root=root)), dataset)
        scratch = LocalParts(root / dataset.short / "t", root / dataset.short / "a")
        parts = ObjectParts(self.store, dataset.name, scratch)
        parts.create()
        return Cache.through(Manifest(database), replace(layout, parts=parts))

    def strangers(self):
        """What others have in the same bucket, some of it below the prefix of a dataset."""
        for dataset in DATASETS:
            ours = [*names_of(dataset, DAYS[0], "A")]
            yield from (one.replace(dataset.name, f"{dataset.name}/backup") for one in ours)
            yield from (one.replace(dataset.name, f"{dataset.name}-old") for one in ours)
            yield f"tracked/{dataset.name}/{DAYS[0]}.csv.gz"
            yield f"archive/{dataset.name}/notes.txt"

    def teardown(self):
        self.open.close()
        self.folder.cleanup()

    # Runs

    @rule(which=WHICH, plan=st.sets(DAY), slow=st.booleans())
    def start(self, which, plan, slow):
        """A run begins, and whatever ran before is dead."""
        self.end()
        self.recover(which)
        cache = self.caches[which]
        assert missing_parts(cache, cache.manifest.sessions.all()) == self.lost_of(which)
        before, self.store.is_slow = dict(self.store.objects), slow
        self.look(which)
        swept = self.sweep(cache, plan)
        self.check_what_went(which, before, swept)
        self.check_what_stays(which, plan | self.lost_of(which))
        self.running, self.plan = which, plan

    def lost_of(self, which):
        return {day for at, day in self.lost if at == which}

    def recover(self, which):
        """What was asked of the store has happened by then."""
        self.store.is_slow = False
        self.store.arrive()
        recover(self.caches[which])

    def end(self):
        self.running, self.plan, self.results = None, set(), []

    def sweep(self, cache, plan):
        return Sweep.of(cache.manifest, cache.parts, WRITER).run(present_names(cache), KEEP, plan)

    def look(self, which):
        """Remember since when runs have seen an object that nobody refers to."""
        mine = {one for one in self.store.objects if self.is_part(which, one)}
        wanted = self.wanted(which)
        for one in [one for one in self.strays if self.is_part(which, one) and (one in wanted or one not in mine)]:
            del self.strays[one]
        for one in mine - wanted.keys():
            self.strays.setdefault(one, self.now)

    def check_what_went(self, which, before, swept):
        gone = before.keys() - self.store.objects.keys() - {NAME}
        assert swept.objects == (0 if self.store.is_slow else len(gone))
        assert swept.bytes == (0 if self.store.is_slow else sum(before[one][1].size for one in gone))
        assert gone == {one for one in gone if self.strays.pop(one, None)}
        assert not any(is_of(one, day) for one in gone for day in self.lost_of(which))
        if not self.leapt:
            for one in gone:
                assert max(self.left.get(one, EVER), before[one][1].modified) + KEEP <= self.now, f"{one} went too soon"

    def check_what_stays(self, which, kept):
        for one in self.strays.keys() & self.store.objects.keys():
            if self.is_part(which, one) and not (
                self.leapt or self.store.is_slow or any(is_of(one, day) for day in kept)
            ):
                assert max(self.strays[one], self.store.head(one).modified) + KEEP > self.now, f"{one} is still there"

    def is_part(self, which, one):
        return one not in self.theirs and f"/{DATASETS[which].name}/" in one

    @precondition(lambda self: self.plan)
    @rule(data=st.data(), content=CONTENT)
    def put(self, data, content):
        """A worker of this run has downloaded a session; it puts its parts, or finds them there."""
        day = data.draw(st.sampled_from(sorted(self.plan)))
        self.results.append((day, content, self.staged(self.running, day, content)))

    def staged(self, which, day, content):
        parts = self.caches[which].parts
        return tuple(parts.sync_staged([parts.stage(day, tier, text) for tier, text in parts_of(content).items()]))

    @precondition(lambda self: self.results)
    @rule(data=st.data(), killed=st.sampled_from([None, None, None, *KILLS]))
    def commit(self, data, killed):
        """The coordinator commits a result, or is killed while it does."""
        day, content, keys = data.draw(st.sampled_from(self.results))
        which, point = self.running, KILLS.get(killed)
        self.commit_one(which, day, content, keys, point)
        self.results = [one for one in self.results if one[0] != day]
        self.plan.discard(day)
        if point:
            self.end()

    @rule(which=WHICH, day=DAY, content=CONTENT)
    def accept(self, which, day, content):
        """Another command than a run puts and commits a session: it has the lock, and does not sweep."""
        self.end()
        self.recover(which)
        self.commit_one(which, day, content, self.staged(which, day, content), None)

    def commit_one(self, which, day, content, keys, point):
        cache, held = self.caches[which], self.committed[which]
        record = self.record(cache, day, content)
        session = StagedSession(record, None, keys, replaces=day in held)
        with ExitStack() as stack:
            if point:
                stack.enter_context(patch.object(*point, side_effect=Killed))
                stack.enter_context(suppress(Killed))
            commit(cache, [session])
        # Once it is intended, a replacement is completed by whoever comes next; what is new is not intended.
        if point is None or (day in held) == (point[1] != "intend"):
            self.refer(which, day, content)

    def record(self, cache, day, content):
        hashes = {f"{tier}_sha256": sha256(text) for tier, text in parts_of(content).items()}
        return replace(session_record(cache.manifest, day, content), **hashes)

    def refer(self, which, day, content):
        before = self.wanted(which)
        self.committed[which][day] = content
        self.lost.discard((which, day))
        self.left |= dict.fromkeys(before.keys() - self.wanted(which).keys(), self.now)
        for one in self.wanted(which):
            self.strays.pop(one, None)

    def wanted(self, which):
        """The objects that sessions of a dataset refer to, and their bytes."""
        held = self.committed[which].items()
        return {one: text for day, content in held for one, text in names_of(DATASETS[which], day, content).items()}

    @rule(which=WHICH, day=DAY, content=CONTENT, tiers=st.sampled_from([("archive",), TIERS]))
    def zombie(self, which, day, content, tiers):
        """A worker of a run that is dead puts a session, or half of one; nobody hears of it."""
        parts = self.caches[which].parts
        parts.sync_staged([parts.stage(day, tier, parts_of(content)[tier]) for tier in tiers])

    @rule(hours=HOURS, which=WHICH, day=DAY, content=CONTENT)
    def night(self, hours, which, day, content):
        """A whole run, some time after the one before."""
        self.now += hours * HOUR
        self.start(which, {day}, slow=False)
        self.commit_one(which, day, content, self.staged(which, day, content), None)

    @rule(hours=HOURS, which=WHICH, slow=st.booleans())
    def night_without_news(self, hours, which, slow):
        self.now += hours * HOUR
        self.start(which, set(), slow)

    @rule()
    def removals_arrive(self):
        self.store.arrive()

    @precondition(lambda self: any(self.committed))
    @rule(which=WHICH, day=DAY)
    def prune(self, which, day):
        self.end()
        self.recover(which)
        prune(self.caches[which], day + timedelta(days=1))
        for one in [one for one in self.committed[which] if one <= day]:
            del self.committed[which][one]
            self.lost.discard((which, one))

    def found_again(self):
        """A worker may have put what was lost."""
        for which, day in [*self.lost]:
            if names_of(DATASETS[which], day, self.committed[which][day]).keys() <= self.store.objects.keys():
                self.lost.discard((which, day))

    @invariant()
    def what_sessions_refer_to_is_there(self):
        self.found_again()
        for which in range(2):
            lost = self.lost_of(which)
            for one, text in self.wanted(which).items():
                if not any(is_of(one, day) for day in lost):
                    assert self.store.objects[one][0] == text

    @invariant()
    def what_others_have_is_there(self):
        assert self.theirs.keys() <= self.store.objects.keys()


class Misfortunes(Collector):
    """Like it, with a clock that leaps, and parts that are lost."""

    @rule(days=st.sampled_from([-40, -1, 40]))
    def clock_leaps(self, days):
        """From then on nobody knows how long an object has been there; when it may go is not promised any more."""
        self.now += timedelta(days=days)
        self.leapt = True

    @rule(which=WHICH, day=DAY)
    def lose(self, which, day):
        """Somebody removes a part that a session refers to."""
        if day in self.committed[which]:
            self.store.objects.pop([*names_of(DATASETS[which], day, self.committed[which][day])][1], None)
            self.lost.add((which, day))


def keep(machine, examples, steps=30, phases=tuple(Phase)):
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=True,
            database=None,
            deadline=None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("machine", [Collector, Misfortunes])
def test_no_object_that_a_session_refers_to_is_ever_removed(machine):
    keep(machine, 8)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("machine", [Collector, Misfortunes])
def test_no_object_that_a_session_refers_to_is_ever_removed_in_many_orders(machine):
    keep(machine, 1500, 50)


# Collectors that break one of their rules


def deciding(how):
    """A machine whose collector decides like this."""

    class Deciding(Misfortunes if how is takes_the_last_version else Collector):
        def sweep(self, cache, plan):
            with patch.object(sweep, "decide", how):
                return super().sweep(cache, plan)

    return Deciding


def spares_nothing(seen, keep, spared):
    return garbage.decide(seen, keep, ())


def goes_by_age(seen, keep, spared):
    return garbage.decide(replace(seen, unwanted=dict.fromkeys(seen.listed, EVER)), keep, spared)


def takes_the_last_version(seen, keep, spared):
    return garbage.decide(replace(seen, wanted=seen.wanted & seen.listed.keys()), keep, spared)


def removes_nothing(seen, keep, spared):
    return replace(garbage.decide(seen, keep, spared), garbage=())


def forgets_since_when(seen, keep, spared):
    return garbage.decide(replace(seen, unwanted={}), keep, spared)


def takes_any_folder(seen, keep, spared):
    def session_in(name, dataset):
        found = ObjectName.parse(name.rpartition("/")[2])
        return found and found.session

    with patch.object(garbage, "session_in", session_in):
        return garbage.decide(seen, keep, spared)


class SweepsBesideTasks(Collector):
    """Removes what a task has found in the store, and is about to be committed."""

    def staged(self, which, day, content):
        found = super().staged(which, day, content)
        self.sweep(self.caches[which], ())
        return found


class ForgetsReplacements(Collector):
    """Does not look at replacements under way, and comes before they are completed."""

    def recover(self, which):
        self.store.is_slow = False
        self.store.arrive()
        with patch.object(Replacements, "intents", lambda _: []):
            self.sweep(self.caches[which], ())
        super().recover(which)


class StaysUnwanted(Collector):
    """A version that is put again still counts as unwanted."""

    def commit_one(self, *given):
        with patch.object(committing, "_remember"):
            super().commit_one(*given)


BROKEN = [
    deciding(goes_by_age),
    SweepsBesideTasks,
    *(pytest.param(deciding(how), marks=pytest.mark.long) for how in (takes_the_last_version, removes_nothing)),
    *(pytest.param(deciding(how), marks=pytest.mark.long) for how in (forgets_since_when, takes_any_folder)),
]
FOUND_OUT = pytest.raises((AssertionError, KeyError, CacheError))


@pytest.mark.parametrize("machine", BROKEN)
def test_a_collector_that_breaks_a_rule_is_found_out(machine):
    with FOUND_OUT:
        keep(machine, 2000, 50, phases=(Phase.generate,))


# What takes so many steps that chance does not find it


def unwanted_for_long(machine):
    """B has replaced A, which no session has wanted for a day, and nothing was swept since then."""
    machine.night(1, 0, DAYS[0], "A")
    machine.night(1, 0, DAYS[0], "B")
    machine.night_without_news(1, 0, slow=False)
    machine.now += 25 * HOUR


def a_removal_that_comes_late(machine):
    """The store was asked to remove A, and has not answered; then the vendor publishes A again."""
    unwanted_for_long(machine)
    machine.start(0, {DAYS[0]}, slow=True)
    machine.commit_one(0, DAYS[0], "A", machine.staged(0, DAYS[0], "A"), None)
    machine.removals_arrive()


def a_replacement_that_was_interrupted(machine):
    """A is about to replace B, and the run is killed; the next one comes a day later."""
    unwanted_for_long(machine)
    machine.now -= 24 * HOUR
    machine.start(0, {DAYS[0]}, slow=False)
    machine.commit_one(0, DAYS[0], "A", machine.staged(0, DAYS[0], "A"), KILLS["remember"])
    machine.now += 24 * HOUR
    machine.start(0, set(), slow=False)


def a_version_that_is_replaced_again(machine):
    """A is stored again, and replaced again a day later; no run sees it meanwhile."""
    unwanted_for_long(machine)
    machine.accept(0, DAYS[0], "A")
    machine.accept(0, DAYS[0], "B")
    machine.night_without_news(1, 0, slow=False)


STORIES = [
    (a_removal_that_comes_late, deciding(spares_nothing)),
    (a_replacement_that_was_interrupted, ForgetsReplacements),
    (a_version_that_is_replaced_again, StaysUnwanted),
]


def told(story, kind):
    machine = kind()
    try:
        story(machine)
        machine.what_sessions_refer_to_is_there()
    finally:
        machine.teardown()


@pytest.mark.parametrize(("story", "broken"), STORIES)
def test_what_chance_would_not_find_goes_well_and_a_broken_rule_is_found_out(story, broken):
    told(story, Collector)
    with FOUND_OUT:
        told(story, broken)
