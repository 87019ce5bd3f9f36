"""The file to which a run appends all that it says; the standard library renames it at the size that is set.

It must be new, empty, or a log already: a list of tickers or a manifest would be spoilt by one line.

A kill leaves the lines written so far. Two runs may append to one file: the second one says that it found the other.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path

from ingest.errors import UsageError
from ingest.files import durable, opening

_KEPT = 3
"""Earlier files that are kept: FILE.1 is the newest of them."""

_OPENING = "0000-00-00T"
"""How each line of a log begins, with 0 for any digit; a full disk may have cut it short."""


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
    """The path of a file to be written; of a symbolic link where it leads, so that this is replaced and not the link.

    Raises UsageError if there cannot be one, `what` says for what.
    """
    path = durable.target(Path(file))
    with durable.translated("look at", path):
        why = "" if path.parent.is_dir() else "its folder does not exist"
        if why := why or _no_file(path):
            raise UsageError(f"the {what} {path} cannot be written: {why}")
    return path


def _no_file(path: Path) -> str:
    """Why nothing can be written to what has this name; a pipe would be waited for."""
    return "it is a folder" if path.is_dir() else "it is a pipe" if path.is_fifo() else ""


def _refuse_others(path: Path) -> None:
    """Refuse a file that is no log; a device such as /dev/stderr is not looked into."""
    with durable.translated("read", path), suppress(FileNotFoundError):
        if not path.is_file():
            return
        with opening.to_read(path, linked=True) as file:
            begins = file.read(len(_OPENING)).decode("ascii", "replace")
        pairs = zip(begins, _OPENING, strict=False)
        if not all(found in "0123456789" if sign == "0" else found == sign for found, sign in pairs):
            raise UsageError(f"{path} is no log of ingest, and stays as it is: name another file")


@contextmanager
def appending(file: str, max_bytes: int) -> Iterator[LogFile]:
    """The file, opened at once. Raises UsageError if it cannot be one, and CacheError if it cannot be written."""
    path = file_place("log file", file)
    _refuse_others(path)
    with durable.translated("write", path):
        log = LogFile(path, max_bytes)
    try:
        yield log
    finally:
        log.close()
