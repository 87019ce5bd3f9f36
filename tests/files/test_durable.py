"""Files that survive a crash whole: what is under a name, in which order, and what a failure says."""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from ingest.errors import CacheError, UnreadableFile
from ingest.files import durable


def test_a_staged_file_is_not_under_its_name_yet(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    target.write_bytes(b"old")
    staged = durable.stage(target, b"new")
    assert (target.read_bytes(), staged.read_bytes()) == (b"old", b"new")
    assert staged == durable.temporary(target)
    assert staged.parent == tmp_path


def test_publishing_replaces_the_old_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    target.write_bytes(b"old")
    durable.stage(target, b"new")
    durable.publish(target)
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_longer_leftover_does_not_shine_through(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    durable.stage(target, b"a longer text from a run that was killed")
    durable.replace(target, b"new")
    assert target.read_bytes() == b"new"


def test_content_is_durable_before_the_name_and_the_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def recorded_fsync(descriptor: int) -> None:
        found = os.fstat(descriptor)
        steps.append("folder" if stat.S_ISDIR(found.st_mode) else f"file of {found.st_size} bytes")
        fsync(descriptor)

    def recorded_replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(Path, "replace", recorded_replace)
    durable.replace(tmp_path / "a.csv", b"twelve bytes")
    assert steps == ["file of 12 bytes", "rename", "folder"]


def test_new_folders_are_durable_in_their_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(durable, "sync_folder", synced.append)
    durable.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert synced == [tmp_path, tmp_path / "a"]
    durable.make_folder(tmp_path / "a" / "b")
    assert len(synced) == 2


@pytest.mark.parametrize("name", ["x" * 255, "x" * 250, "é" * 127, "x" * 251 + ".csv"])
def test_a_name_as_long_as_names_can_be_is_written_and_swept(name: str, tmp_path: Path) -> None:
    target = tmp_path / name
    durable.replace(target, b"data")
    assert target.read_bytes() == b"data"
    durable.stage(target, b"leftover")
    assert durable.sweep(tmp_path, nobodys) == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_temporary_names_of_long_targets_differ() -> None:
    names = [durable.temporary(Path("x" * 254 + last)).name for last in "ab"]
    assert len(set(names)) == 2
    assert all(len(name.encode()) <= 255 for name in names)


def nobodys(name: str) -> bool:
    return False


OTHERS = [
    *("a.csv", "a.tmp", ".hidden", "b.csv.gz", ".syncthing.a.csv.tmp", ".b.csv.gz.tmp", ".a.csv.ingest-1.tmp"),
    *(".a.csv.ingest-0123456789ABCDEF.tmp", "a.csv.ingest-0123456789abcdef.tmp", ".ingest-0123456789abcdef.tmp"),
]


def test_sweep_takes_what_our_processes_have_left_alone(tmp_path: Path) -> None:
    kept = [tmp_path / name for name in OTHERS]
    for path in kept:
        path.write_bytes(b"")
    (tmp_path / ".folder.ingest-0123456789abcdef.tmp").mkdir()
    ours = [durable.stage(tmp_path / "a.csv", b""), tmp_path / ".a.csv.ingest-0123456789abcdef.tmp"]
    ours += [tmp_path / ".a.csv.tmp", tmp_path / ".linked.ingest-0123456789abcdef.tmp"]
    ours[1].write_bytes(b"of another process")
    ours[2].write_bytes(b"of a version before")
    ours[3].symlink_to(kept[0])
    assert sorted(durable.leftovers(tmp_path, "a.csv".__eq__)) == sorted(ours)
    assert durable.sweep(tmp_path, "a.csv".__eq__) == len(ours)
    assert sorted(tmp_path.iterdir()) == sorted([*kept, tmp_path / ".folder.ingest-0123456789abcdef.tmp"])
    assert durable.sweep(tmp_path / "missing", nobodys) == 0


def test_what_is_planted_under_a_temporary_name_is_not_written_into(tmp_path: Path) -> None:
    outside, target = tmp_path / "outside", tmp_path / "cache" / "a.csv"
    target.parent.mkdir()
    outside.write_bytes(b"mine")
    for name in (".a.csv.tmp", durable.temporary(target).name):
        target.with_name(name).symlink_to(outside)
    durable.replace(target, b"new")
    durable.put(target, b"newer")
    assert (outside.read_bytes(), target.read_bytes(), target.is_symlink()) == (b"mine", b"newer", False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX's own")
def test_a_process_that_is_forked_has_temporary_names_of_its_own(tmp_path: Path) -> None:
    read, write = os.pipe()
    if not (child := os.fork()):
        os.write(write, durable.temporary(tmp_path / "a").name.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read().decode() != durable.temporary(tmp_path / "a").name
    os.waitpid(child, 0)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
def test_the_umask_decides_on_modes(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        durable.make_folder(tmp_path / "made")
        durable.replace(tmp_path / "a.csv", b"")
        durable.put(tmp_path / "b.part", b"")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("made", "a.csv", "b.part")]
    assert modes == [0o777 & ~umask, 0o666 & ~umask, 0o666 & ~umask]


def failing(name: str, code: int, only: str) -> Callable[..., object]:
    """A call of `os` that fails for descriptors or paths of one kind."""
    original = getattr(os, name)

    def call(first: int | str | Path, *more: object, **named: object) -> object:
        is_folder = isinstance(first, int) and stat.S_ISDIR(os.fstat(first).st_mode)
        if (only == "folders" and is_folder) or (only == "spool" and "spool" in str(first)):
            raise OSError(code, os.strerror(code))
        return original(first, *more, **named)

    return call


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM, errno.ENOSYS])
def test_a_file_system_without_fsync_of_folders_is_lived_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(os, "fsync", failing("fsync", code, "folders"))
    durable.make_folder(tmp_path / "made")
    durable.replace(tmp_path / "made" / "a.csv", b"new")
    assert (tmp_path / "made" / "a.csv").read_bytes() == b"new"


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_folder_whose_fsync_fails_ends_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(os, "fsync", failing("fsync", code, "folders"))
    with pytest.raises(CacheError, match=f"cannot sync .*: {os.strerror(code)}"):
        durable.replace(tmp_path / "a.csv", b"new")


def test_what_comes_from_another_file_system_is_copied_and_then_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "spool" / "a.part", tmp_path / "kept" / "a.csv.gz"
    for folder in (source.parent, target.parent):
        folder.mkdir()
    source.write_bytes(bytes(range(256)) * 10_000)
    target.write_bytes(b"old")
    monkeypatch.setattr(os, "replace", failing("replace", errno.EXDEV, "spool"))
    durable.take_over(target, source)
    assert target.read_bytes() == bytes(range(256)) * 10_000
    assert (list(source.parent.iterdir()), list(target.parent.iterdir())) == ([], [target])


def test_a_copy_that_fails_leaves_what_was_and_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "spool" / "a.part", tmp_path / "kept" / "a.csv.gz"
    for folder in (source.parent, target.parent):
        folder.mkdir()
    source.write_bytes(b"new")
    target.write_bytes(b"old")
    monkeypatch.setattr(os, "replace", failing("replace", errno.EXDEV, "spool"))
    monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(CacheError, match="No space left"):
        durable.take_over(target, source)
    assert (source.read_bytes(), target.read_bytes()) == (b"new", b"old")
    assert list(target.parent.iterdir()) == [target]


def test_a_missing_folder_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    target = tmp_path / "missing" / "a.csv"
    with pytest.raises(CacheError, match=r"cannot write .*a\.csv"):
        durable.stage(target, b"")
    with pytest.raises(CacheError, match=r"cannot replace .*a\.csv"):
        durable.publish(target)
    with pytest.raises(CacheError, match=r"cannot sync .*missing"):
        durable.sync_folder(target.parent)


def test_a_folder_in_the_place_of_the_target_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv" / "inside").mkdir(parents=True)
    durable.stage(tmp_path / "a.csv", b"")
    with pytest.raises(CacheError, match="cannot replace"):
        durable.publish(tmp_path / "a.csv")


def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CacheError, match="cannot create the folder"):
        durable.make_folder(tmp_path / "file" / "sub")


def test_a_full_disk_is_said_and_the_old_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    target = tmp_path / "a.csv"
    target.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CacheError, match="No space left") as caught:
        durable.replace(target, b"new")
    assert caught.value.exit_code == 5
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + "/deeper"])
def test_a_folder_that_no_file_system_takes_is_named(tmp_path, name):
    with pytest.raises(CacheError, match=r"cannot create the folder .*xxx"):
        durable.make_folder(tmp_path / name)


