"""What killed processes left in a folder that no lock of a cache guards, as that of an export.

Whoever writes there holds a lock of the folder itself (flock), shared with the others: nothing of it stays, whatever
ends a process. Who finds nobody else there removes what was left.
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
    """Around writing into a folder; first goes what dead processes left there, by names of which `left` says yes.

    Where a system or a file system has no such locks nobody is known to be dead, and all stays. Raises CacheError.
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
        with suppress(CacheError):  # another user's, who may remove it
            durable.remove(path)
