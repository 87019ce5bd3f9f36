"""Where a page goes: its file is replaced whole, or stays as it was."""

from pathlib import Path

from ingest.cli.rendering.words import size
from ingest.errors import UsageError, printable
from ingest.files import durable


def put(path: Path, page: bytes) -> Path:
    """Write a page, with its folder if that is missing; returns its absolute path. Raises UsageError, CacheError."""
    absolute = path.expanduser().absolute()
    if absolute.is_dir():
        raise UsageError(f"{printable(str(path))} is a folder: name the file to write")
    durable.make_folder(absolute.parent)
    durable.replace(absolute, page)
    return absolute


def written(path: Path, page: bytes, about: str = "") -> str:
    """What was written where, as a line."""
    return f"{printable(str(path))}: {f'{about}, ' if about else ''}{size(len(page))}\n"
