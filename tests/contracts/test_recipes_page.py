"""docs/recipes.md: each recipe has a test in tests/recipes, and the versions it names are those that were tried."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
ROWS = {
    title: [cell.strip() for cell in rest.split("|")]
    for title, rest in re.findall(r"^\| \[([^]]+)\]\(#[^)]+\) \|(.*)\|$", PAGE, re.MULTILINE)
}
"""The table: the other cells of a row by its program."""

PINS = {
    (pin := Requirement(line)).name: str(pin.specifier).removeprefix("==")
    for line in (ROOT / "tests" / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
}


def test_the_table_the_sections_and_the_tests_name_the_same_programs():
    tests = "\n".join(path.read_text() for path in sorted((ROOT / "tests" / "recipes").glob("test_*.py")))
    tested = re.findall(r'recipe_of\("([^"]+)"\)', tests)
    assert sorted(tested) == sorted(ROWS)
    assert re.findall(r"^## (.*)$", PAGE, re.MULTILINE) == list(ROWS)


@pytest.mark.parametrize(
    "package",
    ["backtrader", "backtesting", "quantstats", "mplfinance", "duckdb", "psycopg", "openpyxl", "xlsxwriter", "dlt"],
)
def test_the_page_names_the_version_of_the_constraints(package):
    assert any(re.search(rf"(^|[ (]){re.escape(PINS[package])}($|[,) ])", cells[-1]) for cells in ROWS.values())
