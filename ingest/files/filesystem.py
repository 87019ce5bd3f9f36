"""Makes a whole file system durable with one call, where many files would take one each: Linux's syncfs(2)."""

import errno
import os
import platform
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

_NO_CALL = frozenset({errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.EOPNOTSUPP})
_TELLS_FAULTS = (5, 8)
"""Before this version of Linux, syncfs does not report write errors."""


def sync(folder: Path) -> bool:
    """Make all names and contents on the file system of a folder durable; False if there is no such call.

    Raises OSError if it fails.
    """
    if (call := _syncfs()) is None:
        return False
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        code = call(descriptor)
    finally:
        os.close(descriptor)
    if code and code not in _NO_CALL:
        raise OSError(code, os.strerror(code))
    return code == 0


@cache
def _syncfs() -> Callable[[int], int] | None:
    """The call, which returns 0 or an errno."""
    release = tuple(map(int, re.findall(r"\d+", platform.release())[:2]))
    if sys.platform != "linux" or release < _TELLS_FAULTS:
        return None
    import ctypes  # only for runs with many CSVs to write

    found = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    return (lambda descriptor: ctypes.get_errno() if found(descriptor) else 0) if found else None
