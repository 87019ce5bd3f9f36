"""The checks that a commit must pass, run like by hand."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# import-linter has no `__main__`; its console script calls this.
LINT_IMPORTS = ["-c", "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"]


@pytest.mark.parametrize(
    "command",
    [["-m", "ruff", "format", "--check"], ["-m", "ruff", "check"], ["-m", "mypy"], LINT_IMPORTS],
    ids=["ruff-format", "ruff-check", "mypy", "lint-imports"],
)
def test_a_check_passes(command: list[str]) -> None:
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
