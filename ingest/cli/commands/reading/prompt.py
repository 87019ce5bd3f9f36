"""The prompt of `ingest sql`: a line editor with history, completed by views, columns and keywords.

The one module that knows its library. A kill leaves the history with all queries that were ended.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.errors import CacheError, UsageError
from ingest.files import durable
from ingest.settings.personal import state_folder

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import History

MISSING = "the prompt needs prompt_toolkit: pip install 'ingest[sql]'"

_ENDS = frozenset({"exit", "quit", ".exit", ".quit", r"\q"})
_HELP = frozenset({"help", "?", ".help", ".tables", r"\?", r"\d", r"\dt"})
_WORD = re.compile(r"\w+")
_KEYWORDS = _WORD.findall(
    "select from where group order by having qualify limit offset with as on using join left right full inner outer "
    "cross asof semi anti union intersect except all distinct case when then else end and or not in is null like ilike "
    "between exists over partition rows range window asc desc cast try_cast pivot unpivot values describe show "
    "summarize explain tables interval true false filter exclude replace columns"
)

Tables = Mapping[str, Sequence[str]]
"""The columns of each table and view."""


def statements(tables: Callable[[], Tables]) -> Iterator[str]:
    """What is typed at the prompt, statement by statement, until its end. Raises UsageError without the library."""
    if find_spec("prompt_toolkit") is None:
        raise UsageError(MISSING)
    session = _session(tables)
    while True:
        try:
            text = session.prompt("sql> ", prompt_continuation="...> ").strip().rstrip(";").strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if text.lower() in _ENDS:
            return
        if text:
            yield text


def _session(tables: Callable[[], Tables]) -> "PromptSession[str]":
    from prompt_toolkit import PromptSession
    from prompt_toolkit.application import get_app
    from prompt_toolkit.completion import WordCompleter
    from prompt_toolkit.filters import Condition

    def typed() -> str:
        return get_app().current_buffer.text

    words = WordCompleter(lambda: offered(tables(), typed()), ignore_case=True, pattern=_WORD)
    goes_on = Condition(lambda: not is_whole(typed()))
    return PromptSession(history=_history(), completer=words, multiline=goes_on, complete_while_typing=False)


def is_whole(text: str) -> bool:
    """Whether Enter ends a statement: after a semicolon, on an empty line, or after a word that is for the prompt."""
    *_, last = text.split("\n")
    return not last.strip() or text.rstrip().endswith(";") or text.strip().lower() in _ENDS | _HELP


def asks_for_help(text: str) -> bool:
    """Whether a statement is a word that asks the prompt what can be typed."""
    return text.lower() in _HELP


def offered(tables: Tables, text: str) -> list[str]:
    """Words that complete a statement: views, columns of those that it names (of all if it names none), keywords."""
    named = {word.lower() for word in _WORD.findall(text)}
    chosen = [columns for name, columns in tables.items() if name in named] or list(tables.values())
    columns = dict.fromkeys(column for some in chosen for column in some)
    return list(dict.fromkeys([*columns, *tables, *_like(text, _KEYWORDS)]))


def _like(text: str, keywords: Iterable[str]) -> list[str]:
    """Keywords in the case of the last word."""
    last = _WORD.findall(text)[-1:]
    return [word.upper() if last and last[0].isupper() else word for word in keywords]


def _history() -> "History":
    """The statements of earlier prompts; only of this one where no file can be kept."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    class Kept(FileHistory):
        def load_history_strings(self) -> Iterable[str]:
            with suppress(OSError):
                yield from super().load_history_strings()

        def store_string(self, string: str) -> None:
            with suppress(OSError):  # a full disk
                super().store_string(string)

    file = _history_file()
    return Kept(str(file)) if file else InMemoryHistory()


def _history_file() -> Path | None:
    folder = state_folder()
    if folder is None:
        return None
    try:
        durable.make_folder(folder)
    except CacheError:
        return None
    return folder / "sql_history"
