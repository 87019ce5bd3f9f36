"""Disks that are full, read-only or broken, and folders that vanish: a run says so, holds what it held, and goes on
when the disk is well again.

Faults are injected below the cache, at each call of `os` in turn; where the machine allows, a small file system of its
own is filled up and made read-only for real.
"""

import errno
import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
from disk import is_ignored
from large_kit import shrink
from pipeline_kit import Place, market_day, sampled
from story import DAYS

from ingest import events
from ingest.cache.lock import hold
from ingest.cache.manifest import Manifest
from ingest.cache.manifest.database import Database
from ingest.cache.manifest.runs import RunLog
from ingest.cache.parts.local import LocalParts
from ingest.errors import CacheError
from ingest.maintenance.status import status
from ingest.maintenance.verify import verify
from ingest.reading import history

ERRORS = [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO, getattr(errno, "EDQUOT", errno.EIO)]
CALLS = ("open", "write", "fsync", "replace", "unlink", "mkdir")


class BrokenDisk:
    """Fails calls upon files and folders below a root: the nth one and, where `stays`, all that follow."""

    def __init__(self, root, nth=None, error=errno.ENOSPC, stays=True):
        self._root, self._nth, self._error, self._stays = root, nth, error, stays
        self._descriptors = set()
        self.calls = []

    @contextmanager
    def inserted(self):
        with ExitStack() as patches:
            for name in CALLS:
                patches.enter_context(patch.object(os, name, self._wrap(name, getattr(os, name))))
            patches.enter_context(patch.object(os, "close", self._closing(os.close)))
            yield self

    def _wrap(self, name, original):
        def call(first, *more, **named):
            # Who makes a folder that is there already (filelock does) may fail at it: nothing comes of that.
            if self._concerns(first) and not self._is_harmless(name, first, *more):
                self.calls.append(name)
                if self._is_broken():
                    self._fail(name, original, first, *more)
            found = original(first, *more, **named)
            if name == "open" and self._concerns(first):
                self._descriptors.add(found)
            return found

        return call

    def _is_harmless(self, name, first, *more):
        # A file that cannot be read is another matter: mostly it is made again.
        reads = name == "open" and not more[0] & (os.O_WRONLY | os.O_RDWR | os.O_DIRECTORY)
        return reads or (name == "mkdir" and Path(first).is_dir())

    def _closing(self, original):
        def close(descriptor):
            self._descriptors.discard(descriptor)
            original(descriptor)

        return close

    def _concerns(self, first):
        if isinstance(first, int):
            return first in self._descriptors
        return Path(first).is_relative_to(self._root) and not is_ignored(Path(first))

    def _is_broken(self):
        count = len(self.calls)
        return self._nth is not None and (count == self._nth or (self._stays and count > self._nth))

    def _fail(self, name, original, first, *more):
        if name == "write":
            original(first, bytes(more[0])[: len(more[0]) // 2])
        raise OSError(self._error, os.strerror(self._error))


def refusal(story, place, **more):
    """What the error of a run says, if it has one."""
    try:
        story.finish(place, **more)
    except CacheError as error:
        return str(error)
    return None


def ends_well_on_a_healthy_disk(story, place, ran):
    """A run that failed has said so; what it left is in order, and the next one ends as an undisturbed run."""
    assert ran.error.exit_code == 5
    assert str(place.root) in str(ran.error)
    if ran.of(events.RunStarted):
        assert ran.finished.exit_code == 5
    story.check_interrupted(place)
    story.finish(place)
    story.check_finished(place)


def fail_at(story, nth, error, stays):
    place = story.fresh_copy()
    with BrokenDisk(place.root, nth, error, stays).inserted() as disk:
        try:
            ran = story.finish(place, fails=CacheError)
        except AssertionError:
            if len(disk.calls) < nth:  # sessions that were ready together share calls, and it ended before
                return
            raise
    try:
        assert os.strerror(error) in str(ran.error)
        ends_well_on_a_healthy_disk(story, place, ran)
    except AssertionError as failure:
        failure.add_note(f"{errno.errorcode[error]} at call {nth}: {disk.calls[nth - 1]}")
        raise


def calls_of(story):
    place = story.fresh_copy()
    with BrokenDisk(place.root).inserted() as disk:
        story.finish(place)
    return disk.calls


def test_a_disk_that_fails_ends_the_run_and_loses_nothing(eventful, first):
    calls = {story: calls_of(story) for story in (eventful, first)}
    assert {name for made in calls.values() for name in made} == set(CALLS)
    errors = itertools.cycle(ERRORS)
    for story, made in calls.items():
        for nth in range(1, len(made) + 1, 4 if story is eventful else 6):
            fail_at(story, nth, next(errors), stays=True)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_disk_that_fails_at_any_call_in_any_way_ends_the_run_and_loses_nothing(eventful, first):
    for story in (eventful, first):
        for nth in range(1, len(calls_of(story)) + 1):
            for error, stays in itertools.product(ERRORS, (True, False)):
                fail_at(story, nth, error, stays)


# The manifest


def sqlite_error(message, code):
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return error


MANIFEST_FAULTS = {
    "full": sqlite_error("database or disk is full", sqlite3.SQLITE_FULL),
    "I/O error": sqlite_error("disk I/O error", sqlite3.SQLITE_IOERR),
    "readonly": sqlite_error("attempt to write a readonly database", sqlite3.SQLITE_READONLY),
}


class FailingConnection:
    """A connection of SQLite that refuses one statement."""

    def __init__(self, connection, refused, error):
        self._connection, self._refused, self._error = connection, refused, error

    def execute(self, statement, *values):
        if statement == self._refused:
            raise self._error
        return self._connection.execute(statement, *values)

    def __getattr__(self, name):
        return getattr(self._connection, name)


@contextmanager
def failing_manifest(nth, refused, error):
    """From the nth transaction on, one statement of it fails; the list counts the transactions."""
    original, count = Database.transaction, []

    def transaction(database):
        count.append(database)
        if len(count) == nth:
            database._db = FailingConnection(database._db, refused, error)
        return original(database)

    with patch.object(Database, "transaction", transaction):
        yield count


STATEMENTS = ("BEGIN IMMEDIATE", "COMMIT")


def fail_transaction(story, nth, fault, refused):
    place, error = story.fresh_copy(), MANIFEST_FAULTS[fault]
    with failing_manifest(nth, refused, error):
        ran = story.finish(place, fails=CacheError)
    assert f"manifest.sqlite: {error}" in str(ran.error), (nth, fault, refused)
    ends_well_on_a_healthy_disk(story, place, ran)


def transactions_of(story):
    with failing_manifest(None, "", None) as transactions:
        story.finish(story.fresh_copy())
    return range(1, len(transactions) + 1)


def test_a_manifest_that_cannot_be_written_ends_the_run_and_loses_nothing(eventful):
    ways = itertools.cycle(itertools.product(MANIFEST_FAULTS, STATEMENTS))
    for nth in transactions_of(eventful):
        for fault, refused in itertools.islice(ways, 1):
            fail_transaction(eventful, nth, fault, refused)


@pytest.mark.long
def test_a_manifest_that_cannot_be_written_in_any_way_ends_the_run_and_loses_nothing(eventful, first):
    for story in (eventful, first):
        for nth, fault, refused in itertools.product(transactions_of(story), MANIFEST_FAULTS, STATEMENTS):
            fail_transaction(story, nth, fault, refused)


@pytest.mark.parametrize("nth", [2, 5, 8])
def test_a_manifest_that_sqlite_itself_calls_read_only_is_said(eventful, nth):
    original, count = Database.transaction, []

    def transaction(database):
        count.append(database)
        if len(count) == nth:
            database._db.execute("PRAGMA query_only = ON")
        return original(database)

    place = eventful.fresh_copy()
    with patch.object(Database, "transaction", transaction):
        ran = eventful.finish(place, fails=CacheError)
    assert "manifest.sqlite: attempt to write a readonly database" in str(ran.error)
    ends_well_on_a_healthy_disk(eventful, place, ran)


# What a run meets first, and what it only reads


def refusing(*refused):
    """A call of `os` that fails for some paths."""

    def wrap(original):
        def method(path, *more, **named):
            if Path(path) in refused:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return original(path, *more, **named)

        return method

    return wrap


@pytest.mark.parametrize("name", ["data_cache/sessions", "massive_cache"])
def test_a_folder_of_parts_that_cannot_be_read_is_named(eventful, name, monkeypatch):
    place = eventful.fresh_copy()
    monkeypatch.setattr(os, "listdir", refusing(place.root / name)(os.listdir))
    ran = eventful.finish(place, fails=CacheError)
    assert str(ran.error) == f"cannot look into {place.root / name}: {os.strerror(errno.EIO)}"
    monkeypatch.undo()
    ends_well_on_a_healthy_disk(eventful, place, ran)


def test_a_part_that_cannot_be_read_while_a_replacement_is_carried_through_is_named(eventful, monkeypatch):
    place = eventful.fresh_copy()
    with patch.object(LocalParts, "publish", side_effect=CacheError("the run ends after its intent")):
        eventful.finish(place, fails=CacheError)
    part = place.part(DAYS[0])
    monkeypatch.setattr(os, "open", refusing(part)(os.open))
    ran = eventful.finish(place, fails=CacheError)
    assert str(ran.error) == f"cannot read {part}: {os.strerror(errno.EIO)}"
    monkeypatch.undo()
    ends_well_on_a_healthy_disk(eventful, place, ran)


def test_what_a_run_met_first_is_what_it_says_where_its_end_cannot_be_recorded_either(eventful):
    middle = len(calls_of(eventful)) // 2
    place = eventful.fresh_copy()
    with (
        patch.object(RunLog, "finish", side_effect=CacheError("the manifest is full, too")),
        BrokenDisk(place.root, nth=middle).inserted(),
    ):
        ran = eventful.finish(place, fails=CacheError)
    assert os.strerror(errno.ENOSPC) in str(ran.error)
    assert ran.finished.exit_code == 5
    ends_well_on_a_healthy_disk(eventful, place, ran)


# Folders that vanish


@pytest.mark.parametrize("gone", sampled(["data_cache/sessions", "data_cache", "massive_cache", "."], 2))
@pytest.mark.parametrize("moment", [events.Planned, events.Fetched, events.Committed, events.Projected])
def test_a_folder_that_vanishes_in_the_middle_of_a_run_is_filled_again_by_the_next(first, gone, moment):
    place = first.fresh_copy()
    seen = []

    def vanish(event):
        if isinstance(event, moment) and not seen:
            seen.append(event)
            shutil.rmtree(place.root / gone)

    refused = refusal(first, place, sink=vanish)
    assert seen
    assert refused is None or str(place.root) in refused
    first.finish(place)
    first.check_finished(place)


# For real


def mount(*arguments):
    return subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)


class SmallDisk:
    """A file system in memory, of a size that can be changed."""

    def __init__(self, folder):
        self.folder = folder

    def resize(self, size):
        self._remount(f"size={size}")

    def make(self, mode):
        """`ro` or `rw`."""
        self._remount(mode)

    def _remount(self, option):
        done = mount("-o", f"remount,{option}", self.folder)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def small_disk(tmp_path):
    if sys.platform != "linux":
        pytest.skip("tmpfs is Linux's own")
    folder = tmp_path / "small"
    folder.mkdir()
    done = mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", folder)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield SmallDisk(folder)
    subprocess.run(["umount", "--lazy", folder], check=True)  # also where a test that failed has it in use


@pytest.mark.parametrize("story", ["eventful", "first"])
def test_a_disk_that_fills_up_in_the_middle_of_a_run_loses_nothing(small_disk, story, request):
    story = request.getfixturevalue(story)
    place = Place(small_disk.folder / "cache", story.before.endpoint_url)
    failed = 0
    for room in range(4, 1200, 24):
        small_disk.resize("8m")
        shutil.rmtree(place.root, ignore_errors=True)
        if story.before.root.exists():
            shutil.copytree(story.before.root, place.root)
        used = shutil.disk_usage(small_disk.folder).used
        small_disk.resize(used + room * 1024)
        refused = refusal(story, place)
        small_disk.resize("8m")
        if refused is None:
            break
        failed += 1
        assert str(place.root) in refused
        assert any(words in refused for words in ("No space left", "is full", "I/O error")), refused
        story.check_interrupted(place)
        story.finish(place)
        story.check_finished(place)
    story.check_finished(place)
    assert failed > 5


def test_a_disk_that_is_read_only_is_said_and_what_is_held_stays(small_disk, eventful):
    place = Place(small_disk.folder / "cache", eventful.before.endpoint_url)
    shutil.copytree(eventful.before.root, place.root)
    small_disk.make("ro")
    ran = eventful.finish(place, fails=CacheError)
    assert "Read-only file system" in str(ran.error)
    small_disk.make("rw")
    ends_well_on_a_healthy_disk(eventful, place, ran)


@pytest.mark.parametrize("left", [(""), ("", "-wal")])
@pytest.mark.parametrize("room", [0, 1, 3, 7])
def test_the_status_of_a_full_disk_can_be_read(small_disk, eventful, left, room):
    """Also where a run that was killed has left its log. `room` are free pages, too few for what readers share."""
    place = Place(small_disk.folder / "cache", eventful.before.endpoint_url)
    shutil.copytree(eventful.before.root, place.root)
    with Manifest.open(eventful.before.root / "manifest.sqlite", place.dataset.name) as writer:
        writer.runs.begin(DAYS[0], DAYS[1])
        for end in left:
            shutil.copy(f"{writer.database.path}{end}", f"{place.root / 'manifest.sqlite'}{end}")
    small_disk.resize(shutil.disk_usage(small_disk.folder).used + room * os.sysconf("SC_PAGE_SIZE"))
    state = status(place.settings())
    assert (state.last, state.sessions[0].count) == (DAYS[1], 2)
    small_disk.resize("8m")


@pytest.mark.parametrize("left", ["", "-wal"])
def test_a_cache_on_a_file_system_that_is_mounted_read_only_is_read(small_disk, eventful, left):
    """Also where a run that was killed has left its log."""
    place = Place(small_disk.folder / "cache", eventful.before.endpoint_url)
    shutil.copytree(eventful.before.root, place.root)
    with Manifest.open(eventful.before.root / "manifest.sqlite", place.dataset.name) as writer:
        writer.runs.begin(DAYS[0], DAYS[1])
        for end in ("", left):
            shutil.copy(f"{writer.database.path}{end}", f"{place.root / 'manifest.sqlite'}{end}")
    small_disk.make("ro")
    assert (status(place.settings()).last, verify(place.settings()).broken) == (DAYS[1], ())
    owned, found = (history.day_rows(one.settings(), one.dataset, DAYS[1]) for one in (eventful.before, place))
    assert found.height > 200
    assert found.equals(owned)
    with pytest.raises(CacheError, match="is mounted read-only"), hold(place.root):
        pass
    small_disk.make("rw")


@pytest.mark.parametrize(("nth", "stays"), [(1, True), (4, True), (7, False), (20, True)])
def test_a_disk_that_breaks_while_a_large_file_comes_down(story_server, environment, tmp_path, monkeypatch, nth, stays):
    """The run ends and says so; the next one goes on with what has come."""
    shrink(monkeypatch)
    place, day = Place(tmp_path / "cache", story_server.endpoint_url), DAYS[1]
    with BrokenDisk(place.root / "spool", nth, errno.ENOSPC, stays).inserted() as disk:
        ran = place.run(day, day, fails=CacheError)
    assert len(disk.calls) >= nth
    assert ran.finished.exit_code == 5
    assert os.strerror(errno.ENOSPC) in str(ran.error)
    held = sum(path.stat().st_blocks * 512 for path in (place.root / "spool").rglob("*") if path.is_file())
    said = f"{place.root / 'spool'} holds {held:,} bytes of unfinished downloads"
    assert (said in str(ran.error)) == (held > 0)
    assert place.run(day, day).finished.exit_code == 0
    assert place.reassembled(day) == market_day(day)
    assert list((place.root / "spool").iterdir()) == []


def test_a_full_disk_names_large_files_that_are_on_their_way_whatever_it_refuses(eventful, tmp_path, monkeypatch):
    """Here the manifest; what another error refuses is not of them."""
    place = Place(tmp_path / "cache", eventful.before.endpoint_url)
    shutil.copytree(eventful.before.root, place.root)
    kept = place.dataset.folder(place.root / "spool") / "2025-03-05.csv.gz.part"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"x" * 8192)
    for number, is_full in ((sqlite3.SQLITE_FULL, True), (sqlite3.SQLITE_IOERR, False)):
        refused = sqlite3.OperationalError("refused")
        refused.sqlite_errorcode = number

        def failing(*arguments, refused=refused):
            raise CacheError(f"the manifest: {refused}") from refused

        with monkeypatch.context() as patch:
            patch.setattr(RunLog, "begin", failing)
            with pytest.raises(CacheError) as raised:
                place.run(DAYS[0], DAYS[1])
        assert ("spool holds 8,192 bytes of unfinished downloads" in str(raised.value)) == is_full
