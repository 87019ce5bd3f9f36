"""Where a command would begin a cache, told or asked before it does.

A config.toml, a variable or a list of tickers says that the user chose the place. Without any of them data would go
wherever the command happens to be started: at the top of the file system, where schedulers start it, or among
somebody's source code. Nothing here writes to disk.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from ingest.cli.rendering.wrapping import tell
from ingest.errors import UsageError
from ingest.files import opening
from ingest.hints import call
from ingest.settings import Settings

_MARKS = (".git", ".hg", "pyproject.toml", "setup.py", "package.json", "Cargo.toml", "go.mod", "__init__.py")
"""What the top of a source tree has, or a package in it."""

_ANOTHER = call("init", "to choose a place, or name it with INGEST_CACHE__ROOT")


def agree_on_place(chosen: Settings, *, agreed: bool = False, quiet: bool = False, asks: bool = True) -> None:
    """Say where a first cache would go, and on a terminal ask, unless that was chosen, `agreed`, or there is a cache.

    Raises UsageError if the answer is no, or if nobody can be asked whether an odd place is meant.
    """
    if _is_chosen(chosen) or any(map(opening.is_there, _signs(chosen))):
        return
    root, listed = chosen.cache.root, any(map(opening.is_there, chosen.tracked.lists))
    odd = "" if listed else next(_oddities(root.parent), "")
    told = f"no config.toml: data goes into {root}"
    if asks and not listed and not (agreed and not odd) and sys.stdin.isatty() and sys.stderr.isatty():
        _ask(f"{told}{f', but {odd}' if odd else ''}", default=not odd)
    elif odd:
        raise UsageError(f"there is no config.toml, and data would go into {root}, but {odd}", _ANOTHER)
    elif not quiet:
        tell(told)


def _is_chosen(chosen: Settings) -> bool:
    origin = next(one.origin for one in chosen.each() if (one.section, one.name) == ("cache", "root"))
    return chosen.config_file is not None or origin != "built-in default"


def _signs(chosen: Settings) -> tuple[Path, ...]:
    return (chosen.manifest_path, chosen.tracked_path, chosen.archive_path)


def _oddities(folder: Path) -> Iterator[str]:
    if folder == folder.parent:
        yield f"{folder} is the top of the file system"
    if (system := os.environ.get("SYSTEMROOT")) and folder.is_relative_to(system):
        yield f"{folder} belongs to Windows"
    for one in _up_to_home(folder):
        yield from (f"{one} is a source tree (it has {mark})" for mark in _MARKS if opening.is_there(one / mark))


def _up_to_home(folder: Path) -> Iterator[Path]:
    """A folder and those above it; settings of a home folder are often under version control themselves."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path's raises where there is no home
    for one in (folder, *folder.parents):
        if one == home:
            return
        yield one


def _ask(told: str, default: bool) -> None:
    from rich.prompt import Confirm

    from ingest.cli.rendering.answers import Answers

    console = Answers(stderr=True)
    console.print(f"{told}.")
    try:
        yes = Confirm.ask("Put it there?", console=console, default=default)
    except (EOFError, KeyboardInterrupt, OSError, ValueError):  # the terminal is gone, or the input is not text
        yes = False
    if not yes:
        raise UsageError("nothing was written", _ANOTHER)
