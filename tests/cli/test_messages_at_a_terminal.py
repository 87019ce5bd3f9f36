"""Messages on stderr at a terminal of 80 columns: lines end between words; without a terminal a message is a line."""

import re
import subprocess
import sys

import pytest
from terminal_kit import at_terminal

INGEST = (sys.executable, "-m", "ingest")
WRONG = {
    "an error": (*INGEST, "status", "-d", "zzz"),
    "a note": (*INGEST, "config", "path"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    monkeypatch.delenv("INGEST_CONFIG", raising=False)
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "stocks.txt").write_text("AAPL\n")
    return folder


@pytest.mark.parametrize("command", WRONG.values(), ids=WRONG)
def test_a_long_message_breaks_between_words_on_a_terminal_alone(folder, command):
    plain = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    code, shown = at_terminal(command, cwd=folder)
    assert code == plain.returncode
    assert len(plain.stderr.splitlines()) == 1
    assert len(plain.stderr) > 160
    lines = shown.splitlines()
    assert len(lines) > 2
    assert all(len(line) <= 80 or " " not in line for line in lines)
    assert shown.split() == plain.stderr.split()


def shown_help(*command):
    _, shown = at_terminal((*INGEST, *command, "--help"))
    return re.sub(r"\x1b\[[\d;]*m", "", shown)


def test_a_help_says_numbers_in_words_and_fills_its_lines():
    run = shown_help("run")
    assert "N [1 to 512]" in run
    assert "N [0 or more]" in run
    assert "<=" not in run
    install = shown_help("schedule", "install")
    assert "\n name is replaced, but nothing that it did not write itself." in install
