"""Files that are replaced together, durably, with as few waits for the disk as one file would take.

A crash leaves each name with its old content or its new one, and perhaps temporary files, as `durable` says.
"""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ingest.errors import CacheError
from ingest.files import durable, filesystem, opening

_FEW = 16
"""So many files, or folders, are made durable one by one: a sync of the file system waits for other programs', too."""

_MOST = 1000
"""So many temporary files are there at once, so that the room for all of them twice over is not needed."""


class Batch:
    """Files that are replaced together, of which a name holds its old content or its new one at any moment.

    All contents are made durable at once, then renamed, and the names made durable at once.
    """

    def __init__(self) -> None:
        self._staged = list[Path]()
        self._folders = set[Path]()

    def put(self, path: Path, data: bytes) -> os.stat_result:
        """Write what is to replace a file; returns its state, which renaming does not change. Raises CacheError."""
        if len(self._staged) >= _MOST:
            self.end()
        staged = durable.stage(path, data, sync=False)
        self._staged.append(path)
        with durable.translated("look at", staged):
            return os.lstat(staged)

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there. Raises CacheError."""
        durable.remove(path)
        with durable.translated("look into", path.parent):
            if opening.is_folder(path.parent):
                self._folders.add(path.parent)

    def make_folder(self, folder: Path) -> None:
        """Create a folder, whose parent is made durable later. Raises CacheError."""
        with durable.translated("create the folder", folder):
            if not opening.is_folder(folder):
                durable.make_folder(folder.parent)
                folder.mkdir(exist_ok=True)
                self._folders.add(folder.parent)

    def end(self) -> None:
        """Replace the files, durably. Raises CacheError."""
        _sync_all(
            [path.parent for path in self._staged], [durable.temporary(path) for path in self._staged], _sync_file
        )
        for path in self._staged:
            durable.publish(path)
        self._folders.update(path.parent for path in self._staged)
        self._staged.clear()
        _sync_all(list(self._folders), sorted(self._folders), durable.sync_folder)
        self._folders.clear()

    def drop(self) -> None:
        """Remove what is not renamed yet. Raises CacheError."""
        for path in self._staged:
            durable.unstage(path)


@contextmanager
def together() -> Iterator[Batch]:
    """A batch whose files are in their places, durably, when the block has ended well. Raises CacheError."""
    batch = Batch()
    try:
        yield batch
        batch.end()
    except BaseException:
        with suppress(CacheError):  # what is wrong has been said
            batch.drop()
        raise


def _sync_all(folders: Collection[Path], each: Sequence[Path], sync: Callable[[Path], None]) -> None:
    """Make many files or folders durable: a call a file system, where it has one."""
    if len(each) <= _FEW or not _synced_by_file_system(set(folders)):
        for one in each:
            sync(one)


def _synced_by_file_system(folders: Collection[Path]) -> bool:
    by_device = dict[int, Path]()
    for folder in folders:
        with durable.translated("look at", folder):
            by_device.setdefault(folder.stat().st_dev, folder)
    for folder in by_device.values():
        with durable.translated("sync", folder):
            if not filesystem.sync(folder):
                return False
    return True


def _sync_file(path: Path) -> None:
    with durable.translated("sync", path), opening.to_write(path) as descriptor:
        os.fsync(descriptor)
