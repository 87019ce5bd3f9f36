"""Answers as JSON for programs: one object a line, all of one shape.

    {"version": 1, "kind": "status", "time": "2025-11-12T06:00:01Z", "dataset": …}

`kind` says what the line is, and `time` when it was written (UTC, to the second); `dataset` is a full name, whatever a
value has. docs/json.md lists the kinds and their fields. The lines are ASCII, so they mean the same in any encoding.
Nothing here touches the cache.
"""

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from numbers import Integral, Real
from typing import Any

from ingest.market.catalogue import CATALOGUE

VERSION = 1
"""Fields and kinds may be added; if one is removed or changes its meaning, this number rises."""

_OWN = frozenset({"version", "kind", "time"})
_FLAG = "--json"
_NAMED = {"Finding": "finding", "FindingCount": "finding", "Problem": "problem"}
"""How the field `kind` of these classes is called in JSON, where `kind` says what the line is."""


def print_records(kind: str, values: Iterable[Mapping[str, Any]]) -> None:
    """Print a line for each value as it arrives, until the reader closes the output."""
    for value in values:
        if getattr(sys.stdout, "lost", None):
            return
        sys.stdout.write(as_record(kind, value))


def print_warning(message: str) -> None:
    """Print a warning as a record."""
    print_records("warning", [{"message": message}])


def print_error(error: str, message: str, exit_code: int) -> None:
    """Print an error as a record: its class's name, its text, and the code the command ends with."""
    print_records("error", [{"error": error, "message": message, "exit_code": exit_code}])


def is_asked(arguments: Sequence[str]) -> bool:
    """Whether the command line asks for JSON; for errors that come before, or instead of, the command itself."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return _FLAG in arguments[:end]


def as_record(kind: str, values: Mapping[str, Any]) -> str:
    """One line of JSON, with its line end. Raises ValueError if a value has the name of a field of all records."""
    if taken := _OWN.intersection(values):
        raise ValueError(f"{kind}: {', '.join(sorted(taken))} is a field of every record: name this one otherwise")
    whole = {"version": VERSION, "kind": kind, "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", **values}
    if (dataset := CATALOGUE.get(values.get("dataset", ""))) is not None:
        whole["dataset"] = dataset.name
    try:
        return json.dumps(whole, default=_plain, allow_nan=False) + "\n"
    except ValueError:  # JSON has neither infinities nor NaN
        return json.dumps(_finite(whole), allow_nan=False) + "\n"


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of a dataclass, and of those inside it, for a record; a `kind` of its own gets a name of its own."""
    kind = _NAMED.get(type(value).__name__, "kind")
    names = (one.name for one in fields(value))
    return {kind if name == "kind" else name: _inner(getattr(value, name)) for name in names}


def _inner(value: Any) -> Any:
    if is_dataclass(value):
        return fields_of(value)
    if isinstance(value, Mapping):
        return {name: _inner(one) for name, one in value.items()}
    return [_inner(one) for one in value] if isinstance(value, list | tuple) else value


def _plain(value: Any) -> Any:
    """What JSON has for a value it does not know: numbers stay numbers, and times are ISO 8601."""
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, date):
        return value.isoformat()
    return sorted(value) if isinstance(value, Set) else str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return _finite(_plain(value))
