"""What is scheduled, and the steps that schedule or remove it, as plain values: they can be shown before they are done.

Files are replaced whole, before the commands that read them. A crash leaves files that no command has read yet;
`ingest schedule install` completes that, and `ingest schedule remove` removes them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ingest.errors import IngestError, UsageError

MARK = "Written by `ingest schedule`"
"""In everything that is written: what does not have it is never replaced or removed."""

_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
"""Characters that one of the forms cannot hold."""


USUAL = "ingest"
"""The name of a schedule that is given none."""


def removal_of(name: str) -> str:
    """The command that removes the schedule of that name, where it is made as the platform has it."""
    return "ingest schedule remove" + ("" if name == USUAL else f" --name {name}")


class NotScheduled(IngestError):
    """The system's own program refused what was to be scheduled."""

    exit_code = 5


@dataclass(frozen=True, slots=True)
class Job:
    """A run every day: its `name`, the program with its arguments, the working folder, hour and minute in UTC."""

    name: str
    command: tuple[str, ...]
    folder: str
    hour: int
    minute: int

    def __post_init__(self) -> None:
        """Raises UsageError if a path has a character that cannot be written."""
        for one in (*self.command, self.folder):
            if found := _UNFIT.search(one):
                raise UsageError(f"{one!a} has the character {found[0]!a}, with which it cannot be scheduled")


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run, and its standard input; whether it may fail (what it ends may not be there)."""

    words: tuple[str, ...]
    given: bytes = b""
    may_fail: bool = False


@dataclass(frozen=True, slots=True)
class Steps:
    """What to do, in this order: commands, files to write (None: to remove), more commands.

    `shown` is what is written where there is no file; `notes` are what the reader should know.
    """

    before: tuple[Command, ...] = ()
    files: Mapping[Path, bytes | None] = field(default_factory=dict)
    after: tuple[Command, ...] = ()
    shown: str = ""
    notes: tuple[str, ...] = ()
