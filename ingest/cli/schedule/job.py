"""The job that a schedule runs: this program, with absolute paths, so that the environment of a bare cron is enough."""

import os
import re
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ingest import settings
from ingest.cli.places import agree_on_place
from ingest.cli.rendering.hints import flag_named
from ingest.cli.schedule.steps import Job
from ingest.errors import UsageError
from ingest.planning.request import datasets_asked
from ingest.settings.arguments import parse_wait

_PROGRAM = "ingest"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
_OF_A_SHELL = re.compile(r"INGEST_(?!CONFIG$).*|AWS_.*|MASSIVE_.*|(https?|all|no)_proxy", re.IGNORECASE)


def job_of(name: str, time: str, wait: str, datasets: Sequence[str], config: Path | None, *, quiet: bool) -> Job:
    """The job for these flags and settings. Raises UsageError, also where the run would refuse to begin a cache."""
    parse_wait(flag_named("wait"), wait)
    chosen = settings.load(config)
    agree_on_place(chosen, agreed=True, quiet=True, asks=False)
    kinds = datasets_asked(datasets, chosen) if datasets else ()
    file = chosen.config_file
    words = [*_program(), "run", *(("--config", str(file)) if file else ()), "--wait", wait, "--yes"]
    words += [word for kind in kinds for word in ("--dataset", kind.short)] + (["--quiet"] if quiet else [])
    return Job(checked_name(name), tuple(words), str(file.parent if file else Path.cwd()), *_parsed(time))


def checked_name(name: str) -> str:
    """The name of files, units and tasks; it begins with `ingest`, so that none hides one of the system's.

    Raises UsageError.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{flag_named('name')} {name!r}: must be of a-z 0-9 _ -, and begin with a letter or a digit")
    return name if name == _PROGRAM or name.startswith(f"{_PROGRAM}-") else f"{_PROGRAM}-{name}"


def left_behind() -> list[str]:
    """Variables of this shell that matter to a run, and that a scheduled one does not get."""
    return sorted(name for name, value in os.environ.items() if value and _OF_A_SHELL.fullmatch(name))


def is_for_now() -> bool:
    """Whether this program lies where it may be removed at any time: `uvx` and `pipx run` put it into a cache."""
    from platformdirs import user_cache_path

    temporary = (user_cache_path(), Path.home() / ".cache", Path(tempfile.gettempdir()))
    return any(Path(sys.prefix).is_relative_to(folder) for folder in temporary)


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
