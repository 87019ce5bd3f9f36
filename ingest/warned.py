"""Warnings that point at the line of whoever called this package."""

import sys
import warnings

from ingest.errors import IngestWarning


def warn(message: str) -> None:
    """Warn (IngestWarning) of what could not be had."""
    warnings.warn(message, IngestWarning, stacklevel=_depth())


def _depth() -> int:
    """How many calls of this package lie between the warning and whoever called it."""
    depth, frame = 2, sys._getframe(2)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("ingest."):
        depth, frame = depth + 1, frame.f_back
    return depth
