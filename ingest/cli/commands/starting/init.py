"""`ingest init`.

It writes a list of tickers and a config.toml where neither exists, and nothing else. The list comes first: a crash
between the two leaves a list without settings, which the next `ingest init` uses as it is.
"""

import json
import os
import shlex
import sys
import tomllib
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError
from rich.prompt import Confirm, Prompt

from ingest import settings
from ingest.cli.commands.starting.check import check_command
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.wrapping import tell
from ingest.errors import UsageError
from ingest.files import durable, opening, rewriting
from ingest.settings import FILE_NAME, FILE_VARIABLE, Settings, SourceSettings, lists
from ingest.settings.loading import find
from ingest.settings.model import Layer
from ingest.settings.personal import data_folder, personal_file
from ingest.settings.problems import refusal, wrong_value

_LIST = "stocks.txt"
_SAMPLE = ("AAPL", "AMZN", "GOOGL", "MSFT", "NVDA", "SPY")
_USUAL = SourceSettings.model_fields["profile"].default
_ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the flags say; None or empty where they say nothing."""

    folder: Path | None = None
    root: Path | None = None
    tickers: tuple[str, ...] = ()
    list_file: Path | None = None
    profile: str | None = None
    from_environment: bool = False


@dataclass(frozen=True, slots=True)
class _Answers:
    """What to write: `config` and, unless its list is there already, `tickers` into a list beside it.

    `profile` is None for keys from the environment.
    """

    config: Path
    root: Path
    list_file: Path
    tickers: tuple[str, ...]
    profile: str | None

    def files(self) -> dict[Path, str]:
        """The text of each file to write, in this order."""
        found = {self.list_file: _list_text(self.tickers)} if self.tickers else {}
        return found | {self.config: _config_text(self)}


def init_command(wanted: Preferences, *, yes: bool, dry_run: bool, checks: bool) -> int:
    """Ask, show, write and check; returns the exit code of the check. Raises IngestError."""
    asks = not (yes or dry_run)
    if asks and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "init asks its questions on a terminal, and this is none: --yes answers them by flags and defaults"
        )
    _refuse_contradictions(wanted)
    console = Answers()
    try:
        answers = _answers(console, wanted, asks)
        _refuse_invalid(answers)
        _show(console, answers)
        if dry_run or (asks and not Confirm.ask("Write this?", console=console, default=True)):
            console.print("Nothing was written.")
            return 0
    except (EOFError, OSError, ValueError) as error:  # the terminal is gone, or the input is not text
        raise UsageError("no answer, so nothing was written") from error
    _write(answers)
    return _checked(console, answers, checks)


def _refuse_contradictions(wanted: Preferences) -> None:
    if wanted.tickers and wanted.list_file:
        raise UsageError(
            "--tickers and --list exclude each other: --list names a file of yours, --tickers fills a new one"
        )
    if wanted.profile and wanted.from_environment:
        raise UsageError("--profile and --keys environment exclude each other")


def _answers(console: Answers, wanted: Preferences, asks: bool) -> _Answers:
    config = _place(console, wanted, asks)
    home = data_folder() if config == personal_file() else config.parent
    root = wanted.root or Path(_ask(console, "Folder of the cache", str(home / "cache"), asks))
    list_file, tickers = _list(console, wanted, config.parent / _LIST, asks)
    profile = wanted.profile or (_USUAL if not wanted.from_environment else _ENVIRONMENT)
    if not wanted.profile and not wanted.from_environment:
        question = f'AWS credentials section of your S3 keys, or "{_ENVIRONMENT}"'
        profile = _ask(console, question, _USUAL, asks)
    return _Answers(config, _absolute(root), list_file, tickers, None if profile == _ENVIRONMENT else profile)


def _place(console: Answers, wanted: Preferences, asks: bool) -> Path:
    """Where config.toml goes: into the folder, or where INGEST_CONFIG says. Raises UsageError if there is one."""
    own, named = personal_file(), os.environ.get(FILE_VARIABLE)
    usual = own.parent if own else Path.cwd()
    if named and not wanted.folder:
        config = _absolute(Path(named))
    else:
        question = "Folder for config.toml; the default works from any folder"
        config = _absolute(wanted.folder or Path(_ask(console, question, str(usual), asks))) / FILE_NAME
    if os.path.lexists(config):
        raise UsageError(
            f"{config} is there already, and stays as it is. Edit it, or choose another folder: ingest init DIR"
        )
    return config


def _list(console: Answers, wanted: Preferences, beside: Path, asks: bool) -> tuple[Path, tuple[str, ...]]:
    """The list, and the tickers to write into it: none if it is there already."""
    if wanted.list_file:
        lists.read_list(_absolute(wanted.list_file))
        return _absolute(wanted.list_file), ()
    if os.path.lexists(beside):
        if wanted.tickers:
            raise UsageError(f"{beside} is there already, and stays as it is: leave out --tickers to use it")
        lists.read_list(beside)
        console.print(f"Your list {beside} is used as it is.")
        return beside, ()
    if wanted.tickers:
        told, how = wanted.tickers, "repeat --tickers for each ticker"
    else:
        answer = _ask(console, "Tickers to follow, or a file of them", " ".join(_SAMPLE), asks).strip()
        if answer and opening.is_file(_absolute(Path(answer))):
            return _list(console, replace(wanted, list_file=Path(answer)), beside, asks)
        told, how = tuple(answer.replace(",", " ").split()), "separate tickers by blanks"
    return beside, lists.checked(told, "the tickers to follow", how)


def _ask(console: Answers, question: str, default: str, asks: bool) -> str:
    return Prompt.ask(question, console=console, default=default) if asks else default


def _absolute(path: Path) -> Path:
    try:
        return Path(os.path.normpath(path.expanduser().absolute()))
    except RuntimeError as error:
        raise UsageError(f"{path}: the home folder is not known") from error


def _show(console: Answers, answers: _Answers) -> None:
    for path, text in answers.files().items():
        console.print(f"\n{path}:", style="bold")
        console.print(text, end="")
    console.print()


def _refuse_invalid(answers: _Answers) -> None:
    """Raise UsageError if the settings to be written could not be read."""
    values = tomllib.loads(_config_text(answers))
    try:
        Settings(**values)
    except ValidationError as error:
        layer = Layer("file", values, answers.config.parent, answers.config)
        raise refusal(wrong_value((layer,), one) for one in error.errors()) from error


def _write(answers: _Answers) -> None:
    for path, text in answers.files().items():
        durable.make_folder(path.parent)
        if os.path.lexists(path):
            raise UsageError(f"{path} has appeared meanwhile, and stays as it is")
        rewriting.rewrite(path, text.encode())


def _checked(console: Answers, answers: _Answers, checks: bool) -> int:
    settings.load(answers.config)
    console.print(f"Written: {', '.join(map(str, answers.files()))}")
    flag = _flag_for(answers.config)
    code = check_command([], answers.config, False) if checks else 0
    following = f"ingest run{flag}" if checks and code == 0 else f"ingest check{flag}"
    console.print(f"\nNext: {'do what is marked, then ' if code else ''}{following}")
    return code


def _flag_for(config: Path) -> str:
    """What a command must say to read these settings; nothing where it finds them."""
    with suppress(UsageError):  # INGEST_CONFIG may name a file that is missing
        if find() == config:
            return ""
    if os.environ.get(FILE_VARIABLE):
        tell(f"warning: {FILE_VARIABLE} names other settings, which come before these")
    elif config == personal_file():
        tell(f"warning: {Path.cwd() / FILE_NAME} comes before these in this folder")
    return f" --config {shlex.quote(str(config))}"


def _list_text(tickers: tuple[str, ...]) -> str:
    told = "# The tickers you follow, one per line, as the vendor spells them: BRK.B, BACpL.\n"
    return told + "".join(f"{one}\n" for one in tickers)


def _config_text(answers: _Answers) -> str:
    folder, root = answers.config.parent, answers.root
    listed = answers.list_file.name if answers.list_file.parent == folder else str(answers.list_file)
    if answers.config != personal_file() and root.is_relative_to(folder):
        root = root.relative_to(folder)
    return f"""\
