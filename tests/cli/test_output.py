"""Commands whose output is lost: processes whose stdout or stderr cannot be written."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
import typer
from pipeline_kit import Place, market_objects, sampled, trading_days, window, write_keys

from ingest.cli.app import app
from ingest.demo.servers import loopback

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full, closed descriptors, pseudo-terminals")

DAYS = trading_days(date(2025, 3, 3), 6)
FIRST, LAST = map(str, window(DAYS))
SPAN = ("--start", FIRST, "--end", LAST)
OWN = None
"""The command's own exit code holds, since its work counts."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A filled cache and its source, shared by commands that must not affect each other."""
    folder = tmp_path_factory.mktemp("output")
    write_keys(folder / "credentials")
    with loopback.serve(market_objects(DAYS)) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
        patch.setenv("AWS_CONFIG_FILE", str(folder / "none"))
        place = Place(folder / "cache", server.endpoint_url)
        place.run(*window(DAYS))
        (folder / "mine.txt").write_text("AAPL\n")
        (folder / "theirs" / "massive_cache").mkdir(parents=True)
        yield place


@pytest.fixture
def empty(place: Place, tmp_path: Path) -> Place:
    """The same source, and a cache only for this test."""
    return Place(tmp_path / "cache", place.endpoint_url)


# Ways in which stdout can fail


@contextmanager
def full() -> Iterator[int]:
    """A full disk."""
    number = os.open("/dev/full", os.O_WRONLY)
    yield number
    os.close(number)


@contextmanager
def unread() -> Iterator[int]:
    """A pipe whose reader is gone, as `| head -1` leaves it."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@contextmanager
def hung_up() -> Iterator[int]:
    """A terminal that was closed."""
    master, slave = pty.openpty()
    os.close(master)
    yield slave
    os.close(slave)


def ended(
    place: Place, *arguments: object, out: int, err: int = subprocess.PIPE, **environment: str
) -> tuple[int, str]:
    """A command's exit code and its stderr."""
    done = subprocess.run(
        place.command(*arguments),
        env=place.environment(**environment),
        cwd=place.root.parent,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        timeout=60,
        check=False,
    )
    said = (done.stderr or b"").decode()
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    return done.returncode, said


