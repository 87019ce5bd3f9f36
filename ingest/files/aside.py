"""Moves away what has a name of ours and is of another type, so that it is no longer in the way: nothing is lost."""

import stat
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from ingest.files import durable, opening


def named_aside(path: Path) -> Path:
    """A new name beside a path, for what was there."""
    return path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")


def put_aside(path: Path, like: Path | None = None) -> str:
    """Rename something of the wrong type, as `named_aside` of it or of `like`; returns it in words.

    Raises CacheError.
    """
    aside = named_aside(like or path)
    with durable.translated("move", path):
        what = "file" if opening.is_folder(path) or not opening.is_file(path) else "folder"
        path.rename(aside)
    for folder in {path.parent, aside.parent}:
        durable.sync_folder(folder)
    return f"{path}: it is not a {what} and was moved to {aside.name if aside.parent == path.parent else aside}"


def make_room(
    folders: Iterable[Path], files: Iterable[Path] = (), like: Callable[[Path], Path] = lambda path: path
) -> list[str]:
    """Put aside what is in place of these folders, each after those above it, and of these files; returns it in words.

    Of files only folders are in the way: all else a rename replaces. Raises CacheError.
    """
    said = [put_aside(path, like(path)) for path in folders if is_no_folder(path)]
    return said + [put_aside(path, like(path)) for path in files if is_folder(path)]


def is_no_folder(path: Path) -> bool:
    """Whether something else is there. A link may lead to a disk that is only absent now. Raises CacheError."""
    mode = _mode(path)
    return mode is not None and not (stat.S_ISDIR(mode) or stat.S_ISLNK(mode))


def is_folder(path: Path) -> bool:
    """Whether a folder is there, and no link to one. Raises CacheError."""
    mode = _mode(path)
    return mode is not None and stat.S_ISDIR(mode)


def _mode(path: Path) -> int | None:
    with durable.translated("look at", path):
        found = opening.state(path)
    return None if found is None else found.st_mode
