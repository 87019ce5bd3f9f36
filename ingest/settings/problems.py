"""What is wrong with settings, in the user's terms: unknown names, invalid values."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ingest.errors import UsageError
from ingest.hints import Hint, Option
from ingest.settings.model import (
    ENV_DELIMITER,
    ENV_PREFIX,
    FILE_NAME,
    FILE_VARIABLE,
    SECTIONS,
    Layer,
    layer_of,
    variable,
)

_SECRET = re.compile(r"^aws_|secret|passw|token|credential|(^|_)keys?(_|$)", re.IGNORECASE)
_ELSEWHERE = (
    f"If {FILE_NAME} in the working folder belongs to another program, name yours with {FILE_VARIABLE}=FILE; "
    "an empty file stands for the defaults"
)
_NAMED = Option("config", None, "to name it for one command")
_DEEP = 20
_SHOWN_CHARS = 80
_SHOWN_PROBLEMS = 6


def check_variables(names: Mapping[str, str]) -> None:
    """Refuse variables that are meant as settings but are unknown; other INGEST_… variables are ignored."""
    known = [variable(section, name) for section, fields in SECTIONS.items() for name in fields]
    meant = {name.upper() for name in names if name.upper().startswith(ENV_PREFIX)} - set(known)
    bare = {f"{ENV_PREFIX}{word}".upper() for section in SECTIONS for word in (section, *SECTIONS[section])}
    strange = sorted(name for name in meant if ENV_DELIMITER in name or name in bare)
    if strange:
        raise refusal(_strange_variable(name, known) for name in strange)


def _strange_variable(name: str, known: list[str]) -> str:
    if _SECRET.search(name):
        return _keys_elsewhere(name, "environment")
    return f"environment variable {name} is an unknown setting{_advice(name, known)}"


def check_names(layers: list[Layer], *, unasked: bool) -> None:
    """Refuse unknown sections and settings; the last layer is the file's, if there is one.

    `unasked` says that the file was only found in the working folder, so it may belong to another program.
    """
    problems = [problem for layer in layers for problem in _strange_names(layer)]
    if not problems:
        return
    if unasked and not SECTIONS.keys() & layers[-1].values.keys():
        problems.insert(0, f"{layers[-1].file} has none of ingest's sections and may belong to another program")
    raise refusal(problems, _ELSEWHERE, _NAMED) if unasked else refusal(problems)


def _strange_names(layer: Layer) -> Iterator[str]:
    for section, names in layer.values.items():
        if _SECRET.search(section) or (section not in SECTIONS and _has_secret(names)):
            yield _keys_elsewhere(f"[{section}]", _stands(layer))
        elif section not in SECTIONS:
            yield f"[{section}] is an unknown section ({_stands(layer)}){_advice_section(section)}"
        elif not isinstance(names, Mapping):
            yield f"{section} must be a section, [{section}] ({_stands(layer)})"
        else:
            yield from _strange_settings(layer, section, names)


def _strange_settings(layer: Layer, section: str, names: Mapping[str, Any]) -> Iterator[str]:
    for name, value in names.items():
        if name in SECTIONS[section]:
            continue
        if _SECRET.search(name) or _has_secret(value):
            yield _keys_elsewhere(f"[{section}] {name}", _stands(layer))
        else:
            yield f"[{section}] {name} is an unknown setting ({_stands(layer)}){_advice(name, list(SECTIONS[section]))}"


def _has_secret(value: Any, depth: int = 0) -> bool:
    if not isinstance(value, Mapping) or depth > _DEEP:
        return False
    return any(_SECRET.search(name) or _has_secret(inner, depth + 1) for name, inner in value.items())


def _keys_elsewhere(name: str, where: str) -> str:
    return (
        f"{name} does not belong here ({where}): keys go into ~/.aws/credentials (or the file that "
        "AWS_SHARED_CREDENTIALS_FILE names), into the section that [source] profile names (default: [massive]), or "
        "into MASSIVE_S3_ACCESS_KEY and MASSIVE_S3_SECRET_KEY of the environment"
    )


def _stands(layer: Layer) -> str:
    return str(layer.file or layer.kind)


def _advice_section(section: str) -> str:
    homes = [home for home, names in SECTIONS.items() if section in names]
    if homes:
        return f": {section} is a setting of [{homes[0]}]"
    return _advice(section, list(SECTIONS))


def _advice(name: str, known: list[str]) -> str:
    folded = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    if near:
        return f": did you mean {folded[near[0]]}?"
    return f"; there are {', '.join(known)}" if len(known) < 12 else f"; such as {known[0]}"


def wrong_value(layers: tuple[Layer, ...], error: Any) -> str:
    """One of pydantic's errors, with the setting's name, value and place, and what is allowed."""
    section, name, *inner = error["loc"]
    layer = layer_of(layers, section, name)
    origin = layer.origin(section, name) if layer else ""
    allowed = SECTIONS[section][name].description
    how = ", as JSON" if layer and layer.kind == "environment" and "list of" in str(allowed) else ""
    reason = error.get("ctx", {}).get("error", "") if error["type"] == "value_error" else ""
    which = "".join(f" item {one + 1}" if isinstance(one, int) else f" {one}" for one in inner if one != "[key]")
    value = _shown(error["input"]) if SECTIONS[section][name].repr else "(not shown: it is a secret)"
    text = f"[{section}] {name}{which} = {value} ({origin}): must be {allowed}{how}"
    return f"{text}; {reason}" if reason else text


def _shown(value: Any) -> str:
    if isinstance(value, str) and ("@" in value or "?" in value):
        return "(not shown: it may hold keys)"
    try:
        text = repr(str(value) if isinstance(value, Path) else value)
    except (ValueError, RecursionError):  # thousands of digits, or of brackets
        return "(too long to be shown)"
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def refusal(problems: Iterable[str], advice: str = "", *hints: Hint) -> UsageError:
    """One error with all problems, one per line, up to a readable number."""
    lines = list(problems)
    if len(lines) > _SHOWN_PROBLEMS:
        lines[_SHOWN_PROBLEMS:] = [f"and {len(lines) - _SHOWN_PROBLEMS} more of this kind"]
    return UsageError("\n".join([*lines, advice] if advice else lines), *hints)
