"""The job that a schedule runs: this program, with absolute paths, so that the environment of a bare cron is enough."""

import os
import re
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from ingest import settings
from ingest.cli.rendering.hints import flag_named
from ingest.cli.schedule.steps import Job
from ingest.errors import UsageError
from ingest.planning.request import datasets_asked
from ingest.settings.arguments import parse_wait

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
_OF_A_SHELL = re.compile(r"INGEST_(?!CONFIG$).*|AWS_.*|MASSIVE_.*|(https?|all|no)_proxy", re.IGNORECASE)


def job_of(name: str, time: str, wait: str, datasets: Sequence[str], config: Path | None, quiet: bool) -> Job:
    """The job for these flags and settings. Raises UsageError."""
    parse_wait(flag_named("wait"), wait)
    chosen = settings.load(config)
    kinds = datasets_asked(datasets, chosen) if datasets else ()
    file = chosen.config_file
    words = [*_program(), "run", *(("--config", str(file)) if file else ()), "--wait", wait, "--yes"]
    words += [word for kind in kinds for word in ("--dataset", kind.short)] + (["--quiet"] if quiet else [])
    return Job(checked_name(name), tuple(words), str(file.parent if file else Path.cwd()), *_parsed(time))


def checked_name(name: str) -> str:
    """A name for files, units and tasks. Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{flag_named('name')} {name!r}: must be of a-z 0-9 _ -, and begin with a letter or a digit")
    return name


def left_behind() -> list[str]:
    """Variables of this shell that matter to a run, and that a scheduled one does not get."""
    return sorted(name for name, value in os.environ.items() if value and _OF_A_SHELL.fullmatch(name))


def _program() -> list[str]:
    """How this program is begun, as it is installed; a Python alone needs the module's name."""
    name = "ingest.exe" if sys.platform == "win32" else "ingest"
    script = Path(sysconfig.get_path("scripts"), name)
    return [str(script)] if script.is_file() else [sys.executable, "-m", "ingest"]


def _parsed(time: str) -> tuple[int, int]:
    found = _TIME.fullmatch(time)
    if not found:
        raise UsageError(f"{flag_named('time')} {time!r}: must be hours and minutes in UTC, such as 06:00")
    return int(found[1]), int(found[2])
