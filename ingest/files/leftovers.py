"""What killed processes left in a folder that no cache lock guards, such as the folder of an export.

A process that writes there holds a lock of the folder itself (flock), shared with others; it ends with the process, and
leaves nothing behind. A process that finds no other one there removes what was left.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ingest.errors import CacheError
from ingest.files import durable, opening

if sys.platform != "win32":
    import fcntl


@contextmanager
def writing_in(folder: Path, left: Callable[[str], bool]) -> Iterator[None]:
    """Around writing to a folder: first removes what dead processes left there, by names for which `left` is true.

    If the system or file system has no such locks, no process is known to be dead, and everything stays. Raises
    CacheError.
    """
    if sys.platform == "win32":
        yield
        return
    with durable.translated("look into", folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _locked(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
            _sweep(folder, left)
        _locked(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how)
    except OSError:  # others write there, or there are no locks
        return False
    return True


def _sweep(folder: Path, left: Callable[[str], bool]) -> None:
    with durable.translated("look into", folder):
        found = [folder / name for name in opening.names(folder) if left(name) and opening.is_file(folder / name)]
    for path in found:
        with suppress(CacheError):  # another user's file, which that user can remove
            durable.remove(path)
