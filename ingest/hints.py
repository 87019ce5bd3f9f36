"""What the reader of a message can do, as a value: only `cli` names commands and flags.

Python callers see a function or an argument (`in_python`) at the end of an error's or warning's text; the command line
shows a command or a flag (`ingest.cli.rendering.hints`). Nothing here touches the cache.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

Value = str | bool | date

_FUNCTIONS: Mapping[str, frozenset[str]] = {
    "quarantine list": frozenset({"dataset"}),
    "quarantine accept": frozenset({"dataset", "session", "without_bad_rows"}),
    "quarantine retry": frozenset({"dataset", "session"}),
    "run": frozenset({"start", "end", "dataset", "refresh"}),
    "move": frozenset({"to", "keep"}),
    "verify": frozenset({"dataset", "deep"}),
    "findings": frozenset({"dataset"}),
    "corrections": frozenset({"dataset"}),
    "export": frozenset({"ticker", "adjust", "out"}),
}
"""Commands that are also functions of this package, and the arguments that mean the same there."""

_CALLED: Mapping[str, str] = {"export": "history"}
"""Functions that are not named like the commands: a program wants the rows, and no files."""

_TYPED = frozenset({"out"})
"""Arguments that these functions do not have."""

_ARGUMENTS: Mapping[str, str] = {
    "across_seams": "",
    "adjust": " (get_smart_data: auto_adjust=False)",
    "config": "",
    "dataset": "",
    "errors": "",
    "list": "",
    "partial": "",
    "name": "",
    "overwrite": "",
    "prepost": "",
    "shape": "",
    "tracked": "",
}
"""Options that are arguments of functions, each with its equivalent in other functions."""


_RENAMED: Mapping[str, str] = {"session": "sessions", "list": "list_file", "ticker": "tickers"}
"""Arguments of functions that are not named like those of commands."""


@dataclass(frozen=True, slots=True)
class Call:
    """A command to run, or the function of that name; `purpose` says what for ("to download it").

    `usual` are the datasets that the command uses if none is named, if these are not the default.
    """

    name: str
    purpose: str
    arguments: tuple[tuple[str, Value], ...] = ()
    usual: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Option:
    """A flag to add to the command, or an argument to add to the call; without a `value` the reader chooses one."""

    name: str
    value: Value | None
    purpose: str


Hint = Call | Option


@dataclass(frozen=True, slots=True)
class Message:
    """A plain sentence, and hints at what the reader can do."""

    text: str
    hints: tuple[Hint, ...] = ()


def call(name: str, purpose: str, usual: tuple[str, ...] = (), **arguments: Value) -> Call:
    """A `Call` with these arguments."""
    return Call(name, purpose, tuple(arguments.items()), usual)


def in_sentences(text: str, sentences: list[str]) -> str:
    """A message, followed by the sentences made from its hints."""
    return " ".join([f"{text.rstrip('.')}.", *(f"{one}." for one in sentences)]) if sentences else text


def in_python(text: str, hints: tuple[Hint, ...]) -> str:
    """The message for a Python caller; hints without an equivalent function or argument are left out."""
    return in_sentences(text, [sentence for hint in hints if (sentence := _sentence(hint))])


def _sentence(hint: Hint) -> str:
    if isinstance(hint, Option):
        if hint.name not in _ARGUMENTS:
            return ""
        value = "" if hint.value is None else f"={_literal(hint.value)}"
        return f"Pass {_RENAMED.get(hint.name, hint.name)}{value}{_ARGUMENTS[hint.name]} {hint.purpose}"
    known = _FUNCTIONS.get(hint.name)
    if known is None or not known.issuperset(name for name, _ in hint.arguments):
        return ""
    passed = ((_RENAMED.get(name, name), value) for name, value in hint.arguments if name not in _TYPED)
    arguments = ", ".join(f"{name}={_literal(value)}" for name, value in passed)
    return f"Call ingest.{_CALLED.get(hint.name, hint.name).replace(' ', '.')}({arguments}) {hint.purpose}"


def _literal(value: Value) -> str:
    return str(value) if isinstance(value, bool) else f'"{value}"'
