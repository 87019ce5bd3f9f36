"""`ingest config show` and `ingest config path`."""

import json
import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from ingest import settings
from ingest.cli.rendering.hints import said
from ingest.cli.rendering.records import fields_of, print_records
from ingest.cli.rendering.wrapping import tell
from ingest.hints import call
from ingest.settings.loading import find, places
from ingest.settings.model import Setting

NONE_FOUND = 1


def show_command(config: Path | None, as_json: bool) -> int:
    """Print every setting in effect, and where it comes from. Raises UsageError."""
    found = list(settings.load(config).each())
    if as_json:
        print_records("setting", map(fields_of, found))
        return 0
    sys.stdout.write(as_toml(found))
    return 0


def as_toml(found: Sequence[Setting]) -> str:
    """The settings as an equivalent config.toml; a comment says where each comes from."""
    lines: list[str] = []
    for section, group in groupby(found, key=lambda one: one.section):
        rows = [(f"{one.name} = {_value(one.value)}", one.origin) for one in group]
        width = max(len(text) for text, _ in rows)
        lines += ["", f"[{section}]", *(f"{text:<{width}}  # {origin}" for text, origin in rows)]
    return "\n".join(lines[1:]) + "\n"


def path_command(config: Path | None) -> int:
    """Print the file that the settings are read from; returns 1 if there is none. Raises UsageError."""
    file = find(config)
    if file is None:
        looked = ", then ".join(map(str, places()))
        told = f"no config.toml, so built-in defaults and the environment count; looked for {looked}"
        tell(said(told, (call("init", "to write one"),)))
        return NONE_FOUND
    sys.stdout.write(f"{file}\n")
    return 0


def _value(value: Any) -> str:
    """A value as TOML: JSON strings, numbers, booleans and lists are valid TOML, but not escapes beyond U+FFFF."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_value(name)} = {_value(inner)}' for name, inner in value.items())}}}"
    return json.dumps(value, default=str, ensure_ascii=False)
