"""An error about an argument calls it a flag on the command line, and an argument in Python."""

import os
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from pipeline_kit import Place
from used_kit import used

import ingest
from ingest.cli.rendering.hints import told
from ingest.errors import UsageError, WrongArgument


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with used(tmp_path_factory.mktemp("used")) as made:
        yield made


_OUT = ("export", "T01", "--out", "out")
WRONG: list[tuple[tuple[str, ...], str, str, dict[str, Any]]] = [
    ((*_OUT, "--adjust", "some"), "--adjust 'some': ", "export", {"adjust": "some"}),
    ((*_OUT, "--format", "some"), "--format 'some': ", "export", {"format": "some"}),
    ((*_OUT, "--shape", "some"), "--shape 'some': ", "export", {"shape": "some"}),
    ((*_OUT, "--name", "{some}"), "--name '{some}': ", "export", {"name": "{some}"}),
    ((*_OUT, "--columns", "some"), "--columns 'some' ", "export", {"columns": "some"}),
    ((*_OUT, "-i", "7m"), "--interval '7m': ", "export", {"interval": "7m"}),
    (("show", "T01", "-i", "7m"), "--interval '7m': ", "get_smart_data", {"interval": "7m"}),
    (("show", "T01", "-p", "6m"), "--period '6m' ", "get_smart_data", {"period": "6m"}),
    (("run", "--max-bytes", "7x"), "--max-bytes '7x': ", "run", {"max_bytes": "7x"}),
    (("run", "--wait", "5s"), "--wait '5s': ", "run", {"wait": "5s"}),
    (
        ("run", "--months", "3", "--start", "2025-03-03"),
        "--months and --start exclude each other",
        "run",
        {"months": 3, "start": "2025-03-03"},
    ),
    (
        ("list", "--all-permitted", "--start", "2025-03-03"),
        "--start and --all-permitted exclude each other",
        "list_files",
        {"all_permitted": True, "start": "2025-03-03"},
    ),
]
NEEDED: dict[str, dict[str, Any]] = {
    "export": {"tickers": "T01", "out": "out"},
    "get_smart_data": {"ticker": "T01", "data_source": "massive", "fetch": False},
}


@pytest.mark.parametrize(
    ("arguments", "begins", "function", "given"), WRONG, ids=lambda one: one if isinstance(one, str) else ""
)
def test_it_has_the_name_that_its_reader_typed(
    place: Place, arguments: tuple[str, ...], begins: str, function: str, given: dict[str, Any]
) -> None:
    typed = place.here(*arguments)
    assert (typed.code, typed.out) == (2, "")
    assert typed.err.startswith(f"error: {begins}")
    with patch.dict(os.environ, place.environment(), clear=True), pytest.raises(UsageError) as raised:
        getattr(ingest, function)(**NEEDED.get(function, {}), **given)
    in_python = begins.replace("--", "").replace("max-", "max_").replace("all-", "all_")
    assert str(raised.value).startswith(in_python)
    assert "--" not in str(raised.value)
    assert typed.err[len(f"error: {begins}") :].startswith(str(raised.value)[len(in_python) :][:20])


def test_a_ticker_that_is_none_is_not_called_a_setting(place: Place) -> None:
    typed = place.here("track", "add", "A B", "--list", "mine.txt")
    assert (typed.code, "[tracked]" in typed.err) == (2, False)
    assert "tickers: 'A B' has the character ' '; name each ticker by itself" in typed.err


def test_what_it_quotes_cannot_steer_a_terminal() -> None:
    error = WrongArgument("adjust", "\x1b[31m")
    assert told(error) == r"--adjust \x1b[31m"
    assert str(error) == r"adjust \x1b[31m"
