"""Asks before something is deleted, if there is somebody to ask."""

import sys

from rich.prompt import Confirm

from ingest.cli.rendering.answers import Answers


def agreed(question: str) -> bool:
    """Whether the user agrees; without a terminal, with a closed input or after Ctrl-C, no."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    try:
        return Confirm.ask(question, console=Answers(stderr=True), default=False)
    except (EOFError, KeyboardInterrupt, OSError, ValueError):  # the terminal is gone, or the input is not text
        return False
