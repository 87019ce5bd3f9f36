"""Where a page goes: its file is replaced whole, or stays as it was.

A kill leaves a temporary file beside it, as `files.durable` says; the next page there removes it after an hour.
"""

import time
from pathlib import Path
from typing import Final

from ingest.cli.rendering.words import size
from ingest.errors import UsageError, printable
from ingest.files import durable, opening

_MARK: Final = b'<meta name="generator" content="ingest">'
_HEAD: Final = 1000
"""Bytes of a page in which its mark stands."""

_LEFT_S: Final = 3600
"""Seconds after which nobody is still writing a temporary file."""


def page_place(path: Path) -> Path:
    """The absolute path of a page; of a symbolic link where it leads, so that this is replaced and not the link.

    Raises UsageError for a folder or another program's file, CacheError.
    """
    named = path.expanduser().absolute()
    if why := durable.irreplaceable(named):
        raise UsageError(f"{printable(str(path))} {why}: name the file to write")
    absolute = durable.target(named)
    if not _is_ours(absolute):
        raise UsageError(f"{printable(str(path))} is no page of ingest, and stays as it is: name another file")
    return absolute


def put(place: Path, page: bytes) -> None:
    """Write a page, with its folder if that is missing. Raises CacheError."""
    durable.make_folder(place.parent)
    durable.replace(place, page)
    for left in durable.staged(place):
        state = opening.state(left)
        if state and time.time() - state.st_mtime > _LEFT_S:
            durable.remove(left)


def _is_ours(path: Path) -> bool:
    """Whether a file may be replaced: it is a page of ingest, is empty, or does not exist."""
    with durable.translated("read", path):
        try:
            with opening.to_read(path, linked=True) as file:
                begins = file.read(_HEAD)
        except FileNotFoundError:
            return True
    return not begins or _MARK in begins


def written(path: Path, page: bytes, about: str = "") -> str:
    """What was written where, as a line."""
    return f"{printable(str(path))}: {f'{about}, ' if about else ''}{size(len(page))}\n"
