"""Files opened so that nothing planted is followed, waited for or written into.

The names in a cache are known, and what lies under one of them may still be a link, a pipe, a device or a folder. Here
only regular files are opened: a link in the place of the file itself is refused, never followed, a pipe never blocks,
and what is to be new must not be there yet. Folders may be links: many keep an archive on another disk. What the user
names (a list, a file to adopt) may be reached through a link, and is then `linked`.

Unlike those of `Path`, the questions asked here hide no error: of a closed folder nobody knows what is in it.
"""

import errno
import fnmatch
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import BufferedReader, FileIO
from pathlib import Path

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_CAREFUL = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"))
_MODE = 0o666
"""Of new files, less what the umask takes away."""

_REFUSED_LINK = (errno.ELOOP, errno.EMLINK)
_KINDS = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


class NotAFile(OSError):
    """What is under a name is something other than a regular file, or larger than such a file can be."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EINVAL, why)


def why_unread(error: OSError) -> str:
    """In words, why a file cannot be read."""
    return str(error.strerror) if isinstance(error, NotAFile) else f"it cannot be read: {error.strerror or error}"


def to_read(path: Path, *, linked: bool = False) -> BufferedReader:
    """A file opened for reading. Raises OSError; NotAFile where it is no regular file."""
    return open(path, "rb", opener=partial(_opened, linked=linked))


def unbuffered(path: Path) -> FileIO:
    """The same for who reads a range at once."""
    return open(path, "rb", buffering=0, opener=_opened)


def read(path: Path, most: int | None = None, *, linked: bool = False) -> bytes:
    """All of a file. Raises OSError; NotAFile where it is no regular file, or has more than `most` bytes."""
    with to_read(path, linked=linked) as file:
        data = file.read() if most is None else file.read(most + 1)
    if most is not None and len(data) > most:
        raise NotAFile(f"it is larger than {most >> 20} MiB" if most >> 20 else f"it is larger than {most:,} bytes")
    return data


@contextmanager
def to_write(path: Path, *, linked: bool = False) -> Iterator[int]:
    """A descriptor to write into a file that is there. Raises OSError, NotAFile."""
    yield from _descriptor(_opened(path, os.O_WRONLY, linked=linked))


@contextmanager
def created(path: Path) -> Iterator[int]:
    """A descriptor to write a new file; raises OSError where anything, be it a dangling link, has the name."""
    yield from _descriptor(_opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))


def ensure(path: Path) -> None:
    """Make an empty file where there is none. Raises OSError; NotAFile where something else has the name."""
    os.close(_opened(path, os.O_RDWR | os.O_CREAT))


def write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of it, in as many calls as it takes. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def state(path: Path) -> os.stat_result | None:
    """What is under a name, links not followed; None where that is nothing. Raises OSError."""
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
    """Whether anything has a name, be it a dangling link. Raises OSError where that cannot be seen."""
    return state(path) is not None


def is_file(path: Path) -> bool:
    """Whether a regular file, and no link to one, has a name. Raises OSError where that cannot be seen."""
    found = state(path)
    return found is not None and stat.S_ISREG(found.st_mode)


def is_no_file(path: Path) -> bool:
    """Whether something other than a regular file has a name; by one look, since a file may vanish between two."""
    found = state(path)
    return found is not None and not stat.S_ISREG(found.st_mode)


def is_folder(path: Path) -> bool:
    """Whether a folder, or a link to one, has a name. Raises OSError where that cannot be seen."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 - the one place that asks
    except (FileNotFoundError, NotADirectoryError):
        return False


def names(folder: Path, pattern: str = "*") -> list[str]:
    """Names in a folder that match, sorted; none where it is not there. Raises OSError where it is closed, or none."""
    try:
        return sorted(fnmatch.filter(os.listdir(folder), pattern))  # noqa: PTH208 - the one place that asks
    except FileNotFoundError:
        return []


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
    """What the system says of a link, a pipe or a socket is a riddle: what it is says more."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return error
    is_followed = stat.S_ISLNK(mode) and error.errno not in _REFUSED_LINK
    return error if is_followed or stat.S_ISREG(mode) else _not_a_file(mode)


def _not_a_file(mode: int) -> NotAFile:
    kind = next((name for is_one, name in _KINDS if is_one(mode)), "a device")
    return NotAFile(f"it is {kind}, not a file")
