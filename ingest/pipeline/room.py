"""What of a full disk is ours to tell: large files that are on their way take room that nobody sees.

Nothing is written here, and nothing removed: what has come is what the next run goes on with.
"""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from ingest.errors import CacheError

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_DEEPEST = 8
"""Causes of an error that are looked at."""


@contextmanager
def spool_told(spool: Path) -> Iterator[None]:
    """Raise the CacheError of a full disk, or quota, with what the folder of large files holds of it."""
    try:
        yield
    except CacheError as error:
        if not any(map(_is_full, islice(_causes(error), _DEEPEST))) or not (held := _bytes(spool)):
            raise
        raise CacheError(
            f"{error}. There {spool} holds {held:,} bytes of large files that are on their way: make room, and the "
            "next run goes on with them; or delete that folder, and they are fetched from their beginning"
        ) from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error := error and (error.__cause__ or error.__context__):
        yield error


def _is_full(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in _FULL


def _bytes(folder: Path) -> int:
    """Bytes that the files below a folder take on the disk; ranges that have not come are holes in them."""
    size = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # gone meanwhile
                found = os.lstat(Path(where, name))
                size += found.st_blocks * 512 if hasattr(found, "st_blocks") else found.st_size
    return size