def test_bytes_are_written_where_they_belong_in_any_order(tmp_path: Path) -> None:
    target = tmp_path / "a.part"
    durable.put(target, b"")
    for at in (6, 0, 9, 3):
        durable.write_at(target, at, bytearray(b"abcdefghijkl"[at : at + 3]))
    durable.write_at(target, 4, b"E")
    assert target.read_bytes() == b"abcdEfghijkl"
    assert list(tmp_path.iterdir()) == [target]


def test_what_is_taken_over_is_durable_before_it_has_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "a.part", tmp_path / "kept" / "a.csv.gz"
    target.parent.mkdir()
    target.write_bytes(b"old")
    durable.put(source, b"twelve bytes")
    seen: list[tuple[int, bytes]] = []
    fsync = os.fsync

    def recorded(descriptor: int) -> None:
        seen.append((os.fstat(descriptor).st_ino, target.read_bytes()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    durable.take_over(target, source)
    file, folder = target.stat().st_ino, target.parent.stat().st_ino
    assert seen[0] == (file, b"old")
    if os.name != "nt":
        assert seen[1:] == [(folder, b"twelve bytes")]
    assert not source.exists()


def test_a_file_that_is_not_there_is_not_made_by_writing_into_it(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=r"cannot write .*a\.part: No such file"):
        durable.write_at(tmp_path / "a.part", 0, b"x")
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_bit_by_bit_is_durable_when_the_block_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    fsync = os.fsync

    def recorded(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    target = tmp_path / "a.csv"
    target.write_bytes(b"old")
    with durable.staging(target) as write:
        for piece in (b"ab", bytearray(b"cd"), memoryview(b"ef")):
            write(piece)
        assert synced == []
    assert (synced, target.read_bytes(), durable.temporary(target).read_bytes()) == ([6], b"old", b"abcdef")
    durable.unstage(target)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_an_error_of_ours_leaves_no_temporary_file_and_the_old_one(tmp_path: Path) -> None:
    def half(path: Path) -> None:
        with durable.staging(path) as write:
            write(b"new")
            raise UnreadableFile("half a file")

    target = tmp_path / "a.csv"
    target.write_bytes(b"old")
    with pytest.raises(UnreadableFile, match="half"):
        half(target)
    assert ([path.name for path in tmp_path.iterdir()], target.read_bytes()) == (["a.csv"], b"old")


def test_a_full_disk_in_the_middle_is_said_and_gives_its_room_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def fill(path: Path) -> None:
        with durable.staging(path) as write:
            write(b"some")
            monkeypatch.setattr(os, "write", full)
            write(b"more")

    with pytest.raises(CacheError, match=r"cannot write .*a\.csv: No space"):
        fill(tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_library_writes_too_late_reaches_no_other_file(tmp_path, fails):
    kept = []
    with suppress(RuntimeError), durable.staging(tmp_path / "late.parquet") as put:
        put(b"in time")
        kept.append(put)
        if fails:
            raise RuntimeError
    with (tmp_path / "other").open("wb", buffering=0) as other:  # has the number of the descriptor that was closed
        with pytest.raises(CacheError, match="it is closed already"):
            kept[0](b"PAR1")
        other.write(b"its own")
    assert (tmp_path / "other").read_bytes() == b"its own"
