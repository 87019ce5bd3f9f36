"""What `--help` says, and the flags that stand before a command."""

import re
from pathlib import Path

import pytest
from command_line_kit import COMMANDS, parse
from typer.testing import CliRunner

from ingest.cli.app import app
from ingest.cli.examples import EXAMPLES, EXITS


def _typed(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*arguments], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"}, prog_name="ingest")
    return done.exit_code, done.output


def _help(name: str) -> str:
    code, text = _typed(*name.split(), "--help")
    assert code == 0
    return text


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_what_to_type_within_80_columns(name: str) -> None:
    text = _help(name)
    assert re.findall(r"<[a-z][^<>\n]*>", text) == []
    assert [line for line in text.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_two_examples_that_the_parser_takes(name: str) -> None:
    import shlex

    below = _help(name).partition("Examples:")[2]
    assert len(EXAMPLES[name]) == 2
    for line, _ in EXAMPLES[name]:
        assert line in below
        program, *words = shlex.split(line)
        assert program == "ingest"
        parse(words)


def test_exit_codes_are_a_list_and_no_paragraph() -> None:
    assert set(EXAMPLES) == set(COMMANDS)
    assert set(EXITS) <= set(COMMANDS)
    assert [name for name, one in COMMANDS.items() if not hasattr(one, "commands") and name not in EXITS] == []
    for name, codes in EXITS.items():
        below = _help(name).partition("Exit codes:")[2]
        for code, what in codes.items():
            assert re.search(rf"^ +{code} +{re.escape(what[:30])}", below, re.MULTILINE), (name, code)
    assert [name for name, one in COMMANDS.items() if "Exit codes" in (one.help or "")] == []


def test_the_options_of_run_stand_in_panels() -> None:
    panels = re.findall(r"─ (\w[\w ]*) ─", _help("run"))
    assert panels == ["Options", "Window", "What is stored", "Limits", "Output"]


def test_version_has_a_short_flag() -> None:
    assert _typed("-V") == _typed("--version")
    assert _typed("-V")[1].startswith("ingest ")


@pytest.mark.parametrize("name", ["run", "adopt"])
def test_dry_run_has_a_short_flag(name: str) -> None:
    (found,) = [one for one in COMMANDS[name].params if one.name == "dry_run"]
    assert found.opts == ["--dry-run", "-n"]


def test_config_may_stand_before_or_after_the_command(tmp_path: Path) -> None:
    one, other = tmp_path / "one.toml", tmp_path / "other.toml"
    for file in (one, other):
        file.write_text("")
    before = _typed("--config", str(one), "config", "path")
    assert before == _typed("config", "path", "--config", str(one)) == (0, f"{one}\n")
    assert _typed("--config", str(one), "config", "path", "--config", str(other)) == (0, f"{other}\n")


def test_config_may_stand_between_a_group_and_its_command(tmp_path: Path) -> None:
    one, other = tmp_path / "one.toml", tmp_path / "other.toml"
    for file in (one, other):
        file.write_text("")
    assert _typed("config", "--config", str(one), "path") == (0, f"{one}\n")
    assert _typed("--config", str(other), "config", "--config", str(one), "path") == (0, f"{one}\n")
    assert _typed("config", "--config", str(other), "path", "--config", str(one)) == (0, f"{one}\n")
    groups = [name for name, one in COMMANDS.items() if name and hasattr(one, "commands")]
    assert [name for name in groups if "--config" not in _help(name)] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_usage_shows_what_to_type(name: str) -> None:
    (line,) = re.findall(r"Usage: (.*?)\n *\n", _help(name), re.DOTALL)
    assert not re.search(r"[{}]|\[\[|…\.\.\.", line), line


def test_a_required_argument_stands_bare_and_another_in_brackets() -> None:
    assert "Usage: ingest track add [OPTIONS] TICKER… " in _help("track add")
    assert "Usage: ingest quarantine retry [OPTIONS] [SESSION…] " in _help("quarantine retry")


def test_config_before_a_command_without_settings_is_refused_and_not_ignored(tmp_path: Path) -> None:
    code, text = _typed("--config", str(tmp_path / "one.toml"), "demo")
    assert code == 2
    assert "demo' reads no settings" in text


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("run --months x", "'--months': it must be a whole number."),
        ("run --months 0", "'--months': the least is 1."),
        ("demo --months 99", "'--months': the most is 24."),
        ("run --start 2024-02-30", "'2024-02-30' is not a date: write it as YYYY-MM-DD."),
        ("quarantine show today", "'today' is not a date: write it as YYYY-MM-DD."),
        ("show AAPL --adjust foo", "'foo' is not one of 'none', 'splits', 'all'."),
        ("run --conurrency 8", "No such option: --conurrency. Did you mean --concurrency?"),
        ("--confg x run", "No such option: --confg. Did you mean --config?"),
        ("quarantine shw", "No such command 'shw'. Did you mean 'show'?"),
    ],
)
def test_a_wrong_word_is_told_in_the_words_of_the_command_line(typed: str, told: str) -> None:
    code, text = _typed(*typed.split())
    assert code == 2
    assert told in " ".join(text.replace("│", " ").split())
    assert not re.search(r"Value error|Input should|%Y|Possible options", text)
