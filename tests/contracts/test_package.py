"""What is installed, what a command imports, and what users see: from outside, as processes."""

import json
import re
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import click
import pytest
import typer
from pipeline_kit import sampled

from ingest.cli.app import app

ROOT = Path(__file__).parents[2]
# Not pydantic: if it is installed, Typer imports it to show a command's help.
HEAVY = ("polars", "pandas", "numpy", "botocore", "aioboto3", "pydantic_settings", "yfinance", "exchange_calendars")
ASKED = """
import json, sys
from ingest.__main__ import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["ingest", *arguments]
    try:
        main()
    except SystemExit as ended:
        print(json.dumps([arguments, ended.code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def _run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, check=False)


def _commands() -> Iterator[tuple[str, click.Command]]:
    root = typer.main.get_command(app)
    yield "", root
    assert isinstance(root, click.Group | typer.core.TyperGroup)
    yield from root.commands.items()


COMMANDS = dict(_commands())
NAMED = [name for name in COMMANDS if name]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    built = _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    assert built.returncode == 0, f"{built.stdout}\n{built.stderr}"
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


class TestTheWheel:
    def test_its_top_level_is_the_package_alone(self, wheel: zipfile.ZipFile) -> None:
        top = {name.partition("/")[0] for name in wheel.namelist()}
        assert {name for name in top if not name.endswith(".dist-info")} == {"ingest"}
        assert len(top) == 2

    def test_it_holds_every_module_of_the_package(self, wheel: zipfile.ZipFile) -> None:
        modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "ingest").rglob("*.py")}
        assert {name for name in wheel.namelist() if name.endswith(".py")} == modules
        assert {"ingest/__main__.py", "ingest/cache/parts/parts.py", "ingest/cache/manifest/manifest.py"} <= modules

    def test_it_holds_nothing_but_code_the_tables_of_closures_the_report_and_the_mark_of_its_types(
        self, wheel: zipfile.ZipFile
    ) -> None:
        others = [name for name in wheel.namelist() if not name.endswith(".py") and ".dist-info/" not in name]
        tables = [f"ingest/market/closures/{name}.txt" for name in ("CMES", "XNYS", "XNYS_early")]
        pages = (
            "alone.html.j2",
            "base.html.j2",
            "calendar.js",
            "chart.html.j2",
            "charts.js",
            "page.css",
            "report.html.j2",
        )
        library = ("LICENSE-lightweight-charts", "lightweight-charts.standalone.production.js")
        names = (*pages, *(f"vendor/{name}" for name in library))
        report = [f"ingest/cli/report/{name}" for name in names]
        assert sorted(others) == [*report, *tables, "ingest/py.typed"]

    def test_it_brings_the_command_and_the_licence(self, wheel: zipfile.ZipFile) -> None:
        (entry_points,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
        assert "ingest = ingest.__main__:main" in wheel.read(entry_points).decode()
        assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


class TestFrontDoors:
    def test_the_folder_above_a_clone_does_not_hide_the_package(self, tmp_path: Path) -> None:
        (tmp_path / "ingest").mkdir()  # like the clone's own folder, which is not a package
        found = _run(sys.executable, "-c", "import ingest; print(ingest.history.__name__)", cwd=tmp_path)
        assert (found.stdout, found.stderr) == ("history\n", "")

    def test_all_of_them_are_the_same_program(self, tmp_path: Path) -> None:
        script = Path(sysconfig.get_path("scripts"), "ingest.exe" if sys.platform == "win32" else "ingest")
        doors = [
            _run(sys.executable, ROOT / "cli.py", "--version", cwd=tmp_path),
            _run(sys.executable, "-m", "ingest", "--version", cwd=tmp_path),
            _run(script, "--version", cwd=tmp_path),
        ]
        assert [(door.returncode, door.stderr) for door in doors] == [(0, "")] * 3
        assert len({door.stdout for door in doors}) == 1
        assert re.fullmatch(r"ingest \d+\.\d+\.\d+\n", doors[0].stdout)

    @pytest.mark.parametrize("flag", ["--nonsense", "nonsense"])
    def test_a_wrong_word_is_exit_2_and_named(self, flag: str, tmp_path: Path) -> None:
        done = _run(sys.executable, "-m", "ingest", flag, cwd=tmp_path)
        assert done.returncode == 2
        assert flag in done.stderr
        assert "Traceback" not in done.stderr


class TestHelp:
    def test_it_imports_nothing_heavy(self, tmp_path: Path) -> None:
        asked = [["--help"], ["--version"], *([name, "--help"] for name in NAMED)]
        done = _run(sys.executable, "-c", ASKED, json.dumps(asked), cwd=tmp_path)  # all in one process
        assert done.returncode == 0, done.stderr
        found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[[")]
        assert [(arguments, code) for arguments, code, _ in found] == [(one, 0) for one in asked]
        assert [(arguments, set(HEAVY) & set(modules)) for arguments, _, modules in found] == [
            (one, set()) for one in asked
        ]
        assert "ingest" in found[0][2]

    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_command_and_every_flag_says_what_it_does(self, name: str) -> None:
        command = COMMANDS[name]
        assert command.help
        silent = [parameter.name for parameter in command.params if not getattr(parameter, "help", None)]
        assert silent == []

    @pytest.mark.parametrize("name", NAMED)
    def test_every_command_stands_on_its_page(self, name: str) -> None:
        assert f"ingest {name}" in (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")

    @pytest.mark.parametrize("name", sampled(NAMED))
    def test_help_ends_well(self, name: str, tmp_path: Path) -> None:
        done = _run(sys.executable, "-m", "ingest", name, "-h", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert name in done.stdout


def test_tab_shows_the_functions_and_the_version_is_the_packages():
    import ingest

    assert sorted([*ingest.__all__, "__version__"]) == dir(ingest)
    assert ingest.__version__ == metadata.version("ingest")
