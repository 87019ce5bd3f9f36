"""Tables and sentences for people: nothing is cut, and without a terminal a row is a line."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from pipeline_kit import Place
from rich.cells import cell_len
from used_kit import ASKED, used

from ingest import events
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.terminal import Terminal

CLI = Path(__file__).parents[2] / "ingest" / "cli"
PATH = f"/home/some body/{'deep/' * 30}AAPL_1d_data.csv"
REASON = "its 40 rows would become 35, which is less than nine tenths of them, so that it was not applied to the cache"


class _Seen(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(seen: bool, width: int = 80) -> tuple[Answers, io.StringIO]:
    out = _Seen() if seen else io.StringIO()
    return Answers(file=out, width=width, color_system=None), out


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with used(tmp_path_factory.mktemp("a folder whose name is long enough to make lines wrap if they did")) as made:
        yield made


def test_all_tables_are_printed_by_one_function() -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in CLI.rglob("*.py")}
    assert [path for path, text in sources.items() if "rich.table" in text] == []
    made = {path.name for path, text in sources.items() if "rich.console import Console" in text}
    assert made == {"answers.py"}


TABLES = ("status", "list", "findings", "corrections", "verify", "track list", "quarantine list", "adopt", "show")


@pytest.mark.parametrize("command", [*TABLES, "run"])
def test_without_a_terminal_no_line_is_wrapped_whatever_the_width(place: Place, command: str) -> None:
    arguments = (*command.split(), *ASKED.get(command, ()), *(("-n",) if command == "run" else ()))
    narrow, wide = (place.here(*arguments, COLUMNS=width) for width in ("20", "500"))
    assert (narrow.out, narrow.code) == (wide.out, wide.code)
    coloured = place.here(*arguments, COLUMNS="20", FORCE_COLOR="1")
    assert len(coloured.out.splitlines()) == len(wide.out.splitlines()) > 1


@pytest.mark.parametrize("command", ["list", "findings", "corrections", "track list", "quarantine list"])
def test_a_row_is_a_line(place: Place, command: str) -> None:
    arguments = (*command.split(), *ASKED.get(command, ()))
    rows = [list(json.loads(line).values()) for line in place.here(*arguments, "--json").out.splitlines()]
    lines = place.here(*arguments).out.splitlines()
    assert rows
    names = [str(row[4]) for row in rows]  # behind version, kind, time and dataset
    assert [line.split()[0] for line in lines[1 : len(rows) + 1]] == names
    assert not any(line.startswith((" ", *names)) for line in lines[len(rows) + 1 :])


def test_a_terminal_wraps_prose_and_nothing_else() -> None:
    console, out = printed(seen=True)
    console.print_table(("what", "count", "why"), [(PATH, "1,234,567", REASON), ("x", "2", "short")], ("count",), True)
    header, first, *below, last, short = out.getvalue().splitlines()
    assert header.split() == ["what", "count", "why"]
    assert first == f"{PATH}  1,234,567"
    assert (" ".join(line.strip() for line in below), short.strip()) == (REASON, "short")
    assert max(map(len, below)) <= 80
    assert last.split() == ["x", "2"]


def test_prose_that_has_room_hangs_beside_its_row() -> None:
    console, out = printed(seen=True)
    console.print_table(("session", "reason"), [("2025-11-11", REASON), ("2025-11-12", "ok")], prose=True)
    lines = out.getvalue().splitlines()
    assert {line[:12].strip() for line in lines} == {"session", "2025-11-11", "", "2025-11-12"}
    assert " ".join(line[12:] for line in lines[1:-1]) == REASON
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("seen", [True, False])
def test_what_a_file_says_is_a_cell_of_one_line_and_aligned(seen: bool) -> None:
    console, out = printed(seen)
    console.print_table(("ticker", "rows"), [("A\nB\x1b[31m[bold]", "1"), ("日本", "20")], right=("rows",))
    lines = out.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["ticker", r"A\nB\x1b[31m[bold]", "日本"]
    assert len({cell_len(line) for line in lines}) == 1


def test_sentences_wrap_between_words_paths_and_commands() -> None:
    console, out = printed(seen=True, width=40)
    words = f"The file {PATH.replace(' ', '_')} is gone: `ingest verify --repair --dataset stocks-day` restores it."
    console.print(words)
    lines = out.getvalue().splitlines()
    assert " ".join(lines) == words
    assert "`ingest verify --repair --dataset stocks-day`" in lines
    console, out = printed(seen=False, width=40)
    console.print(words)
    assert out.getvalue() == f"{words}\n"


def test_a_message_above_the_bars_keeps_its_path_and_its_commands_whole() -> None:
    out = _Seen()
    refused = events.Quarantined(date(2025, 11, 11), REASON, PATH.replace(" ", "_"), acceptable=True)
    with Terminal(Answers(file=out, width=80, force_terminal=True, color_system=None)) as terminal:
        terminal.event(events.RunStarted(1, "us_stocks_sip/day_aggs_v1", date(2025, 11, 10), date(2025, 11, 11), 2))
        terminal.event(refused)
    assert PATH.replace(" ", "_") in out.getvalue()
    assert "`ingest quarantine accept 2025-11-11`" in out.getvalue()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pty")
@pytest.mark.parametrize("command", ["status", "quarantine list"])
def test_a_terminal_of_80_columns_gets_lines_that_fit(place: Place, command: str) -> None:
    lines = _in_a_terminal(place, command, 80)
    assert len(lines) > 4
    assert [line for line in lines if len(line) > 80 and str(place.root) not in line] == []
    tables = [line for line in lines if line.startswith(("session ", "held ", "tier ", "run "))]
    assert len(tables) == (3 if command == "status" else 1)
    if command == "status":
        assert any(line.endswith(f"{place.root}/massive_cache") for line in lines)


def _in_a_terminal(place: Place, command: str, width: int) -> list[str]:
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environment = place.environment(TERM="dumb")
    environment.pop("COLUMNS", None)
    done = subprocess.Popen(
        place.command(*command.split()), env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    told = b""
    with os.fdopen(ours, "rb", buffering=0) as stream, contextlib.suppress(OSError):  # Linux's end of a terminal
        while chunk := stream.read(65536):
            told += chunk
    assert done.wait(60) == 0
    return told.decode().replace("\r\n", "\n").splitlines()
