"""Warnings that point at the line of whoever called this package."""

import sys
import warnings
from contextlib import suppress

from ingest.errors import IngestWarning, printable


def warn(message: str) -> None:
    """Warn (IngestWarning) of what could not be had; printable whatever is quoted, as errors are."""
    depth, said = _depth(), "\n".join(map(printable, message.split("\n")))
    with suppress(ValueError):  # a program may have closed its stderr: what it asked for is no worse for that
        warnings.warn(said, IngestWarning, stacklevel=depth)


def _depth() -> int:
    """How many calls of this package lie between the warning and whoever called it."""
    depth, frame = 2, sys._getframe(2)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("ingest."):
        depth, frame = depth + 1, frame.f_back
    return depth
