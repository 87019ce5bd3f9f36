"""What can be done about a message: a command or a flag at the command line, a call or an argument in Python."""

import ast
import inspect
import re
from datetime import date
from pathlib import Path

import pytest
import typer.main
from functions_kit import public_functions

import ingest
from ingest import events
from ingest.cli.app import app
from ingest.cli.rendering.hints import as_json, told
from ingest.cli.rendering.words import to_fetch
from ingest.errors import AcrossSeam, IngestError, ManifestDamaged, NotConfirmed, UsageError
from ingest.hints import Call, Option, call

COMMAND = typer.main.get_command(app)
BELOW = [
    path
    for path in sorted(Path(ingest.__file__).parent.rglob("*.py"))
    if path.relative_to(Path(ingest.__file__).parent).parts[0] not in ("cli", "demo")
]
DAY = date(2025, 3, 5)
TORN = "the manifest m is damaged (torn)"


@pytest.mark.parametrize(
    ("error", "typed", "called"),
    [
        (
            UsageError("nothing", call("run", "to download it", dataset="stocks-day", start=DAY, save_others=True)),
            "nothing. Run `ingest run --start 2025-03-05 --save-others` to download it.",
            "nothing",
        ),
        (
            UsageError("nothing", call("run", "to download it", dataset="crypto-day", start=DAY, end=DAY)),
            "nothing. Run `ingest run --dataset crypto-day --start 2025-03-05 --end 2025-03-05` to download it.",
            'nothing. Call ingest.run(dataset="crypto-day", start="2025-03-05", end="2025-03-05") to download it.',
        ),
        (
            UsageError("refused", call("quarantine retry", "to try again", session=DAY, dataset="stocks-day")),
            "refused. Run `ingest quarantine retry 2025-03-05` to try again.",
            'refused. Call ingest.quarantine.retry(sessions="2025-03-05", dataset="stocks-day") to try again.',
        ),
        (
            UsageError(
                "unknown", Option("errors", "skip", "to leave it out"), Option("adjust", "none", "for raw ones")
            ),
            "unknown. Use `--skip-unknown` to leave it out. Use `--adjust none` for raw ones.",
            (
                'unknown. Pass errors="skip" to leave it out. '
                'Pass adjust="none" (get_smart_data: auto_adjust=False) for raw ones.'
            ),
        ),
        (
            AcrossSeam("away"),
            "away. Use `--across-seams` if it is one company all along.",
            "away. Pass across_seams=True if it is one company all along.",
        ),
        (UsageError("some", Option("partial", True, "to read them")), "some", "some. Pass partial=True to read them."),
        (
            UsageError("no list", Option("list", None, "to name one")),
            "no list. Use `--list FILE` to name one.",
            "no list. Pass list_file to name one.",
        ),
        (NotConfirmed("9 GB"), "9 GB. Nothing was downloaded. Use `--yes` to confirm.", "9 GB. Nothing was downloaded"),
        (
            ManifestDamaged("m", "torn"),
            f"{TORN}. Run `ingest verify --repair` to move it aside and rebuild it from the stored parts.",
            TORN,
        ),
    ],
)
def test_a_hint_is_a_command_or_a_call(error: IngestError, typed: str, called: str) -> None:
    assert (told(error), str(error)) == (typed, called)


def test_reasons_of_a_plan_are_said_in_plain_words() -> None:
    reasons = {"fetch: new": 2, "fetch: lacks archive": 1, "fetch: refused before": 3, "skip: committed": 4}
    said = "to download: 6 sessions, 1.0 kB (2 new; 1 archive missing; 3 previously forbidden)"
    assert to_fetch(events.Planned(6, 1000, reasons)) == said


def test_a_hint_is_part_of_the_message_in_json() -> None:
    notice = events.Notice("gone", "warning", (call("verify", "to see which"),))
    assert as_json(notice, "message") == {"message": "gone. Run `ingest verify` to see which.", "level": "warning"}


def test_what_is_quoted_runs_nothing() -> None:
    """A name may contain terminal escape codes."""
    assert told(UsageError("x", Call("verify\x1b[2J", "now"))) == "x. Run `ingest verify\\x1b[2J` now."


def _calls(name: str) -> list[ast.Call]:
    """The calls that make hints with this function."""
    trees = [path.read_text(encoding="utf-8") for path in BELOW]
    calls = [
        node
        for tree in trees
        if "from ingest.hints import" in tree
        for node in ast.walk(ast.parse(tree))
        if isinstance(node, ast.Call)
    ]
    return [node for node in calls if isinstance(node.func, ast.Name) and node.func.id == name]


def _literal(node: ast.expr) -> object:
    assert isinstance(node, ast.Constant), ast.dump(node)
    return node.value


def _command(name: str):  # type: ignore[no-untyped-def]
    found = COMMAND
    for word in name.split():
        found = found.commands[word]  # type: ignore[attr-defined]
    return found


def _flags(command) -> set[str]:  # type: ignore[no-untyped-def]
    return {flag for one in command.params for flag in (*one.opts, *one.secondary_opts)}


def test_every_hint_names_a_command_with_such_flags_and_a_function_with_such_arguments() -> None:
    hints = [
        (str(_literal(node.args[0])), [key.arg for key in node.keywords if key.arg and key.arg != "usual"])
        for node in _calls("call")
    ]
    assert len(hints) > 10
    for name, arguments in hints:
        flags = _flags(_command(name))
        assert {f"--{one.replace('_', '-')}" for one in arguments if one not in ("session", "ticker")} <= flags, name
        written = str(IngestError("x", call(name, "y", **dict.fromkeys(arguments, True))))
        for function, inside in re.findall(r"ingest\.([\w.]+)\(([^)]*)\)", written):
            keywords = [one.partition("=")[0] for one in inside.split(", ") if one]
            assert set(keywords) <= set(inspect.signature(public_functions()[function]).parameters)


def test_every_option_is_a_flag_of_a_command_or_an_argument_of_a_function() -> None:
    every = set().union(*(_flags(_command(name)) for name in COMMAND.commands if name != "quarantine"))  # type: ignore[attr-defined]
    every |= set().union(*(_flags(one) for one in _command("track").commands.values()))
    options = [(_literal(node.args[0]), node.args[1]) for node in _calls("Option")]
    assert len(options) > 6
    for name, node in options:
        value = node.value if isinstance(node, ast.Constant) else "X"
        typed = re.findall(r"`(--[a-z-]+)", told(UsageError("x", Option(str(name), value, "y"))))
        passed = re.findall(r"Pass (\w+)", str(UsageError("x", Option(str(name), value, "y"))))
        assert typed or passed, name
        assert set(typed) <= every
        functions = [inspect.signature(one).parameters for one in public_functions().values()]
        assert all(any(argument in known for known in functions) for argument in passed)


def test_below_the_command_line_no_message_speaks_of_commands_or_flags() -> None:
    speaks = re.compile(r"`ingest |(^|[ (`])--[a-z]")
    found = [
        f"{path.name}:{node.lineno} {node.value!r}"
        for path in BELOW
        for node in _texts(ast.parse(path.read_text(encoding="utf-8")))
        if speaks.search(str(node.value))
    ]
    assert found == []


def _texts(tree: ast.Module) -> list[ast.Constant]:
    """All strings except docstrings."""
    loose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    every = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in loose]
    return [node for node in every if isinstance(node.value, str)]
