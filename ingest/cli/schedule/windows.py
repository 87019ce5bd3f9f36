"""A task of Windows' Task Scheduler, in UTC; its XML is that of the Task Scheduler schema, version 1.2."""

import re
import subprocess
from pathlib import Path
from xml.sax.saxutils import escape

from ingest.cli.schedule.steps import MARK, Command, Job, Steps
from ingest.errors import UsageError

PROGRAM = "schtasks"

_TASK = """\
<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>{mark}: download new daily flat files every day</Description>
  </RegistrationInfo>
  <Triggers>
    <CalendarTrigger>
      <StartBoundary>2025-01-01T{hour:02}:{minute:02}:00Z</StartBoundary>
      <Enabled>true</Enabled>
      <ScheduleByDay>
        <DaysInterval>1</DaysInterval>
      </ScheduleByDay>
    </CalendarTrigger>
  </Triggers>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <ExecutionTimeLimit>PT23H</ExecutionTimeLimit>
  </Settings>
  <Actions>
    <Exec>
      <Command>{program}</Command>
      <Arguments>{arguments}</Arguments>
      <WorkingDirectory>{folder}</WorkingDirectory>
    </Exec>
  </Actions>
</Task>
"""


def installation(job: Job) -> Steps:
    """The steps that schedule a job."""
    program, *others = map(_plain, job.command)
    text = _TASK.format(
        mark=escape(MARK),
        hour=job.hour,
        minute=job.minute,
        program=escape(program),
        arguments=escape(subprocess.list2cmdline(others)),
        folder=escape(_plain(job.folder)),
    )
    path = _path(job.name)
    create = Command((PROGRAM, "/Create", "/TN", job.name, "/XML", str(path), "/F"))
    return Steps(files={path: text.encode("utf-16")}, after=(create,), notes=("It runs while you are logged in",))


def removal(name: str) -> Steps:
    """The steps that remove it."""
    delete = Command((PROGRAM, "/Delete", "/TN", name, "/F"), may_fail=True)
    return Steps((delete,), {_path(name): None})


def query(name: str) -> Command:
    """Prints the task of that name; fails if there is none."""
    return Command((PROGRAM, "/Query", "/TN", name, "/XML"), may_fail=True)


def _plain(word: str) -> str:
    """A word that the Task Scheduler leaves as it is: it replaces %NAME% and $(…), and knows no way to escape them."""
    if re.search(r"%[^%]+%|\$\(", word):
        raise UsageError(f"{word!a} has a %NAME% or a $(, which Windows' Task Scheduler replaces")
    return word


def _path(name: str) -> Path:
    from platformdirs import user_data_path

    return user_data_path("ingest", appauthor=False) / "schedule" / f"{name}.xml"
