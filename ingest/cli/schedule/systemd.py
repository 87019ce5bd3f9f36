"""A systemd timer of the user, and its service; systemd.service(5), systemd.syntax(7), systemd.time(7)."""

import os
import re
from pathlib import Path

from ingest.cli.schedule.steps import MARK, Command, Job, Steps, removal_of
from ingest.errors import UsageError

PROGRAM = "systemctl"

_SERVICE = """\
# {mark}; `{removal}` removes it.
[Unit]
Description=Download new daily flat files
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
WorkingDirectory={folder}
ExecStart={command}
# 3: finished, but some sessions are retried tomorrow; 6: another run is in progress; 130: somebody stopped it.
SuccessExitStatus=3 6 130
# Finishes and commits what is in flight.
KillSignal=SIGINT
TimeoutStopSec=120
"""
_TIMER = """\
# {mark}; `{removal}` removes it.
[Unit]
Description=Download new daily flat files every day

[Timer]
OnCalendar=*-*-* {hour:02}:{minute:02}:00 UTC
# A computer that was off at that time catches up.
Persistent=true

[Install]
WantedBy=timers.target
"""
_PLAIN = re.compile(r"[A-Za-z0-9_./:=+,-]+", re.ASCII)
"""A word that needs no quotes."""

_BY_SHELL = ("/bin/sh", "-c", 'exec "$0" "$@"')
"""Runs a program whose name systemd refuses, or would change."""


def installation(job: Job) -> Steps:
    """The steps that schedule a job."""
    removal = removal_of(job.name)
    texts = {
        _path(job.name, "service"): _SERVICE.format(
            mark=MARK,
            removal=removal,
            folder=_folder(job.folder),
            command=command_line(job.command),
        ),
        _path(job.name, "timer"): _TIMER.format(mark=MARK, removal=removal, hour=job.hour, minute=job.minute),
    }
    # Not enable --now, which leaves a timer that is running at its earlier time.
    timer = f"{job.name}.timer"
    commands = (_systemctl("daemon-reload"), _systemctl("enable", timer), _systemctl("restart", timer))
    note = "It runs while you are logged in; `loginctl enable-linger` keeps it running while you are not"
    return Steps(files={path: text.encode() for path, text in texts.items()}, after=commands, notes=(note,))


def removal(name: str) -> Steps:
    """The steps that remove it."""
    files = dict.fromkeys((_path(name, "timer"), _path(name, "service")))
    ends = Command((PROGRAM, "--user", "disable", "--now", f"{name}.timer"), may_fail=True)
    return Steps((ends,), files, (_systemctl("daemon-reload"),))


def command_line(command: tuple[str, ...]) -> str:
    """A command as ExecStart has it: each word is quoted, and neither a specifier nor a variable."""
    unsafe = re.search(r"[\"'\\$]", command[0])
    first, *others = (*_BY_SHELL, *command) if unsafe else command
    return " ".join([_quoted(first), *(_quoted(one).replace("$", "$$") for one in others)])


def _quoted(word: str) -> str:
    if _PLAIN.fullmatch(word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _folder(folder: str) -> str:
    """A working folder; what ends its line is not part of it."""
    if folder != folder.strip() or folder.endswith("\\"):
        raise UsageError(f"{folder!a} ends with a blank or a backslash, which systemd does not take")
    return folder.replace("%", "%%")


def _path(name: str, kind: str) -> Path:
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home, "systemd", "user", f"{name}.{kind}")


def _systemctl(*words: str) -> Command:
    return Command((PROGRAM, "--user", *words))
