"""The ways to schedule: which one a platform has, and the steps of each, after a look at what is there."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ingest.cli.schedule import cron, launchd, systemd, windows
from ingest.cli.schedule.steps import MARK, Command, Job, NotScheduled, Steps
from ingest.errors import UsageError, printable
from ingest.files import opening

KINDS: Final = ("systemd", "launchd", "windows", "cron")

_NO_CRONTAB = (b"no crontab", b"No such file")
_BOOTED_BY_SYSTEMD = Path("/run/systemd/system")
_COMMAND_S = 60.0
_SHOWN = 300


def default_kind() -> str:
    """The way of this platform."""
    if sys.platform == "darwin":
        return "launchd"
    if sys.platform == "win32":
        return "windows"
    return "systemd" if _BOOTED_BY_SYSTEMD.is_dir() and shutil.which(systemd.PROGRAM) else "cron"


def steps_to_install(kind: str, job: Job) -> Steps:
    """The steps that schedule a job. Raises UsageError if a path cannot be written, and NotScheduled."""
    if kind == "cron":
        return cron.installation(job, _crontab())
    ways = {"systemd": systemd.installation, "launchd": launchd.installation, "windows": windows.installation}
    return ways[kind](job)


def refuse_others(kind: str, name: str, steps: Steps) -> bool:
    """Whether something of that name is there, which is ours. Raises UsageError if it is not."""
    for path in steps.files:
        found = _content(path)
        if found is not None and MARK.encode() not in found.replace(b"\0", b""):
            raise UsageError(
                f"{path} was not written by `ingest schedule`: it stays as it is; --name names another one"
            )
    is_task = kind == "windows" and _refuse_task(name)
    return is_task or any(opening.is_there(path) for path in steps.files)


def steps_to_remove(kind: str, name: str) -> Steps | None:
    """The steps that remove it; None if nothing of that name is scheduled. Raises as `steps_to_install` does."""
    if kind == "cron":
        steps = cron.removal(name, _crontab())
        return steps if steps.after else None
    ways = {"systemd": systemd.removal, "launchd": launchd.removal, "windows": windows.removal}
    steps = ways[kind](name)
    return steps if refuse_others(kind, name, steps) else None


def standing(kind: str, steps: Steps) -> str:
    """Whether these steps have been done: "yes", "no", or "otherwise" if what is there says something else."""
    if kind == "cron":
        lines = _crontab().split(b"\n")
        mark = steps.shown.rpartition("#")[2].encode()
        is_same, is_there = steps.shown.encode() in lines, any(line.rstrip().endswith(b"#" + mark) for line in lines)
    else:
        found = [_content(path) for path in steps.files]
        is_same, is_there = found == list(steps.files.values()), any(one is not None for one in found)
    return "yes" if is_same else "otherwise" if is_there else "no"


def find_program(command: Command) -> None:
    """Raise UsageError if there is no such program."""
    if shutil.which(command.words[0]) is None:
        raise UsageError(f"there is no {command.words[0]} here: --kind names another way")


def run(command: Command, goes_on: bool = False) -> "subprocess.CompletedProcess[bytes]":
    """Run a command. Raises NotScheduled if it fails, unless it may, and UsageError if there is no such program.

    With `goes_on` a failure is left to the caller.
    """
    find_program(command)
    try:
        done = subprocess.run(command.words, input=command.given, capture_output=True, timeout=_COMMAND_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise NotScheduled(f"`{' '.join(command.words)}` did not end within {_COMMAND_S:g} s") from error
    if done.returncode and not (command.may_fail or goes_on):
        raise _failed(command.words, done)
    return done


def _failed(words: Sequence[str], done: "subprocess.CompletedProcess[bytes]") -> NotScheduled:
    said = printable(" ".join(done.stderr.decode(errors="replace").split()))[:_SHOWN]
    return NotScheduled(f"`{' '.join(words)}` ended with {done.returncode}: {said}")


def _crontab() -> bytes:
    """The user's crontab; empty if there is none, or no cron here. Any other failure must not pass for an empty one."""
    if shutil.which(cron.PROGRAM) is None:
        return b""
    done = run(cron.LIST, goes_on=True)
    if done.returncode == 0:
        return done.stdout
    if any(words in done.stderr for words in _NO_CRONTAB):
        return b""
    raise _failed(cron.LIST.words, done)


def _content(path: Path) -> bytes | None:
    try:
        return opening.read(path, linked=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _refuse_task(name: str) -> bool:
    """Whether there is a task of that name; UsageError if it is not ours."""
    if shutil.which(windows.PROGRAM) is None:
        return False
    done = run(windows.query(name))
    if done.returncode == 0 and MARK.encode() not in done.stdout.replace(b"\0", b""):
        raise UsageError(
            f"the task {name} was not made by `ingest schedule`: it stays as it is; --name names another one"
        )
    return done.returncode == 0
