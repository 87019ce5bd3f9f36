"""One run at a time, and no lock that outlives its holder."""

import errno
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingest.cache import lock
from ingest.errors import CacheError, CacheLocked

HOLDER = """
import sys
from pathlib import Path
from ingest.cache import lock
with lock.hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def _other_process(root: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock until it is asked to end."""
    command = [sys.executable, "-c", HOLDER, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_and_the_error_names_the_holder(tmp_path: Path) -> None:
    with _other_process(tmp_path) as holder:
        with pytest.raises(CacheLocked, match=rf"pid {holder.pid} on {platform.node()}, since 20") as caught:
            lock.hold(tmp_path).__enter__()
        assert caught.value.exit_code == 6
        # A refusal changes nothing for the holder.
        with pytest.raises(CacheLocked, match=f"pid {holder.pid}"):
            lock.hold(tmp_path).__enter__()


def test_a_second_hold_in_the_same_process_is_refused(tmp_path: Path) -> None:
    with lock.hold(tmp_path), pytest.raises(CacheLocked, match=f"pid {os.getpid()}"), lock.hold(tmp_path):
        pass


def test_another_cache_is_free(tmp_path: Path) -> None:
    with _other_process(tmp_path / "one"), lock.hold(tmp_path / "two"):
        assert (tmp_path / "two" / "ingest.lock.json").exists()


def test_who_holds_a_cache_is_known_without_its_lock(tmp_path: Path) -> None:
    assert lock.holder(tmp_path) is None
    with _other_process(tmp_path) as process:
        found = lock.holder(tmp_path)
        assert found is not None
        assert (found.pid, found.host, found.started[:2]) == (process.pid, platform.node(), "20")
    process.wait()
    assert sys.platform == "win32" or lock.holder(tmp_path) is None  # its note is there, the process is not
    elsewhere = {"pid": process.pid, "host": "another\x1b[2J", "started": "2020-01-01T00:00:00+00:00"}
    (tmp_path / "ingest.lock.json").write_text(json.dumps(elsewhere))
    found = lock.holder(tmp_path)
    assert str(found) == rf"pid {process.pid} on another\x1b[2J, since 2020-01-01T00:00:00+00:00"
    (tmp_path / "ingest.lock.json").write_text('{"pid": "x"}')
    assert lock.holder(tmp_path) is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_holder_that_was_killed_blocks_nobody(tmp_path: Path) -> None:
    with _other_process(tmp_path) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert json.loads((tmp_path / "ingest.lock.json").read_text())["pid"] == holder.pid
        with lock.hold(tmp_path):
            assert json.loads((tmp_path / "ingest.lock.json").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("ending", [None, ValueError])
def test_a_holder_that_ends_releases_the_lock_and_removes_its_note(
    ending: type[Exception] | None, tmp_path: Path
) -> None:
    def hold() -> None:
        with lock.hold(tmp_path):
            assert json.loads((tmp_path / "ingest.lock.json").read_text())["pid"] == os.getpid()
            if ending:
                raise ending

    for _ in range(2):
        if ending:
            with pytest.raises(ending):
                hold()
        else:
            hold()
        assert not (tmp_path / "ingest.lock.json").exists()


NOTES = {
    "of a pid that lives": json.dumps({"pid": os.getpid(), "host": platform.node(), "started": "2024"}).encode(),
    "empty": b"",
    "torn": b'{"pid": 1',
    "no text": b"\xff\xfe",
    "a list": b"[]",
    "a number": b"5",
    "of nothing": b"{}",
}


@pytest.mark.parametrize("note", NOTES)
def test_a_note_without_a_holder_blocks_nobody(note: str, tmp_path: Path) -> None:
    (tmp_path / "ingest.lock.json").write_bytes(NOTES[note])
    (tmp_path / "ingest.lock").touch()
    with lock.hold(tmp_path):
        pass


@pytest.mark.parametrize("note", [None, *NOTES])
def test_without_a_valid_note_the_cache_is_still_locked(note: str | None, tmp_path: Path) -> None:
    with _other_process(tmp_path):
        path = tmp_path / "ingest.lock.json"
        if note is None:
            path.unlink()
        else:
            path.write_bytes(NOTES[note])
        with pytest.raises(CacheLocked, match="another run holds the cache"):
            lock.hold(tmp_path).__enter__()


def test_the_folder_of_a_new_cache_is_made(tmp_path: Path) -> None:
    with lock.hold(tmp_path / "a" / "cache"):
        assert (tmp_path / "a" / "cache").is_dir()


def test_a_cache_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheError, match="file"):
        lock.hold(tmp_path / "file" / "cache").__enter__()


def test_a_note_that_cannot_be_written_leaves_the_cache_free(tmp_path: Path) -> None:
    note = tmp_path / "ingest.lock.json"
    note.mkdir()
    with pytest.raises(CacheError, match="cannot lock"):
        lock.hold(tmp_path).__enter__()
    note.rmdir()
    with _other_process(tmp_path):
        pass


def test_a_waiting_process_gets_the_lock_when_it_is_released(tmp_path: Path) -> None:
    """A reader that stores an answer of Yahoo holds the cache for a moment."""
    held = threading.Event()

    def keep() -> None:
        with lock.hold(tmp_path):
            held.set()
            time.sleep(0.2)

    thread = threading.Thread(target=keep)
    thread.start()
    held.wait(5)
    with lock.hold(tmp_path, wait_s=5):
        thread.join(5)


def test_a_note_that_cannot_be_removed_hides_no_error_and_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(CacheError, match="what the run met"), lock.hold(tmp_path):
        raise CacheError("what the run met")
    monkeypatch.undo()
    with _other_process(tmp_path):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGSTOP")
def test_a_stopped_holder_still_holds_the_lock_and_is_named(tmp_path: Path) -> None:
    with _other_process(tmp_path) as holder:
        holder.send_signal(signal.SIGSTOP)
        with pytest.raises(CacheLocked, match=rf"pid {holder.pid} on .*, since 20"):
            lock.hold(tmp_path, wait_s=0.1).__enter__()
        holder.kill()  # which also ends a stopped process
        holder.wait()
        with lock.hold(tmp_path):
            pass


def test_a_lock_of_an_earlier_start_of_the_machine_blocks_nobody(tmp_path: Path) -> None:
    """A power failure leaves both files, with any content, perhaps from another machine that shared the folder."""
    (tmp_path / "ingest.lock").write_bytes(b"\0" * 4096)
    note = {"pid": 1, "host": "another", "started": "2020-01-01T00:00:00+00:00"}
    (tmp_path / "ingest.lock.json").write_text(json.dumps(note))
    with lock.hold(tmp_path):
        assert json.loads((tmp_path / "ingest.lock.json").read_text())["pid"] == os.getpid()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_the_umask_decides_who_may_share_the_lock(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        with lock.hold(tmp_path):
            modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"ingest.lock": mode, "ingest.lock.json": mode}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few make links")
def test_a_link_in_the_place_of_the_lock_makes_no_file_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "ingest.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CacheError, match=r"ingest\.lock is a link, a folder"), lock.hold(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows rarely lets links be made")
@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_in_the_place_of_the_note_is_not_written_through(tmp_path: Path, dangling: bool) -> None:
    outside, root = tmp_path / "outside", tmp_path / "cache"
    root.mkdir()
    if not dangling:
        outside.write_text("mine")
    (root / "ingest.lock.json").symlink_to(outside)
    with lock.hold(root):
        assert not (root / "ingest.lock.json").is_symlink()
    assert (outside.read_text() if outside.exists() else None) == (None if dangling else "mine")
