"""How `--help` looks: plain types, then examples and exit codes as lists; and `--config` before a command.

Typer shows the types of Python (`<bool>`, `<int range>`); a command line shows what to type. Nothing here touches the
cache.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from ingest.cli.examples import EXAMPLES, EXITS

_Body = TypeVar("_Body", bound=Callable[..., Any])


class _Helped:
    """What commands and groups share, in front of Typer's class."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, which show plain types."""
        return _plain(super().get_params(ctx))  # type: ignore[misc]  # of Typer's class

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line; errors are in the words of the command line."""
        with _in_our_words():
            parsed: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        return parsed

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, with any exit codes and examples below."""
        super().format_help(ctx, formatter)  # type: ignore[misc]
        _below(ctx, formatter)


class Command(_Helped, TyperCommand):
    """A command whose help shows what to type, and which takes the `--config` given before it."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; `--config` before the command holds unless there is one after it."""
        before = _config_before(ctx.parent)
        if before is not None:
            if "config" not in ctx.params:
                raise typer.BadParameter(f"'{ctx.command_path}' reads no settings: leave out --config", ctx)
            ctx.params["config"] = ctx.params["config"] or before
        return super().invoke(ctx)


def _config_before(ctx: Any) -> Any:
    """The `--config` nearest before a command: of its group, else of the program."""
    while ctx:
        if found := ctx.params.get("config"):
            return found
        ctx = ctx.parent
    return None


class Group(_Helped, TyperGroup):
    """A group of commands whose help shows what to type; an error in the command line is a record, too, if asked."""

    def make_context(self, info_name: Any, args: Any, parent: Any = None, **extra: Any) -> Any:
        """Parse the command line up to the command."""
        with _recorded(parent is None):
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Parse the rest, and run the command."""
        with _recorded(ctx.parent is None):
            return super().invoke(ctx)


class Program(typer.Typer):
    """A Typer whose commands are all of these classes."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(cls=Group, **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[_Body], _Body]:
        """Register a function as a command, with its docstring as its help."""

        def register(body: _Body) -> _Body:
            return super(Program, self).command(name, cls=Command, help=_unbroken(body.__doc__), **settings)(body)

        return register


def _unbroken(text: str | None) -> str | None:
    """A docstring whose paragraphs are lines; Typer keeps the line ends of all but the first."""
    return text and "\n\n".join(" ".join(one.split()) for one in re.split(r"\n\s*\n", text.strip()))


def _plain(params: list[Any]) -> list[Any]:
    for one in params:
        if isinstance(one, TyperArgument):
            one.get_usage_pieces = partial(_usage, one)  # type: ignore[method-assign]  # of Typer's class
        one.display_type_rich = partial(_typed, one)
        if not isinstance(one, TyperArgument):
            one._get_number_range_help_str = partial(_ranged, one)
    return params


def _usage(param: Any, ctx: Any) -> list[str]:
    """An argument in the line of usage: TICKER, or [SESSION…] if it may be left out; Typer writes {TICKER}."""
    name = (param.metavar or param.name.upper()).strip("[]")
    return [name if param.required else f"[{name}]"]


def _typed(param: Any, ctx: Any) -> str:
    """What to type after a flag: nothing for a switch; an argument's name says it already."""
    if isinstance(param, TyperArgument) or param.is_flag:
        return ""
    shown = str(type(param).display_type_rich(param, ctx))
    return "N" if shown.startswith("<int") else "TEXT" if shown == "<str>" else shown.strip("<>")


def _ranged(param: Any) -> str:
    """The numbers that a flag takes; Typer writes [1<=x<=512]."""
    shown = str(type(param)._get_number_range_help_str(param) or "")
    least, _, most = shown.partition("<=x<=")
    return f"{least} to {most}" if most else re.sub(r"x>=(\d+)", r"\1 or more", shown)


_WORDS = (
    (r"Value error, ", ""),
    (r"does not match the formats '%Y-%m-%d'", "is not a date: write it as YYYY-MM-DD"),
    (r"Input should be a valid integer.*", "it must be a whole number."),
    (r"Input should be greater than or equal to (-?\d+)", r"the least is \1."),
    (r"Input should be less than or equal to (-?\d+)", r"the most is \1."),
    (r"Input should be (?:a |an )?(.*)", r"it should be \1."),
)
"""pydantic's words for a wrong value, and ours."""


@contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        _reworded(error)
        raise


@contextmanager
def _recorded(outermost: bool) -> Iterator[None]:
    """Print an error in the command line as a record; Typer prints it for people."""
    try:
        yield
    except Exception as error:
        if outermost and hasattr(error, "format_message"):
            from ingest.cli.rendering.records import is_asked, print_error

            if is_asked(sys.argv):
                print_error("UsageError", error.format_message(), error.exit_code)  # type: ignore[attr-defined]
        raise


def _reworded(error: Any) -> None:
    """Change what the parser says about a wrong word: no library's words, and the flag that was probably meant."""
    if near := getattr(error, "possibilities", None):
        error.message += f". Did you mean {' or '.join(sorted(near))}?"
        error.possibilities = None
    if isinstance(error, typer.BadParameter):
        for theirs, ours in _WORDS:
            error.message = re.sub(theirs, ours, error.message)


def _below(ctx: Any, formatter: Any) -> None:
    words: list[str] = []
    while ctx.parent:
        words.insert(0, ctx.info_name)
        ctx = ctx.parent
    name = " ".join(words)
    _list(formatter, "Exit codes", ((str(code), what) for code, what in EXITS.get(name, {}).items()))
    _list(formatter, "Examples", EXAMPLES.get(name, ()))


def _list(formatter: Any, title: str, rows: Iterable[tuple[str, str]]) -> None:
    if found := list(rows):
        formatter.write(f" {title}:\n")
        formatter.indent()
        formatter.write_dl(found, col_max=50)
        formatter.dedent()
        formatter.write("\n")
