"""An agent of launchd (macOS); launchd.plist(5). It begins at a time of this computer's clock."""

import os
import plistlib
from pathlib import Path

from ingest.cli.schedule.clock import local_time
from ingest.cli.schedule.steps import MARK, Command, Job, Steps

PROGRAM = "launchctl"


def installation(job: Job) -> Steps:
    """The steps that schedule a job."""
    (hour, minute), note = local_time(job.hour, job.minute)
    log = str(Path.home() / "Library" / "Logs" / f"{job.name}.log")
    agent = {
        "Label": _label(job.name),
        "ProgramArguments": list(job.command),
        "WorkingDirectory": job.folder,
        "StartCalendarInterval": {"Hour": hour, "Minute": minute},
        "StandardOutPath": log,
        "StandardErrorPath": log,
        "ExitTimeOut": 120,
    }
    marked = plistlib.dumps(agent).replace(b"<plist ", f"<!-- {MARK} -->\n<plist ".encode(), 1)
    path = _path(job.name)
    begins = Command((PROGRAM, "bootstrap", _domain(), str(path)))
    return Steps((_ends(job.name),), {path: marked}, (begins,), notes=(note, f"What it says is appended to {log}"))


def removal(name: str) -> Steps:
    """The steps that remove it."""
    return Steps((_ends(name),), {_path(name): None})


def _ends(name: str) -> Command:
    return Command((PROGRAM, "bootout", f"{_domain()}/{_label(name)}"), may_fail=True)


def _label(name: str) -> str:
    return f"local.{name}"


def _path(name: str) -> Path:
    return Path.home() / "Library" / "LaunchAgents" / f"{_label(name)}.plist"


def _domain() -> str:
    return f"gui/{getattr(os, 'getuid', lambda: 0)()}"  # not on Windows, where it can only be shown
