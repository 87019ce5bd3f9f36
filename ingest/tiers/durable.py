"""Files that survive a crash whole.

Order of a replacement: write a temporary file in the target's folder, fsync it, rename it over the target, fsync
the folder. After a crash a name holds its old content or its new one; what a crash can leave behind is a
temporary file, whose name ends in `.tmp` and which `sweep` removes.
"""

import hashlib
import os
from collections.abc import Callable, Container, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from ingest import rights
from ingest.errors import CacheError, IngestError

SUFFIX = ".tmp"
Write = Callable[[bytes | bytearray | memoryview], None]
_MAX_NAME_BYTES = 255
_READING = ("read", "look at", "look into")


@contextmanager
def translated(doing: str, path: Path) -> Iterator[None]:
    """Raise what the file system refuses as a CacheError: what could not be done, to which path, and why.

    Where a right is missing it says which.
    """
    try:
        yield
    except OSError as error:
        said = f"cannot {doing} {path}: {error.strerror or error}"
        raise CacheError(rights.explained(said, error, path, write=doing not in _READING)) from error


def temporary(path: Path) -> Path:
    """The temporary name for a target; a fixed one, since only the holder of the lock writes."""
    name = f".{path.name}{SUFFIX}"
    if len(name.encode()) > _MAX_NAME_BYTES:  # the target's own name may have just as many bytes as a name can
        name = f".{hashlib.sha256(path.name.encode()).hexdigest()}{SUFFIX}"
    return path.with_name(name)


def stage(path: Path, data: bytes) -> Path:
    """Write the target's temporary file and make its content durable; its name is not durable yet.

    Raises CacheError where the disk is full, read-only or out of order.
    """
    with staging(path) as write:
        write(data)
    return temporary(path)


@contextmanager
def staging(path: Path) -> Iterator[Write]:
    """Write the target's temporary file bit by bit; its content is durable when the block has ended well.

    Where the block ends with an error of ours the temporary file is removed. Raises CacheError as `stage` does.
    """
    try:
        with ExitStack() as stack:
            with translated("write", path):
                descriptor = stack.enter_context(_opened(temporary(path), os.O_CREAT | os.O_TRUNC))
            yield partial(_write_to, path, descriptor)
            with translated("write", path):
                os.fsync(descriptor)
    except IngestError:
        with suppress(CacheError):  # what is wrong has been said
            unstage(path)
        raise


def _write_to(path: Path, descriptor: int, data: bytes | bytearray | memoryview) -> None:
    with translated("write", path):
        _write(descriptor, data)


def unstage(path: Path) -> None:
    """Remove the target's temporary file: what is under the name stays."""
    remove(temporary(path))


def put(path: Path, data: bytes) -> None:
    """Replace a file whole: a kill leaves the old one or the new one, a crash of the machine may leave neither."""
    staged = temporary(path)
    with translated("write", path):
        with _opened(staged, os.O_CREAT | os.O_TRUNC) as descriptor:
            _write(descriptor, data)
        staged.replace(path)


def write_at(path: Path, offset: int, data: bytes | bytearray) -> None:
    """Write bytes into a file that is there, from an offset on, be it beyond its end; a crash may lose them.

    Of use for what is known by its checksum and can be had again.
    """
    with translated("write", path), _opened(path) as descriptor:
        os.lseek(descriptor, offset, os.SEEK_SET)
        _write(descriptor, data)


@contextmanager
def _opened(path: Path, more: int = 0) -> Iterator[int]:
    descriptor = os.open(path, os.O_WRONLY | more | getattr(os, "O_BINARY", 0), 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def take_over(path: Path, source: Path) -> None:
    """Replace one file durably by another one, which may not be durable yet and is gone then. Nothing is copied."""
    with translated("replace", path):
        with _opened(source) as descriptor:
            os.fsync(descriptor)
        source.replace(path)
    sync_folder(path.parent)


def publish(path: Path) -> None:
    """Rename the target's temporary file over it; durable once `sync_folder` has returned."""
    with translated("replace", path):
        temporary(path).replace(path)


def move(path: Path, target: Path) -> None:
    """Rename a file, if it is there; durable once `sync_folder` has returned."""
    with translated("rename", path):
        if path.exists():
            path.rename(target)


def remove(path: Path) -> None:
    """Remove a file, if it is there; durable once `sync_folder` has returned."""
    with translated("remove", path):
        path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make renames and removals in a folder durable. Windows has no such call and needs none for NTFS's journal."""
    if os.name == "nt":
        return
    with translated("sync", folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def replace(path: Path, data: bytes) -> None:
    """Replace one file durably."""
    stage(path, data)
    publish(path)
    sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Create a folder with its parents, each durably in its own parent. Raises CacheError."""
    with translated("create the folder", folder):
        if folder.is_dir():
            return
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sweep(folder: Path, spare: Container[Path] = ()) -> int:
    """Remove the temporary files that a killed run left in a folder; returns how many."""
    with translated("look into", folder):
        leftovers = [path for path in folder.glob(f".*{SUFFIX}") if path not in spare]
    for path in leftovers:
        remove(path)
    return len(leftovers)
