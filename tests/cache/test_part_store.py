"""What every store of parts promises, checked for each store and in any order of calls.

At the end, a store of its own breaks each promise, and the check must notice.
"""

import pickle
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import date
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from memory_bucket_kit import MemoryBucket
from parts_kit import local, put

from ingest.cache.layout import PartKey
from ingest.cache.objects.naming import ObjectName
from ingest.cache.objects.parts import ObjectParts
from ingest.cache.parts.local import LocalParts
from ingest.cache.parts.memory import MemoryParts
from ingest.cache.parts.store import Staging, explaining, matches, surely_matches
from ingest.errors import CacheError
from ingest.files import durable
from ingest.files.hashing import sha256_of
from ingest.market.datasets import TIERS, session_of

DAYS = (date(2025, 3, 3), date(2025, 3, 4))
PARTS = [PartKey(day, tier) for day in DAYS for tier in TIERS]
DEAD = "the one who wrote is dead"


UNKNOWN = "0" * 64


def is_published(name):
    """Whether a name is that of a published part, and not one of a staged one or of something else."""
    return session_of(name) is not None or ObjectName.parse(name) is not None


def version(part, text):
    """The key of a published part, as whoever reads it has it."""
    return replace(part, sha256=sha256(text).hexdigest())


def in_folders(folder):
    return LocalParts(folder / "tracked", folder / "archive")


def in_memory(folder):
    return MemoryParts()


class WholeAtOnce(MemoryParts):
    """A part exists once all of it has been written, like an upload of several pieces."""

    @contextmanager
    def staging(self, session, tier):
        text, key = BytesIO(), self.stage(session, tier, b"")
        self.discard(key)
        yield Staging(key, text.write)
        self._held[key] = text.getvalue()


def whole_at_once(folder):
    return WholeAtOnce()


BUCKETS = []
"""Those of the tests: a bucket that nobody holds any more is gone."""


def in_bucket(folder, kind=ObjectParts):
    BUCKETS[:] = [MemoryBucket()]
    return kind(BUCKETS[0], "us_stocks_sip/day_aggs_v1", in_folders(folder))


STORES = [(in_folders, True), (in_memory, False), (whole_at_once, False), (in_bucket, True)]
"""Stores, and whether processes share them."""


