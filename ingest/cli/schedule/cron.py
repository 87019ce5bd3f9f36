"""A line of the user's crontab; crontab(5). It begins at a time of this computer's clock.

The other lines of the crontab stay byte for byte as they are.
"""

import shlex

from ingest.cli.schedule.clock import local_time
from ingest.cli.schedule.steps import MARK, Command, Job, Steps

PROGRAM = "crontab"
LIST = Command((PROGRAM, "-l"), may_fail=True)
"""Prints the crontab; fails if the user has none."""


def installation(job: Job, crontab: bytes) -> Steps:
    """The steps that add a job to a crontab, or replace its line."""
    (hour, minute), note = local_time(job.hour, job.minute)
    words = f"cd {shlex.quote(job.folder)} && exec {shlex.join(job.command)}"
    line = f"{minute} {hour} * * * {_escaped(words)}  {_mark(job.name)}"
    others = _without(crontab, job.name)
    others += b"" if others.endswith(b"\n") or not others else b"\n"
    return Steps(after=(_replaced(others + f"{line}\n".encode()),), shown=line, notes=(note,))


def removal(name: str, crontab: bytes) -> Steps:
    """The steps that remove its line from a crontab; none if it is not there."""
    left = _without(crontab, name)
    return Steps(after=(_replaced(left),) if left != crontab else ())


def _escaped(words: str) -> str:
    """A command as cron passes it on: a bare % would end it, and cron reads a backslash before one as its own.

    A backslash of a word is in single quotes there, which are closed and opened again.
    """
    return words.replace("\\%", "\\''%").replace("%", "\\%")


def _mark(name: str) -> str:
    """The comment, of the shell's, by which a line is known."""
    return f"# {MARK}: {name}"


def _without(crontab: bytes, name: str) -> bytes:
    mark = _mark(name).encode()
    return b"\n".join(line for line in crontab.split(b"\n") if not line.rstrip().endswith(mark))


def _replaced(crontab: bytes) -> Command:
    return Command((PROGRAM, "-"), crontab)
