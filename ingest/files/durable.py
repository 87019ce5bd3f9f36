"""Files that survive a crash whole.

Order of a replacement: write a temporary file in the target's folder, fsync it, rename it over the target, fsync
the folder. After a crash a name has its old content or its new one; a crash can leave a temporary file,
`.2025-11-11.csv.gz.ingest-0123456789abcdef.tmp`, which `sweep` removes. The hexadecimal token identifies the
process, or one single write (`another`): no other program's file has such a name, and no two write to one file.
"""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Self

from ingest.errors import CacheError
from ingest.files import opening, rights

Write = Callable[[bytes | bytearray | memoryview], None]
_MAX_NAME_BYTES = 255
_READING = ("read", "look at", "look into")
_COPIED = 1 << 20

_OURS = re.compile(r"\..+\.ingest-[0-9a-f]{16}\.tmp", re.DOTALL)
_EARLIER = re.compile(r"\.(.+)\.tmp", re.DOTALL)
"""The names of earlier versions, which other programs use as well (Syncthing does)."""

_NO_FOLDER_SYNC = frozenset(
    getattr(errno, name, errno.EINVAL) for name in ("EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EBADF", "EPERM")
)
"""Errors of file systems that cannot fsync folders (FUSE, SMB): names are then as durable as they make them."""

_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)

_tokens: dict[int, str] = {}
"""By process: a fork gets its own."""


def _token() -> str:
    process = os.getpid()
    return _tokens.get(process) or _tokens.setdefault(process, os.urandom(8).hex())


@contextmanager
def translated(doing: str, path: Path) -> Iterator[None]:
    """Raise what the file system refuses as a CacheError: the failed operation, its path, and why.

    If a permission is missing, the message says which.
    """
    try:
        yield
    except OSError as error:
        said = f"cannot {doing} {path}: {error.strerror or error}"
        raise CacheError(rights.explained(said, error, path, write=doing not in _READING)) from error


def temporary(path: Path) -> Path:
    """The temporary name of this process for a target."""
    return path.with_name(f"{_beginning(path)}{_token()}.tmp")


def another(path: Path) -> Path:
    """A temporary name for a target that no other write has, not even one of this process."""
    return path.with_name(f"{_beginning(path)}{os.urandom(8).hex()}.tmp")


def is_temporary(path: Path, name: str) -> bool:
    """Whether a name is a temporary name of this target, from any process or an earlier version."""
    return name == f".{path.name}.tmp" or (name.startswith(_beginning(path)) and bool(_OURS.fullmatch(name)))


def _beginning(path: Path) -> str:
    """How the temporary names of a target begin, up to the token; its own name may be as long as a name can be."""
    encoded = os.fsencode(path.name)
    fits = len(encoded) + len("..ingest-.tmp") + 16 <= _MAX_NAME_BYTES
    name = path.name if fits else hashlib.sha256(encoded).hexdigest()
    return f".{name}.ingest-"


def staged(path: Path) -> list[Path]:
    """Temporary files of a target, whichever process left them, including those of earlier versions.

    Raises CacheError.
    """
    with translated("look into", path.parent):
        names = opening.names(path.parent)
    return [path.with_name(name) for name in names if is_temporary(path, name)]


def stage(path: Path, data: bytes, sync: bool = True, under: Path | None = None) -> Path:
    """Write the target's temporary file and make its content durable; its name is not durable yet.

    It has the process's own temporary name, or the one given by `under`. Without `sync` the content is not durable
    either. Raises CacheError if the disk is full, read-only or failing.
    """
    left = under or temporary(path)
    try:
        with translated("write", path), _made(left) as descriptor:
            opening.write_all(descriptor, data)
            if sync:
                os.fsync(descriptor)
    except BaseException:
        with suppress(CacheError):  # the actual error has been reported
            unstage(path, left)
        raise
    return left


@contextmanager
def staging(path: Path, sync: bool = True, under: Path | None = None) -> Iterator[Write]:
    """Write the target's temporary file bit by bit; its content is durable once the block has ended without an error.

    If the block ends with an error, the temporary file is removed. Raises CacheError as `stage` does.
    """
    left = under or temporary(path)
    try:
        with ExitStack() as stack:
            with translated("write", path):
                descriptor = stack.enter_context(_made(left))
            yield stack.enter_context(_Open(path, descriptor))
            if sync:
                with translated("write", path):
                    os.fsync(descriptor)
    except BaseException:
        with suppress(CacheError):  # the actual error has been reported
            unstage(path, under)
        raise


@contextmanager
def _made(left: Path) -> Iterator[int]:
    """Create a temporary file; one left by an earlier attempt of this process is not reused."""
    with ExitStack() as stack:
        try:
            descriptor = stack.enter_context(opening.created(left))
        except FileExistsError:
            left.unlink()
            descriptor = stack.enter_context(opening.created(left))
        yield descriptor


class _Open:
    """Writes to a descriptor while it is open.

    A library may still write in a thread of its own after it has failed. By then another file may have the number of
    the descriptor: a database that is opened next would be overwritten.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._descriptor, self._lock, self._closed = path, descriptor, Lock(), False

    def __call__(self, data: bytes | bytearray | memoryview) -> None:
        with self._lock, translated("write", self._path):
            if self._closed:
                raise OSError(errno.EBADF, "it is closed already")
            opening.write_all(self._descriptor, data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for a write that is under way, and refuse all later ones."""
        with self._lock:
            self._closed = True