class Promises(RuleBasedStateMachine):
    """A store beside its expected content: the published bytes of each part, and those staged by name.

    Keys of published parts have the hash of the version, as readers give it. Where each version has a name of its own,
    all of them stay, and to publish changes nothing: they are there once they are durable.
    """

    make, shared = staticmethod(in_memory), False

    def __init__(self):
        super().__init__()
        self._folder = TemporaryDirectory()
        self.store = self.make(Path(self._folder.name))
        self.store.create()
        self.published = {part: {} for part in PARTS}
        self.staged, self.gone, self.open_files = {}, [], []

    def teardown(self):
        for file, _ in self.open_files:
            file.close()
        self._folder.cleanup()

    def writers(self):
        """The store and, if processes share it, that of another process."""
        return [self.store, pickle.loads(pickle.dumps(self.store))] if self.shared else [self.store]

    @rule(part=st.sampled_from(PARTS), data=st.binary(max_size=40), writer=st.integers(0, 1))
    def stage(self, part, data, writer):
        self.took(part, self.writers()[-writer].stage(part.session, part.tier, data), data)

    @rule(part=st.sampled_from(PARTS), pieces=st.lists(st.binary(max_size=20), max_size=4))
    def stage_in_pieces(self, part, pieces):
        with self.store.staging(part.session, part.tier) as staging:
            for piece in pieces:
                staging.write(memoryview(bytearray(piece)))
        self.took(part, staging.key, b"".join(pieces))

    @rule(part=st.sampled_from(PARTS), data=st.binary(min_size=1, max_size=20))
    def stage_and_die(self, part, data):
        with pytest.raises(InterruptedError, match=DEAD):
            self.half_written(part, data)

    def half_written(self, part, data):
        with self.store.staging(part.session, part.tier) as staging:
            self.gone.append(staging.key)
            staging.write(data)
            raise InterruptedError(DEAD)

    @rule(part=st.sampled_from(PARTS), data=st.binary(max_size=20))
    def be_swept_while_writing(self, part, data):
        """Whether a part that is still being written counts as staged is up to the store; what it swept stays away."""
        with self.store.staging(part.session, part.tier) as staging:
            swept = self.swept(being_written=1)
            staging.write(data)
        if swept:
            self.gone.append(staging.key)
        else:
            self.took(part, staging.key, data)

    def took(self, part, key, data):
        assert replace(key, staged="") == part
        assert key.staged
        assert key not in self.staged
        assert key not in self.gone
        self.staged[key] = data

    @precondition(lambda self: self.staged)
    @rule(data=st.data(), first=st.booleans())
    def publish(self, data, first):
        key = data.draw(st.sampled_from(list(self.staged)))
        ready = self.durable(key) if first else key
        self.store.publish(pickle.loads(pickle.dumps(ready)))
        self.add(replace(key, staged=""), self.staged.pop(key))
        self.gone.append(key)
        if self.store.by_content and first:
            self.store.publish(ready)
            self.store.discard(ready)

    def durable(self, key):
        """The key of a part whose bytes were made durable; to do so again changes nothing."""
        (ready,) = self.store.sync_staged([key])
        assert self.store.sync_staged([ready]) == [ready]
        assert replace(ready, staged="") == replace(key, staged="")
        assert (ready == key) is not self.store.by_content
        return ready

    def add(self, part, text):
        """Note that this is the newest version of a part."""
        if not self.store.by_content:
            self.published[part].clear()
        self.published[part][sha256(text).hexdigest()] = text

    def versions(self):
        """The published versions by their keys, as readers know them."""
        return [(version(part, text), text) for part, held in self.published.items() for text in held.values()]

    @rule(part=st.sampled_from(PARTS))
    def drop(self, part):
        self.store.drop(part.session, part.tier)
        self.published[part].clear()

    @precondition(lambda self: self.gone)
    @rule(data=st.data())
    def publish_what_is_gone(self, data):
        with pytest.raises(CacheError):
            self.store.publish(data.draw(st.sampled_from(self.gone)))

    @precondition(lambda self: self.gone or self.staged)
    @rule(data=st.data())
    def discard(self, data):
        key = data.draw(st.sampled_from([*self.staged, *self.gone]))
        self.store.discard(key)
        if self.staged.pop(key, None) is not None:
            self.gone.append(key)

    @rule(part=st.sampled_from(PARTS))
    def publish_and_discard_what_never_was_staged(self, part):
        for deed in (self.store.publish, self.store.discard):
            with pytest.raises(CacheError):
                deed(part)

    @rule()
    def sweep(self):
        self.swept(being_written=0)

    def swept(self, being_written):
        """Sweep, and return how many of those were swept that are still being written."""
        more = self.store.sweep() - len(self.staged)
        assert 0 <= more <= being_written
        self.gone += self.staged
        self.staged.clear()
        return more

    @rule()
    def sync(self):
        self.store.sync()

    @precondition(lambda self: self.versions())
    @rule(data=st.data())
    def open_and_go_on(self, data):
        key, text = data.draw(st.sampled_from(self.versions()))
        self.open_files.append((self.store.open(key), text))

    @precondition(lambda self: self.versions())
    @rule(data=st.data())
    def read_ranges(self, data):
        key, text = data.draw(st.sampled_from(self.versions()))
        edges = st.tuples(st.integers(0, 50), st.integers(0, 50)).map(sorted).map(tuple)
        ranges = data.draw(st.lists(edges, max_size=4))
        assert self.store.read_ranges(key, ranges) == [text[begin:end] for begin, end in ranges]

    @invariant()
    def what_is_there_is_what_was_published_last(self):
        for key, text in self.versions():
            self.check(key, text)
        for part, held in self.published.items():
            if self.store.by_content or not held:
                self.check(replace(part, sha256=UNKNOWN), None)
        for key, data in self.staged.items():
            self.check(key, data)
        for key in self.gone:
            self.check(key, None)

    def check(self, key, data):
        if data is None:
            for read in (
                self.store.read,
                self.store.size,
                self.store.open,
                lambda one: self.store.read_ranges(one, []),
            ):
                with pytest.raises(FileNotFoundError):
                    read(key)
            return
        with self.store.open(key) as file:
            whole, rest = file.read(), (file.seek(len(data) // 2), file.read())[1]
        assert (whole, rest) == (data, data[len(data) // 2 :])
        assert (self.store.read(key), self.store.size(key)) == (data, len(data))

    @invariant()
    def what_is_listed_is_what_is_there(self):
        for tier in TIERS:
            published = {part.session: len(held) for part, held in self.published.items() if part.tier == tier and held}
            mine = [(key, text) for key, text in self.versions() if key.tier == tier]
            names = self.store.names(tier)
            assert {self.store.name(key) for key, _ in mine} == {one for one in names if is_published(one)}
            versions = self.store.versions(tier)
            assert {day: len(parts) for day, parts in versions.items()} == published
            listed = [self.store.name(part) for parts in versions.values() for part in parts]
            assert sorted(listed) == sorted(self.store.name(key) for key, _ in mine)
            assert sorted(self.store.sizes(tier)) == sorted(len(text) for _, text in mine)
            assert len(self.store.leftovers(tier)) == sum(key.tier == tier for key in self.staged)
        for part in PARTS:
            mine = {key for key in self.staged if replace(key, staged="") == part}
            assert set(self.store.staged(part.session, part.tier)) == mine

    @invariant()
    def what_is_open_stays_what_it_was(self):
        for file, data in self.open_files:
            file.seek(0)
            assert file.read() == data


def keep(make, examples, phases=tuple(Phase), shared=False):
    """Check a store's promises in this many orders; a store that processes share is pickled, too."""
    machine = type("Asked", (Promises,), {"make": staticmethod(make), "shared": shared})
    health = (HealthCheck.too_slow, HealthCheck.data_too_large)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            derandomize=True,
            database=None,
            deadline=None,
            phases=phases,
            suppress_health_check=health,
        ),
    )


@pytest.mark.parametrize(("make", "shared"), STORES)
def test_a_store_keeps_its_promises(make, shared):
    keep(make, 10, shared=shared)


@pytest.mark.long
@pytest.mark.parametrize(("make", "shared"), STORES)
def test_a_store_keeps_its_promises_in_many_orders(make, shared):
    keep(make, 2000, shared=shared)


def test_a_shared_store_that_cannot_be_pickled_is_found_out():
    with pytest.raises(TypeError, match="cannot pickle"):
        keep(in_memory, 40, phases=(Phase.generate,), shared=True)


def read_beside_a_replacement(store):
    """A part is opened, replaced, and read on: it stays the old one; opening it again returns the new one."""
    store.create()
    put(store, b"old" * 10_000, PARTS[0])
    with store.open(version(PARTS[0], b"old" * 10_000)) as file:
        begun = file.read(10)
        put(store, b"new" * 20_000, PARTS[0])
        assert begun + file.read() == b"old" * 10_000
    assert store.read(version(PARTS[0], b"new" * 20_000)) == b"new" * 20_000


@pytest.mark.parametrize("make", [in_folders, in_memory, in_bucket])
def test_an_open_part_does_not_change_while_it_is_replaced(make, tmp_path):
    read_beside_a_replacement(make(tmp_path))


# Stores that break one of them


class OneName(MemoryParts):
    """Two executions of a task write under one name, like a process with one token for everything it writes."""

    def stage(self, session, tier, data):
        self._count = 0
        return super().stage(session, tier, data)


class OneFile(LocalParts):
    """The same for files."""

    __slots__ = ()

    def _another(self, session, tier):
        path = self.path(PartKey(session, tier))
        return path, PartKey(session, tier, durable.temporary(path).name)


class InPlace(LocalParts):
    """Publishes into the existing file."""

    __slots__ = ()

    def publish(self, staged):
        data = self.read(staged)
        self.path(replace(staged, staged="")).write_bytes(data)
        self.discard(staged)


class StaysStaged(MemoryParts):
    def publish(self, staged):
        super().publish(staged)
        self._held[staged] = self._held[replace(staged, staged="")]


class SaysNothing(MemoryParts):
    def publish(self, staged):
        self._refuse_published(staged)
        with suppress(CacheError):
            super().publish(staged)


class LosesTheOld(MemoryParts):
    def publish(self, staged):
        self._held.pop(replace(staged, staged=""), None)
        super().publish(staged)


class WrongTier(MemoryParts):
    def publish(self, staged):
        super().publish(staged)
        old = PartKey(staged.session, staged.tier)
        self._held[replace(old, tier="archive")] = self._held.pop(old)


class DiscardsAll(MemoryParts):
    def discard(self, staged):
        super().discard(staged)
        self._held.pop(replace(staged, staged=""), None)


class DiscardsNothing(MemoryParts):
    def discard(self, staged):
        self._refuse_published(staged)


class Lax(MemoryParts):
    """Discards published parts when asked to."""

    def discard(self, staged):
        self._held.pop(staged, None)


class SweepsAll(MemoryParts):
    def sweep(self):
        swept = super().sweep()
        self._held.clear()
        return swept


class SweepsOne(MemoryParts):
    def sweep(self):
        found = self._all_staged()
        for key in found[:1]:
            self.discard(key)
        return len(found)


class Shifted(MemoryParts):
    def read_ranges(self, key, ranges):
        return super().read_ranges(key, sorted(ranges))


class Padded(MemoryParts):
    def read_ranges(self, key, ranges):
        found = super().read_ranges(key, ranges)
        return [data.ljust(end - begin, b"\0") for data, (begin, end) in zip(found, ranges, strict=True)]


class Stale(MemoryParts):
    """Always reads the first version."""

    def read(self, key):
        self._seen = getattr(self, "_seen", {})
        return self._seen.setdefault(key, super().read(key))


class EmptyForMissing(MemoryParts):
    def read(self, key):
        return self._held.get(key, b"")


class Live(MemoryParts):
    """An open part changes when a new version is published."""

    def open(self, key):
        file = super().open(key)
        file.read = lambda: self.read(key)
        return file


class NamesAll(MemoryParts):
    def names(self, tier):
        return super().names("tracked") | super().names("archive")


class SizesOfStaged(MemoryParts):
    def sizes(self, tier):
        return [len(data) for key, data in self._held.items() if key.tier == tier]


class ListsOthers(MemoryParts):
    def staged(self, session, tier):
        return [key for key in self._all_staged() if key.session == session]


class LeavesHalf(MemoryParts):
    """A failed writer leaves what it wrote."""

    def discard(self, staged):
        if len(self._held.get(staged, b"")):
            super().discard(staged)


class Resurrects(MemoryParts):
    """A swept part comes back when its writer ends."""

    @contextmanager
    def staging(self, session, tier):
        text = BytesIO()
        with super().staging(session, tier) as staging:
            yield Staging(staging.key, text.write)
        self._held[staging.key] = text.getvalue()


class KeepsNoFailure(MemoryParts):
    def staging(self, session, tier):
        return _Keeping(self, session, tier)


class _Keeping:
    def __init__(self, store, session, tier):
        self._store, self._part, self._text = store, (session, tier), BytesIO()

    def __enter__(self):
        self.key, self.write = self._store.stage(*self._part, b""), self._text.write
        return self

    def __exit__(self, *_):
        self._store._held[self.key] = self._text.getvalue()


BROKEN = [one for one in globals().values() if isinstance(one, type) and issubclass(one, MemoryParts)][2:]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda one: one.__name__)
def test_a_store_in_memory_that_breaks_a_promise_is_found_out(broken):
    with pytest.raises((AssertionError, pytest.fail.Exception, FileNotFoundError, CacheError)):
        keep(lambda folder: broken(), 400, phases=(Phase.generate,))  # the first that fails ends it


def test_a_store_of_files_that_writes_twice_under_one_name_is_found_out():
    with pytest.raises(AssertionError):
        keep(lambda folder: OneFile(folder / "tracked", folder / "archive"), 400, phases=(Phase.generate,))


def test_a_store_of_files_that_writes_into_what_is_there_is_found_out(tmp_path):
    with pytest.raises(AssertionError, match="assert b'old"):
        read_beside_a_replacement(InPlace(tmp_path / "tracked", tmp_path / "archive"))


# Stores with names by content


class SessionNames(ObjectParts):
    """Knows a version by its session alone: another one has its place."""

    __slots__ = ()

    def publish(self, staged):
        before = self.versions(staged.tier).get(staged.session, [])
        super().publish(staged)
        self.bucket.remove([self._object(one) for one in before])


class Newest(ObjectParts):
    """Reads the newest version, whichever is meant."""

    __slots__ = ()

    def read(self, key):
        found = self.versions(key.tier).get(key.session) if key.sha256 else None
        return super().read(found[0] if found else key)


class ListsNewest(ObjectParts):
    __slots__ = ()

    def versions(self, tier):
        return {day: found[:1] for day, found in super().versions(tier).items()}


class OneTier(ObjectParts):
    """Puts both tiers into one folder."""

    __slots__ = ()

    def _in(self, tier, name):
        return super()._in("tracked", name)


class DiscardsWhatIsPut(ObjectParts):
    """Removes what another execution may have put, and somebody refers to."""

    __slots__ = ()

    def discard(self, staged):
        super().discard(staged)
        self.bucket.remove([self._object(staged)])


class LeavesStaged(ObjectParts):
    __slots__ = ()

    def _put(self, key):
        with suppress(CacheError):
            text = self.scratch.read(key)
            self.scratch.path(key).with_name("kept").write_bytes(text)
        put = super()._put(key)
        if put is not key:
            self.scratch.path(key).with_name("kept").rename(self.scratch.path(key))
        return put


RARER = (pytest.param(one, marks=pytest.mark.long) for one in (Newest, ListsNewest, OneTier, LeavesStaged))


@pytest.mark.parametrize("kind", [SessionNames, DiscardsWhatIsPut, *RARER])
def test_a_store_with_names_by_content_that_breaks_a_promise_is_found_out(kind):
    with pytest.raises((AssertionError, pytest.fail.Exception, FileNotFoundError, CacheError)):
        keep(lambda folder: in_bucket(folder, kind), 400, phases=(Phase.generate,))


# For files only


@pytest.mark.parametrize(
    "name",
    [
        "../tracked/.2025-03-03.csv.gz.tmp",
        "2025-03-03.csv.gz",
        "/etc/passwd",
        ".2025-03-04.csv.gz.tmp",
        "..",
        "manifest",
    ],
)
def test_a_staged_name_of_another_part_is_refused(tmp_path, name):
    store = local(tmp_path)
    put(store, b"held", PARTS[0])
    for other in TIERS:
        (store.folder(other) / ".2025-03-04.csv.gz.tmp").write_bytes(b"another part's")
    for deed in (store.publish, store.discard, store.read, store.open):
        with pytest.raises(CacheError, match="is not a temporary name of"):
            deed(replace(PARTS[0], staged=name))
    assert store.read(PARTS[0]) == b"held"
    assert len(list(tmp_path.rglob("*.tmp"))) == 2


def test_temporary_files_of_an_earlier_version_count_as_staged_and_are_swept(tmp_path):
    store = local(tmp_path)
    (store.folder("archive") / ".2025-03-03.csv.gz.tmp").write_bytes(b"left")
    (key,) = store.staged(DAYS[0], "archive")
    assert store.read(key) == b"left"
    store.publish(key)
    assert store.read(PartKey(DAYS[0], "archive")) == b"left"
    (store.folder("tracked") / ".2025-03-03.csv.gz.tmp").write_bytes(b"left")
    (store.folder("tracked") / ".notes.tmp").write_bytes(b"another program's")
    assert store.sweep() == 1
    assert [path.name for path in tmp_path.rglob("*.tmp")] == [".notes.tmp"]


def test_an_unreadable_part_is_not_a_missing_part(tmp_path):
    """Whoever decides by this whether to download again must not confuse the two."""
    store, part = local(tmp_path), PARTS[0]
    sha256 = "0" * 64
    assert not matches(store, part, sha256)
    assert not surely_matches(store, part, sha256)
    store.path(part).symlink_to(tmp_path / "elsewhere")
    assert not surely_matches(store, part, sha256)
    store.path(part).unlink()
    put(store, b"held", part)
    assert matches(store, part, sha256_of(store.path(part)))
    assert surely_matches(store, part, sha256_of(store.path(part)))
    (tmp_path / "tracked").rename(tmp_path / "was")
    (tmp_path / "tracked").write_bytes(b"a file in the place of the folder")
    assert not matches(store, part, sha256)
    with pytest.raises(CacheError, match=f"cannot read {store.path(part)}: "):
        surely_matches(store, part, sha256)
    with pytest.raises(CacheError, match=f"cannot read {store.path(part)}: "), explaining(store, part):
        store.read(part)


@pytest.mark.parametrize("make", [make for make, _ in STORES])
def test_a_published_part_can_be_removed_and_nothing_else_goes_with_it(make, tmp_path):
    store = make(tmp_path)
    store.create()
    for part in PARTS:
        put(store, b"text", part)
    staged = store.stage(DAYS[0], "tracked", b"newer")
    for _ in range(2):  # what is gone already is no error
        store.drop(DAYS[0], "tracked")
    store.sync()
    with pytest.raises(FileNotFoundError):
        store.read(version(PARTS[0], b"text"))
    assert [store.read(version(part, b"text")) for part in PARTS[1:]] == [b"text"] * 3
    assert store.read(staged) == b"newer"
