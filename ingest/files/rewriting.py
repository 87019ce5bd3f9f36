"""Changes the user's own files in place: a file keeps its mode, its owner and the links that lead to it.

If possible it is replaced whole, by a rename. A file that is a mount of its own (in a container), has other names or
another owner is written to; meanwhile its old content is beside it, in `stocks.txt.ingest-backup`. A crash leaves that
file, and reading the list then reports it.
"""

import errno
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from ingest.errors import CacheError
from ingest.files import durable, opening

_NO_RENAME = (errno.EBUSY, errno.EXDEV)
"""The system's error for a name at which a file is mounted."""


def backup_of(path: Path) -> Path:
    """Where the old content of a file is while it is being written to, until the new one is durable."""
    return path.with_name(f"{path.name}.ingest-backup")


def rewrite(path: Path, data: bytes) -> None:
    """Give one of the user's files new content, durably; creates it if it does not exist. Raises CacheError."""
    with durable.translated("look at", path):
        target = path.resolve()
        before = opening.state(target)
    if before is None:
        durable.replace(target, data)
    elif before.st_nlink > 1 or not _replaced(target, data, before):
        _write_into(target, data)


def _replaced(path: Path, data: bytes, before: os.stat_result) -> bool:
    """Replace it by a file of the same mode and owner; False if the system does not allow that."""
    staged = durable.stage(path, data)
    try:
        with durable.translated("write", staged):
            shutil.copystat(path, staged)
            os.utime(staged)
        if not _is_owned(staged, before):
            durable.unstage(path)
            return False
        durable.publish(path)
    except CacheError as error:
        durable.unstage(path)
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _NO_RENAME:
            return False
        raise
    durable.sync_folder(path.parent)
    return True


def _is_owned(path: Path, before: os.stat_result) -> bool:
    """Whether a file has, or can be given, this owner and group."""
    now = os.lstat(path)
    if (now.st_uid, now.st_gid) == (before.st_uid, before.st_gid):
        return True
    with suppress(PermissionError):
        os.chown(path, before.st_uid, before.st_gid)
        path.chmod(stat.S_IMODE(before.st_mode))  # changing the owner clears some bits of the mode
        return True
    return False


def _write_into(path: Path, data: bytes) -> None:
    """Overwrite a file in place; its old content stays beside it until the new one is durable."""
    backup = backup_of(path)
    with durable.translated("read", path):
        old = opening.read(path)
    durable.replace(backup, old)
    try:
        _overwrite(path, data)
    except CacheError:
        _overwrite(path, old)
        durable.remove(backup)
        raise
    durable.remove(backup)
    durable.sync_folder(backup.parent)


def _overwrite(path: Path, data: bytes) -> None:
    with durable.translated("write", path), opening.to_write(path) as descriptor:
        opening.write_all(descriptor, data)
        os.ftruncate(descriptor, len(data))
        os.fsync(descriptor)