def unstage(path: Path, under: Path | None = None) -> None:
    """Remove the target's temporary file, or the one given by `under`; the file under the name itself stays."""
    remove(under or temporary(path))


def put(path: Path, data: bytes) -> None:
    """Replace a file whole: a kill leaves the old one or the new one, a crash of the machine may leave neither."""
    with translated("write", path):
        left = temporary(path)
        with _made(left) as descriptor:
            opening.write_all(descriptor, data)
        left.replace(path)


def write_at(path: Path, offset: int, data: bytes | bytearray) -> None:
    """Write bytes into an existing file from an offset on, possibly beyond its end; a crash may lose them.

    For content that has a checksum and can be downloaded again.
    """
    with translated("write", path), opening.to_write(path) as descriptor:
        os.lseek(descriptor, offset, os.SEEK_SET)
        opening.write_all(descriptor, data)


def take_over(path: Path, source: Path) -> None:
    """Replace one file durably by another, which need not be durable yet and is gone afterwards.

    It is copied only if the two are on different file systems. Raises CacheError.
    """
    with translated("replace", path):
        with opening.to_write(source) as descriptor:
            os.fsync(descriptor)
        try:
            source.replace(path)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            copy(path, source)
    sync_folder(path.parent)
    remove(source)  # if it was copied: only once the copy is durable


def copy(path: Path, source: Path) -> None:
    """Replace one file by another's content; durable once `sync_folder` has returned. Raises OSError, CacheError."""
    with opening.to_read(source) as file, staging(path) as write:
        while piece := file.read(_COPIED):
            write(piece)
    publish(path)


def publish(path: Path, left: Path | None = None) -> None:
    """Rename the target's temporary file over it, or one that was `left`; durable once `sync_folder` has returned."""
    with translated("replace", path):
        (left or temporary(path)).replace(path)


def move(path: Path, target: Path) -> None:
    """Rename a file, if it exists; durable once `sync_folder` has returned."""
    with translated("rename", path), suppress(FileNotFoundError):
        path.rename(target)


def remove(path: Path) -> None:
    """Remove a file, if it exists; durable once `sync_folder` has returned."""
    with translated("remove", path), suppress(FileNotFoundError, NotADirectoryError):
        path.unlink()


def remove_file(path: Path) -> None:
    """Remove a file, if it exists; a folder that has its name stays. Durable once `sync_folder` has returned."""
    with translated("remove", path):
        found = opening.state(path)
    if found is not None and not stat.S_ISDIR(found.st_mode):
        remove(path)


def remove_empty(folder: Path) -> None:
    """Remove a folder, unless something is in it, or it is none; durable once the folder above it is synced."""
    with translated("remove", folder), suppress(FileNotFoundError):
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno not in _NOT_EMPTY and not folder.is_symlink():  # to another disk
                raise


def sync_folder(folder: Path) -> None:
    """Make renames and removals in a folder durable, if its file system can.

    Windows has no such call, and NTFS's journal makes it unnecessary.
    """
    if os.name == "nt":
        return
    with translated("sync", folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in _NO_FOLDER_SYNC:
                raise
        finally:
            os.close(descriptor)


def target(path: Path) -> Path:
    """The file to replace for a path that the user named: where it leads if it is a symbolic link, else itself."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def irreplaceable(path: Path) -> str:
    """Why what the user named is not replaced by a file, such as /dev/null; "" if nothing is against it.

    Raises CacheError if that cannot be determined.
    """
    with translated("look at", path):
        try:
            mode = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return ""
    if stat.S_ISREG(mode):
        return ""
    return "is a folder" if stat.S_ISDIR(mode) else "is a pipe" if stat.S_ISFIFO(mode) else "is a device"


def replace(path: Path, data: bytes) -> None:
    """Replace one file durably."""
    stage(path, data)
    publish(path)
    sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Create a folder with its parents, each durably in its own parent. Raises CacheError."""
    with translated("create the folder", folder):
        if opening.is_folder(folder):
            return
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def leftovers(folder: Path, ours: Callable[[str], bool]) -> list[Path]:
    """Temporary files that killed runs left in a folder; `ours` says whether a name is that of one of our files.

    Raises CacheError.
    """
    with translated("look into", folder):
        return [folder / name for name in opening.names(folder) if _is_left(folder / name, ours)]


def _is_left(path: Path, ours: Callable[[str], bool]) -> bool:
    earlier = _EARLIER.fullmatch(path.name)
    if not (_OURS.fullmatch(path.name) or (earlier and ours(earlier[1]))):
        return False
    found = opening.state(path)
    return found is not None and not stat.S_ISDIR(found.st_mode)


def sizes(folder: Path, files: Iterable[Path]) -> list[int]:
    """Bytes of files in a folder; those that a run has removed since it was read are left out. Raises CacheError."""
    with translated("look into", folder):
        return [size for path in files if (size := _size(path)) is not None]


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def sweep(folder: Path, ours: Callable[[str], bool]) -> int:
    """Remove the temporary files that killed runs left in a folder; returns how many. Requires the lock."""
    found = leftovers(folder, ours)
    for path in found:
        remove(path)
    return len(found)
