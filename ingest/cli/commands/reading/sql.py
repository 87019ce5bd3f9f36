"""`ingest sql`: one query, and its answer as a table, CSV, JSON or Parquet."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from ingest import settings
from ingest.cli.output import Deed, go_on
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.hints import said
from ingest.cli.rendering.records import print_records
from ingest.cli.rendering.words import counted
from ingest.cli.rendering.wrapping import tell
from ingest.cli.warnings import tell_error, warnings_told
from ingest.errors import IngestError, UsageError, printable
from ingest.files import durable
from ingest.files.leftovers import writing_in
from ingest.hints import Option, call
from ingest.querying.asking import Queries, answered, asking, warn_of
from ingest.querying.connection import Answer
from ingest.settings import Settings

_AT_A_TERMINAL = 1000
"""Rows that are printed there unless another limit is set."""

_PIECE = 20_000
"""Rows that are printed at once."""

_ISO = "%Y-%m-%dT%H:%M:%S%.f%:z"
_DIGITS = 15
"""Digits that a double always has."""

_PLAIN = ["explain_key", "explain_value"]
"""The columns of a plan: text with lines of its own."""


@dataclass(frozen=True, slots=True)
class Printing:
    """How to print an answer: `limit` is the most rows (0: all; None: all but at a terminal)."""

    limit: int | None = None
    csv: bool = False
    json: bool = False
    parquet: Path | None = None

    @property
    def is_table(self) -> bool:
        """Whether it is a table for people."""
        return not (self.csv or self.json or self.parquet)

    @property
    def most(self) -> int | None:
        """The most rows; None for all."""
        if self.limit is None:
            return _AT_A_TERMINAL if self.is_table and sys.stdout.isatty() else None
        return self.limit or None


def sql_command(query: str | None, how: Printing, config: Path | None) -> int:
    """Answer a query, that of stdin if there is none, or those of a prompt; returns the exit code.

    Raises IngestError.
    """
    if sum((how.csv, how.json, how.parquet is not None)) > 1:
        raise UsageError("--csv, --json and --parquet exclude each other")
    place = _place(how.parquet) if how.parquet else None
    chosen = settings.load(config)
    if query is None and sys.stdin and sys.stdin.isatty():
        return _prompt(chosen, how)
    answer = _answer(chosen, _typed() if query is None else query, how)
    if place:
        return Deed(_write(answer.rows, place))
    _show(answer, how)
    return 0


def _typed() -> str:
    """The query on stdin; it may have been closed."""
    try:
        return sys.stdin.read() if sys.stdin else ""
    except UnicodeDecodeError as error:
        raise UsageError(f"the query on stdin is not text: {error}") from error


def _answer(chosen: Settings, query: str, how: Printing) -> Answer:
    def begin(questions: Queries) -> None:
        _tell_of_parts(questions, query, chosen)
        warn_of(questions.mentioned(query))

    with warnings_told(how.json):
        return answered(chosen, query, begin, how.most)


def _prompt(chosen: Settings, how: Printing) -> int:
    """Answer one query after another, each of what is stored by then; an error ends none but its own."""
    from ingest.cli.commands.reading.prompt import asks_for_help, statements

    if not (how.is_table and sys.stdout.isatty()):
        raise UsageError('there is no query: write one, such as "from tickers limit 5"')
    with asking(chosen) as questions:
        tables = questions.tables()
    tell(_begun(tables))
    for query in statements(lambda: tables):
        if asks_for_help(query):
            tell(_begun(tables))
            continue
        try:
            _show(_answer(chosen, query, how), how)
        except IngestError as error:
            tell_error(error, as_json=False)
        except KeyboardInterrupt:
            go_on()
            tell("interrupted")
    return 0


def _begun(tables: Iterable[str]) -> str:
    return (
        f"Views: {', '.join(tables)}. `describe NAME;` lists the columns of one. End a query with ; or an empty line, "
        "the prompt with Ctrl-D. `help` prints this again."
    )


def _tell_of_parts(questions: Queries, query: str, chosen: Settings) -> None:
    """Say, before it is waited for, what a query reads from the parts."""
    for view in questions.mentioned(query):
        if view.parts:
            hint = call("lake build", "to make it fast", chosen.run.datasets, dataset=view.dataset.short)
            count = counted(len(view.days), "session")
            tell(said(f"{view.name}: {count} {'is' if len(view.days) == 1 else 'are'} read from the parts", [hint]))


def _show(answer: Answer, how: Printing) -> None:
    if how.csv:
        _print_csv(answer.rows)
    elif how.json:
        print_records("row", ({"values": _plain(row)} for row in answer.rows.iter_rows(named=True)))
    else:
        _print_answer(answer)


def _print_answer(answer: Answer) -> None:
    """Print an answer as a table, and how many more rows there are."""
    console, rows = Answers(), answer.rows
    if rows.columns == _PLAIN:
        console.print(*rows[_PLAIN[1]].to_list(), sep="\n")
    else:
        right = [name for name, kind in rows.schema.items() if kind.is_numeric()]
        console.print_table(rows.columns, (list(map(_cell, row)) for row in rows.iter_rows()), right)
    if rows.is_empty():
        tell("no rows")
    if answer.more:
        hints = [Option("limit", "0", "or `--csv` to print all of them")]
        tell(said(f"{counted(answer.more, 'more row')}", hints))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.{_DIGITS}g}"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _print_csv(rows: pl.DataFrame) -> None:
    nested = [name for name, kind in rows.schema.items() if kind.is_nested() or kind == pl.Binary]
    if nested:
        raise UsageError(f"CSV has no lists and no bytes: make a text of {nested[0]}, or take --json or --parquet")
    zoned = [name for name, kind in rows.schema.items() if isinstance(kind, pl.Datetime) and kind.time_zone]
    for at in range(0, max(rows.height, 1), _PIECE):
        piece = rows.slice(at, _PIECE)
        sys.stdout.write(piece.with_columns(pl.col(zoned).dt.to_string(_ISO)).write_csv(include_header=not at))


def _plain(value: Any) -> Any:
    """A value as JSON has it: whole numbers of any size, other exact numbers as doubles."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    return list(map(_plain, value)) if isinstance(value, list) else value


def _place(path: Path) -> Path:
    place = path.expanduser().absolute()
    if why := durable.irreplaceable(place):
        raise UsageError(f"{printable(str(path))} {why}: name the file to write")
    return durable.target(place)


def _write(rows: pl.DataFrame, place: Path) -> int:
    """Write a file whole, with its folder if that is missing."""
    buffer = BytesIO()
    rows.write_parquet(buffer)
    durable.make_folder(place.parent)
    with writing_in(place.parent, lambda name: durable.is_temporary(place, name)):
        durable.replace(place, buffer.getvalue())
    Answers().print(f"{place}: {counted(rows.height, 'row')}")
    return 0
