"""The limits of the source: files, folders and calls stay small enough to be read."""

import ast
from collections import Counter
from pathlib import Path

INGEST = Path(__file__).parents[2] / "ingest"
MODULES = {one: one.read_text(encoding="utf-8") for one in sorted(INGEST.rglob("*.py"))}
ROWS_OF_KINDS = {"columns", "committed"}
"""Functions that take any number of names."""


def named(module: Path) -> str:
    return module.relative_to(INGEST).as_posix()


def by_position(call: ast.Call) -> int:
    return sum(not isinstance(one, ast.Starred) for one in call.args)


def called(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def test_a_file_has_at_most_350_lines() -> None:
    assert {named(one): lines for one, text in MODULES.items() if (lines := text.count("\n")) > 350} == {}


def test_a_folder_has_at_most_12_modules() -> None:
    found = Counter(one.parent for one in MODULES if one.name != "__init__.py")
    assert {named(folder): count for folder, count in found.items() if count > 12} == {}


def test_a_call_gives_at_most_5_arguments_by_position() -> None:
    calls = [(one, call) for one, text in MODULES.items() for call in ast.walk(ast.parse(text))]
    assert [
        f"{named(one)}:{call.lineno}"
        for one, call in calls
        if isinstance(call, ast.Call) and by_position(call) > 5 and called(call) not in ROWS_OF_KINDS
    ] == []
