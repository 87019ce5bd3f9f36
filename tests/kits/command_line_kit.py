"""The command line as its parser sees it: nothing runs."""

from collections.abc import Iterator
from typing import Any

import typer
import typer.main

from ingest.cli.app import app

UsageError: Any = typer.BadParameter.__base__
"""Any wrong use of the command line; where it lies differs between versions of Typer."""

ROOT: Any = typer.main.get_command(app)


def _all(command: Any, *path: str) -> Iterator[tuple[str, Any]]:
    yield " ".join(path), command
    for name, one in getattr(command, "commands", {}).items():
        yield from _all(one, *path, name)


COMMANDS: dict[str, Any] = dict(_all(ROOT))
"""All commands and groups by their words; the program itself is "" ."""


def flags() -> set[str]:
    """The options of all commands, long and short."""
    params = [param for one in COMMANDS.values() for param in one.params if param.param_type_name == "option"]
    return {name for param in params for name in (*param.opts, *param.secondary_opts)} | {"--help", "-h"}


_ACTING = {"--help", "-h", "--version", "-V", "--install-completion", "--show-completion"}
"""Options that act as they are parsed."""


def parse(words: list[str]) -> None:
    """Parse what follows `ingest` as the program does; raises on a wrong flag or word, or on one that is missing.

    Options that act as they are parsed are left out, with what follows them.
    """
    command, path = ROOT, list[str]()
    while words and words[0] in getattr(command, "commands", {}):
        path.append(words[0])
        command, words = command.commands[words[0]], words[1:]
    if not _ACTING.isdisjoint(words):
        return
    command.make_context(" ".join(path), list(words)).close()
    if getattr(command, "commands", None):
        raise UsageError(f"Missing command after {' '.join(path)!r}")