# Settings of `ingest`. All others have defaults: `ingest config show`.
# The environment (INGEST_CACHE__ROOT) overrides this file, and flags both.

[source]
{_source_text(answers.profile)}

[cache]
# Where everything goes that is downloaded. If you move it, change this line.
root = {_toml(root.as_posix() if not root.is_absolute() else str(root))}

[tracked]
# Lists of the tickers you follow, one per line: each gets a CSV of its own.
lists = [{_toml(listed)}]

[run]
# Calendar months back from today.
# months = 24
# What to download, such as "stocks-minute", "options-day", "crypto-day".
# datasets = ["stocks-day"]

[fallback]
# Ask Yahoo for splits, dividends, and rows that Massive does not have.
# enabled = true
"""


def _source_text(profile: str | None) -> str:
    if profile is None:
        return (
            "# The S3 keys of your Massive dashboard come from the environment, as\n"
            "# MASSIVE_S3_ACCESS_KEY and MASSIVE_S3_SECRET_KEY. They never belong here."
        )
    return (
        "# The section of ~/.aws/credentials with the S3 keys of your Massive\n"
        "# dashboard. They never belong here.\n"
        f"profile = {_toml(profile)}"
    )


def _toml(text: str) -> str:
    """A TOML string. Raises UsageError for a path that is not valid text."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{text!a} cannot be written into a file of settings: it is not text") from error
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
