"""Files that survive a crash whole.

Order of a replacement: write a temporary file in the target's folder, fsync it, rename it over the target, fsync
the folder. After a crash a name holds its old content or its new one; what a crash can leave behind is a
temporary file, whose name ends in `.tmp` and which `sweep` removes.
"""

import hashlib
import os
from collections.abc import Container
from pathlib import Path

from ingest.errors import CacheError

SUFFIX = ".tmp"
_MAX_NAME_BYTES = 255


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
    staged = temporary(path)
    try:
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o644)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            os.fsync(descriptor)
    except OSError as error:
        raise CacheError(f"cannot write {path}: {error.strerror or error}") from error
    return staged


def publish(path: Path) -> None:
    """Rename the target's temporary file over it; durable once `sync_folder` has returned."""
    try:
        temporary(path).replace(path)
    except OSError as error:
        raise CacheError(f"cannot replace {path}: {error.strerror or error}") from error


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable. Windows has no such call and needs none for NTFS's journal."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise CacheError(f"cannot sync {folder}: {error.strerror or error}") from error


def replace(path: Path, data: bytes) -> None:
    """Replace one file durably."""
    stage(path, data)
    publish(path)
    sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Create a folder with its parents, each durably in its own parent. Raises CacheError."""
    try:
        if folder.is_dir():
            return
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise CacheError(f"cannot create the folder {folder}: {error.strerror or error}") from error
    sync_folder(folder.parent)


def sweep(folder: Path, spare: Container[Path] = ()) -> int:
    """Remove the temporary files that a killed run left in a folder; returns how many."""
    leftovers = [path for path in folder.glob(f".*{SUFFIX}") if path not in spare]
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)
