"""Files that are replaced together, durably, waiting for the disk about as often as for one file.

A crash leaves each name with its old content or its new one, and possibly temporary files, as `durable` says.
"""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ingest.errors import CacheError
from ingest.files import durable, filesystem, opening

_FEW = 16
"""Up to so many files, or folders, are synced one by one: syncing the file system also waits for other programs."""

_MOST = 1000
"""The most temporary files at once, so that there is no need for room for all of them twice."""


class Batch:
    """Files that are replaced together; at any moment each name has its old content or its new one.

    All contents are made durable together, then renamed, then the names are made durable together.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._staged, self._most = list[tuple[Path, Path]](), most
        self._folders = set[Path]()

    def put(self, path: Path, data: bytes) -> os.stat_result:
        """Write the new content of a file; returns its state, which renaming does not change. Raises CacheError."""
        if len(self._staged) >= self._most:
            self.end()
        staged = durable.stage(path, data, sync=False)
        self._staged.append((path, staged))
        with durable.translated("look at", staged):
            return os.lstat(staged)

    def remove(self, path: Path) -> None:
        """Remove a file, if it exists. Raises CacheError."""
        durable.remove(path)
        with durable.translated("look into", path.parent):
            if opening.is_folder(path.parent):
                self._folders.add(path.parent)

    def make_folder(self, folder: Path) -> None:
        """Create a folder; its parent is made durable later. Raises CacheError."""
        with durable.translated("create the folder", folder):
            if not opening.is_folder(folder):
                durable.make_folder(folder.parent)
                folder.mkdir(exist_ok=True)
                self._folders.add(folder.parent)

    def end(self) -> None:
        """Replace the files, durably. Raises CacheError."""
        sync_files([staged for _, staged in self._staged])
        for path, staged in self._staged:
            durable.publish(path, staged)
        self._folders.update(path.parent for path, _ in self._staged)
        self._staged.clear()
        _sync_all(self._folders, sorted(self._folders), durable.sync_folder)
        self._folders.clear()

    def drop(self) -> None:
        """Remove what is not renamed yet. Raises CacheError."""
        for path, staged in self._staged:
            durable.unstage(path, staged)


@contextmanager
def together(most: int = _MOST) -> Iterator[Batch]:
    """A batch whose files are in place, durably, once the block has ended without an error. Raises CacheError."""
    batch = Batch(most)
    try:
        yield batch
        batch.end()
    except BaseException:
        with suppress(CacheError):  # the actual error has been reported
            batch.drop()
        raise


def sync_files(files: Sequence[Path]) -> None:
    """Make the contents of files durable. Raises CacheError."""
    _sync_all({path.parent for path in files}, files, _sync_file)


def _sync_all(folders: Collection[Path], each: Sequence[Path], sync: Callable[[Path], None]) -> None:
    """Make many files or folders durable: with one call per file system, if it has one."""
    if len(each) <= _FEW or not _synced_by_file_system(folders):
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
