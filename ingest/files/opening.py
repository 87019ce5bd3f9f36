"""Opens files without following, waiting for or writing into anything planted.

The names in a cache are known, so anybody with access can put a link, a pipe, a device or a folder there. This module
opens only regular files: a link in place of the file itself is refused, a pipe never blocks, and a new file must not
exist yet. Folders may be links: many users keep an archive on another disk. What the user names (a list, a file to
adopt) may be reached through a link, and is then `linked`.

Unlike those of `Path`, the checks here hide no error: nobody knows what is in a folder without permission to look.
"""

import errno
import fnmatch
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BufferedReader
from pathlib import Path

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_CAREFUL = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"))
_MODE = 0o666
"""The mode of new files, before the umask."""

_REFUSED_LINK = (errno.ELOOP, errno.EMLINK)
_KINDS = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


class NotAFile(OSError):
    """A name is something other than a regular file, or a file larger than it can validly be."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EINVAL, why)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle it by its one argument: OSError would give two."""
        return NotAFile, (self.strerror,)


def why_unread(error: OSError) -> str:
    """In words, why a file cannot be read."""
    return str(error.strerror) if isinstance(error, NotAFile) else f"it cannot be read: {error.strerror or error}"


def to_read(path: Path, *, linked: bool = False) -> BufferedReader:
    """A file opened for reading. Raises OSError; NotAFile if it is not a regular file."""
    return open(path, "rb", opener=partial(_opened, linked=linked))


def read_ranges(path: str | Path, ranges: Iterable[tuple[int, int]]) -> list[bytes]:
    """Bytes from `begin` up to `end` of each range, fewer if the file ends before. Raises OSError, NotAFile.

    Without a file object, which takes longer to make than a range to read.
    """
    descriptor = _opened(path, os.O_RDONLY)
    try:
        return [_range(descriptor, begin, end) for begin, end in ranges]
    finally:
        os.close(descriptor)


def _range(descriptor: int, begin: int, end: int) -> bytes:
    os.lseek(descriptor, begin, os.SEEK_SET)
    found = os.read(descriptor, end - begin)
    while found and len(found) < end - begin and (more := os.read(descriptor, end - begin - len(found))):
        found += more
    return found


def read(path: Path, most: int | None = None, *, linked: bool = False) -> bytes:
    """All of a file. Raises OSError; NotAFile if it is not a regular file, or has more than `most` bytes."""
    with to_read(path, linked=linked) as file:
        data = file.read() if most is None else file.read(most + 1)
    if most is not None and len(data) > most:
        raise NotAFile(f"it is larger than {most >> 20} MiB" if most >> 20 else f"it is larger than {most:,} bytes")
    return data


@contextmanager
def to_write(path: Path, *, linked: bool = False) -> Iterator[int]:
    """A descriptor for writing to an existing file. Raises OSError, NotAFile."""
    yield from _descriptor(_opened(path, os.O_WRONLY, linked=linked))


@contextmanager
def created(path: Path) -> Iterator[int]:
    """A descriptor for writing a new file; raises OSError if anything, even a dangling link, has the name."""
    yield from _descriptor(_opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))


def ensure(path: Path) -> None:
    """Create an empty file if there is none. Raises OSError; NotAFile if something else has the name."""
    os.close(_opened(path, os.O_RDWR | os.O_CREAT))


def write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of it, in as many calls as it takes. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def state(path: Path) -> os.stat_result | None:
    """The state of a name, without following links; None if it does not exist. Raises OSError."""
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def size(path: Path) -> int:
    """Bytes of a regular file. Raises OSError, NotAFile."""
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode):
        raise _not_a_file(found.st_mode)
    return found.st_size


def is_there(path: Path) -> bool:
    """Whether anything, even a dangling link, has a name. Raises OSError if that cannot be determined."""
    return state(path) is not None


def is_file(path: Path) -> bool:
    """Whether a name is a regular file, not a link. Raises OSError if that cannot be determined."""
    found = state(path)
    return found is not None and stat.S_ISREG(found.st_mode)


def has_size(path: Path, size: int) -> bool:
    """Whether a name is a regular file of so many bytes, not a link. Raises OSError if that cannot be determined."""
    found = state(path)
    return found is not None and stat.S_ISREG(found.st_mode) and found.st_size == size


def is_no_file(path: Path) -> bool:
    """Whether a name exists and is not a regular file; by one call, since a file may vanish between two."""
    found = state(path)
    return found is not None and not stat.S_ISREG(found.st_mode)


def is_folder(path: Path) -> bool:
    """Whether a name is a folder, or a link to one. Raises OSError if that cannot be determined."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 - the one place that asks
    except (FileNotFoundError, NotADirectoryError):
        return False


def names(folder: Path, pattern: str = "*") -> list[str]:
    """Matching names in a folder, sorted; none if it does not exist. Raises OSError if it cannot be read."""
    try:
        return sorted(fnmatch.filter(os.listdir(folder), pattern))  # noqa: PTH208 - the one place that asks
    except FileNotFoundError:
        return []


def inside(folder: Path, pattern: str = "*") -> list[str]:
    """Matching names in a folder, sorted; none if no folder has that name. Raises OSError if it cannot be read."""
    return names(folder, pattern) if is_folder(folder) else []


def _descriptor(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _opened(path: str | Path, flags: int, *, linked: bool = False) -> int:
    if not (_NOFOLLOW or linked) and Path(path).is_symlink():  # Windows, which has no such flag
        raise NotAFile("it is a link, not a file")
    try:
        descriptor = os.open(path, flags | _CAREFUL | (0 if linked else _NOFOLLOW), _MODE)
    except FileExistsError:
        raise
    except OSError as error:
        raise _named(Path(path), error) from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    raise _not_a_file(mode)


def _named(path: Path, error: OSError) -> OSError:
    """The system's message about a link, a pipe or a socket is cryptic; one that says what it is helps more."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return error
    is_followed = stat.S_ISLNK(mode) and error.errno not in _REFUSED_LINK
    return error if is_followed or stat.S_ISREG(mode) else _not_a_file(mode)


def _not_a_file(mode: int) -> NotAFile:
    kind = next((name for is_one, name in _KINDS if is_one(mode)), "a device")
    return NotAFile(f"it is {kind}, not a file")