def closed(place: Place, how: str, *arguments: object) -> tuple[int, str]:
    """A command that a shell starts without some of its streams; returns the exit code, and any stderr."""
    command = ["sh", "-c", f'exec "$@" {how}', "sh", *place.command(*arguments)]
    done = subprocess.run(
        command, env=place.environment(), cwd=place.root.parent, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


# Every command

COMMANDS: dict[str, tuple[tuple[str, ...], int | None]] = {
    "": (("--help",), 141),
    "adopt": (("theirs",), OWN),
    "chain": (("SPY", "--on", "yesterday"), 2),
    "check": ((), 141),
    "config path": (("--config", "config.toml"), 2),
    "config show": ((), 141),
    "corrections": ((), 141),
    "demo": (("--dataset", "no such"), 2),
    "export": (("AAPL", "--out", "out"), OWN),
    "findings": (("--json",), 141),
    "init": (("there", "--yes", "--no-check"), OWN),
    "lake build": ((), OWN),
    "lake drop": (("--yes",), OWN),
    "lake snapshots": ((), 141),
    "lake status": ((), 141),
    "list": (SPAN, 141),
    "move": (("-n",), 141),
    "prune": ((), 141),
    "quarantine accept": ((FIRST,), OWN),
    "quarantine dismiss": ((FIRST,), 2),
    "quarantine list": ((), 141),
    "quarantine retry": ((), OWN),
    "quarantine show": ((FIRST,), 2),
    "report": ((), OWN),
    "restore": (("--yes",), 2),
    "run": (SPAN, OWN),
    "schedule install": (("--dry-run",), 141),
    "schedule remove": (("--dry-run",), 141),
    "schedule show": ((), 141),
    "show": (("AAPL", *SPAN, "--no-fetch", "--adjust", "none"), 141),
    "sql": (("select 1 as one",), 141),
    "status": ((), 141),
    "tickers": ((), 141),
    "track add": (("MSFT", "--list", "mine.txt"), OWN),
    "track import": (("mine.txt", "--list", "mine.txt"), OWN),
    "track list": ((), 141),
    "track remove": (("AAPL", "--list", "mine.txt"), OWN),
    "verify": ((), 141),
}


def leaves(command: typer.core.TyperGroup, name: str = "") -> Iterator[str]:
    for word, one in command.commands.items():
        whole = f"{name} {word}".strip()
        yield from leaves(one, whole) if isinstance(one, typer.core.TyperGroup) else [whole]


def test_each_command_is_among_them() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    assert {name for name in COMMANDS if name} == set(leaves(group))


@pytest.mark.parametrize("name", sampled(COMMANDS))
def test_a_reader_that_is_gone_is_no_error(place: Place, name: str) -> None:
    arguments, code = COMMANDS[name]
    with unread() as out:
        found, said = ended(place, *name.split(), *arguments, out=out)
    assert found == (0 if code is OWN else code), said
    assert said == "" or code == 2


@pytest.mark.parametrize("name", ["", "status", "export"])
def test_a_lost_answer_is_a_failure_but_work_done_is_not(place: Place, name: str) -> None:
    arguments, code = COMMANDS[name]
    with full() as out:
        found, said = ended(place, *name.split(), *arguments, out=out)
    if code is OWN:
        assert (found, said) == (0, "")
    else:
        assert (found, said) == (5, "error: the output cannot be written: No space left on device\n")


@pytest.mark.parametrize(("how", "told"), [(">&-", True), ("2>&-", False), (">&- 2>&-", False)])
def test_streams_that_are_closed_from_the_start(place: Place, how: str, told: bool) -> None:
    code, said = closed(place, how, "status")
    assert code == (0 if how == "2>&-" else 5)
    assert said == ("error: the output cannot be written: Bad file descriptor\n" if told else "")


def test_a_commands_own_exit_code_comes_before_lost_output(place: Place) -> None:
    with full() as out, full() as err:
        assert ended(place, "status", "--max-age", 3, out=out, err=err)[0] == 3
        assert ended(place, "--nonsense", out=out, err=err)[0] == 2


# Runs


def whole(place: Place) -> None:
    found = place.status()
    assert found.runs[0]["exit_code"] == 0
    assert {(row.held, row.count) for row in found.sessions if row.remote == "listed"} == {("committed", len(DAYS))}
    assert place.csv("AAPL")
    assert place.here("verify", "--deep").code == 0


@pytest.mark.parametrize(("way", "arguments"), [(full, ()), (unread, ("--json",)), (hung_up, ())])
def test_a_run_completes_when_its_output_is_lost(empty: Place, way: object, arguments: tuple[str, ...]) -> None:
    with way() as out:  # type: ignore[operator]
        assert ended(empty, "run", *SPAN, *arguments, out=out, err=out)[0] == 0
    whole(empty)


def test_a_run_without_streams_completes_and_writes_into_no_file_of_the_cache(empty: Place) -> None:
    assert closed(empty, "<&- >&- 2>&-", "run", *SPAN)[0] == 0
    whole(empty)


def test_a_run_whose_terminal_is_closed_meanwhile_goes_on(empty: Place) -> None:
    master, slave = pty.openpty()
    with subprocess.Popen(
        empty.command("run", *SPAN),
        env=empty.environment(TERM="xterm"),
        cwd=empty.root.parent,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    ) as run:
        os.close(slave)
        assert os.read(master, 1)  # bars are shown
        os.close(master)
        assert run.wait(60) == 0
    whole(empty)


def test_json_whose_reader_dies_meanwhile_does_not_end_the_run(empty: Place) -> None:
    with subprocess.Popen(
        empty.command("run", "--json", *SPAN),
        env=empty.environment(),
        cwd=empty.root.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout
        assert run.stderr
        assert json.loads(run.stdout.readline())["kind"] == "run_started"
        run.stdout.close()
        assert run.stderr.read() == ""
        assert run.wait(60) == 0
    whole(empty)


# Encodings

ENCODINGS = [
    {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    {"PYTHONIOENCODING": "latin-1"},
    *(pytest.param({"PYTHONIOENCODING": name}, marks=pytest.mark.long) for name in ("cp437", "cp1252:strict", "utf-8")),
]


@pytest.fixture(scope="module")
def odd(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A filled cache below a folder whose name few encodings can represent, and none in full."""
    folder = tmp_path_factory.mktemp("odd") / os.fsdecode("Zürich € ".encode() + b"\xff")
    folder.mkdir()
    there = Place(folder / "cache", place.endpoint_url)
    there.run(*window(DAYS))
    return there


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_characters_that_the_output_does_not_have_are_replaced(odd: Place, encoding: dict[str, str]) -> None:
    command, environment = odd.command("config", "show"), odd.environment(**encoding)
    done = subprocess.run(command, env=environment, cwd=odd.root.parent, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\udcff/cache" in done.stdout
    found = json.loads(odd.cli("status", "--json", **encoding).stdout)
    if "LC_ALL" not in encoding:  # which changes how file names are read
        assert found["root"] == str(odd.root)


def test_signs_of_our_own_are_put_plainly(odd: Place) -> None:
    ascii_ = {"PYTHONIOENCODING": "ascii"}
    shown = odd.cli("show", "AAPL", *SPAN, "--no-fetch", "--adjust", "none", "--plot", **ascii_)
    assert shown.returncode == 0
    assert "no chart: ascii does not have its characters" in shown.stderr
    asked = odd.cli("track", "add", "--help", **ascii_)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert "TICKER..." in asked.stdout
    added = odd.cli("track", "add", "MSFT", "--list", odd.root.parent / "none" / "x.txt", **ascii_)
    assert (added.returncode, added.stderr) == (0, "")
    assert r"\udcff/none/x.txt" in added.stdout
