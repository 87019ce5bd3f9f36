"""The file to which a run appends all that it says; the standard library renames it at the size that is set.

A kill leaves the lines written so far. Two runs may append to one file: the second one says that it found the other.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path

from ingest.errors import UsageError
from ingest.files import durable

_KEPT = 3
"""Earlier files that are kept: FILE.1 is the newest of them."""


class LogFile:
    """A stream that appends to a file. What cannot be written, of a full disk say, is lost; `problem` says why."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._handler = _Handler(
            path, maxBytes=max_bytes, backupCount=_KEPT, encoding="utf-8", errors="backslashreplace"
        )
        self._path = path

    def write(self, text: str) -> int:
        """Append a text of whole lines."""
        self._handler.emit(logging.makeLogRecord({"msg": text.removesuffix("\n")}))
        return len(text)

    def flush(self) -> None:
        """Do nothing: what is written is in the file."""

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):  # of what could not be written, which `problem` tells
            self._handler.close()

    @property
    def problem(self) -> str:
        """Why lines are missing; empty if none is."""
        error = self._handler.error
        return f"lines are missing from {self._path}: {getattr(error, 'strerror', '') or error}" if error else ""


class _Handler(RotatingFileHandler):
    error: BaseException | None = None

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Remember the error that is being handled."""
        self.error = self.error or sys.exc_info()[1]


def file_place(what: str, file: str) -> Path:
    """The path of a file to be written. Raises UsageError if there cannot be one, `what` says for what."""
    path = Path(file)
    with durable.translated("look at", path):
        why = "" if path.parent.is_dir() else "its folder does not exist"
        if why := why or _no_file(path):
            raise UsageError(f"the {what} {path} cannot be written: {why}")
    return path


def _no_file(path: Path) -> str:
    """Why nothing can be written to what has this name; a pipe would be waited for."""
    return "it is a folder" if path.is_dir() else "it is a pipe" if path.is_fifo() else ""


@contextmanager
def appending(file: str, max_bytes: int) -> Iterator[LogFile]:
    """The file, opened at once. Raises UsageError if it cannot be one, and CacheError if it cannot be written."""
    path = file_place("log file", file)
    with durable.translated("write", path):
        log = LogFile(path, max_bytes)
    try:
        yield log
    finally:
        log.close()
