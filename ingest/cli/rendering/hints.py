"""Hints as the command or flag to type; no other module spells them."""

from collections.abc import Collection
from typing import Any

from ingest.cli.rendering.records import fields_of
from ingest.errors import IngestError, IngestWarning, WrongArgument, printable
from ingest.hints import Call, Hint, Value, in_sentences
from ingest.market.catalogue import STOCKS_DAY

_FLAGS: dict[tuple[str, Value | None], str] = {("errors", "skip"): "--skip-unknown", ("partial", True): ""}
"""Flags that are not named like the argument; empty where no command has one."""

_CHOSEN = {"config": "FILE", "list": "FILE", "name": "TEMPLATE"}
"""Placeholders for values that the reader chooses, as in the flag's help."""


def said(text: str, hints: Collection[Hint]) -> str:
    """A message and its hints, as commands and flags."""
    return in_sentences(text, [sentence for hint in hints if (sentence := _sentence(hint))])


def told(error: IngestError | IngestWarning) -> str:
    """The text of an error or warning, for people at the command line."""
    if isinstance(error, WrongArgument):
        flags = " and ".join(_flag(name, True) for name in error.names)
        return said(f"{flags} {printable(error.words)}", error.hints)
    return said(error.message, error.hints)


def as_json(value: Any, text: str) -> dict[str, Any]:
    """The fields of a dataclass with hints; these become part of the field named `text`."""
    whole = fields_of(value)
    del whole["hints"]
    return whole | {text: said(getattr(value, text), value.hints)}


def dataset_flag(dataset: str, usual: Collection[str] = ()) -> str:
    """The flag for a dataset (its short name), after a space; empty if the command uses that dataset anyway.

    `usual` are the datasets that the command uses when none is named: stocks-day, unless others are given.
    """
    return "" if tuple(usual or (STOCKS_DAY.short,)) == (dataset,) else f" --dataset {dataset}"


def command(hint: Call) -> str:
    """The command of a hint, as typed."""
    return f"ingest {hint.name}" + "".join(_argument(name, value, hint) for name, value in hint.arguments)


def _sentence(hint: Hint) -> str:
    if isinstance(hint, Call):
        return f"Run `{printable(command(hint))}` {hint.purpose}"
    flag = _FLAGS.get((hint.name, hint.value), _flag(hint.name, hint.value))
    return f"Use `{flag}` {hint.purpose}" if flag else ""


def _argument(name: str, value: Value, hint: Call) -> str:
    if name == "dataset":
        return dataset_flag(str(value), hint.usual)
    return f" {value}" if name in ("session", "ticker") else f" {_flag(name, value)}"


def flag_named(setting: str) -> str:
    """How a setting is given on the command line, in words."""
    return f"flag --{setting.replace('_', '-')}"


def _flag(name: str, value: Value | None) -> str:
    words = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{words}" if value else f"--no-{words}"
    return f"--{words} {_CHOSEN.get(name, 'NAME') if value is None else value}"
