"""A new manifest that takes the place of a damaged one, which is kept.

The new one is built under a name of its own. Once it is whole and durable it is `manifest.sqlite.repaired`, and from
then on it is the cache's manifest: whoever opens that next for writing puts it in place. The files of the old one get
second names, its logs are removed, as they would be played into the new one, and one rename takes the place. So a kill
leaves the old manifest as it was, or a new one that `finish` puts in place; nothing has to be built twice.
"""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

from ingest.files import durable, opening

_BUILDING, _READY, _ASIDE = ".building", ".repaired", ".damaged"
_LOGS = ("-journal", "-wal", "-shm")


def begin(path: Path) -> Path:
    """The name under which a manifest is built that is to take this one's place; nothing has it. Raises CacheError."""
    building = _beside(path, _BUILDING)
    for end in ("", *_LOGS):
        durable.remove(_beside(building, end))
    return building


def put_in_place(path: Path) -> Path:
    """Put the manifest that was built, and closed, in place; returns where the old one stays. Raises CacheError."""
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
    """Put a new manifest in place that is ready; remove one that a killed repair did not finish. Raises CacheError."""
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
    """Where the old one stays: whoever finishes a replacement gives it the same name."""
    with durable.translated("look at", ready):
        made = datetime.fromtimestamp(ready.stat().st_mtime, UTC)
    return _beside(path, f"{_ASIDE}-{made:%Y%m%dT%H%M%S.%fZ}")


def _beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)


def _keep(path: Path, aside: Path) -> None:
    """Give a file a second name, or copy it where the file system has no links; move what is not a file."""
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
