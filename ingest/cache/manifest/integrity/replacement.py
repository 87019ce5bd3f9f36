"""A new manifest takes the place of a damaged one, which is kept.

The new one is built under a name of its own. Once it is whole and durable it becomes `manifest.sqlite.repaired`, and
from then on it is the cache's manifest: whoever opens the manifest next for writing puts it in place. The old files get
second names; the old logs are removed, since SQLite would replay them into the new file; then one rename puts the new
file in place. So a kill leaves the old manifest as it was, or a new one that `finish` puts in place; nothing has to be
built twice.
"""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

from ingest.files import durable, opening

_BUILDING, _READY, _ASIDE = ".building", ".repaired", ".damaged"
_LOGS = ("-journal", "-wal", "-shm")


def begin(path: Path) -> Path:
    """Remove leftovers, and return the name under which to build the new manifest. Raises CacheError."""
    building = _beside(path, _BUILDING)
    for end in ("", *_LOGS):
        durable.remove(_beside(building, end))
    return building


def put_in_place(path: Path) -> Path:
    """Put the new manifest, built and closed, in place; returns where the old one is kept. Raises CacheError."""
    building, ready = _beside(path, _BUILDING), _beside(path, _READY)
    with durable.translated("write", building):
        descriptor = os.open(building, os.O_RDWR)
        try:
            if path.is_file():
                building.chmod(stat.S_IMODE(path.stat().st_mode))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        building.replace(ready)
    durable.sync_folder(path.parent)
    aside = _aside(path, ready)
    finish(path)
    return aside


def finish(path: Path) -> None:
    """Put a new manifest in place if ready; remove one that a killed repair left unfinished. Raises CacheError."""
    ready = _beside(path, _READY)
    if _is_there(ready):
        aside = _aside(path, ready)
        for end in ("", "-journal", "-wal"):
            _keep(_beside(path, end), _beside(aside, end))
        durable.sync_folder(path.parent)
        for end in _LOGS:
            durable.remove(_beside(path, end))
        durable.sync_folder(path.parent)
        with durable.translated("replace", path):
            ready.replace(path)
        durable.sync_folder(path.parent)
    if _is_there(_beside(path, _BUILDING)):
        begin(path)


def _is_there(path: Path) -> bool:
    with durable.translated("look for", path):
        return opening.is_there(path)


def _aside(path: Path, ready: Path) -> Path:
    """Where the old manifest is kept: whoever finishes a replacement uses the same name."""
    with durable.translated("look at", ready):
        made = datetime.fromtimestamp(ready.stat().st_mtime, UTC)
    return _beside(path, f"{_ASIDE}-{made:%Y%m%dT%H%M%S.%fZ}")


def _beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)


def _keep(path: Path, aside: Path) -> None:
    """Give a file a second name, or copy it if the file system has no links; move anything that is not a file."""
    with durable.translated("keep", path):
        if not opening.is_there(path) or opening.is_there(aside):
            return
        if not stat.S_ISREG(path.lstat().st_mode):
            path.rename(aside)
            return
        try:
            os.link(path, aside)
        except OSError:
            durable.copy(aside, path)
